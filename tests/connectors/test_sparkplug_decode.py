"""sparkplug/decode and kernels/sparkplug.h against protobuf's own library; cut, and damaged."""

import math
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from connectors import kernels
from connectors.sparkplug import decode
from connectors.sparkplug.decode import NO_TIME, bind, number

sys.path.insert(0, str(Path(__file__).parent))
from sparkplug_proto import Metric, Payload, Template

HERE = Path(__file__).parent
U64 = st.integers(0, (1 << 64) - 1)
VALUES = st.one_of(
    st.tuples(st.just("int_value"), st.integers(0, (1 << 32) - 1)),
    st.tuples(st.just("long_value"), U64),
    st.tuples(st.just("float_value"), st.floats(width=32)),
    st.tuples(st.just("double_value"), st.floats()),
    st.tuples(st.just("boolean_value"), st.booleans()),
    st.tuples(st.just("string_value"), st.text(max_size=30)),
    st.tuples(st.just("bytes_value"), st.binary(max_size=200)),
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(max_size=20),
        "alias": U64,
        "timestamp": st.integers(0, (1 << 63) - 1),
        "datatype": st.integers(0, 40),
        "is_historical": st.booleans(),
        "is_transient": st.booleans(),
        "is_null": st.booleans(),
    },
)
KINDS = {
    10: "int_value", 11: "long_value", 12: "float_value", 13: "double_value", 14: "boolean_value",
    15: "string_value", 16: "bytes_value", 18: "template_value",
}  # fmt: skip


def raw_bits(kind, value):
    if kind == "float_value":
        return int.from_bytes(struct.pack("<f", value), "little")
    if kind == "double_value":
        return int.from_bytes(struct.pack("<d", value), "little")
    return int(value)


@given(
    st.lists(st.tuples(FIELDS, st.none() | VALUES), max_size=20),
    st.none() | st.integers(0, (1 << 63) - 1),
    st.none() | st.integers(0, 255),
    st.booleans(),
)
def test_columns_are_what_protobuf_wrote(metrics, timestamp, seq, uuid):
    """Whatever a metric carries, and whatever it does not."""
    whole = Payload(timestamp=timestamp, seq=seq, uuid="u" * 200 if uuid else None)
    for fields, value in metrics:
        one = whole.metrics.add(**fields)
        if value is not None:
            setattr(one, *value)
        one.metadata.description = "d"
    got = decode.Payload(whole.SerializeToString())

    assert got.time_ms == (NO_TIME if timestamp is None else timestamp)
    assert got.seq == (-1 if seq is None else seq)
    assert got.count == len(metrics)
    for k, (fields, value) in enumerate(metrics):
        alias, time, bits, size, at, end, _, info = got.columns[:, k].tolist()
        assert alias % (1 << 64) == fields.get("alias", 0)
        assert time == fields.get("timestamp", NO_TIME)
        assert got.name(k) == fields.get("name")
        assert info >> 16 == fields.get("datatype", 0)
        flags = (("is_null", 1), ("is_historical", 2), ("is_transient", 4))
        assert info & 7 == sum(bit for name, bit in flags if fields.get(name))
        assert bool(info & decode.HAS_ALIAS) == ("alias" in fields)
        assert info & decode.METADATA
        assert Metric.FromString(got.raw[at:end]) == whole.metrics[k]
        kind = info >> 8 & 255
        if value is None:
            assert (kind, bits, size) == (0, 0, 0)
        elif kind >= 15:
            text = value[1].encode() if isinstance(value[1], str) else value[1]
            assert (KINDS[kind], got.raw[bits : bits + size]) == (value[0], text)
        else:
            assert (KINDS[kind], bits % (1 << 64)) == (value[0], raw_bits(*value))


def test_metrics_of_a_template_are_read_like_those_of_a_payload():
    """The same field number; what else is in it has other types."""
    template = Template(version="1", template_ref="motor", is_definition=False)
    template.metrics.add(name="speed", float_value=3.5)
    got = decode.Payload(template.SerializeToString(), template=True)

    assert (got.count, got.name(0), got.seq, got.time_ms) == (1, "speed", -1, NO_TIME)
    with pytest.raises(ValueError, match="type that it does not have at byte 0"):
        decode.Payload(template.SerializeToString())


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\x08", "cut one at byte 0,"),
        (b"\x18\x01\x08" + b"\xff" * 10 + b"\x01", "more than 10 bytes.* at byte 2,"),
        (b"\x18\x01\x12\x05\x0a", "longer than what holds it at byte 2,"),
        (b"\x12\x02\x0a\x05", "longer than what holds it at byte 2,"),
        (b"\x12\x03\x5d\0\0", "longer than what holds it at byte 2,"),
        (b"\x18\x01\x12\x02\x52\x00", "type that it does not have at byte 4,"),
        (b"\x0b\x0c", "type that it does not have at byte 0,"),
        (b"\x00\x01", "type that it does not have at byte 0,"),
    ],
)
def test_what_is_no_payload_says_where(raw, reason):
    """Never half a payload."""
    with pytest.raises(ValueError, match=reason):
        decode.Payload(raw)


@given(st.binary(max_size=60))
def test_what_we_read_protobuf_reads_too(raw):
    """We are stricter about wire types, never laxer."""
    try:
        got = decode.Payload(raw)
    except ValueError:
        return
    try:
        whole = Payload.FromString(raw)
    except DecodeError:
        return  # a structured value within, which is read when it is wanted
    assert (got.count, got.seq) == (len(whole.metrics), whole.seq if whole.HasField("seq") else -1)


@given(
    st.sampled_from([(1, 8), (2, 16), (3, 32), (4, 64), (5, 8), (6, 16), (7, 32), (8, 64)]),
    st.integers(-(1 << 63), (1 << 64) - 1),
    st.booleans(),
)
def test_integers_have_the_width_of_their_datatype(type_, value, own_width):
    """Signed ones come as two's complement of 32 bits (Tahu) or of their own width."""
    datatype, width = type_
    low, high = (-(1 << width - 1), (1 << width - 1) - 1) if datatype < 5 else (0, (1 << width) - 1)
    kind, size = (11, 64) if width == 64 else (10, width if own_width else 32)
    wire = value % (1 << size)
    bits = wire - (1 << 64) if wire >> 63 else wire
    found = number(datatype, kind, bits)
    if low <= value <= high:
        assert found % (1 << 64) == value % (1 << 64)
    elif size == 32 and found is not None:
        assert low <= found <= high or datatype == 8


@pytest.mark.parametrize(
    ("datatype", "kind", "bits"),
    [(1, 10, 256), (1, 10, 0x7F00), (5, 10, 256), (6, 10, 1 << 16), (7, 11, 1 << 32), (3, 13, 0),
     (10, 12, 0), (11, 10, 1), (12, 10, 1), (0, 10, 1), (19, 18, 0), (300, 10, 1), (9, 0, 0)],
)  # fmt: skip
def test_a_value_that_is_not_of_its_datatype_is_none(datatype, kind, bits):
    """Cut to fit it would be another value."""
    assert number(datatype, kind, bits) is None


def table(*rows):
    aliases = np.array([alias for alias, _ in rows if alias is not None], np.uint64)
    datatypes = np.array([datatype for _, datatype in rows], np.uint8)
    return aliases, datatypes, np.arange(len(rows), dtype=np.int32) * 10


def test_metrics_are_bound_by_alias_or_by_name():
    """An alias goes before a name; what is unknown is left, and so is what is no plain number."""
    whole = Payload(timestamp=7)
    whole.metrics.add(alias=5, int_value=0xFFFF_FFFF)
    whole.metrics.add(name="by name", double_value=math.pi, timestamp=9)
    whole.metrics.add(alias=2, name="by name", float_value=1.5)
    whole.metrics.add(alias=4, float_value=1.5)
    whole.metrics.add(name="stranger", float_value=1.5)
    whole.metrics.add(alias=2, is_null=True)
    whole.metrics.add(alias=2, float_value=1, timestamp=1 << 62)
    whole.metrics.add(alias=2, float_value=1, is_historical=True)
    aliases, datatypes, series = table((2, 9), (5, 1), (None, 10))
    payload = decode.Payload(whole.SerializeToString())
    bound, left = bind(payload, aliases, datatypes, series, {b"by name": 2}, 7)

    assert left == 4
    assert bound[0].tolist() == [10, 20, 0, -1, -1, -1, -1, 0]
    assert bound[4].tolist() == [1, 2, 0, -1, -1, 0, 0, 0]
    plain = bound[0] >= 0
    assert bound[1][plain].tolist() == [7_000_000, 9_000_000, 7_000_000, 7_000_000]
    assert bound[3][plain].tolist() == [3, 1, 2, 2]
    assert bound[2][0] == -1
    assert bound[2][1:2].view(np.float64)[0] == math.pi
    assert bound[2][2:3].astype(np.uint32).view(np.float32)[0] == 1.5


def test_an_empty_payload_and_an_empty_table_bind_nothing():
    """A node may say that it is there, and say it before its birth."""
    one = Payload()
    one.metrics.add(alias=1, int_value=1)
    aliases, datatypes, series = table()
    assert bind(decode.Payload(b""), aliases, datatypes, series, {}, 0)[1] == 0
    assert bind(decode.Payload(one.SerializeToString()), aliases, datatypes, series, {}, 0)[1] == 1
    with pytest.raises(ValueError, match="rows of one table"):
        bind(decode.Payload(one.SerializeToString()), aliases, np.ones(1, np.uint8), series, {}, 0)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_no_byte_outside_the_payload_is_read(tmp_path):
    """Bare C under sanitizers: every prefix, every bit turned."""
    whole = Payload(timestamp=1 << 41, seq=3, uuid="u", body=b"x")
    for k, value in enumerate([{"int_value": 255}, {"int_value": 7}, {"double_value": 1.5}], 1):
        whole.metrics.add(name=f"m{k}", alias=k, timestamp=(1 << 41) + k, datatype=k, **value)
    whole.metrics.add(alias=1000, string_value="text", is_historical=True, is_transient=True)
    whole.metrics.add(alias=9, bytes_value=bytes(150)).properties.keys.append("Quality")
    whole.metrics[-1].template_value.metrics.add(name="inner", float_value=2)
    (tmp_path / "payload").write_bytes(whole.SerializeToString())
    program = tmp_path / "flips"
    include = f"-I{Path(kernels.__file__).parent}"
    checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    build = [os.environ.get("CC", "cc"), "-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror"]
    source = str(HERE / "sparkplug_flips.c")
    subprocess.run([*build, *checks, include, source, "-o", str(program)], check=True)
    done = subprocess.run(
        [str(program), str(tmp_path / "payload"), "5", "3"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
