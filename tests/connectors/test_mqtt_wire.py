"""mqtt/wire and kernels/mqtt.h: what a broker may send, cut anywhere, damaged anywhere."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import kernels
from connectors.mqtt import packets
from connectors.mqtt.packets import ProtocolError
from connectors.mqtt.wire import Message, Scanner, acknowledgements

HERE = Path(__file__).parent
PROPERTIES = (
    b"\x01\x01",  # payload format
    b"\x02\x00\x00\x00\x09",  # expiry
    b"\x03\x00\x03a/b",  # content type
    b"\x0b\x85\x02",  # subscription identifier
    b"\x26\x00\x01k\x00\x01v",  # user property
)


def publish(topic, payload, *, mid=0, retain=False, five=False, alias=0, extra=()):
    """A PUBLISH, by the standard's text."""
    qos = 1 if mid else 0
    body = len(topic).to_bytes(2, "big") + topic + (mid.to_bytes(2, "big") if qos else b"")
    if five:
        held = b"".join(extra) + (b"\x23" + alias.to_bytes(2, "big") if alias else b"")
        body += length(len(held)) + held
    body += payload
    return bytes([0x30 | qos << 1 | retain]) + length(len(body)) + body


def length(number):
    out = []
    while True:
        number, low = divmod(number, 128)
        out.append(low | (128 if number else 0))
        if not number:
            return bytes(out)


def rows(scanner):
    return [(m.topic, m.payload, m.mid, m.qos, m.retained, m.size) for m in scanner.messages]


_MESSAGE = st.tuples(
    st.text(min_size=1, max_size=40), st.binary(max_size=400), st.integers(0, 65535), st.booleans()
)


@given(
    st.lists(_MESSAGE, max_size=12),
    st.booleans(),
    st.lists(st.sampled_from(PROPERTIES)),
    st.lists(st.integers(1, 500), min_size=1),
)
def test_messages_come_out_whole_however_the_line_cuts_them(messages, five, extra, cuts):
    """A segment of TCP ends anywhere."""
    stream = b"".join(
        publish(topic.encode(), payload, mid=mid, retain=retain, five=five, extra=extra)
        + (packets.PINGREQ if mid % 3 == 0 else b"")
        for topic, payload, mid, retain in messages
    )
    scanner, waiting, at, k = Scanner(five, 1 << 20, 10), b"", 0, 0
    while at < len(stream):
        step = cuts[k % len(cuts)]
        waiting += stream[at : at + step]
        at, k = at + step, k + 1
        waiting = waiting[scanner.feed(waiting) :]

    assert waiting == b""
    assert rows(scanner) == [
        (topic, payload, mid, int(mid > 0), retain, len(payload))
        for topic, payload, mid, retain in messages
    ]
    assert scanner.controls == [(0xC0, b"") for _, _, mid, _ in messages if mid % 3 == 0]
    assert scanner.size_bytes == sum(len(payload) for _, payload, _, _ in messages)


def test_an_alias_stands_for_the_topic_it_was_told_with():
    """MQTT 5, 3.3.2.3.4: and for a newer one once that was told."""
    scanner = Scanner(True, 1 << 20, 2)
    told = [(b"a", 1), (b"", 1), (b"b", 1), (b"", 1), (b"c", 2), (b"", 1)]
    for topic, alias in told:
        scanner.feed(publish(topic, b"", mid=1, five=True, alias=alias))

    assert ["a", "a", "b", "b", "c", "b"] == [message.topic for message in scanner.messages]


@pytest.mark.parametrize(
    ("stream", "five", "reason"),
    [
        (b"\x30\xff\xff\xff\xff\x01", False, "length of more than 4 bytes"),
        (b"\x30\x03\x00\x09a", False, "topic longer"),
        (b"\x30\x01\x00", False, "cut short"),
        (b"\x32\x04\x00\x01a\x00", False, "cut short"),
        (b"\x34\x05\x00\x01a\x00\x07", False, "QoS 2"),
        (b"\x32\x05\x00\x01a\x00\x00", False, "identifier"),
        (b"\x30\x02\x00\x00", False, "without topic"),
        (publish(b"a", b"", five=True, extra=[b"\x7f\x00"]), True, "does not know"),
        (publish(b"a", b"", five=True, extra=[b"\x26\x00\x01k\x00\x09v"]), True, "bounds"),
        (publish(b"a", b"", five=True, extra=[b"\x23\x00\x00"]), True, "alias 0"),
        (publish(b"a", b"", five=True, alias=3), True, "alias 3"),
        (publish(b"", b"", five=True, alias=1), True, "told before"),
        (b"\x20\x81\x80\x20" + bytes(1 << 18), False, "control|want at most"),
    ],
)
def test_what_mqtt_does_not_allow_is_named(stream, five, reason):
    """The connection ends with the reason; what came before it is kept."""
    scanner = Scanner(five, 1 << 10, 2)
    with pytest.raises(ProtocolError, match=reason):
        scanner.feed(publish(b"good", b"1", mid=5, five=five) + stream)

    assert ["good"] == [message.topic for message in scanner.messages]


def test_a_topic_that_is_no_text_stays_readable():
    """It fits no mapping, and the quarantine shows what it was."""
    scanner = Scanner(False, 1 << 20, 0)
    scanner.feed(publish(b"a/\xff/b", b"1"))

    assert scanner.messages[0].topic == "a/\\xff/b"


@pytest.mark.parametrize("step", [1 << 12, 1 << 16, 1 << 30])
def test_a_message_beyond_the_bound_is_skipped_and_told_of(step):
    """Its neighbours come, and it can be acknowledged: else it would come for ever."""
    large = bytes(range(256)) * 4_000
    stream = publish(b"a", b"1", mid=1) + publish(b"big", large, mid=2) + publish(b"b", b"3", mid=3)
    scanner, waiting, held = Scanner(False, 1 << 16, 0), b"", 0
    for at in range(0, len(stream), step):
        waiting += stream[at : at + step]
        held = max(held, len(waiting))
        waiting = waiting[scanner.feed(waiting) :]

    assert [("a", 1), ("big", len(large)), ("b", 1)] == [
        (m.topic, m.size) for m in scanner.messages
    ]
    assert scanner.messages[1].payload == large[:4096]
    assert held < (1 << 17) + 2 * step or step > len(stream)
    assert acknowledgements(scanner.messages) == b"\x40\x02\0\1\x40\x02\0\2\x40\x02\0\3"


def test_only_messages_of_qos_1_are_acknowledged():
    """A PUBACK for nothing is a protocol error."""
    scanner = Scanner(False, 1 << 20, 0)
    scanner.feed(publish(b"a", b"1") + publish(b"a", b"2", mid=0x1234))

    assert acknowledgements(scanner.messages) == b"\x40\x02\x12\x34"
    assert acknowledgements([]) == b""
    assert isinstance(scanner.messages[0], Message)
    with pytest.raises(TypeError):
        acknowledgements([object()])


def test_the_kernel_knows_the_properties_of_the_table():
    """One property of each number, with a value as long as the table says."""
    for number in range(256):
        kind = packets.PROPERTY_KINDS.get(number)
        value = {5: b"\x05", 6: b"\0\1a", 7: b"\0\1a\0\1b"}.get(kind, bytes([1]) * (kind or 1))
        scanner = Scanner(True, 1 << 20, 0xFFFF)
        stream = publish(b"t", b"", five=True, extra=[bytes([number]) + value])
        if kind is None:
            with pytest.raises(ProtocolError):
                scanner.feed(stream)
        else:
            assert scanner.feed(stream) == len(stream)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("five", [False, True])
def test_no_byte_outside_the_buffer_is_read(tmp_path, five):
    """Bare C under sanitizers: every prefix, every bit turned."""
    stream = b"".join(
        publish(b"plant/line", b"x" * 130 * (k % 3), mid=k, five=five, alias=k, extra=PROPERTIES)
        for k in range(4)
    )
    (tmp_path / "stream").write_bytes(stream + packets.PINGREQ)
    program = tmp_path / "flips"
    include = f"-I{Path(kernels.__file__).parent}"
    checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    build = [os.environ.get("CC", "cc"), "-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror"]
    source = str(HERE / "mqtt_flips.c")
    subprocess.run([*build, *checks, include, source, "-o", str(program)], check=True)
    done = subprocess.run(
        [str(program), str(tmp_path / "stream"), str(int(five)), "4"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
