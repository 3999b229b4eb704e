"""What the engine answers beside columns."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage_engine.sample import UInt32Array


@dataclass(frozen=True, slots=True)
class Appended:
    """Outcome of an append.

    Attributes
    ----------
    lsn : int
        Wait for it before acknowledging.
    duplicate : bool
        The frame was taken before; ``lsn`` is that of the producer's last frame.
    missing_frames : int
        Frames of this producer that never came.
    chain_broken : bool
        The frame does not name its predecessor.
    conflicts : tuple of int
        Rows (numbered over the frame) of events whose key is known with other content.
    """

    lsn: int
    duplicate: bool
    missing_frames: int
    chain_broken: bool
    conflicts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Figures for health and metrics.

    Attributes
    ----------
    streams, segments : int
    segment_bytes, segment_rows : int
    head_rows, head_bytes : int
        In the front head and one being flushed.
    pending_frames : int
        In the log, not applied yet.
    wal_bytes, wal_pending_bytes : int
    wal_syncs : int
        Since the store was opened; each may bring many frames to stable storage.
    applied_lsn, durable_lsn, checkpoint_lsn : int
    generation : int
        Of the manifest.
    findings : int
        Pieces of damage found.
    free_bytes : int
    flushed_bytes, compacted_bytes : int
        Written into segments since the store was opened.
    compaction_jobs : int
        Done since then.
    segments_left_alone : int
        Damaged ones that no compaction touches.
    """

    streams: int
    segments: int
    segment_bytes: int
    segment_rows: int
    head_rows: int
    head_bytes: int
    pending_frames: int
    wal_bytes: int
    wal_pending_bytes: int
    wal_syncs: int
    applied_lsn: int
    durable_lsn: int
    checkpoint_lsn: int
    generation: int
    findings: int
    free_bytes: int
    flushed_bytes: int
    compacted_bytes: int
    compaction_jobs: int
    segments_left_alone: int


@dataclass(frozen=True, slots=True)
class LatestSamples:
    """Newest sample per series asked for; ``present`` is False where a series holds none.

    The same fields as ``query.ports.LatestColumns``, which this floor may not import.

    Attributes
    ----------
    present : bool, shape (n,)
    timestamp_ns : int64, shape (n,)
    quality : uint32, shape (n,)
    value : list
        Python values, None where null or not present.
    """

    present: npt.NDArray[np.bool_]
    timestamp_ns: npt.NDArray[np.int64]
    quality: UInt32Array
    value: list[object]
