"""Retention as JSON: classes, holds, reports."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request

from api.security import historian_of
from api.table import TimeForm
from api.times import time_json
from historian.catalog_retention import Hold
from historian.durations import duration_text
from historian.retention_rules import RetentionClass


def complete_facts(
    request: Request, tag: str, window_ns: tuple[int, int], form: TimeForm
) -> dict[str, Any]:
    """What an answer says of rows that went by rule: null when none of the window can have."""
    horizon_ns = historian_of(request).retention.complete_from(tag, min(window_ns))
    return {"complete_from": _time(horizon_ns, form)}


def class_json(
    c: RetentionClass, members: Mapping[str, int], horizon_ns: int | None, form: TimeForm
) -> dict[str, Any]:
    """One class with what belongs to it; ``complete_from`` is null while nothing has gone."""
    return {
        "name": c.name,
        "age": None if c.age_ns is None else duration_text(c.age_ns),
        "bytes_max": c.bytes_max,
        "description": c.description,
        "summary_interval": None if c.summary_ns is None else duration_text(c.summary_ns),
        "summary_age": None if c.summary_age_ns is None else duration_text(c.summary_age_ns),
        "tags": members["tags"],
        "event_kinds": members["events"],
        "complete_from": _time(horizon_ns, form),
    }


def hold_json(hold: Hold, now_ns: int, form: TimeForm) -> dict[str, Any]:
    """One hold with its windows."""
    return {
        "id": hold.id,
        "unit": hold.unit or None,
        "product": hold.product or None,
        "tags": list(hold.tags),
        "windows": [
            {"station": station or None, "start": _time(start, form), "end": _time(end, form)}
            for station, start, end in hold.windows
        ],
        "reason": hold.reason,
        "principal": hold.principal,
        "created": _time(hold.created_ns, form),
        "until": _time(hold.until_ns, form),
        "released": _time(hold.released_ns, form),
        "active": hold.active(now_ns),
    }


def report_json(report: Mapping[str, Any], form: TimeForm) -> dict[str, Any]:
    """Report of a run, or of one that was only planned."""
    return {
        "time": _time(report["now_ns"], form),
        "principal": report.get("principal"),
        "dry_run": report["dry_run"],
        "forced": report["forced"],
        "rows": report["rows"],
        "bytes": report["size"],
        "summary_rows": report.get("summary_rows", 0),
        "classes": [
            {
                "class": c["retention_class"],
                "rows": c["rows"],
                "bytes": c["size"],
                "rows_before": c["rows_before"],
                "bytes_before": c["size_before"],
                "pinned_rows": c["pinned_rows"],
                "summary_rows": c.get("summary_rows", 0),
                "oldest_before": _time(c["oldest_before_ns"], form),
                "oldest_after": _time(c["oldest_after_ns"], form),
                "complete_from": _time(c["horizon_ns"], form),
            }
            for c in report["classes"]
        ],
        "held": [
            {
                "class": h["retention_class"],
                "rows": h["rows"],
                "bytes": h["size"],
                "first": _time(h["first"], form),
                "last": _time(h["last"], form),
                "why": h["why"],
            }
            for h in report["held"]
        ],
        "dropped": list(report["dropped"]),
        "rewritten": list(report["rewritten"]),
        "damaged": list(report["damaged"]),
        "clock_jump_s": report.get("clock_jump_s"),
    }


def _time(time_ns: int | None, form: TimeForm) -> Any:
    return None if time_ns is None else time_json(time_ns, form)
