"""Lines to sources as JSON: what a reader needs to tell unchanged from not collected."""

from typing import Any

from fastapi import Request

from api.security import historian_of
from api.table import TimeForm
from api.times import time_json
from historian.sources import SourceStatus


def collected_facts(
    request: Request, tag: str, window_ns: tuple[int, int], form: TimeForm
) -> dict[str, Any]:
    """What an answer says of times in its window at which the tag's source was not collected."""
    historian = historian_of(request)
    found = historian.catalog.find(tag)
    source = found.source if found is not None else ""
    start_ns, end_ns = min(window_ns), max(window_ns)
    coverage = historian.sources.coverage(source, start_ns, end_ns) if source else None
    status = historian.sources.find(source) if source else None
    holes = () if coverage is None else coverage.holes
    return {
        "collected_until": _time(None if status is None else status.collected_until_ns, form),
        "not_collected": [
            {
                "start": time_json(hole.start_ns, form),
                "end": time_json(hole.end_ns, form),
                "link": hole.link,
                "detail": hole.detail,
            }
            for hole in holes
        ],
        "not_collected_known_from": _time(
            None if coverage is None else coverage.known_from_ns, form
        ),
    }


def source_json(status: SourceStatus, form: TimeForm) -> dict[str, Any]:
    """One source as it stands now."""
    lag_ns = None
    if status.beat_ns is not None and status.last_timestamp_ns is not None:
        lag_ns = status.beat_ns - status.last_timestamp_ns
    return {
        "source": status.source,
        "collector": status.collector,
        "state": status.state,
        "link": status.link,
        "detail": status.detail,
        "since": _time(status.collected_until_ns if status.silent else status.since_ns, form),
        "collected": status.collected,
        "collected_until": _time(status.collected_until_ns, form),
        "heartbeat": _time(status.beat_ns, form),
        "heard": _time(status.heard_ns, form),
        "interval_s": status.interval_s,
        "newest": _time(status.last_timestamp_ns, form),
        "lag_s": None if lag_ns is None else lag_ns / 1e9,
        "clock_offset_s": None if status.clock_offset_ns is None else status.clock_offset_ns / 1e9,
        "numbers": status.numbers,
    }


def _time(time_ns: int | None, form: TimeForm) -> Any:
    return None if time_ns is None else time_json(time_ns, form)
