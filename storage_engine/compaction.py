"""Which segments to write anew next: pure planning over what the manifest says of them.

Jobs in order: erasures, whatever their size; segments of about one size into one (``fan_in`` of
them, so that a row is written once per factor); late segments into those they overlap, once they
have a quarter of their rows; small segments of days and months that are old into wider partitions;
old segments once more, made as small as they get. Every job but an erasure and the last leaves
fewer segments than it takes, and the last leaves none that it would take, so that planning comes to
an end.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from storage_engine.config import EngineConfig
from storage_engine.segment.layout import SegmentInfo
from storage_engine.segment.partition import (
    DAY_NS,
    DAYS_MAX,
    MONTHS_MAX_DAYS,
    partition_days,
    partition_name,
)
from storage_engine.tombstones import Tombstone

INPUTS_MAX = 64  # segments of one job: each may have a decoded block in memory
# Late segments of a few rows are mostly what every file has: so many times as many are merged.
_LATE_FAN_IN = 4
_TINY_BITS = 16  # of a size in bytes
_LATE_SHARE = 4  # late rows are merged once they are so large a part of what they overlap


class Reason(StrEnum):
    """Why a job is done."""

    ERASE = "erase"
    TIER = "tier"
    LATE = "late"
    WIDEN = "widen"
    COLD = "cold"


@dataclass(frozen=True, slots=True)
class Job:
    """Segments to be written anew together.

    Attributes
    ----------
    reason : Reason
    inputs : tuple of SegmentInfo
    """

    reason: Reason
    inputs: tuple[SegmentInfo, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes it reads."""
        return sum(info.size for info in self.inputs)


class Erasures:
    """Erased ranges as columns, because every segment is asked about all of them.

    Parameters
    ----------
    tombstones : iterable of Tombstone
        Deletions among them are left out.
    """

    def __init__(self, tombstones: Iterable[Tombstone]) -> None:
        self._held = sorted((t for t in tombstones if t.erase), key=lambda stone: stone.lsn)
        self._lsn = np.array([stone.lsn for stone in self._held], np.uint64)
        self._start = np.array([stone.start_ns for stone in self._held], np.int64)
        self._end = np.array([stone.end_ns for stone in self._held], np.int64)

    @property
    def newest_lsn(self) -> int:
        """Lsn of the newest; 0 when there is none."""
        return self._held[-1].lsn if self._held else 0

    def near(self, info: SegmentInfo, behind_lsn: int) -> list[Tombstone]:
        """Those that may cover rows of a segment, and are newer than an lsn."""
        if self.newest_lsn <= behind_lsn:
            return []
        touched = (self._start <= info.last) & (self._end > info.first)
        touched &= self._lsn > max(behind_lsn, info.lsn_min)
        return [self._held[place] for place in np.flatnonzero(touched).tolist()]


@dataclass(slots=True)
class Compacting:
    """What a compaction remembers until the store is closed.

    Attributes
    ----------
    alone : set of int
        Segments that are not tried again.
    damaged : set of int
        Those of them that could not be read.
    clean : dict of int to int
        Segment -> newest erasure known to have no rows in it.
    jobs, bytes_written : int
        Since the store was opened.
    """

    alone: set[int] = field(default_factory=set)
    damaged: set[int] = field(default_factory=set)
    clean: dict[int, int] = field(default_factory=dict)
    jobs: int = 0
    bytes_written: int = 0


def plan(
    infos: Iterable[SegmentInfo],
    config: EngineConfig,
    now_ns: int,
    erasure_due: Callable[[SegmentInfo], bool],
) -> Job | None:
    """Find the next job.

    Parameters
    ----------
    infos : iterable of SegmentInfo
        Live segments that may be touched.
    config : EngineConfig
    now_ns : int
        Decides which partitions are old.
    erasure_due : callable
        Whether a segment may hold rows that have to be physically gone.

    Returns
    -------
    Job or None
        None when nothing is worth its writing.
    """
    ordered = sorted(infos, key=lambda info: (info.first, info.last, info.id))
    for info in ordered:
        if erasure_due(info):
            return Job(Reason.ERASE, (info,))
    groups: dict[tuple[str, str], list[SegmentInfo]] = {}
    for info in ordered:
        groups.setdefault((info.partition, info.retention_class), []).append(info)
    jobs = [job for group in groups.values() if (job := _tier_job(group, config)) is not None]
    if not jobs:
        jobs = [job for group in groups.values() if (job := _late_job(group, config)) is not None]
    if not jobs:
        jobs = _widen_jobs(ordered, config, now_ns)
    if not jobs:
        jobs = [job for group in groups.values() if (job := _cold_job(group, config, now_ns))]
    # The cheapest first: it lowers the number of segments at the least cost.
    return min(jobs, key=lambda job: job.size_bytes, default=None)


def _small(infos: Iterable[SegmentInfo], config: EngineConfig) -> list[SegmentInfo]:
    """Those that gain by being merged: two of them still fit into one segment."""
    return [info for info in infos if 2 * info.size < config.segment_bytes_max]


def _fitting(infos: Sequence[SegmentInfo], config: EngineConfig) -> list[SegmentInfo]:
    """As many of the first as one job may take."""
    total, count = 0, 0
    for info in infos[:INPUTS_MAX]:
        total += info.size
        if total > config.compaction_job_bytes_max:
            break
        count += 1
    return list(infos[:count])


def _tier_job(group: Sequence[SegmentInfo], config: EngineConfig) -> Job | None:
    """Neighbours in time of about one size, the smallest first; late ones among themselves."""
    found: list[Job] = []
    for late in (False, True):
        small = _small((info for info in group if info.late is late), config)
        for bits in sorted({info.size.bit_length() for info in small}):
            fan_in = config.compaction_fan_in
            if late and bits <= _TINY_BITS:
                fan_in = min(fan_in * _LATE_FAN_IN, INPUTS_MAX)
            chosen = _neighbours(small, (1 << bits) - 1, fan_in, config)
            if chosen:
                found.append(Job(Reason.TIER, tuple(chosen)))
                break
    return min(found, key=lambda job: job.size_bytes, default=None)


def _neighbours(
    small: Sequence[SegmentInfo], size_max: int, fan_in: int, config: EngineConfig
) -> list[SegmentInfo] | None:
    """Enough segments in a row up to a size, the largest of which is a small part of them."""
    run: list[SegmentInfo] = []
    for info in (*small, None):
        if info is not None and info.size <= size_max:
            run.append(info)
            continue
        chosen = _fitting(run, config)
        largest = max((one.size for one in chosen), default=0)
        total = sum(one.size for one in chosen)
        # A row gets into a segment that is nearly so many times as large as the one it was in.
        if len(chosen) >= fan_in and total >= largest * (fan_in - 1):
            return chosen
        run = []
    return None


def _late_job(group: Sequence[SegmentInfo], config: EngineConfig) -> Job | None:
    """Late segments and those they overlap, once they weigh enough; as many as fit, by time."""
    late = [info for info in group if info.late]
    if not late:
        return None
    first, last = min(info.first for info in late), max(info.last for info in late)
    rest = [i for i in group if not i.late and i.first <= last and i.last >= first]
    late = _fitting(late, config)
    # In rows: a small segment has many bytes per row, and would seem to weigh more than it does.
    weight = sum(info.rows for info in late)
    if not rest or weight * _LATE_SHARE < sum(info.rows for info in rest):
        return None
    chosen = _fitting([*late, *rest], config)
    return Job(Reason.LATE, tuple(chosen)) if len(chosen) > len(late) else None


def _cold_job(group: Sequence[SegmentInfo], config: EngineConfig, now_ns: int) -> Job | None:
    """Old segments that were never made small, once they weigh enough; as many as fit, by time."""
    warm = [info for info in group if not info.cold and is_cold([info], config, now_ns)]
    # Late rows of an old day come drop by drop: they wait until their merging is due.
    if sum(i.rows for i in warm) * _LATE_SHARE < sum(i.rows for i in group) or not warm:
        return None
    return Job(Reason.COLD, tuple(_fitting(warm, config) or warm[:1]))


def is_cold(infos: Iterable[SegmentInfo], config: EngineConfig, now_ns: int) -> bool:
    """Whether rows are so old that what is written of them is made as small as it gets.

    Parameters
    ----------
    infos : iterable of SegmentInfo
        Segments that hold them.
    config : EngineConfig
    now_ns : int

    Returns
    -------
    bool
    """
    newest = max((info.last for info in infos), default=now_ns)
    return newest < now_ns - config.cold_age_days * DAY_NS


def target_partition(partition: str, now_ns: int) -> str:
    """Widest partition whose whole window is old enough for it.

    Parameters
    ----------
    partition : str
    now_ns : int

    Returns
    -------
    str
        ``partition`` itself while its month is not old.
    """
    days = partition_days(partition)
    if days is None:
        return partition
    today = now_ns // DAY_NS
    for unit, code, age in (("Y", 2, MONTHS_MAX_DAYS), ("M", 1, DAYS_MAX)):
        start = np.datetime64(days[0], "D").astype(f"datetime64[{unit}]")
        end = int((start + 1).astype("datetime64[D]").astype(np.int64))
        if end <= today - age and days[1] <= end:
            return partition_name(int(start.astype("datetime64[D]").astype(np.int64)) * 4 + code)
    return partition


def _widen_jobs(ordered: Sequence[SegmentInfo], config: EngineConfig, now_ns: int) -> list[Job]:
    """Small segments of one old month or year, when one of them lies in a narrower partition."""
    groups: dict[tuple[str, str], list[SegmentInfo]] = {}
    for info in _small(ordered, config):
        target = target_partition(info.partition, now_ns)
        groups.setdefault((target, info.retention_class), []).append(info)
    jobs = []
    for (target, _), group in groups.items():
        chosen = _fitting(group, config)
        if len(chosen) > 1 and any(info.partition != target for info in chosen):
            jobs.append(Job(Reason.WIDEN, tuple(chosen)))
    return jobs
