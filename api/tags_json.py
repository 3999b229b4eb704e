"""Tags as JSON: what a person declares, and what the catalog answers."""

from collections.abc import Mapping
from typing import Any

from api.payload import refuse
from api.times import time_json
from historian.catalog_records import TagDraft, TagRecord
from historian.durations import WANT, duration_text, optional_ns
from storage_engine.sample import ValueType

TYPES = {t.name.lower(): t for t in ValueType if t not in (ValueType.TEXT, ValueType.BYTES)}
TEXTS = ("name", "source", "address", "eng_unit", "description", "asset", "state_set")
DURATIONS = ("hold_max", "stale_after")
NUMBERS = ("counter_modulus", "limit_low", "limit_high")
FIELDS = (
    "name",
    "type",
    "source",
    "address",
    "stepped",
    "eng_unit",
    "description",
    "asset",
    "state_set",
    *DURATIONS,
    *NUMBERS,
)
_CANNOT = "cannot declare tag"


def draft_of(document: Mapping[str, Any]) -> TagDraft:
    """Read the declaration of a tag.

    Parameters
    ----------
    document : mapping
        No keys but ``FIELDS``.

    Raises
    ------
    ApiError
        ``invalid_body`` (400).
    """
    if "name" not in document:
        raise refuse(_CANNOT, "no name", "a name", "name")
    type_ = TYPES.get(str(document.get("type", "float64")))
    if type_ is None:
        raise refuse(_CANNOT, "another type", ", ".join(TYPES), "type")
    given = {key: value for key, value in document.items() if key != "type"}
    return TagDraft(type=type_, **fields_of(given))


def fields_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the catalog by what a body names; everything but the type.

    Raises
    ------
    ApiError
        ``invalid_body`` (400).
    """
    fields: dict[str, Any] = {}
    for key, value in document.items():
        if key in DURATIONS:
            fields[f"{key}_ns"] = _duration(value, key)
        elif key in NUMBERS:
            if value is not None and type(value) not in {int, float}:
                raise refuse(_CANNOT, value, "a number or null", key)
            fields[key] = None if value is None else _float(value, key)
        elif key == "stepped":
            if value is not None and not isinstance(value, bool):
                raise refuse(_CANNOT, value, "true, false or null", key)
            fields[key] = value
        elif not isinstance(value, str):
            raise refuse(_CANNOT, type(value).__name__, "text", key)
        else:
            fields[key] = value
    return fields


def _float(value: float, key: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise refuse(_CANNOT, value, "a number that a double holds", key) from None


def _duration(value: object, key: str) -> int | None:
    if value is None:
        return None
    try:
        if not isinstance(value, str):
            raise ValueError
        return optional_ns(value)
    except ValueError:
        raise refuse(_CANNOT, value, f"{WANT}, or null", key) from None


def tag_json(tag: TagRecord) -> dict[str, Any]:
    """Tell a tag."""
    facts: dict[str, Any] = tag.facts()
    for key in DURATIONS:
        length = facts.pop(f"{key}_ns")
        facts[key] = None if length is None else duration_text(length)
    return {
        **{field: facts[field] for field in FIELDS},
        "origin": tag.origin,
        "created": time_json(tag.created_ns, "iso"),
        "series": [s.type.name.lower() for s in tag.series],
    }
