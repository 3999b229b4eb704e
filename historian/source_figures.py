"""What collectors tell in their heartbeats, as figures for the metrics."""

from collections.abc import Sequence

from historian.metrics import Figure
from historian.sources import SourceStatus

# Fact of the heartbeat: name of the figure, its text, whether it only rises.
_OF_SOURCE = {
    "received": ("source_received", "Values that a source gave to its collector.", True),
    "rejected": ("source_rejected", "Values of a source that could not be mapped.", True),
    "thinned": ("source_thinned", "Values that thinning left out at the collector.", True),
    "reconnects": ("source_reconnects", "Lines to a source that were made again.", True),
    "gaps": ("source_gaps", "Named losses at a source.", True),
}
_OF_COLLECTOR = {
    "waiting_rows": ("collector_waiting_rows", "Rows that wait to be spooled.", False),
    "waiting_bytes": ("collector_waiting_bytes", "Bytes that wait to be spooled.", False),
    "spool_bytes": ("collector_spool_bytes", "Bytes of frames on the spool's disk.", False),
    "spool_bytes_max": ("collector_spool_bytes_max", "Bytes the spool may take.", False),
    "unsent_bytes": ("collector_unsent_bytes", "Bytes of the spool not at the server.", False),
    "refused_parts": ("collector_refused_parts", "Batches a full spool refused.", True),
    "dropped_frames": ("collector_dropped_frames", "Frames a full spool dropped.", True),
    "damaged_bytes": ("collector_damaged_bytes", "Bytes of the spool set aside as damaged.", False),
    "set_aside_frames": ("collector_set_aside_frames", "Frames the server never takes.", True),
}


def figures(sources: Sequence[SourceStatus], now_ns: int) -> list[Figure]:
    """Figures of all sources, and of their collectors, as the last heartbeat of each told them.

    Parameters
    ----------
    sources : sequence of SourceStatus
    now_ns : int
        The server's clock.
    """
    collected = Figure("source_collected", "1 while a source is collected.", "source")
    age = Figure("source_heartbeat_age_seconds", "Since the last heartbeat came.", "source")
    until = Figure(
        "source_collected_until_seconds", "Unix time up to which a source is collected.", "source"
    )
    lag = Figure(
        "source_put_lag_seconds", "Collector's time minus newest source time, at a beat.", "source"
    )
    offset = Figure(
        "source_clock_offset_seconds", "Clock of a source minus the collector's.", "source"
    )
    made = [collected, age, until, lag, offset]
    counters = {key: _figure(*one, label="source") for key, one in _OF_SOURCE.items()}
    depths = {key: _figure(*one, label="collector") for key, one in _OF_COLLECTOR.items()}
    newest: dict[str, int] = {}
    for status in sources:
        collected.rows[status.source] = float(status.collected)
        if status.collected_until_ns is not None:
            until.rows[status.source] = status.collected_until_ns / 1e9
        if status.clock_offset_ns is not None:
            offset.rows[status.source] = status.clock_offset_ns / 1e9
        if status.heard_ns is None:
            continue
        age.rows[status.source] = (now_ns - status.heard_ns) / 1e9
        if status.last_timestamp_ns is not None and status.beat_ns is not None:
            lag.rows[status.source] = (status.beat_ns - status.last_timestamp_ns) / 1e9
        for key, figure in counters.items():
            figure.rows[status.source] = status.numbers.get(key, 0.0)
        if status.heard_ns < newest.get(status.collector, 0):
            continue  # its neighbours were heard later
        newest[status.collector] = status.heard_ns
        for key, figure in depths.items():
            figure.rows[status.collector] = status.numbers.get(key, 0.0)
    return [*made, *counters.values(), *depths.values()]


def _figure(name: str, text: str, counts: bool, *, label: str) -> Figure:
    return Figure(name, text, label, counts)
