"""Control packets of MQTT 3.1.1 and 5: what a client sends and is answered.

References
----------
MQTT 3.1.1 and MQTT 5.0 (OASIS), sections 2.2 and 3.
"""

import struct
from dataclasses import dataclass

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP, DISCONNECT = 2, 3, 4, 9, 13, 14

PINGREQ = b"\xc0\x00"
GOODBYE = b"\xe0\x00"  # the session stays for as long as CONNECT asked

SESSION_EXPIRY, SERVER_KEEPALIVE, RECEIVE_MAXIMUM, ALIAS_MAXIMUM = 0x11, 0x13, 0x21, 0x22
REASON = 0x1F
# Property -> bytes of its value; 5: a varint, 6: a string or bytes, 7: a pair of strings.
PROPERTY_KINDS = {
    0x01: 1, 0x02: 4, 0x03: 6, 0x08: 6, 0x09: 6, 0x0B: 5, 0x11: 4, 0x12: 6, 0x13: 2, 0x15: 6,
    0x16: 6, 0x17: 1, 0x18: 4, 0x19: 1, 0x1A: 6, 0x1C: 6, 0x1F: 6, 0x21: 2, 0x22: 2, 0x23: 2,
    0x24: 1, 0x25: 1, 0x26: 7, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1,
}  # fmt: skip
_VARINT, _STRING, _PAIR = 5, 6, 7
_VARINT_BYTES_MAX = 4

_REFUSALS = {
    1: "the version of the protocol is not supported",
    2: "the client identifier is not allowed",
    3: "the server is not available",
    4: "bad user name or password",
    5: "not authorised",
}
_REASONS = {
    0x80: "unspecified error",
    0x81: "malformed packet",
    0x82: "protocol error",
    0x83: "implementation specific error",
    0x84: "the version of the protocol is not supported",
    0x85: "the client identifier is not valid",
    0x86: "bad user name or password",
    0x87: "not authorised",
    0x88: "the server is not available",
    0x89: "the server is busy",
    0x8A: "banned",
    0x8B: "the server is shutting down",
    0x8C: "bad authentication method",
    0x8D: "keep alive timed out",
    0x8E: "the session was taken over by another client of this name",
    0x8F: "the topic filter is not valid",
    0x90: "the topic name is not valid",
    0x91: "the packet identifier is in use",
    0x93: "receive maximum exceeded",
    0x94: "the topic alias is not valid",
    0x95: "the packet is too large",
    0x96: "message rate too high",
    0x97: "quota exceeded",
    0x98: "administrative action",
    0x99: "the payload format is not valid",
    0x9C: "use another server",
    0x9D: "the server has moved",
    0x9E: "shared subscriptions are not supported",
    0x9F: "connection rate exceeded",
    0xA0: "maximum connect time",
    0xA1: "subscription identifiers are not supported",
    0xA2: "wildcard subscriptions are not supported",
}


class ProtocolError(ValueError):
    """The broker sent what MQTT does not allow: says what was got, and what was wanted."""


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes for us when we vanish."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True)
class Hello:
    """What CONNECT says; times in seconds."""

    client_id: str
    keepalive_s: int
    username: str | None = None
    password: str | None = None
    session_expiry_s: int = 0
    receive_maximum: int = 65_535
    aliases_max: int = 0
    clean: bool = False
    will: Will | None = None


@dataclass(frozen=True, slots=True)
class Welcome:
    """What CONNACK says. ``refusal`` is empty when the broker takes us."""

    session_present: bool
    refusal: str
    keepalive_s: int | None


def reason_of(code: int) -> str:
    """What a reason code of MQTT 5 (or a failure of a 3.1.1 subscription) means."""
    return f"{_REASONS.get(code, 'no known reason')} ({code:#04x})"


def encode_connect(hello: Hello, *, five: bool) -> bytes:
    """CONNECT that goes on with the session of this client identifier, unless asked otherwise."""
    flags = 2 if hello.clean or not (five or hello.session_expiry_s) else 0
    fields = [_text(hello.client_id)]
    if hello.will is not None:
        flags |= 4 | hello.will.qos << 3 | hello.will.retain << 5
        none = b"\x00" if five else b""  # no properties
        fields += [none, _text(hello.will.topic), _blob(hello.will.payload, "a will")]
    if hello.username is not None or (hello.password is not None and not five):
        flags |= 0x80
        fields.append(_text(hello.username or ""))
    if hello.password is not None:
        flags |= 0x40
        fields.append(_text(hello.password))
    properties = b""
    if five:
        body = struct.pack(
            ">BIBHBH",
            *(SESSION_EXPIRY, hello.session_expiry_s),
            *(RECEIVE_MAXIMUM, hello.receive_maximum),
            *(ALIAS_MAXIMUM, hello.aliases_max),
        )
        properties = _varint(len(body)) + body
    head = _text("MQTT") + struct.pack(">BBH", 5 if five else 4, flags, hello.keepalive_s)
    return _packet(0x10, head + properties + b"".join(fields))


def encode_subscribe(mid: int, topics: tuple[tuple[str, int], ...], *, five: bool) -> bytes:
    """SUBSCRIBE of topic filters, each with the quality of service asked for."""
    body = mid.to_bytes(2, "big") + (b"\x00" if five else b"")
    return _packet(0x82, body + b"".join(_text(topic) + bytes([qos]) for topic, qos in topics))


def encode_publish(
    topic: str, payload: bytes, mid: int, *, retain: bool = False, five: bool
) -> bytes:
    """PUBLISH of QoS 1 with a packet identifier, of QoS 0 with ``mid`` 0."""
    head = _text(topic) + (mid.to_bytes(2, "big") if mid else b"") + (b"\x00" if five else b"")
    return _packet(0x30 | (2 if mid else 0) | retain, head + payload)


def decode_puback(body: bytes) -> tuple[int, int]:
    """Packet identifier and reason code; 0x80 and above is a refusal.

    Raises
    ------
    ProtocolError
    """
    if len(body) < 2:
        raise ProtocolError(f"got PUBACK of {len(body)} bytes, want an identifier")
    return int.from_bytes(body[:2], "big"), body[2] if len(body) > 2 else 0


def decode_connack(body: bytes, *, five: bool) -> Welcome:
    """Read CONNACK.

    Raises
    ------
    ProtocolError
    """
    if len(body) < 2 or body[0] > 1:
        raise ProtocolError(f"got CONNACK {body[:8].hex()}, want flags and a code")
    code = body[1]
    if not five:
        return Welcome(bool(body[0]), (code and _REFUSALS.get(code, f"code {code}")) or "", None)
    known = read_properties(body, 2)[0]
    alive = known.get(SERVER_KEEPALIVE)
    text = known.get(REASON)
    refusal = "" if code < 0x80 else reason_of(code) + (f": {text}" if text else "")
    return Welcome(bool(body[0]), refusal, alive if isinstance(alive, int) else None)


def decode_suback(body: bytes, *, five: bool) -> tuple[int, bytes]:
    """Packet identifier and one code a topic; 0x80 and above is a refusal.

    Raises
    ------
    ProtocolError
    """
    if len(body) < 3:
        raise ProtocolError(f"got SUBACK of {len(body)} bytes, want an identifier and codes")
    at = read_properties(body, 2)[1] if five else 2
    return int.from_bytes(body[:2], "big"), body[at:]


def decode_disconnect(body: bytes) -> str:
    """Why the broker hangs up.

    Raises
    ------
    ProtocolError
    """
    if not body:
        return "the broker said goodbye"
    text = read_properties(body, 1)[0].get(REASON) if len(body) > 1 else None
    return reason_of(body[0]) + (f": {text}" if text else "")


def read_properties(body: bytes, at: int) -> tuple[dict[int, int | str], int]:
    """Properties from ``at`` on, and where they end; of one that comes twice, the last.

    Raises
    ------
    ProtocolError
    """
    size, at = _read_varint(body, at)
    end = at + size
    found: dict[int, int | str] = {}
    while at < end <= len(body):
        number = body[at]
        kind = PROPERTY_KINDS.get(number)
        if kind is None:
            raise ProtocolError(f"got property {number:#x}, want one that MQTT 5 knows")
        at += 1
        if kind == _VARINT:
            found[number], at = _read_varint(body, at)
        elif kind < _VARINT:
            found[number], at = int.from_bytes(body[at : at + kind], "big"), at + kind
        for _ in range(kind - _VARINT if kind > _VARINT else 0):
            begin = at + 2
            at = begin + int.from_bytes(body[at:begin], "big")
            found[number] = body[begin:at].decode("utf-8", "backslashreplace")
    if at != end:
        raise ProtocolError(f"got properties that end at byte {at}, want byte {end}")
    return found, at


def _read_varint(body: bytes, at: int) -> tuple[int, int]:
    value = 0
    for k, byte in enumerate(body[at : at + _VARINT_BYTES_MAX]):
        value |= (byte & 127) << 7 * k
        if byte < 128:
            return value, at + k + 1
    raise ProtocolError(f"got a length of more than 4 bytes or a cut one, at byte {at}")


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _text(text: str) -> bytes:
    return _blob(text.encode(), "a text")


def _blob(raw: bytes, what: str) -> bytes:
    if len(raw) > 0xFFFF:
        raise ProtocolError(f"cannot send {what} of {len(raw)} bytes, want at most 65,535")
    return len(raw).to_bytes(2, "big") + raw


def _packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + _varint(len(body)) + body
