"""Records of the plant's floor to JSON: field by field, times as the caller wants them."""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

from api.serialize import plain_json
from api.table import TimeForm
from api.times import time_json
from historian.genealogy.records import Unit, WhereUsed

TIME_SUFFIX = "_ns"


def record_json(record: Any, form: TimeForm) -> Any:
    """Turn dataclasses, mappings and sequences of them into plain JSON values.

    Parameters
    ----------
    record : object
        Dataclass, mapping, sequence, enum or scalar. A field or key ``x_ns`` holds nanoseconds
        UTC; it becomes the text ``x``.
    form : str
        ``ns`` or ``iso``.

    Returns
    -------
    object
    """
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        fields = dataclasses.fields(record)
        return _mapping({f.name: getattr(record, f.name) for f in fields}, form)
    if isinstance(record, Mapping):
        return _mapping(record, form)
    if isinstance(record, (list, tuple)):
        return [record_json(item, form) for item in record]
    return record.value if isinstance(record, enum.Enum) else plain_json(record)


def _mapping(values: Mapping[str, Any], form: TimeForm) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, value in values.items():
        if name.endswith(TIME_SUFFIX) and isinstance(value, int):
            told[name.removesuffix(TIME_SUFFIX)] = time_json(value, form)
        elif name.endswith(TIME_SUFFIX) and value is None:
            told[name.removesuffix(TIME_SUFFIX)] = None
        else:
            told[name] = record_json(value, form)
    return told


def unit_json(unit: Unit, form: TimeForm) -> dict[str, Any]:
    """Turn a unit into plain JSON values, its serial under ``unit`` as in events."""
    told: dict[str, Any] = record_json(unit, form)
    key = told.pop("key")
    return {"unit": key["serial"], "product": key["product"], **told}


def where_used_json(found: WhereUsed, form: TimeForm) -> dict[str, Any]:
    """Turn the way of a lot into plain JSON values, one flat entry per use."""
    told: dict[str, Any] = record_json(found, form)
    told["units"] = [
        {"unit": u["key"]["serial"], "product": u["key"]["product"], "kind": u["kind"], **u["use"]}
        for u in told.pop("uses")
    ]
    return told
