"""energy: exact between reads, null with a reason where a register says nothing certain."""

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from historian.energy import INTERVALS_MAX, Energy, UnknownMeter
from historian.errors import RequestInvalid
from historian.genealogy.testing import Event, MemoryEventReader, numbered

S = 1_000_000_000


@dataclass(frozen=True)
class Declared:
    """A meter as a configuration declares it."""

    id: str = "m"
    eng_unit: str = "kWh"
    modulus: float | None = None
    rate_max_per_s: float | None = None
    station: str = ""


WRAPPING = Declared(modulus=10_000.0, rate_max_per_s=5.0)


def reads(*rows: tuple[float, float | None]) -> list[tuple[str, int, dict[str, Any]]]:
    """Rows of (second, register)."""
    return [("meter_read", round(t * S), {"meter": "m", "register": r}) for t, r in rows]


def declared(
    time_s: float, old: float | None, new: float | None
) -> list[tuple[str, int, dict[str, Any]]]:
    facts = {"meter": "m", "reason": "replaced", "old_register": old, "new_register": new}
    return [("meter_declared", round(time_s * S), facts)]


def metered(history: list[tuple[str, int, dict[str, Any]]], meter: Declared = WRAPPING) -> Energy:
    made = Energy(MemoryEventReader(numbered(history)), [meter])
    made.rebuild()
    return made


def asked(energy: Energy, start_s: float, end_s: float) -> tuple[float | None, bool, str | None]:
    """Energy or None, whether estimated, and the reason."""
    found = energy.windows("m", [round(start_s * S)], [round(end_s * S)])
    value = float(found.energy[0]) if found.valid[0] else None
    assert found.valid[0] == (not np.isnan(found.energy[0]))
    return value, bool(found.estimated[0]), found.reasons()[0]


def test_a_wrap_is_counted_on():
    """9,900 to 100 of a register that shows four digits is 200, not minus 9,800."""
    energy = metered(reads((0, 9_900), (60, 100)))

    assert (200.0, False, None) == asked(energy, 0, 60)


def test_an_interpolated_bound_is_marked():
    """Half-way between two reads lies half of the energy, as an estimate."""
    energy = metered(reads((0, 9_900), (60, 100)))

    assert (100.0, True, None) == asked(energy, 0, 30)
    assert (50.0, True, None) == asked(energy, 15, 30)


def test_a_bound_in_a_long_gap_is_not_interpolated():
    """Nobody knows when in a day without reads the energy was used; the day's sum is known."""
    energy = metered(reads((0, 0), (86_400, 240)), Declared())

    value, _, reason = asked(energy, 0, 3_600)
    assert (None, "reads around a bound are further apart than the gap limit") == (value, reason)
    assert (240.0, False, None) == asked(energy, 0, 86_400)


def test_a_declared_exchange_joins_both_meters():
    """(last of the old - read before) + (read after - first of the new)."""
    energy = metered(reads((0, 5_000), (60, 30)) + declared(30, 5_050, 12))

    assert (68.0, False, None) == asked(energy, 0, 60)
    assert (50.0, False, None) == asked(energy, 0, 30)


@pytest.mark.parametrize(("at_read", "expected"), [(5_050.0, 50.0), (12.0, 50.0)])
def test_a_read_at_the_instant_of_the_exchange_may_be_of_either_meter(
    at_read: float, expected: float
):
    """The register tells which."""
    history = reads((0, 5_000), (30, at_read), (60, 30)) + declared(30, 5_050, 12)
    energy = metered(history)

    assert (expected, False, None) == asked(energy, 0, 30)
    assert (18.0, False, None) == asked(energy, 30, 60)


def test_an_exchange_told_twice_counts_once():
    """The meter and the maintenance system both report it, seconds apart."""
    history = reads((0, 5_000), (60, 30)) + declared(30, 5_050, 12) + declared(33, 5_050, 12)

    assert 68.0 == asked(metered(history), 0, 60)[0]


@pytest.mark.parametrize(
    ("meter", "history", "expected"),
    [
        (WRAPPING, reads((0, 5_000), (60, 10)), "register fell and no wrap or declaration"),
        (Declared(), reads((0, 5_000), (60, 10)), "a wrap needs a declared modulus"),
        (Declared(modulus=10_000.0), reads((0, 9_990), (60, 10)), "a wrap needs a declared"),
        (WRAPPING, reads((0, 0), (60, 301)), "register rose faster"),
        (WRAPPING, reads((0, 0), (2_500, 100)), "may have turned more than once"),
        (WRAPPING, reads((0, 0), (60, 10_000)), "outside its declared modulus"),
        (WRAPPING, reads((0, -1), (60, 10)), "outside its declared modulus"),
        (WRAPPING, reads((0, 0), (30, 1), (30, 2), (60, 3)), "two reads at one time disagree"),
        (WRAPPING, reads((0, 0), (30, None), (60, 3)), "not a number"),
        (WRAPPING, reads((0, 0), (30, float("inf")), (60, 3)), "not a number"),
        (WRAPPING, reads((0, 9), (60, 3)) + declared(30, None, 0), "does not say the register"),
        (WRAPPING, reads((0, 9), (60, 3)) + declared(30, 10, None), "does not say the register"),
        (WRAPPING, reads((60, 3)), "no read at or before the start"),
        (WRAPPING, reads((0, 3)), "no read at or after the end"),
        (WRAPPING, declared(0, 5, 6)[:0], "no read at or before the start"),
    ],
)
def test_what_is_not_certain_is_null_and_says_why(
    meter: Declared, history: list[tuple[str, int, dict[str, Any]]], expected: str
):
    """Never a guess: an undeclared exchange looks like a wrap, a gap may hide a turn."""
    value, estimated, reason = asked(metered(history, meter), 0, 60 if len(history) else 1)
    if "turned" in expected:
        value, estimated, reason = asked(metered(history, meter), 0, 2_500)

    assert value is None
    assert not estimated
    assert expected in (reason or "")


def test_a_bad_stretch_spoils_only_windows_that_touch_it():
    """Before and after an undeclared exchange the register is as good as ever."""
    energy = metered(reads((0, 5_000), (60, 5_060), (120, 10), (180, 40)))

    assert (60.0, False, None) == asked(energy, 0, 60)
    assert (30.0, False, None) == asked(energy, 120, 180)
    assert asked(energy, 0, 180)[0] is None
    assert asked(energy, 90, 180)[0] is None


def test_a_voided_read_is_not_read():
    """Somebody typed a register wrong, and said so."""
    wrong = Event("meter_read", 30 * S, {"meter": "m", "register": 9.0}, 50, 50)
    history = numbered(reads((0, 100), (60, 160)))
    void = Event("meter_read", 30 * S, {"voids": wrong.id.hex()}, 51, 51)
    energy = Energy(MemoryEventReader([*history, wrong, void]), [WRAPPING])
    energy.rebuild()

    assert (60.0, False, None) == asked(energy, 0, 60)


def test_reads_of_a_test_run_do_not_count():
    """The mode of an event is part of what it says."""
    history = reads((0, 100), (60, 160))
    history.append(("meter_read", 30 * S, {"meter": "m", "register": 9.0, "mode": "test"}))

    assert (60.0, False, None) == asked(metered(history), 0, 60)


def test_intervals_cut_the_window_and_add_up():
    """The last interval may be shorter; the sum is the whole."""
    energy = metered(reads(*((10 * i, float(3 * i)) for i in range(11))))
    found = energy.intervals("m", 0, 100 * S, 30 * S)

    assert [30, 30, 30, 10] == ((found.end_ns - found.start_ns) // S).tolist()
    assert [9.0, 9.0, 9.0, 3.0] == pytest.approx(found.energy.tolist())


def test_meters_that_only_report_are_known_too():
    """No unit, no modulus; a rise is a rise."""
    energy = metered(reads((0, 1), (60, 2)), Declared(id="other", station="st1"))

    assert ("m", "other") == energy.meters()
    assert ("other",) == energy.at_station("st1")
    assert ("", 1.0) == (energy.eng_unit("m"), asked(energy, 0, 60)[0])


def test_wrong_questions_are_refused():
    """By name, and before any work."""
    energy = metered(reads((0, 1), (60, 2)))

    with pytest.raises(UnknownMeter, match="'x'"):
        energy.windows("x", [0], [1])
    with pytest.raises(RequestInvalid):
        energy.windows("m", [1], [0])
    with pytest.raises(RequestInvalid):
        energy.windows("m", [1, 2], [3])
    with pytest.raises(RequestInvalid):
        energy.intervals("m", 0, S, 0)
    with pytest.raises(RequestInvalid):
        energy.intervals("m", 0, S * (INTERVALS_MAX + 1), S)


RISES = st.lists(st.tuples(st.integers(1, 600), st.integers(0, 50)), min_size=1, max_size=30)


@settings(max_examples=100, deadline=None)
@given(RISES, st.integers(0, 999), st.lists(st.integers(0, 3), max_size=6), st.randoms())
def test_what_was_used_is_what_is_told(
    rises: list[tuple[int, int]], first: int, exchanges: list[int], chance: random.Random
):
    """Any rises, wraps and declared exchanges, in any order of arrival, some of them twice."""
    time_s, total, base = 0, 0, first
    true = [(0, 0)]
    history = reads((0, base % 1000))
    for number, (gap_s, rise) in enumerate(rises):
        time_s, total = time_s + gap_s, total + rise
        if number in exchanges:
            history += declared(time_s - 0.5, (base + total) % 1000, 7)
            base = 7 - total
        history += reads((time_s, (base + total) % 1000))
        true.append((time_s, total))
    events = numbered(history)
    meter = Declared(modulus=1000.0, rate_max_per_s=100.0)
    shuffled = [*events, *events[:5]]
    chance.shuffle(shuffled)
    energy = Energy(MemoryEventReader(), [meter])
    for event in shuffled:
        energy.apply(event.kind, event.batch(), event.lsn)
    rebuilt = Energy(MemoryEventReader(events), [meter])
    rebuilt.rebuild()

    starts = np.array([a for a, _ in true for b, _ in true if a <= b]) * S
    ends = np.array([b for a, _ in true for b, _ in true if a <= b]) * S
    found = energy.windows("m", starts, ends)
    again = rebuilt.windows("m", starts, ends)

    np.testing.assert_array_equal(found.energy, again.energy)
    np.testing.assert_array_equal(found.reason, again.reason)
    used = dict(true)
    for start_ns, end_ns, value, valid in zip(
        starts.tolist(), ends.tolist(), found.energy.tolist(), found.valid.tolist(), strict=True
    ):
        if valid:
            assert used[end_ns // S] - used[start_ns // S] == pytest.approx(value)
        else:  # a turn of the register fits into one of the gaps
            assert max(gap_s for gap_s, _ in rises) * 100 + 50 >= 1000


def test_many_windows_are_one_call():
    """A passport asks for each piece of each visit; a report for each minute of a month."""
    energy = metered(reads(*((10 * i, float(i)) for i in range(1_000))), Declared())
    starts = np.arange(0, 9_000) * S
    found = energy.windows("m", starts, starts + 90 * S)

    assert found.valid.all()
    np.testing.assert_allclose(found.energy, 9.0)
