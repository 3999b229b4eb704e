"""tools/dump.py, inspect.py, stats.py: all that is in a file, and never a traceback."""

import json
import random
import sys
from pathlib import Path

import pytest

from storage_engine.errors import InvalidArgument
from storage_engine.tools.dump import Dump
from storage_engine.tools.inspect import inspect_file, inspect_store
from storage_engine.tools.plain import Filter, plain_value
from storage_engine.tools.stats import store_stats

sys.path.insert(0, str(Path(__file__).parent))
from tools_story import KINDS, copy_of, damage, files_of, story

STORE = story()
ROWS = [row for path in files_of(STORE, "segments") for row in Dump(Filter()).file(STORE, path)]


def test_a_dump_holds_every_row_that_the_segments_count():
    """Samples and events with stream, time, lsn and value; JSON writes them."""
    told = store_stats(STORE)

    assert told["rows"] == len(ROWS)
    assert {"sample", "event"} == {row["kind"] for row in ROWS}
    json.dumps(ROWS, allow_nan=False)
    event = next(row for row in ROWS if row["kind"] == "event")
    assert event["values"] == {"unit": "unit 1", "weight": 0.5}
    assert event["uuid"] == (b"evnt" * 4).hex()


def test_the_store_dumps_manifest_segments_and_log():
    """Frames behind the checkpoint name the streams of their slots by the manifest's bindings."""
    rows = list(Dump(Filter()).store(STORE))
    frames = [row for row in rows if row["kind"] == "FRAME"]
    kinds = {row["kind"] for row in rows}

    assert {"manifest", "segment", "stream", "array", "sample", "event", "FRAME"} <= kinds
    assert all(one["stream"] is not None for row in frames for one in row["rows"])


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Filter(stream="2"), lambda r: r["stream"] == 2),
        (Filter(stream=(b"text" * 4).hex()), lambda r: r["uuid"] == (b"text" * 4).hex()),
        (Filter(lsn_first=16, lsn_last=17), lambda r: 16 <= r["lsn"] <= 17),
        (
            Filter(start_ns=1_750_000_002 * 10**9, end_ns=1_750_000_003 * 10**9),
            lambda r: 1_750_000_002 * 10**9 <= r["time"] < 1_750_000_003 * 10**9,
        ),
    ],
)
def test_filters_leave_exactly_what_fits(wanted, fits):
    """Stream, time, lsn."""
    found = [row for path in files_of(STORE, "segments") for row in Dump(wanted).file(STORE, path)]

    assert found
    assert [row for row in ROWS if fits(row)] == found


def test_values_that_json_lacks_are_words():
    """NaN, infinities, bytes, half surrogates."""
    values = [float("nan"), float("-inf"), b"\x00\xff", "a\ud800"]

    assert ["NaN", "-Infinity", "00ff", "a\\ud800"] == [plain_value(value) for value in values]


@pytest.mark.parametrize("kind", KINDS)
def test_damage_costs_the_damaged_place_and_is_named(kind):
    """Rows that are printed are genuine; where rows miss, a finding says so."""
    rng = random.Random(kind)
    genuine = {json.dumps({**row, "file": ""}, sort_keys=True) for row in ROWS}
    for number in range(60):
        fs = copy_of(STORE)
        paths = files_of(fs, "segments")
        path = paths[number % len(paths)]
        damage(fs, path, kind, rng)
        tool = Dump(Filter(start_ns=-(2**63) + 1))
        rows = [row for p in files_of(fs, "segments") for row in tool.file(fs, p)]
        held = {json.dumps({**row, "file": ""}, sort_keys=True) for row in rows}
        assert held <= genuine
        assert len(rows) == len(ROWS) or tool.findings or kind == "missing"


@pytest.mark.parametrize("kind", KINDS)
def test_inspect_and_stats_take_any_damage(kind):
    """What can be told is told; JSON writes it."""
    rng = random.Random(kind)
    for number, path in enumerate(files_of(STORE) * 3):
        fs = copy_of(STORE)
        damage(fs, path, kind, rng)
        json.dumps([inspect_file(fs, p) for p in files_of(fs)])
        json.dumps(inspect_store(fs))
        list(Dump(Filter()).store(fs))
        json.dumps(store_stats(fs)), number


def test_inspect_tells_codecs_that_add_up_to_the_blocks():
    """Bytes by codec, and the sections of the file."""
    for path in files_of(STORE, "segments"):
        told = inspect_file(STORE, path)
        columns = [c for block in told["blocks"] for c in block["columns"]]
        tables = sum(12 + 20 * len(block["columns"]) for block in told["blocks"])
        assert sum(b["bytes"] for b in told["blocks"]) == tables + sum(c["bytes"] for c in columns)
        sections = told["sections"]
        assert told["size"] == sum(section["bytes"] for section in sections)


def test_stats_add_up():
    """By partition, by stream and in all the same rows."""
    told = store_stats(STORE, top=100)

    assert told["rows"] == sum(entry["rows"] for entry in told["partitions"])
    assert told["rows"] == sum(entry["rows"] for entry in told["streams_by_rows"])
    assert {"default", "long", "changes"} >= {e["retention_class"] for e in told["partitions"]}
    assert 0 < told["late_share"] < 1
    assert 4 == told["log"]["frames_behind_checkpoint"]


def test_without_a_manifest_there_is_nothing_to_count():
    """Salvage first."""
    fs = copy_of(STORE)
    for path in files_of(fs, "manifest"):
        fs.remove(path)

    with pytest.raises(InvalidArgument, match="no sound manifest"):
        store_stats(fs)
