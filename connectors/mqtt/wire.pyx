"""Door to kernels/mqtt.h: what comes off the line, a buffer of bytes at a time, into messages."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t

from connectors.kernels.mqtt cimport (
    LH_MQTT_MORE, LH_MQTT_PUBLISH, LH_MQTT_WHOLE, lh_mqtt_next, lh_mqtt_packet, lh_mqtt_parts,
    lh_mqtt_publish,
)

from connectors.mqtt.packets import ProtocolError

cdef enum:
    HEAD_MAX = 1 << 17  # holds topic, identifier and properties of a message that is skipped
    SAMPLE = 4096  # bytes kept of the payload of such a message
    TOPIC_BYTES = 1 << 24  # of topics whose text is kept

WRONG = {
    -1: "got a length of more than 4 bytes, or a cut one",
    -2: "got a topic longer than its message",
    -3: "got a message cut short",
    -4: "got a message of QoS 2 or 3 or without an identifier, want QoS 0 or 1",
    -5: "got a property that MQTT 5 does not know, or beyond its bounds",
    -6: "got a message without topic, or topic alias 0",
}


cdef class Message:
    """A message as it came; ``mid`` and ``qos`` are what an acknowledgement needs.

    ``size`` is that of the whole payload; of one beyond the bound, ``payload`` is the beginning.
    """

    cdef readonly str topic
    cdef readonly bytes payload
    cdef readonly int64_t size
    cdef readonly int mid, qos
    cdef readonly bint retained


cdef class Scanner:
    """Cuts what a broker sends into packets.

    ``messages`` are in order of arrival, with payloads of ``size_bytes``: who takes them puts
    others there. ``controls`` are first byte and body of every other packet. Of a message whose
    packet has more than ``packet_max`` bytes the beginning is kept and the rest skipped.
    ``aliases_max`` is the Topic Alias Maximum that was announced.
    """

    cdef bint five
    cdef int64_t packet_max, skip
    cdef int aliases_max
    cdef dict topics, aliases
    cdef public list messages, controls
    cdef public int64_t size_bytes
    cdef int64_t topic_bytes

    def __init__(self, bint five, int64_t packet_max, int aliases_max):
        self.five, self.packet_max, self.aliases_max = five, packet_max, aliases_max
        self.topics, self.aliases, self.skip, self.topic_bytes = {}, {}, 0, 0
        self.messages, self.controls, self.size_bytes = [], [], 0

    def feed(self, const uint8_t[::1] data not None):
        """Take all whole packets at the start of ``data``; gives how many bytes that were.

        Raises ProtocolError where nothing behind can be understood; what came before was taken.
        """
        cdef int64_t end = data.shape[0], at = 0, have
        cdef lh_mqtt_packet one
        cdef const uint8_t *bytes_at
        cdef int got
        if end == 0:
            return 0
        bytes_at = &data[0]
        while True:
            have = min(self.skip, end - at)
            self.skip -= have
            at += have
            got = lh_mqtt_next(bytes_at, at, end, &one)
            if got == LH_MQTT_MORE:
                return at
            if got < 0:
                raise ProtocolError(WRONG[got])
            have = min(end - one.body, one.size)
            if have < min(one.size, max(self.packet_max, HEAD_MAX)):
                return at
            if one.first >> 4 == LH_MQTT_PUBLISH:
                self.publish(bytes_at, &one, have)
            elif have < one.size:
                raise ProtocolError(f"got a packet {one.first:#x} of {one.size} bytes, want at "
                                    f"most {self.packet_max}")
            else:
                self.controls.append((one.first, bytes(data[one.body:one.body + have])))
            self.skip = one.size - have
            at = one.body + have

    cdef int publish(self, const uint8_t *data, lh_mqtt_packet *at, int64_t have) except -1:
        cdef lh_mqtt_publish parts
        cdef int got = lh_mqtt_parts(data, at.first, at.body, at.body + have, self.five, &parts)
        if got != LH_MQTT_WHOLE:
            raise ProtocolError(WRONG[got])
        cdef Message one = Message.__new__(Message)
        one.topic = self.topic(data + parts.topic, parts.topic_size, parts.alias)
        one.mid, one.qos, one.retained = parts.mid, parts.qos, parts.retained
        one.size = at.size - (parts.payload - at.body)
        cdef int64_t kept = one.size if at.size <= self.packet_max else SAMPLE
        kept = min(kept, at.body + have - parts.payload)
        one.payload = PyBytes_FromStringAndSize(<const char *> data + parts.payload, kept)
        self.messages.append(one)
        self.size_bytes += kept
        return 0

    cdef str topic(self, const uint8_t *at, int64_t size, int alias):
        cdef bytes raw
        if alias > self.aliases_max:
            raise ProtocolError(f"got topic alias {alias}, want at most {self.aliases_max}")
        if size == 0:
            found = self.aliases.get(alias)
            if found is None:
                raise ProtocolError(f"got topic alias {alias}, want one that was told before")
            return found
        raw = PyBytes_FromStringAndSize(<const char *> at, size)
        found = self.topics.get(raw)
        if found is None:
            # Bytes that are no text stay readable, and fit no mapping.
            found = raw.decode("utf-8", "backslashreplace")
            if self.topic_bytes > TOPIC_BYTES:
                self.topics, self.topic_bytes = {}, 0
            self.topic_bytes += 200 + 2 * size
            self.topics[raw] = found
        if alias:
            self.aliases[alias] = found
        return found


def acknowledgements(list messages not None):
    """PUBACK packets of all messages of QoS 1, to be written at once."""
    cdef Py_ssize_t n = 0
    cdef Message one
    for item in messages:
        n += (<Message?> item).qos > 0
    out = PyBytes_FromStringAndSize(NULL, 4 * n)
    cdef uint8_t *at = <uint8_t *> PyBytes_AS_STRING(out)
    for item in messages:
        one = <Message> item
        if one.qos:
            at[0], at[1], at[2], at[3] = 0x40, 2, <uint8_t> (one.mid >> 8), <uint8_t> one.mid
            at += 4
    return out
