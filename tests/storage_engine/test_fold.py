"""The fold of rows: exact, the same however the rows are cut, the same on every target."""

import math
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from storage_engine.codec.kernels import KERNELS
from storage_engine.errors import InvalidArgument
from storage_engine.fold import FoldColumns
from storage_engine.fold_state import EVERY_SUM, STATE, SUMS

sys.path.insert(0, str(Path(__file__).parent))
from fold_reference import fold as reference

DTYPES = (np.float64, np.float32, np.int64, np.uint64, np.uint8)
T_MIN, T_MAX = -(2**63), 2**63 - 1
PLAIN = [name for name in STATE.names if name not in {"wide", "rest"}]
FAR = (np.zeros(2, np.uint32), np.ones(2, np.uint8))  # qualities, and that there are values
ODD = [math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 2.2e-308, 1e308, -1e308, 1e-308, 0.1, 3.0]


def values_of(kind):
    if kind < 2:
        width = 64 if kind == 0 else 32
        with np.errstate(all="ignore"):
            odd = [float(np.float32(x)) for x in ODD] if kind else ODD
        return st.sampled_from(odd) | st.floats(width=width) | st.integers(0, 999).map(float)
    if kind == 4:
        return st.integers(0, 1)
    low, high = (T_MIN, T_MAX) if kind == 2 else (0, 2**64 - 1)
    return st.sampled_from([low, high, 0, 1]) | st.integers(low, high) | st.integers(0, 9)


@st.composite
def rows(draw):
    kind = draw(st.integers(0, 4))
    if draw(st.booleans()):  # long enough for lanes, alike enough too
        n = draw(st.integers(0, 200))
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        scale = draw(st.sampled_from([1, 100, 1e-6, 1e6]))
        value = np.cumsum(rng.normal(0, 1, n)).round(draw(st.sampled_from([2, 17]))) * scale
        value = np.abs(value) > 1 if kind == 4 else np.abs(value) if kind == 3 else value
        steps = rng.integers(0, draw(st.sampled_from([2, 10**7, 10**14])), n)
        steps[rng.random(n) < 0.03] = 0
        times = np.cumsum(steps + draw(st.sampled_from([0, 10**9])))
        quality = np.where(rng.random(n) < draw(st.sampled_from([0, 0.02])), 2**31, 0)
        valid = rng.random(n) >= draw(st.sampled_from([0, 0.02]))
    else:
        n = draw(st.integers(0, 40))
        value = draw(st.lists(values_of(kind), min_size=n, max_size=n))
        near = st.integers(0, 3) | st.integers(T_MIN, T_MAX)
        times = sorted(draw(st.lists(near, min_size=n, max_size=n)))
        level = st.sampled_from([0, 0, 0, 7, 2**30, 2**31, 2**32 - 1])
        quality = draw(st.lists(level, min_size=n, max_size=n))
        valid = draw(st.lists(st.sampled_from([1, 1, 1, 0]), min_size=n, max_size=n))
    with np.errstate(all="ignore"):
        value = np.array(value).astype(DTYPES[kind]) if n else np.zeros(0, DTYPES[kind])
    return (
        kind,
        np.minimum(np.array(times, np.int64), T_MAX - 1),
        value,
        np.array(quality, np.uint32),
        np.array(valid, np.uint8),
    )


def one(kind, *columns, brief=False):
    """Fold of all rows."""
    return FoldColumns.fold(kind, *columns, np.array([T_MIN, T_MAX], np.int64), brief=brief)


def cut(columns, first, last):
    return [np.ascontiguousarray(c[first:last]) for c in columns]


def same(left, right):
    """All fields, NaN by their bits."""
    for name in PLAIN:
        a, b = np.ascontiguousarray(left[name]), np.ascontiguousarray(right[name])
        if a.dtype.kind == "f":
            a = np.where(np.isnan(a), np.nan, a)
            b = np.where(np.isnan(b), np.nan, b)
        assert a.tobytes() == b.tobytes(), (name, left[name], right[name])


@settings(max_examples=400, deadline=None)
@given(rows())
@example((0, np.array([T_MIN, T_MAX - 1]), np.array([1e308, -1e308]), *FAR))
def test_a_fold_equals_the_fold_over_fractions(columns):
    kind, time, value, quality, valid = columns
    found = one(kind, time, value, quality, valid.astype(np.uint8))
    want, totals = reference(
        kind, time.tolist(), value.tolist(), quality.tolist(), valid.astype(bool).tolist()
    )

    same(found.table[0], want)
    assert found.known[0] == EVERY_SUM
    for name in ("sum", "squares", "increase"):
        total = totals[name]
        if not (total.up or total.down):
            check(found.result(name)[0], total.value)
    sums = [totals[name] for name in ("stepped", "forward", "sum", "squares")]
    if any(total.up or total.down for total in sums):
        return
    stepped, forward, total, squares = (total.value for total in sums)
    check(found.result("stepped")[0], stepped / 10**9)
    check(found.result("sloped")[0], (stepped + forward) / (2 * 10**9))
    n, covered = int(want["good"]), int(want["covered_ns"])
    check(found.result("mean")[0], total / n if n else None)
    spread = squares * n - total**2
    check(found.result("variance")[0], spread / n**2 if n else None)
    check(found.result("sample_variance")[0], spread / (n * (n - 1)) if n > 1 else None)
    check(found.result("stepped_mean")[0], stepped / covered if covered else None)
    if covered < 2**63:
        check(
            found.result("sloped_mean")[0], (stepped + forward) / (2 * covered) if covered else None
        )


def check(found, want):
    if want is None:
        assert math.isnan(found)
        return
    try:
        exact = float(want)
    except OverflowError:
        exact = math.inf if want > 0 else -math.inf
    assert found == exact, (found, exact)


@settings(max_examples=300, deadline=None)
@given(rows(), st.data())
def test_any_cut_of_the_rows_merges_to_the_same_bytes(columns, data):
    kind, *arrays = columns
    n = len(arrays[0])
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=6)))
    pieces = [one(kind, *cut(arrays, a, b)) for a, b in zip([0, *cuts], [*cuts, n], strict=True)]
    whole = one(kind, *arrays)
    rows_ = np.zeros(len(pieces), np.int64)
    flat = FoldColumns.gather(kind, pieces, np.arange(len(pieces)), rows_, np.zeros(1, np.int64))
    middle = data.draw(st.integers(0, len(pieces)))
    halves = FoldColumns.gather(
        kind, pieces, np.arange(len(pieces)), rows_, np.array([0, middle], np.int64)
    )

    same(flat.table[0], whole.table[0])
    same(halves.merge(np.zeros(1, np.int64)).table[0], whole.table[0])
    for name in (*SUMS, "variance"):
        assert repr(flat.result(name)[0]) == repr(whole.result(name)[0])


@settings(max_examples=100, deadline=None)
@given(rows())
def test_the_brief_fold_has_the_same_digits(columns):
    kind, *arrays = columns
    brief, whole = one(kind, *arrays, brief=True), one(kind, *arrays)

    assert brief.known[0] == 1
    brief_row, row = brief.table[0].copy(), whole.table[0].copy()
    for name in (*SUMS[1:], "resets", "transitions"):
        brief_row[name] = row[name] = 0
    row["exact"] &= 1
    same(brief_row, row)


def test_windows_are_half_open_and_may_be_empty():
    time = np.arange(0, 5000, 10, dtype=np.int64)
    value = np.sin(time / 100)
    edges = np.array([-5, 0, 0, 10, 15, 4990, 9000], np.int64)

    found = FoldColumns.fold(0, time, value, None, None, edges)

    assert found.table["rows"].tolist() == [0, 0, 1, 1, 497, 1]
    for k in range(6):
        inside = (time >= edges[k]) & (time < edges[k + 1])
        assert found.result("sum")[k] == math.fsum(value[inside])
    empty = np.zeros(1, STATE)
    empty["exact"] = EVERY_SUM
    assert found.table[:1].tobytes() == empty.tobytes()
    same(found.merge(np.zeros(1, np.int64)).table[0], one(0, time, value, None, None).table[0])


def test_codes_only_change():
    time = np.arange(6, dtype=np.int64)
    code = np.array([9, 9, 4, 9, 9, 9], np.uint64)

    row = FoldColumns.fold(5, time, code, None, None, np.array([0, 6], np.int64)).table[0]

    assert (row["transitions"], row["good"], row["covered_ns"]) == (2, 6, 5)
    assert (row["resets"], row["exact"], row["minimum"]) == (0, 0, 0)


def test_a_million_values_of_every_size_sum_as_fsum():
    rng = np.random.default_rng(7)
    value = rng.normal(0, 1, 300_000) * 10.0 ** rng.integers(-300, 300, 300_000)
    time = np.arange(len(value), dtype=np.int64)
    found = FoldColumns.fold(0, time, value, None, None, np.array([0, len(value)], np.int64))

    assert found.result("sum")[0] == math.fsum(value)
    assert found.result("mean")[0] == float(sum(map(Fraction, value.tolist())) / len(value))


@pytest.mark.parametrize("name", KERNELS)
def test_every_target_gives_the_same_bytes(name, tmp_path):
    program = (
        "import numpy as np, sys\n"
        "from storage_engine.fold import FoldColumns\n"
        "rng = np.random.default_rng(3)\n"
        "for scale in (1.0, 1e-3, 1e200, 1e-310):\n"
        "    n = 20_011\n"
        "    time = np.cumsum(rng.integers(0, 10**rng.integers(1, 12), n))\n"
        "    value = np.cumsum(rng.normal(0, 1, n)).round(3) * scale\n"
        "    value[::4001] = np.nan\n"
        "    edges = np.linspace(time[0], time[-1], 40).astype(np.int64)\n"
        "    for brief in (False, True):\n"
        "        found = FoldColumns.fold(0, time, value, None, None, edges, brief=brief)\n"
        "        table = found.table.copy(); table['wide'] = 0\n"
        "        sys.stdout.buffer.write(table.tobytes())\n"
    )
    root = str(Path(__file__).parents[2])
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "HISTORIAN_KERNELS": forced, "PYTHONPATH": root},
            capture_output=True,
            check=True,
        ).stdout
        for forced in (name, "")
    ]

    assert len(outputs[0]) == 8 * 39 * STATE.itemsize
    assert outputs[0] == outputs[1]


def test_what_cannot_be_folded_is_refused():
    time, edges = np.arange(4, dtype=np.int64), np.array([0, 4], np.int64)
    for value, quality, valid in (
        (np.zeros(3), None, None),
        (np.zeros(4, np.float32), None, None),
        (np.zeros(4), np.zeros(3, np.uint32), None),
        (np.zeros(4), None, np.zeros(5, np.bool_)),
    ):
        with pytest.raises(InvalidArgument):
            FoldColumns.fold(0, time, value, quality, valid, edges)
    with pytest.raises(InvalidArgument):
        FoldColumns.fold(0, time, np.zeros(4), None, None, edges[::-1].copy())
    some = FoldColumns.fold(0, time, np.zeros(4), None, None, edges)
    with pytest.raises(InvalidArgument):
        some.merge(np.array([0, 5], np.int64))
    with pytest.raises(InvalidArgument):
        FoldColumns.gather(0, [some], np.zeros(1, np.int64), np.ones(1, np.int64), edges[:1])
