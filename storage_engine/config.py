"""Limits and sizes of the engine, each with its unit in its name."""

from dataclasses import dataclass

from storage_engine.errors import InvalidArgument

MEBIBYTE = 1 << 20

# Producers whose slot bindings are remembered; those that sent longest ago go first.
BOUND_PRODUCERS_MAX = 4096
_MAY_BE_ZERO = {
    "free_bytes_min",
    "flush_age_s",
    "record_time_step_ms",
    "cold_age_days",
    "read_threads",
}


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Limits of one store.

    Attributes
    ----------
    head_bytes_max : int
        Rows in memory that are not in segments yet. While a full head is being flushed a second
        one takes what arrives, so memory for heads is at most twice this.
    head_rows_per_stream : int
        With many streams a head takes so many rows of each before it is full: a segment with a
        few rows per stream costs as much for its directory as for its rows.
    head_bytes_most : int
        Bound of what that makes of ``head_bytes_max``. The log may be longer by as much.
    open_heads_max : int
        Full heads of ``head_bytes_max`` that opening a store leaves in memory for the first flush,
        so that it is open soon; a log with more rows is flushed while it is read.
    wal_file_bytes : int
        Size of one log file.
    wal_bytes_max : int
        A log above this triggers a flush, so that recovery stays short.
    wal_pending_bytes_max : int
        Bytes appended but not durable yet; above it appends are refused.
    flush_age_s : int
        A head is flushed when its oldest row is this old.
    block_rows : int
        Rows of a block at most.
    free_bytes_min : int
        Free space below which appends are refused before anything is written.
    one_shot_producers_max : int
        Producers of a single frame (idempotency keys) remembered, newest first.
    block_cache_bytes : int
        Decoded blocks kept for reads.
    packed_cache_bytes : int
        Packed blocks kept for reads into arrays and for folds.
    read_threads : int
        Threads that one fold of many series is spread over; 0 for one per core.
    directory_cache_bytes : int
        Segment directories kept for reads.
    open_files_max : int
        Segment files kept open.
    record_time_step_ms : int
        Resolution of the table lsn -> record time.
    record_times_max : int
        Entries of that table; above it the older half is thinned by two.
    streams_max : int
        Streams of the store.
    tombstones_max : int
        Deleted and erased ranges remembered; above it deletions are refused.
    findings_max : int
        Findings of damage kept; further ones are counted.
    segment_bytes_max : int
        A segment written by a compaction ends about here.
    compaction_fan_in : int
        Segments of about one size that are merged into one.
    compaction_job_bytes_max : int
        Bytes that one compaction job reads; smaller jobs, shorter waits for other upkeep.
    cold_age_days : int
        Segments whose newest row is older are written anew once, in blocks of twice
        ``block_rows`` and as small as it gets.
    """

    head_bytes_max: int = 64 * MEBIBYTE
    head_rows_per_stream: int = 16
    head_bytes_most: int = 512 * MEBIBYTE
    open_heads_max: int = 8
    wal_file_bytes: int = 64 * MEBIBYTE
    wal_bytes_max: int = 256 * MEBIBYTE
    wal_pending_bytes_max: int = 32 * MEBIBYTE
    flush_age_s: int = 3600
    block_rows: int = 8192
    free_bytes_min: int = 512 * MEBIBYTE
    one_shot_producers_max: int = 65_536
    block_cache_bytes: int = 24 * MEBIBYTE
    packed_cache_bytes: int = 128 * MEBIBYTE
    read_threads: int = 0
    directory_cache_bytes: int = 24 * MEBIBYTE
    open_files_max: int = 128
    record_time_step_ms: int = 100
    record_times_max: int = 262_144
    streams_max: int = 4_000_000
    tombstones_max: int = 65_536
    findings_max: int = 1000
    segment_bytes_max: int = 256 * MEBIBYTE
    compaction_fan_in: int = 4
    compaction_job_bytes_max: int = 512 * MEBIBYTE
    cold_age_days: int = 30

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            lowest = 0 if name in _MAY_BE_ZERO else 1
            if not isinstance(value, int) or value < lowest:
                raise InvalidArgument(
                    f"cannot take engine setting {name}: got {value!r}, want int >= {lowest}",
                    setting=name,
                    got=value,
                )
        if self.compaction_fan_in < 2:
            raise InvalidArgument(
                f"cannot take engine setting compaction_fan_in: got {self.compaction_fan_in}, "
                f"want >= 2",
                setting="compaction_fan_in",
                got=self.compaction_fan_in,
            )
        if self.block_rows > 1 << 20:
            raise InvalidArgument(
                f"cannot take engine setting block_rows: got {self.block_rows}, want <= 1048576",
                setting="block_rows",
                got=self.block_rows,
            )
