"""benchmarks: data sets come back the same, rivals and we give one answer, the table is whole."""

import json
import re

import numpy as np
import pytest

from benchmarks import __main__ as entrance
from benchmarks import harness, ours, places, table
from benchmarks.datasets import columns, plant
from benchmarks.rivals import host
from benchmarks.rivals.base import Buckets, MissingError

TINY = columns.DataSet("tiny", tags=7, rows=120)


@pytest.fixture(autouse=True)
def _bench_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("HISTORIAN_BENCH_DIR", str(tmp_path))


def figure(name="x", ours=(2.0, 1.0, 3.0), rival=(20.0, 30.0, 30.0), **more):
    return harness.Figure(name, "ms", list(ours), "DuckDB", list(rival), "", {"data": "d"}, **more)


def test_a_tag_depends_on_its_number_alone_and_the_kept_table_holds_it():
    """Digests name what was generated; another size gives the same head of a tag."""
    times, values = TINY.tables()
    again_times, again_values = TINY.column(6)

    assert np.array_equal(times[6], again_times)
    assert np.array_equal(values[6].view(np.uint64), again_values.view(np.uint64))
    assert columns.DataSet("tiny", tags=7, rows=121).key != TINY.key


def test_the_six_kinds_look_like_the_signals_they_stand_for():
    """Resolution, jitter and share of every kind: what makes sizes comparable from run to run."""
    rows = 5000
    kinds = {kind: plant.values(kind, rows, 3) for kind in plant.KINDS}
    late_ms = (plant.times(rows, 3) - plant.START_NS) % 1_000_000_000 // 1_000_000

    assert len(kinds) == 6
    assert set(late_ms.tolist()) == {0, 1, 2, 3}
    assert np.array_equal(np.round(kinds["process"], 2), kinds["process"])
    counts = kinds["transmitter"] * 4095 / 16
    assert np.allclose(counts, np.rint(counts), atol=1e-9)
    assert (np.diff(kinds["totaliser"]) >= 0).all()
    assert set(kinds["digital"].tolist()) == {0.0, 1.0}
    assert 0 < np.count_nonzero(np.diff(kinds["set_point"])) < rows / 500
    assert len(np.unique(kinds["computed"])) == rows


def test_a_folder_half_made_is_never_found(tmp_path):
    """A failing maker leaves nothing under the name; a new one takes the old one's place."""

    def fail(folder):
        (folder / "half").write_text("x")
        raise ValueError("the disk is full")

    with pytest.raises(ValueError, match="full"):
        places.kept("thing", "aaaa", fail)
    assert list(tmp_path.iterdir()) == []
    places.kept("thing", "aaaa", lambda folder: (folder / "a").write_text("1"))
    places.kept("thing", "bbbb", lambda folder: (folder / "b").write_text("22"))
    assert [p.name for p in tmp_path.iterdir()] == ["thing-bbbb"]
    assert places.size_of(tmp_path) == 2


@pytest.mark.parametrize("way", ["ingest", "bulk"])
def test_our_answers_are_the_plain_fold_of_what_was_generated(way):
    """Rows, windows, latest and time-weighted mean of a store made by either path."""
    times, values = TINY.tables()
    span = (TINY.start_ns + 3_500_000_000, TINY.end_ns - 7_250_000_000)
    store = ours.Store(TINY, way)
    try:
        time, value = store.raw(3, *span)
        inside = (times[3] >= span[0]) & (times[3] < span[1])
        windows = store.buckets([3, 4], *span, 10_000_000_000)
        latest = store.latest()
        weighted = store.weighted(3, *span)
    finally:
        store.close()

    assert np.array_equal(time, times[3][inside])
    assert np.array_equal(value, values[3][inside])
    first = (times[4] >= span[0]) & (times[4] < span[0] + 10_000_000_000)
    place = np.flatnonzero(windows.tag == 4)[0]
    assert windows.start_ns[place] == span[0]
    assert windows.minimum[place] == values[4][first].min()
    assert windows.maximum[place] == values[4][first].max()
    assert windows.mean[place] == pytest.approx(values[4][first].mean(), rel=1e-12)
    assert np.array_equal(latest.value, values[:, -1])
    t, v = times[3][inside], values[3][inside]
    assert weighted == pytest.approx((v[:-1] * np.diff(t)).sum() / (t[-1] - t[0]), rel=1e-12)


def test_answers_that_differ_are_refused():
    """The comparison itself can fail: in windows, in extremes, in means."""
    answer = Buckets(np.zeros(2, int), np.arange(2), *(np.array([1.0, 2.0]) for _ in range(3)))
    ours.same(answer, answer, exact=True)
    for field in ("tag", "start_ns", "minimum", "maximum", "mean"):
        other = answer._replace(**{field: getattr(answer, field) + 1})
        with pytest.raises(AssertionError, match="differ"):
            ours.same(answer, other, exact=True)
    near = answer._replace(minimum=answer.minimum * (1 + 1e-12))
    ours.same(answer, near, exact=False)
    with pytest.raises(AssertionError, match="minimum"):
        ours.same(answer, near, exact=True)


def test_a_rival_that_is_not_here_is_named(monkeypatch):
    """Never silently: the reason is kept with the results."""
    monkeypatch.setitem(host.RIVALS, "Nobody", "benchmarks.rivals.nobody:Nobody")
    monkeypatch.setattr(host, "skipped", {})
    with host.hosted(["Nobody"], TINY) as found:
        assert found == {}
    assert "benchmarks.rivals.nobody" in host.skipped["Nobody, tiny"]


def test_a_rival_gives_the_same_answers(monkeypatch):
    """One that the development environment has: Parquet, in its own process."""
    pytest.importorskip("pyarrow")
    monkeypatch.setattr(host, "skipped", {})
    asked = ([2, 3, 4], TINY.start_ns, TINY.end_ns, 30_000_000_000)
    store = ours.Store(TINY, "bulk")
    with host.hosted(["Parquet"], TINY) as found:
        one = found["Parquet"]
        one.call("threads", 1)
        seconds, theirs = one.call("buckets", *asked)
        mine = store.buckets(*asked)
        with pytest.raises(MissingError, match="does not answer sing"):
            one.call("sing")
    store.close()

    ours.same(mine, theirs, exact=True)
    assert seconds > 0
    assert host.skipped == {}


def test_every_entry_of_the_table_has_a_bench_and_every_bench_of_it_is_known():
    """A row without a bench could never be measured."""
    assert {entry.bench for entry in table.ENTRIES} <= set(entrance.BENCHES)
    names = [entry.figure for entry in table.ENTRIES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("mine", "rival", "want", "met"),
    [
        ((1.0, 1.0), (30.0, 31.0), table.Want(30, "DuckDB"), True),
        ((1.0, 1.0), (29.0, 29.0), table.Want(30, "DuckDB"), False),
        ((1.0, 1.0), (), table.Want(30, "DuckDB"), None),
        ((4.9, 5.0), (1.0, 1.0), table.Want(5), True),
        ((5.1, 5.2), (1.0, 1.0), table.Want(5), False),
        ((1.029,), (1.0,), table.Want(1 / 1.03, "DuckDB"), True),
        ((1.031,), (1.0,), table.Want(1 / 1.03, "DuckDB"), False),
    ],
)
def test_a_bound_is_met_or_not(mine, rival, want, met):
    """Less is better here; advantages are medians pair by pair."""
    assert want.met(figure(ours=mine, rival=rival, less_is_better=True)) is met


def test_rates_and_times_are_compared_the_right_way_round():
    """Twice the rate and half the time are both twice as good."""
    assert figure(ours=(4.0,), rival=(2.0,)).advantage("DuckDB") == 2
    assert figure(ours=(2.0,), rival=(4.0,), less_is_better=True).advantage("DuckDB") == 2
    assert np.isnan(figure().advantage("nobody"))
    other = figure(others={"zstd": [1.0, 1.0, 1.0]})
    assert other.advantage("zstd") == 2


def test_the_page_has_every_row_and_says_what_is_not_there(monkeypatch, tmp_path):
    """From a results file alone; unmeasured rows name the command."""
    monkeypatch.setattr(table, "PAGE", tmp_path / "page.md")
    measured = figure("1 tag, 1 day, minutes", less_is_better=True)
    monkeypatch.setattr(harness, "__file__", str(tmp_path / "harness.py"))
    (tmp_path / "results").mkdir()
    notes = {"rivals": {"DuckDB": "2.0.0"}, "left out": {"TsFile, plant": "no such package"}}
    path = harness.save([measured], "large", notes=notes)
    path = harness.save([figure("other")], "large")
    said = []
    table.write(path, said.append)
    page = (tmp_path / "page.md").read_text()

    saved = json.loads(path.read_text())
    assert {one["name"] for one in saved["figures"]} == {"1 tag, 1 day, minutes", "other"}
    assert re.search(
        r"\| 1 tag, 1 day, minutes \| 2 ms \| >= 30x DuckDB \| missed \| DuckDB 30 ", page
    )
    for entry in table.ENTRIES:
        assert f"| {entry.figure} |" in page
        assert entry.figure in said[0]
    assert page.count("not measured") == len(table.ENTRIES) - 1
    assert "- TsFile, plant: no such package" in page
    assert "DuckDB 2.0.0" in page


def test_a_line_names_every_rival_with_its_figure():
    """Also when the rival that the target names was not there."""
    alone = harness.Figure("x", "ms", [2.0], "DuckDB", [], "", others={"zstd": [4.0]})
    both = figure(less_is_better=True, others={"zstd": [4.0, 4.0, 4.0]})

    assert "zstd 4 (0.5x better)" in alone.line()
    assert "DuckDB" not in alone.line()
    assert "DuckDB 30 (10x better), zstd 4 (2x better)" in both.line()
