"""Files of others: names of columns, clocks, wide tables, refused rows; a month of a real plant."""

import csv
import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import zstandard

from connectors.replay.shdr import ShdrRecording
from historian.catalog_records import TagDraft
from historian.clock import SystemClock
from historian.errors import NotFound, RequestInvalid
from historian.transfer.importing import Import, ImportRequest
from historian.transfer.mapping import parse_mapping
from historian.transfer.store import Silent, store_of
from historian.transfer.testing import open_historian
from storage_engine.sample import BAD_NO_DATA, ValueType

ROOT = Path(__file__).parents[2]
RECORDINGS = Path(os.environ.get("HISTORIAN_DATA", ROOT / "../shared/data"))
ALL = (-(2**63), 2**63 - 1)
SECOND = 10**9


@pytest.fixture
def historian(tmp_path):
    """An empty one."""
    opened = open_historian(tmp_path / "home", SystemClock())
    yield opened
    opened.close()


def import_(historian, source, *options, work=None, **more):
    """Import with mapping options."""
    return Import(
        store_of(historian),
        source,
        ImportRequest(mapping=parse_mapping(options) if options else None, **more),
        Silent(),
        work=work or source.parent / "work",
        commit_bytes=1 << 20,
        principal="test",
    ).run()


def rows_of(historian, tag):
    """(time, quality, value) of a tag's newest series."""
    found = historian.engine.read(historian.catalog.find(tag).series[-1].stream_id, *ALL)
    return list(
        zip(
            found.timestamp_ns.tolist(),
            found.quality.tolist(),
            found.value.objects(),
            strict=True,
        )
    )


def test_a_long_table_of_somebody_else(historian, tmp_path):
    """German numbers, local time, words for quality, semicolons, texts for null."""
    path = tmp_path / "export.csv"
    path.write_bytes(
        "\ufeffName;Zeit;Wert;Güte\n"
        "Ofen 1;01.07.2026 12:00:00;1.5;Good\n"
        "Ofen 1;01.07.2026 12:00:01;1,25;bad\n"
        "Ofen 1;01.07.2026 12:00:02;n/a;0x80310000\n"
        "Ofen 2;01.07.2026 12:00:00;7;\n".encode()
    )
    report = import_(
        historian, path,
        "tag=Name", "timestamp=Zeit", "value=Wert", "quality=Güte", "delimiter=;", "decimal=,",
        "zone=Europe/Berlin", "pattern=%d.%m.%Y %H:%M:%S", "null=n/a", "prefix=werk/",
        "type:werk/Ofen 2=int64",
    )  # fmt: skip

    start = 1_782_900_000 * SECOND
    assert (report.taken, report.rejected, report.tags_made) == (4, 0, 2)
    assert rows_of(historian, "werk/Ofen 1") == [
        (start, 0, 1.5),
        (start + SECOND, 0x80000000, 1.25),
        (start + 2 * SECOND, 0x80310000, None),
    ]
    assert rows_of(historian, "werk/Ofen 2") == [(start, 0, 7)]
    assert historian.catalog.find("werk/Ofen 2").type is ValueType.INT64


def test_a_wide_table(historian, tmp_path):
    """Every column a tag, an empty cell no sample, a bad cell alone refused."""
    path = tmp_path / "wide.csv"
    path.write_text("ts,t1,t2,state\n1000,1.5,,run\n2000,x,2.5,-\n3000,3.5,3.5,stop\n")

    report = import_(
        historian, path, "layout=wide", "timestamp=ts", "unit=ms", "prefix=o/",
        "type:o/state=symbol", "null=-",
    )  # fmt: skip

    assert rows_of(historian, "o/t1") == [(SECOND, 0, 1.5), (3 * SECOND, 0, 3.5)]
    assert rows_of(historian, "o/t2") == [(2 * SECOND, 0, 2.5), (3 * SECOND, 0, 3.5)]
    assert rows_of(historian, "o/state") == [
        (SECOND, 0, "run"),
        (2 * SECOND, BAD_NO_DATA, None),
        (3 * SECOND, 0, "stop"),
    ]
    assert (report.taken, report.rejected) == (7, 1)
    assert "t1" in report.rejects.read_text()


def test_parquet_of_others(historian, tmp_path):
    """Types of the file, timestamps in microseconds and a zone, wide and long."""
    times = pa.array([1_000_000, 2_000_000], pa.timestamp("us", tz="Europe/Berlin"))
    table = pa.table(
        {
            "when": times,
            "speed": pa.array([1.5, None], pa.float32()),
            "count": pa.array([1, 2], pa.int16()),
            "mode": pa.array(["a", "b"]).dictionary_encode(),
            "on": pa.array([True, False]),
            "list": pa.array([[1], [2]]),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "wide.parquet")
    import_(historian, tmp_path / "wide.parquet", "layout=wide", "timestamp=when")

    types = {tag.name: tag.type.name for tag in historian.catalog.every()}
    assert types == {"speed": "FLOAT32", "count": "INT64", "mode": "SYMBOL", "on": "BOOL"}
    assert rows_of(historian, "speed") == [(SECOND, 0, 1.5)]
    assert rows_of(historian, "mode") == [(SECOND, 0, "a"), (2 * SECOND, 0, "b")]

    long = pa.table({"t": [5.5, 6.0], "v": [2**53 + 1, 7]})
    with pa.ipc.new_stream(tmp_path / "long.arrow", long.schema) as writer:
        writer.write_table(long)
    report = import_(
        historian, tmp_path / "long.arrow", "timestamp=t", "unit=s", "value=v", "name=x",
        "type=float64",
    )  # fmt: skip
    assert rows_of(historian, "x") == [(6 * SECOND, 0, 7.0)]
    assert report.rejected == 1
    assert "float64 cannot hold" in report.rejects.read_text()


def test_refused_rows_are_listed_with_line_and_reason(historian, tmp_path):
    """Counted, never lost silently; the rows between come in."""
    path = tmp_path / "bad.csv"
    now = historian.clock.now_ns()
    path.write_bytes(
        b"tag,timestamp,quality,value\n"
        b"a,1000000000,0,1.5\n"
        b"a,yesterday,0,1.5\n"
        b"a,1000000001,-1,1.5\n"
        b"a,1000000002,0,high\n"
        b"a,1000000003,0\n"
        b",1000000004,0,1.5\n"
        b"\xff,1000000005,0,1.5\n"
        b" pad,1000000006,0,1.5\n"
        b"a,-5,0,1.5\n" + f"a,{now + 10**15},0,1.5\n".encode() + b'a,1000000007,0,"1.5"x\n'
        b"a,1000000008,0,2.5\n"
    )

    report = import_(historian, path)

    assert (report.read, report.taken, report.rejected) == (12, 2, 10)
    with report.rejects.open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert [int(r["line"]) for r in listed] == [6, 12, 3, 4, 5, 7, 8, 9, 10, 11]
    reasons = [r["reason"] for r in listed]
    wanted = ["3 fields", "no CSV", "ISO 8601", "quality", "number", "no name", "no name",
              "padding", "time_min", "ahead"]  # fmt: skip
    assert [w for w, r in zip(wanted, reasons, strict=True) if w not in r] == []
    assert [v for _, _, v in rows_of(historian, "a")] == [1.5, 2.5]
    assert [tag.name for tag in historian.catalog.every()] == ["a"]


def test_events_of_a_kind(historian, tmp_path):
    """In the layout of our export, some columns missing."""
    path = tmp_path / "events.csv"
    path.write_text(
        "timestamp,id,unit,station\n"
        f"1000000000,{'0' * 31}1,SN1,ST10\n"
        f"1000000000,{'0' * 31}1,SN1,ST10\n"
        "1000000000,17,SN1,ST10\n"
        f"1970-01-01T00:00:02Z,{'0' * 31}2,SN2,\\N\n"
    )

    report = import_(historian, path, kind="unit_arrived")

    assert (report.taken, report.rejected) == (3, 1)
    found = historian.read_events("unit_arrived", *ALL)
    assert found.data["unit"].objects() == ["SN1", "SN2"]
    assert found.data["station"].objects() == ["ST10", None]
    path.write_text("timestamp,id,colour\n")
    with pytest.raises(NotFound, match="kind"):
        import_(historian, path, kind="nothing")
    path.write_text(f"timestamp,id,colour\n1,{'0' * 32},red\n")
    with pytest.raises(RequestInvalid, match="colour"):
        import_(historian, path, kind="unit_arrived")


def test_what_is_no_file_is_refused(historian, tmp_path):
    """By name."""
    with pytest.raises(NotFound, match=r"none\.csv"):
        import_(historian, tmp_path / "none.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestInvalid, match="no files"):
        import_(historian, tmp_path / "empty", work=tmp_path / "work")
    (tmp_path / "no.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(RequestInvalid, match=r"no\.parquet"):
        import_(historian, tmp_path / "no.parquet")
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(RequestInvalid, match="timestamp"):
        import_(historian, tmp_path / "a.csv")
    with pytest.raises(RequestInvalid, match=r"export\.json"):
        import_(historian, tmp_path / "a.csv", verify_only=True)


@pytest.mark.recording
def test_a_month_of_a_real_machine(historian, tmp_path):
    """NIST's Hurco01, April 2017: every line read, late and repeated ones too."""
    source = RECORDINGS / "nist_smstestbed/Hurco01-201704.shdr.txt.zst"
    with source.open("rb") as file:
        data = zstandard.ZstdDecompressor().stream_reader(file).read()
    path = tmp_path / "month.txt"
    path.write_bytes(data)
    recording = ShdrRecording(source)
    for item in recording.items:
        historian.catalog.declare_tag(TagDraft(f"hurco/{item.name}", item.type), "test")
    lines = io.StringIO(data.decode()).read().splitlines()
    plain = [line.split("|") for line in lines if line.count("|") == 2]

    report = import_(
        historian, path,
        "header=no", "delimiter=|", "timestamp=1", "tag=2", "value=3", "prefix=hurco/",
        "null=UNAVAILABLE", "null_quality=0x80310000",
    )  # fmt: skip

    assert (report.read, report.taken) == (len(lines), len(plain))
    assert report.rejected == len(lines) - len(plain)
    for tag in historian.catalog.every():
        item = tag.name.removeprefix("hurco/")
        last = {}
        for time, name, value in plain:
            if name == item:
                moment = np.datetime64(time[:-1], "ns").astype(int)
                number = tag.type is ValueType.FLOAT64
                known = value != "UNAVAILABLE"
                read = (float(value) if number else value) if known else None
                last.setdefault(int(moment), []).append((0 if known else 0x80310000, read))
        # Rows of one time: a value seen before is a redelivery, the last new one counts.
        want = [(t, *_newest(rows)) for t, rows in sorted(last.items())]
        assert rows_of(historian, tag.name) == want, tag.name


def _newest(rows):
    kept = []
    for row in rows:
        if row not in kept:
            kept.append(row)
    return kept[-1]
