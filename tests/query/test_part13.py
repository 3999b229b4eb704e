"""aggregates.py, raw.py, interpolation.py against the examples of OPC 10000-13 and 10000-11."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from query.aggregates.registry import STANDARD
from query.engine import Query
from query.facts.rules import Rules
from query.interpolation import interpolate
from query.ports import Tag
from query.request import AggregateRequest, RawRequest
from query.series import TagSamples
from query.testing import MemoryReader, MemoryResolver
from storage_engine.sample import BAD, GOOD, UNCERTAIN, ValueType

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("HISTORIAN_DATA", ROOT / "../shared/data")) / "opcua_part13"
LEAST = {"AnnotationCount": 3}  # rows without erratum
TICK_NS = 1_000_000  # the historians of the examples resolve 1 ms
SECOND_NS = 1_000_000_000
QUALITY = {"Good": GOOD, "Bad": BAD, "Uncertain": UNCERTAIN}
CODES = {"BadNoData": 0x809B_0000, "UncertainDataSubNormal": 0x40A4_0000, **QUALITY}

pytestmark = pytest.mark.recording


def _table(name):
    with (FOLDER / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _reader(historian):
    reader = MemoryReader()
    for row in _table("raw.csv"):
        if row["historian"] == historian and row["is_archive_start_marker"] == "0":
            value = float(row["value"]) if row["value"] else None
            time_ns = int(row["offset_s"]) * SECOND_NS
            reader.add(1, ValueType.FLOAT64, [(time_ns, value, QUALITY[row["status"]])])
            for _ in json.loads(row["annotations_json"]):
                reader.annotate(1, time_ns)
    return reader


def _groups(aggregates):
    """Rows without errata, by table."""
    groups = {}
    for row in _table("expected.csv"):
        if row["aggregate"] in aggregates and not row["errata"]:
            key = (row["historian"], row["aggregate"], int(row["processing_interval_ms"]))
            groups.setdefault(key, []).append(row)
    return groups


def _request(rows, aggregate, interval_ms):
    first = rows[0]
    return AggregateRequest(
        "t",
        0,
        100 * SECOND_NS,
        interval_ms * 1_000_000,
        (aggregate,),
        treat_uncertain_as_bad=first["treat_uncertain_as_bad"] == "true",
        percent_data_bad=float(first["percent_data_bad"]),
        percent_data_good=float(first["percent_data_good"]),
        use_sloped_extrapolation=first["use_sloped_extrapolation"] == "true",
        stepped=first["stepped"] == "true",
        resolution_ns=TICK_NS,
    )


def _number(text):
    return float(CODES[text]) if text in CODES else float(text)


def _compare(row, result, aggregate):
    """Value, null, severity, every info bit, and the time of the value."""
    column, i = result.columns[aggregate], int(row["row"])
    where = f"{row['historian']} {aggregate} row {i}"
    assert float(row["interval_start_s"]) * SECOND_NS == result.start_ns[i], where
    assert float(row["interval_end_s"]) * SECOND_NS == result.end_ns[i], where
    assert row["statuscode_hex"].lower() == f"0x{column.status[i]:08x}", where
    assert bool(row["value"]) == column.valid[i], where
    if row["value"]:
        assert _number(row["value"]) == pytest.approx(float(column.value[i]), abs=6e-4), where
    time_ns = result.start_ns[i] if column.time_ns is None else column.time_ns[i]
    assert round(float(row["timestamp_s"]) * 1000) * TICK_NS == time_ns, where


@pytest.mark.parametrize("aggregate", STANDARD)
def test_every_row_without_erratum_is_met(aggregate):
    """The standard's own tables: value, null, severity, every info bit, time of the value."""
    checked = 0
    for (historian, _, interval_ms), rows in _groups({aggregate}).items():
        resolver = MemoryResolver(Tag("t", (1,), ValueType.FLOAT64, stepped=False))
        query = Query(_reader(historian), resolver, lambda: 0)

        result = query.aggregate(_request(rows, aggregate, interval_ms))

        for row in rows:
            _compare(row, result, aggregate)
            checked += 1
    assert checked >= LEAST.get(aggregate, 13), "no table is left out"


def test_interpolated_bounds_follow_the_interpolative_tables():
    """TimeAverage and bounds=interpolated stand on this; 60 rows hold it by itself."""
    checked = 0
    for (historian, _, _), rows in _groups({"Interpolative"}).items():
        samples = TagSamples(_reader(historian), Tag("t", (1,), ValueType.FLOAT64, stepped=False))
        signal, _ = samples.signal(0, 100 * SECOND_NS)
        first = rows[0]
        rules = Rules(
            stepped=first["stepped"] == "true",
            treat_uncertain_as_bad=first["treat_uncertain_as_bad"] == "true",
            use_sloped_extrapolation=first["use_sloped_extrapolation"] == "true",
            data_end_ns=int(signal.timestamp_ns[-1]) + TICK_NS,
            hold=False,
        )
        times = np.array([float(row["timestamp_s"]) * SECOND_NS for row in rows], dtype=np.int64)

        found = interpolate(signal, times, rules)

        for i, row in enumerate(rows):
            assert int(row["statuscode_hex"], 16) == found.status[i], (historian, row["row"])
            if row["value"]:
                assert float(row["value"]) == pytest.approx(found.number[i], abs=6e-4)
            checked += 1
    assert checked >= 50, "three tables of twenty rows, few with errata"


def _minute(text):
    hours, minutes = text.split(":")
    return (int(hours) * 60 + int(minutes)) * 60 * SECOND_NS


@pytest.mark.parametrize("case", _table("part11_read_raw_bounds.csv") if FOLDER.exists() else [])
def test_raw_bounds_follow_part_11(case):
    """OPC 10000-11, clause 4.6: an archive holding 5:00, 5:02, 5:03, 5:05, 5:06."""
    reader = MemoryReader()
    held = ("5:00", "5:02", "5:03", "5:05", "5:06")
    reader.add(1, ValueType.FLOAT64, [(_minute(text), 1.0) for text in held])
    query = Query(
        reader, MemoryResolver(Tag("t", (1,), ValueType.FLOAT64, stepped=False)), lambda: 0
    )
    start, end = (
        None if case[side] == "UNSPECIFIED" else _minute(case[side])
        for side in ("start_time", "end_time")
    )
    count = int(case["num_values_per_node"]) or None
    bounds = "outside" if case["return_bounds"] == "yes" else "none"

    result = query.raw(RawRequest("t", start, end, bounds=bounds, max_count=count))

    expected = [w for w in case["returned"].split() if w != "NODATA"]
    names = {_minute(text): text for text in held}
    actual = [
        names.get(time_ns) if value is not None else "MISSING"
        for time_ns, value in zip(
            result.columns.timestamp_ns.tolist(), result.columns.value.objects(), strict=True
        )
    ]
    assert ["MISSING" if w in {"FIRST", "LAST"} else w for w in expected] == actual
    assert [w in {"FIRST", "LAST"} for w in expected] == (
        result.columns.quality == 0x80D7_0000
    ).tolist()
