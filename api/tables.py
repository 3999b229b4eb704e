"""Answers about several tags: a table each in JSON, one long table in Arrow and CSV."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from fastapi import Request
from starlette.responses import Response

from api.errors import ApiError
from api.forms import form_of
from api.security import historian_of
from api.serialize import (
    Table,
    TimeForm,
    json_response,
    table_json,
    table_response,
)
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
        JSON: ``tags``, a list of tables. Arrow, CSV: one table, the tags one behind the other,
        named by a column ``tag``; in Arrow the facts of each are a list in the metadata.
    """
    form = form_of(request)
    if form == "json":
        return json_response({**facts, "tags": [table_json(table, times_as) for table in tables]})
    sizes = [len(next(iter(table.times.values()))) for table in tables]
    names = np.array([table.facts["tag"] for table in tables], np.object_)
    columns: dict[str, Any] = {"tag": ColumnData(ValueType.SYMBOL, np.repeat(names, sizes))}
    for name in tables[0].columns:
        columns[name] = _stacked([table.columns[name] for table in tables])
    times = {
        name: np.concatenate([table.times[name] for table in tables]) for name in tables[0].times
    }
    told = {**facts, "tags": [dict(table.facts) for table in tables]}
    return table_response(Table(told, times, columns), form, times_as)


def _stacked(parts: list[Any]) -> Any:
    """Columns one behind the other; numbers of several types as doubles."""
    if not isinstance(parts[0], ColumnData):
        return np.concatenate(parts)
    filled = [part for part in parts if len(part)] or parts[:1]
    types = {part.type for part in filled}
    valid = np.concatenate(
        [np.ones(len(p), np.bool_) if p.valid is None else p.valid for p in filled]
    )
    values = np.concatenate([part.value for part in filled])
    if len(types) == 1:
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
