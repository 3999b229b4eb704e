"""record_times.py: when an lsn was recorded, in a table that stays small."""

from storage_engine.record_times import RecordTimes


def table(step=10, most=1000):
    times = RecordTimes(step, most)
    for lsn, time in [(1, 100), (2, 101), (3, 120), (7, 300)]:
        times.add(lsn, time)
    return times


def test_a_moment_gives_the_last_lsn_recorded_by_then():
    """Late by less than a step."""
    times = table()

    found = [times.lsn_at(at, newest_lsn=9) for at in (50, 100, 119, 120, 299, 300, 999)]

    assert [0, 2, 2, 6, 6, 9, 9] == found


def test_an_lsn_gives_its_time_early_by_less_than_a_step():
    """The table holds the first lsn of each run."""
    times = table()

    assert [100, 100, 120, 120, 300] == [times.time_of(lsn) for lsn in (1, 2, 3, 6, 8)]
    assert 0 == RecordTimes(1, 1).time_of(5)


def test_a_clock_that_falls_back_does_not_reorder_history():
    """Record time never falls."""
    times = table()
    times.add(8, 50)
    times.add(9, 311)

    assert 8 == times.lsn_at(310, newest_lsn=9)
    assert 300 == times.time_of(8)


def test_the_table_is_bounded_by_thinning_its_older_half():
    """Old questions get coarser answers; memory does not grow."""
    times = RecordTimes(0, 64)
    for lsn in range(1, 10_000):
        times.add(lsn, lsn * 1000)

    lsns, _ = times.columns()

    assert len(lsns) <= 64
    assert 9_999 == times.lsn_at(9_999_000, newest_lsn=9_999)
    assert 9_990 == times.lsn_at(9_990_500, newest_lsn=9_999)


def test_the_table_survives_the_manifest():
    """Questions as known at last year need it."""
    again = RecordTimes(10, 1000)
    again.load(*table().columns())

    assert [2, 6] == [again.lsn_at(at, newest_lsn=9) for at in (119, 299)]
    assert 300 == again.last_ns
