"""Answers about several tags: a table each in JSON, one long table in the other forms."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from fastapi import Request
from starlette.responses import Response

from api.errors import ApiError
from api.forms import FORMS, form_of
from api.security import historian_of
from api.serialize import json_response, rows_json, table_json, table_response
from api.table import Table, TimeForm
from storage_engine.sample import ColumnData, ValueType

_R = TypeVar("_R")
_NUMBERS = {ValueType.FLOAT32, ValueType.BOOL, ValueType.INT64, ValueType.UINT64}


def answer_many(
    request: Request,
    names: Sequence[str],
    ask: Callable[[str], _R],
    table: Callable[[_R], Table],
    times_as: TimeForm,
    *,
    size: Callable[[_R], int] = len,  # type: ignore[assignment] # answers have a length
) -> Response:
    """Ask for many tags and answer their tables; see ``query.engine.Query.many``."""
    found = historian_of(request).query.many(names, ask, size)
    return tables_response(request, [table(result) for result in found], {}, times_as)


def tables_response(
    request: Request, tables: Sequence[Table], facts: dict[str, Any], times_as: TimeForm
) -> Response:
    """Answer tables of the same columns, each with a fact ``tag``.

    Parameters
    ----------
    request : Request
        Says which form is accepted.
    tables : sequence of Table
        One per tag, in the order asked for.
    facts : dict
        What holds for all.
    times_as : str
        How JSON and CSV write times.

    Returns
    -------
    Response
        JSON: ``tags``, a list of tables. Other forms: one table, the tags one behind the other,
        named by a column ``tag``; in Arrow the facts of each are a list in the metadata.
    """
    form = form_of(request)
    if form == "json":
        return json_response({**facts, "tags": [table_json(table, times_as) for table in tables]})
    if form == "rows":
        each = [rows_json(table, times_as) for table in tables]
        return json_response({**facts, "tags": each}, media=FORMS[form])
    told = {**facts, "tags": [dict(table.facts) for table in tables]}
    return table_response(replace(stacked(tables), facts=told), form, times_as)


def stacked(tables: Sequence[Table], *, as_doubles: bool = False) -> Table:
    """Tables of several tags as one, one behind the other, with a column ``tag`` in front.

    Parameters
    ----------
    tables : sequence of Table
        Of the same columns, each with a fact ``tag``.
    as_doubles : bool
        Numbers become doubles, also where they are of one type.
    """
    sizes = [len(table) for table in tables]
    names = np.array([table.facts["tag"] for table in tables], np.object_)
    columns: dict[str, Any] = {}
    for name in tables[0].columns:
        columns[name] = _stacked([table.columns[name] for table in tables], as_doubles=as_doubles)
    times = {
        name: np.concatenate([table.times[name] for table in tables]) for name in tables[0].times
    }
    heads = {"tag": ColumnData(ValueType.SYMBOL, np.repeat(names, sizes))}
    damage = [one for table in tables for one in table.facts.get("damage", ())]
    return Table({"damage": damage}, times, columns, heads)


def _stacked(parts: list[Any], *, as_doubles: bool) -> Any:
    """Columns one behind the other; numbers of several types as doubles."""
    if not isinstance(parts[0], ColumnData):
        return np.concatenate(parts)
    filled = [part for part in parts if len(part)] or parts[:1]
    types = {part.type for part in filled}
    valid = np.concatenate(
        [np.ones(len(p), np.bool_) if p.valid is None else p.valid for p in filled]
    )
    values = np.concatenate([part.value for part in filled])
    if len(types) == 1 and not (as_doubles and types <= _NUMBERS):
        return ColumnData(types.pop(), values, valid)
    if types <= _NUMBERS | {ValueType.FLOAT64}:
        return ColumnData(ValueType.FLOAT64, values.astype(np.float64), valid)
    raise ApiError(
        400,
        "invalid_request",
        "cannot answer as one table",
        got="tags of numbers and tags of text",
        want="one kind of tags, or JSON",
        where="tag",
    )
