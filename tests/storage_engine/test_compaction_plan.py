"""compaction.py: which segments are written anew, and when it comes to an end."""

from hypothesis import given, settings
from hypothesis import strategies as st

from storage_engine.compaction import INPUTS_MAX, Reason, plan, target_partition
from storage_engine.config import EngineConfig
from storage_engine.segment.layout import SegmentInfo
from storage_engine.testing import DAY_NS, SetClock

NOW = SetClock().time_ns
MIB = 1 << 20


def segment(number, size, first=0, last=0, **facts):
    place = {"partition": "2025-06-15", "retention_class": "default", "late": False, "cold": True}
    place |= facts
    return SegmentInfo(
        number, size=size, rows=size // 4, first=first, last=last, lsn_min=1, lsn_max=1, **place
    )


def planned(infos, now_ns=NOW, erase=(), **settings_):
    return plan(infos, EngineConfig(**settings_), now_ns, lambda info: info.id in erase)


def test_four_of_one_size_are_merged_and_three_are_not():
    """A row is written once per factor of four."""
    four = [segment(k, MIB + k, k, k) for k in range(4)]

    assert planned(four[:3]) is None
    assert (Reason.TIER, tuple(four)) == (planned(four).reason, planned(four).inputs)
    assert planned([*four[:3], segment(9, 20 * MIB, 9, 9)]) is None
    assert planned([segment(9, 20 * MIB, -1, -1), *four]).inputs == tuple(four)


def test_groups_do_not_mix():
    """Neither partitions nor classes nor late with in-order segments."""
    for other in ({"partition": "2025-06-14"}, {"retention_class": "long"}):
        three = [segment(k, MIB, k, k) for k in range(3)]
        assert planned([*three, segment(3, MIB, 3, 3, **other)]) is None
    late = [segment(k, 70_000, 0, 9, late=True) for k in range(4)]
    rest = [segment(9, 50 * MIB, 0, 9)]
    assert planned([*late, *rest]).inputs == tuple(late)


def test_tiny_late_segments_wait_for_more_of_them():
    """Each merge writes them anew, and of what it writes little is rows."""
    rest = [segment(99, 50 * MIB, 0, 9)]
    late = [segment(k, 1000, 0, 9, late=True) for k in range(16)]
    assert planned([*late[:15], *rest]) is None
    assert planned([*late, *rest]).inputs == tuple(late)
    assert planned([segment(k, 1000) for k in range(4)]).reason is Reason.TIER


def test_large_segments_rest():
    """Two that do not fit into one gain nothing."""
    assert planned([segment(k, 128 * MIB, k, k) for k in range(9)]) is None


def test_a_job_is_bounded():
    """In bytes and in segments, whatever waits."""
    many = [segment(k, MIB, k, k) for k in range(500)]

    assert len(planned(many).inputs) == INPUTS_MAX
    assert planned(many, compaction_job_bytes_max=10 * MIB).size_bytes == 10 * MIB


def test_late_segments_are_merged_once_they_weigh_enough():
    """A quarter of what they overlap; what they do not overlap stays out."""
    rest = [segment(1, 8 * MIB, 0, 9), segment(2, 8 * MIB, 10, 19)]

    assert planned([*rest, segment(3, MIB, 2, 3, late=True)]) is None
    job = planned([*rest, segment(3, 2 * MIB, 2, 3, late=True)])
    assert (Reason.LATE, {1, 3}) == (job.reason, {info.id for info in job.inputs})


def test_erasures_come_first_whatever_the_size():
    """Alone, so that they are soon done."""
    infos = [segment(k, 200 * MIB if k == 7 else MIB, k, k) for k in range(8)]
    job = planned(infos, erase={7})

    assert (Reason.ERASE, (7,)) == (job.reason, tuple(i.id for i in job.inputs))


def test_old_days_become_months_and_months_years():
    """When the whole month, the whole year is old; docs/format/segment.md."""
    # SetClock stands in 2025-06-15.
    assert "2025-05" == target_partition("2025-05-14", NOW + 20 * DAY_NS)
    assert "2025-05-14" == target_partition("2025-05-14", NOW + 10 * DAY_NS)
    assert "2023-05" == target_partition("2023-05-14", NOW)
    assert "2022" == target_partition("2022-11", NOW)
    assert "2022" == target_partition("2022", NOW)
    assert "odd" == target_partition("odd", NOW)
    days = [segment(k, MIB, k, k, partition=f"2025-04-{k:02}") for k in range(1, 4)]
    assert (Reason.WIDEN, tuple(days)) == (planned(days).reason, planned(days).inputs)
    assert planned(days[:1]) is None


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(100, 300 * MIB),
            st.integers(0, 50),
            st.integers(0, 20),
            st.booleans(),
            st.sampled_from(["2025-06-15", "2025-04-01", "2025-04-02", "2025-04", "2022"]),
            st.booleans(),
        ),
        max_size=40,
    ),
    st.sampled_from([2, 4]),
)
def test_planning_comes_to_an_end(facts, fan_in):
    """However the segments lie: every job leaves fewer, or fewer that were never made small."""
    live = [
        segment(k, size, first, first + length, late=late, partition=partition, cold=cold)
        for k, (size, first, length, late, partition, cold) in enumerate(facts)
    ]
    number, jobs = len(live), 0
    config = {"compaction_fan_in": fan_in}
    while (job := planned(live, **config)) is not None:
        jobs += 1
        assert len(job.inputs) > 1 or job.reason is Reason.COLD
        assert job.size_bytes <= EngineConfig().compaction_job_bytes_max
        live = [info for info in live if info not in job.inputs]
        left = job.size_bytes
        while left > 0:
            number += 1
            live.append(
                segment(
                    number,
                    min(left, 256 * MIB),
                    min(info.first for info in job.inputs),
                    max(info.last for info in job.inputs),
                    late=all(info.late for info in job.inputs),
                    partition=target_partition(job.inputs[0].partition, NOW),
                )
            )
            left -= 256 * MIB
        assert jobs <= 3 * len(facts)


def test_old_segments_are_made_small_once():
    """When nothing else is to be done; not for the sake of a few late rows."""
    old, day = NOW - 31 * DAY_NS, "2025-05-15"
    warm = segment(1, 80 * MIB, old, old + 9, partition=day, cold=False)
    done = segment(1, 60 * MIB, old, old + 9, partition=day)
    young = segment(2, 80 * MIB, old, NOW - 29 * DAY_NS, cold=False)
    few = segment(3, MIB, old, old, late=True, partition=day, cold=False)

    assert (Reason.COLD, (warm,)) == (planned([warm]).reason, planned([warm]).inputs)
    assert {1, 3} == {info.id for info in planned([warm, few, young]).inputs}
    assert planned([done, few, young]) is None
    assert planned([young], cold_age_days=28).reason is Reason.COLD
    merge = [segment(k, MIB, old, old, partition=day, cold=False) for k in range(4, 8)]
    assert Reason.TIER is planned([warm, *merge]).reason
