"""Tags as JSON: what a person declares, and what the catalog answers."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from api.errors import ApiError
from api.payload import a_list, known_keys, refuse
from api.times import time_json
from historian.catalog_changes import TagChange
from historian.catalog_csv_import import ImportReport, RowPlan
from historian.catalog_known import KnownTags
from historian.catalog_records import TagDraft, TagRecord
from historian.durations import WANT, duration_text, optional_ns
from query.eng_units import is_known
from storage_engine.sample import ValueType

TYPES = {t.name.lower(): t for t in ValueType if t not in (ValueType.TEXT, ValueType.BYTES)}
TEXTS = ("name", "source", "address", "eng_unit", "description", "asset", "state_set")
DURATIONS = ("hold_max", "stale_after")
NUMBERS = ("counter_modulus", "limit_low", "limit_high", "counter_rate_max")
SWITCHES = ("stepped", "counter_resets")
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
    "counter_resets",
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
    type_ = _type(document.get("type", "float64"))
    given = {key: value for key, value in document.items() if key != "type"}
    return TagDraft(type=type_, **fields_of(given))


def type_of(document: Mapping[str, Any]) -> ValueType:
    """Read a change of type, which is a change of nothing else.

    Raises
    ------
    ApiError
        ``invalid_body`` (400).
    """
    others = sorted(set(document) - {"type"})
    if others:
        raise refuse("cannot change type", others[0], "type and nothing else", "body")
    return _type(document["type"])


def _type(word: object) -> ValueType:
    type_ = TYPES.get(str(word))
    if type_ is None:
        raise refuse(_CANNOT, word, ", ".join(TYPES), "type")
    return type_


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
        elif key in SWITCHES:
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


def changes_of(document: Mapping[str, Any], catalog: KnownTags) -> list[TagChange]:
    """Read the changes of many tags.

    Parameters
    ----------
    document : mapping
        ``changes``: objects with ``tag`` (a name) or ``uuid``, and what is to change.
    catalog : KnownTags

    Raises
    ------
    ApiError
        ``invalid_body`` (400), ``unknown_tag`` (404).
    """
    listed = a_list(document.get("changes"), "changes")
    found = []
    for position, one in enumerate(listed):
        where = f"changes[{position}]"
        known_keys(one, frozenset(("tag", "uuid", *FIELDS)), where)
        if ("tag" in one) == ("uuid" in one):
            raise refuse("cannot change tags", sorted(one), "tag or uuid", where)
        key = "tag" if "tag" in one else "uuid"
        text = one[key]
        if not isinstance(text, str):
            raise refuse("cannot change tags", type(text).__name__, "text", f"{where}.{key}")
        tag = catalog.find(text) if key == "tag" else catalog.find_uuid(text)
        if tag is None:
            raise ApiError(
                404, "unknown_tag", "cannot change tags", got=text[:64], want="a tag that exists",
                where=f"{where}.{key}",
            )  # fmt: skip
        given = {name: value for name, value in one.items() if name not in {"tag", "uuid"}}
        found.append(change_of(tag, given))
    return found


def change_of(tag: TagRecord, document: Mapping[str, Any]) -> TagChange:
    """Read what is to change of a tag.

    Raises
    ------
    ApiError
        ``invalid_body`` (400), also for what no call changes: type, source and address.
    """
    fixed = sorted(set(document) & {"type", "source", "address"})
    if fixed:
        want = ", ".join(f for f in FIELDS if f not in {"type", "source", "address"})
        raise refuse("cannot change tag: unknown key", fixed[0], want, "body")
    fields = fields_of(document)
    if fields.get("stepped", True) is None:
        raise refuse("cannot change tag", None, "true or false", "stepped")
    return TagChange(tag, fields)


def report_json(report: ImportReport, *, dry_run: bool) -> dict[str, Any]:
    """Tell what became of the rows of an import, or would have."""
    kinds = ("created", "changed", "unchanged", "refused")
    return {
        "dry_run": dry_run,
        "applied": report.applied,
        **{kind: report.counts.get(kind, 0) for kind in kinds},
        "rows": [_row_json(row) for row in report.rows],
    }


def _row_json(row: RowPlan) -> dict[str, Any]:
    told: dict[str, Any] = {"line": row.line, "name": row.name, "status": row.status}
    if row.refusal is not None:
        refusal = row.refusal
        told |= {"column": refusal.column or None, "got": refusal.got, "want": refusal.want}
    changes = row.differences()
    entered = row.draft if row.status == "created" else row.after
    if entered is not None and row.status in {"created", "changed"}:
        warnings = _warnings(entered.eng_unit)
        told |= {"warnings": warnings} if warnings else {}
    if changes:
        told["changes"] = {
            key.removesuffix("_ns"): {"before": _told(key, old), "after": _told(key, new)}
            for key, (old, new) in changes.items()
        }
    return told


def _told(field: str, value: Any) -> Any:
    return duration_text(value) if field.endswith("_ns") and value is not None else value


def names_json(catalog: KnownTags, tag: TagRecord) -> list[dict[str, Any]]:
    """Names of a tag with the times they were borne, oldest first; the last is the present one."""
    return [
        {
            "name": one.name,
            "from": time_json(one.from_ns, "iso"),
            "to": None if one.to_ns is None else time_json(one.to_ns, "iso"),
        }
        for one in catalog.names.periods(tag)
    ]


def joins_json(catalog: KnownTags, tag: TagRecord) -> dict[str, Any]:
    """Tell which tag one goes on with, and which goes on with it; null where there is none."""
    told: dict[str, Any] = {"continues": None, "continued_by": None}
    before, behind = catalog.joins.before(tag.id), catalog.joins.behind(tag.id)
    if before is not None:
        other = catalog.find_id(before.former).name
        told["continues"] = {"tag": other, "from": time_json(before.from_ns, "iso")}
    if behind is not None:
        other = catalog.find_id(behind.tag).name
        told["continued_by"] = {"tag": other, "from": time_json(behind.from_ns, "iso")}
    return told


def tag_json(tag: TagRecord) -> dict[str, Any]:
    """Tell a tag."""
    facts: dict[str, Any] = tag.facts()
    for key in DURATIONS:
        length = facts.pop(f"{key}_ns")
        facts[key] = None if length is None else duration_text(length)
    return {
        **{field: facts[field] for field in FIELDS},
        "uuid": str(UUID(bytes=tag.uuid)),
        "origin": tag.origin,
        "created": time_json(tag.created_ns, "iso"),
        "series": [s.type.name.lower() for s in tag.series],
        "warnings": _warnings(tag.eng_unit),
    }


def _warnings(eng_unit: str) -> list[dict[str, str]]:
    """What is kept as it is and may not be meant: a unit that no read can convert."""
    if not eng_unit.strip() or is_known(eng_unit):
        return []
    want = "a unit of measure that is known; values are kept, and cannot be converted"
    return [{"where": "eng_unit", "got": eng_unit, "want": want}]
