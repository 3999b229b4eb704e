"""opcua/: the decoder says what asyncua and the reference say, leaves aside what is not plain."""

import os
import struct
import subprocess
import sys
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import opcua_reference as reference
from opcua_library import notification_of

from connectors import kernels
from connectors.opcua.general import decode_general
from connectors.opcua.notification import Unusual, decode_publish
from connectors.opcua.structures import Structures
from storage_engine.sample import ValueType

T = ua.VariantType
MOMENT = datetime(2016, 10, 1, 2, 3, 4, 567_890)  # noqa: DTZ001 - as asyncua wants it


def integers(bits, *, signed):
    low = -(1 << (bits - 1)) if signed else 0
    return st.integers(low, low + (1 << bits) - 1)


VARIANTS = st.one_of(
    st.builds(ua.Variant, st.booleans(), st.just(T.Boolean)),
    *(
        st.builds(ua.Variant, integers(bits, signed=signed), st.just(type_))
        for bits, signed, type_ in (
            (8, True, T.SByte),
            (8, False, T.Byte),
            (16, True, T.Int16),
            (16, False, T.UInt16),
            (32, True, T.Int32),
            (32, False, T.UInt32),
            (64, True, T.Int64),
            (64, False, T.UInt64),
        )
    ),
    st.builds(ua.Variant, st.floats(width=32, allow_nan=False), st.just(T.Float)),
    st.builds(ua.Variant, st.floats(allow_nan=False), st.just(T.Double)),
    st.builds(ua.Variant, st.text() | st.none(), st.just(T.String)),
    st.builds(ua.Variant, st.binary(), st.just(T.ByteString)),
    st.builds(ua.Variant, st.uuids(), st.just(T.Guid)),
    st.builds(ua.Variant, st.just(MOMENT), st.just(T.DateTime)),
    st.builds(
        ua.Variant, st.builds(ua.LocalizedText, st.text() | st.none()), st.just(T.LocalizedText)
    ),
    st.builds(
        ua.Variant, st.sampled_from([0, 0x80310000]).map(ua.StatusCode), st.just(T.StatusCode)
    ),
    st.just(ua.Variant(None, T.Null)),
)
TIMES = st.none() | st.integers(0, 10**9).map(lambda s: MOMENT + timedelta(microseconds=s))
VALUES = st.builds(
    ua.DataValue,
    VARIANTS,
    st.sampled_from([0, 0x40000000, 0x80310000, 0x480]).map(ua.StatusCode),
    TIMES,
    TIMES,
)


def response(values, statuses=(), acknowledged=()):
    answer = ua.PublishResponse()
    answer.ResponseHeader.Timestamp = MOMENT
    parameters = answer.Parameters
    parameters.SubscriptionId = 77
    parameters.AvailableSequenceNumbers = [1, 2, 3]
    parameters.NotificationMessage.SequenceNumber = 9
    parameters.NotificationMessage.PublishTime = MOMENT
    parameters.Results = [ua.StatusCode(code) for code in acknowledged]
    data = parameters.NotificationMessage.NotificationData
    if values:
        items = [ua.MonitoredItemNotification(n, value) for n, value in enumerate(values)]
        data.append(ua.DataChangeNotification(items))
    data += [ua.StatusChangeNotification(ua.StatusCode(code)) for code in statuses]
    return struct_to_binary(answer)


def item(mask, rest=b"", handle=0):
    return struct.pack("<IB", handle, mask) + rest


def plain(*items, kind=811, tail=b"\xff\xff\xff\xff"):
    """A message around items of our own making."""
    data = struct.pack("<i", len(items)) + b"".join(items) + tail
    head = b"\x01\x00\x3d\x03" + bytes(17) + struct.pack("<i", -1) + bytes(3)
    head += struct.pack("<IiBIqi", 77, -1, 0, 9, 0, 1)
    return head + struct.pack("<BBHBi", 1, 0, kind, 1, len(data)) + data + b"\xff" * 8


def republished(body):
    """The answer to Republish with the message of a plain answer to Publish (835 is its type)."""
    return b"\x01\x00\x43\x03" + body[4:28] + body[37:-8]


@settings(deadline=None)
@given(st.lists(VALUES, max_size=5), st.lists(st.sampled_from([0, 0x800A0000]), max_size=2))
def test_both_decoders_agree(values, statuses):
    """The general decoder of the library is the reference."""
    body = response(values, statuses, acknowledged=[0, 0x80790000])
    library = struct_from_binary(ua.PublishResponse, Buffer(body))

    expected = notification_of(77, library.Parameters.NotificationMessage)
    found = decode_publish(body)

    assert (77, 9, bool(values or statuses)) == (found.subscription, found.sequence, found.data)
    assert (expected.sequence, expected.data) == (found.sequence, found.data)
    assert expected.published_ns == found.published_ns
    assert list(statuses) == expected.status_changes == found.status_changes
    assert reference.rows_of(expected.changes) == reference.rows_of(found.changes)


@given(
    st.one_of(
        st.integers(-(2**63), 2**63 - 1),
        st.sampled_from((0, 1, 2**63 - 1)),
        st.integers(-3, 3).map(lambda d: reference.EPOCH_TICKS + reference.INT64_MAX // 100 + d),
        st.integers(-3, 3).map(lambda d: reference.EPOCH_TICKS - reference.INT64_MAX // 100 + d),
        st.just(reference.EPOCH_TICKS + 16_000_000_000_000_001),
    )
)
def test_times_keep_their_hundred_nanoseconds(ticks):
    """The library's datetime would lose the last digit; unset and absurd ones are none."""
    (change,) = reference.rows_of(decode_publish(plain(item(4, struct.pack("<q", ticks)))).changes)

    assert reference.ticks_to_ns(ticks) == change.source_ns
    assert change.server_ns is None


@pytest.mark.parametrize(
    "variant",
    [
        ua.Variant([1.0, 2.0], T.Double),
        ua.Variant(ua.QualifiedName("a", 1), T.QualifiedName),
        ua.Variant(ua.NodeId("a", 1), T.NodeId),
        ua.Variant(ua.EUInformation(), T.ExtensionObject),
    ],
)
def test_what_is_no_plain_scalar_goes_the_general_way_and_its_neighbours_with_it(variant):
    """Arrays, structures, node ids: left aside by the fast decoder, not lost."""
    values = [ua.DataValue(variant), ua.DataValue(ua.Variant(1.5, T.Double))]
    body = response(values)
    with pytest.raises(Unusual):
        decode_publish(body)

    found = decode_general(body, Structures(SimpleNamespace(namespaces=[])))

    assert 2 == len(found.changes) + len(found.wide)
    assert [] == found.problems == found.broken
    handles, types = found.changes.columns[0].tolist(), found.changes.columns[1].tolist()
    assert (1, ValueType.FLOAT64) == (handles[-1], types[-1])


@given(st.binary(max_size=300))
def test_any_bytes_are_left_aside(data):
    """A broken message must not end the connector here; the general decoder names it."""
    with pytest.raises(Unusual):
        decode_publish(data)


@given(st.data())
def test_a_cut_message_is_left_aside(data):
    """Every length in a message may lie."""
    body = response(
        [ua.DataValue(ua.Variant("text", T.String)), ua.DataValue(ua.Variant(1, T.Int32))]
    )
    cut = data.draw(st.integers(0, len(body) - 1))

    with pytest.raises(Unusual):
        decode_publish(body[:cut])


def test_a_guid_reads_like_one():
    """As everybody writes it."""
    value = uuid.UUID("12345678-1234-5678-1234-567812345678")
    found = decode_publish(response([ua.DataValue(ua.Variant(value, T.Guid))]))

    (change,) = reference.rows_of(found.changes)
    assert str(value) == change.value


def every_kind():
    """A message with each encoding, each mask of a data value, statuses and empty diagnostics."""
    text = struct.pack("<i", 5) + "grün".encode()
    values = [
        bytes((code,)) + b"\x81" * struct.calcsize(one[0]) for code, one in reference.FIXED.items()
    ]
    values += [b"\x0d" + struct.pack("<q", reference.EPOCH_TICKS + 7), b"\x0e" + bytes(range(16))]
    values += [b"\x0c" + text, b"\x0f" + text, b"\x10" + text, b"\x0c" + b"\xff" * 4, b"\0"]
    values += [b"\x15\x03" + text + text, b"\x15\x01" + text, b"\x15\x00"]
    tick = struct.pack("<q", reference.EPOCH_TICKS + 16_000_000_000_000_001)
    parts = {2: struct.pack("<I", 0x480), 4: tick, 16: b"\x11\x22", 8: tick, 32: b"\x33\x44"}
    items = [item(1, value, handle) for handle, value in enumerate(values)]
    for mask in range(64):
        value = b"\x06\x05\x00\x00\x00" if mask & 1 else b""
        rest = b"".join(each for bit, each in parts.items() if mask & bit)
        items.append(item(mask, value + rest, mask))
    return plain(*items, tail=struct.pack("<i", 3) + bytes(3))


def agree(body):
    """Whether the decoder says what the reference says, a refusal included; what it says."""
    try:
        subscription, sequence, data, changes, statuses = reference.decode(body)
    except reference.BrokenError:
        with pytest.raises(Unusual):
            decode_publish(body)
        return None
    found = decode_publish(body)
    assert (subscription, sequence, data) == (found.subscription, found.sequence, found.data)
    assert statuses == found.status_changes
    assert reference.alike(changes, reference.rows_of(found.changes))
    return found


def test_every_encoding_and_every_part_of_a_value_is_read():
    """All masks of a data value, all scalar types: as the reference reads them."""
    found = agree(every_kind())

    assert len(found.changes) == 64 + len(reference.FIXED) + 10
    assert {0, *ValueType} == set(found.changes.columns[1].tolist())
    assert agree(response([], statuses=[0x800A0000, 0])).status_changes == [0x800A0000, 0]


def test_a_message_sent_again_reads_like_the_first_time():
    """Republish: the same message in another envelope, without the number of its subscription."""
    body = every_kind()
    library = struct_from_binary(ua.RepublishResponse, Buffer(republished(body)))

    found, first = decode_publish(republished(body)), decode_publish(body)

    assert library.NotificationMessage.SequenceNumber == found.sequence == first.sequence
    assert (found.subscription, first.subscription) == (0, 77)
    assert reference.alike(reference.rows_of(found.changes), reference.rows_of(first.changes))
    for cut in range(len(republished(body))):
        with pytest.raises(Unusual):
            decode_publish(republished(body)[:cut])


def test_every_cut_and_every_flipped_bit_is_refused_or_read_as_the_reference_reads_it():
    """Nothing in a message may be trusted; a shorter one is never taken."""
    values = [ua.DataValue(ua.Variant("text", T.String)), ua.DataValue(ua.Variant(1.5, T.Double))]
    whole = response(values, statuses=[0], acknowledged=[0])
    for body in (every_kind(), whole):
        assert agree(body) is not None
        for cut in range(len(body)):
            assert agree(body[:cut]) is None
    taken = 0
    for body in (every_kind(), whole):
        flipped = bytearray(body)
        for bit in range(8 * len(body)):
            flipped[bit // 8] ^= 1 << bit % 8
            taken += agree(bytes(flipped)) is not None
            flipped[bit // 8] ^= 1 << bit % 8

    assert taken > 1000


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_messages_with_random_bytes_inside_agree(data):
    """Several places at once, lengths of every kind among them."""
    body = bytearray(every_kind())
    word = st.sampled_from(
        (b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\0" * 4)
    ) | st.binary(min_size=1, max_size=4)
    for at, piece in data.draw(
        st.lists(st.tuples(st.integers(0, len(body) - 4), word), max_size=4)
    ):
        body[at : at + len(piece)] = piece

    agree(bytes(body))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no bytes"),
        (plain(kind=916), "events"),
        (plain(item(1, b"\x8b" + bytes(12))), "array"),
        (plain(item(1, b"\x0c\xff\xff\xff\x7f")), "beyond the body"),
        (plain(tail=b"\x01\0\0\0\x01"), "diagnostics"),
        (plain() + b"\0", "bytes behind"),
        (plain(item(0x40)), "unknown parts"),
        (plain(item(1, b"\x0c\x01\0\0\0\xff")), "utf-8"),
    ],
)
def test_the_reason_for_the_general_way_is_told(body, words):
    """So that a log says what a server sends."""
    with pytest.raises(Unusual, match=words):
        decode_publish(body)


def test_the_kernel_touches_no_byte_too_many(tmp_path):
    """Every cut and every flip again, in memory that ends where the bytes do."""
    program = tmp_path / "flips"
    flags = ["-std=c11", "-g1", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
    checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    headers = f"-I{Path(kernels.__file__).parent}"
    compiler = [os.environ.get("CC", "cc"), *flags, *checks, headers]
    subprocess.run([*compiler, str(HERE / "publish_flips.c"), "-o", str(program)], check=True)
    statuses = response([], statuses=[0], acknowledged=[0])
    for number, body in enumerate((every_kind(), statuses, republished(every_kind()))):
        file = tmp_path / str(number)
        file.write_bytes(body)

        run = subprocess.run([program, file], capture_output=True, text=True, check=False)

        assert run.stderr == ""
        assert run.returncode == 0, run.stdout
