"""Answers in the unit of measure that was asked for, instead of the tag's own."""

from dataclasses import replace
from typing import TypeVar

import numpy as np

from query.aggregates.integrals import integral_of, per_second
from query.aggregates.measure import Measure
from query.aggregates.naming import aggregate_named
from query.columns import NUMERIC, as_doubles
from query.eng_units import Conversion, conversion, squared_unit
from query.errors import BadRequest
from query.joins.request import JoinTag
from query.joins.windows import JoinedWindows
from query.ports import Tag
from query.result import (
    AggregateColumn,
    AggregateResult,
    AsOfResult,
    LatestResult,
    MomentsColumn,
    PlotResult,
    RawResult,
)
from storage_engine.sample import ColumnData, ValueType

_S = TypeVar("_S", RawResult, PlotResult)
_DOUBLE = ValueType.FLOAT64
# What a zero that moves has no answer for: the time that it moved by is not in the result.
_WANT_ONE_ZERO = {Measure.VALUE_TIME, Measure.INTEGRAL}


def conversion_of(tag: Tag, eng_unit: str | None) -> Conversion | None:
    """How values of a tag are converted; None where nothing is to do.

    Raises
    ------
    BadRequest
        For a tag that is no number, and see ``query.eng_units.conversion``.
    """
    if eng_unit is None:
        return None
    if tag.type not in NUMERIC or tag.type is ValueType.BOOL:
        got, where = f"a {tag.type.name.lower()} tag", f"tag {tag.name!r}"
        raise BadRequest("convert units", got=got, want="a tag of numbers", where=where)
    found = conversion(tag.eng_unit, eng_unit, tag.name)
    return None if found.same and tag.eng_unit == eng_unit else found


def tag_in(tag: Tag, eng_unit: str | None) -> Tag:
    """Tell a tag as answers in a unit tell it; raises as :func:`conversion_of`."""
    into = conversion_of(tag, eng_unit)
    return tag if into is None else _tag(tag, into)


def check_aggregates(tag: Tag, names: tuple[str, ...], eng_unit: str | None) -> None:
    """Refuse aggregates that cannot be told in a unit.

    Raises
    ------
    BadRequest
        For an integral over time where the zero of the one unit is not that of the other.
    """
    into = conversion_of(tag, eng_unit)
    if into is None or not into.affine:
        return
    for name in names:
        if aggregate_named(name).measure in _WANT_ONE_ZERO:
            got = f"{name} of {tag.eng_unit!r} as {eng_unit!r}, which have different zeros"
            want = "units of one zero, or an average"
            raise BadRequest("convert units", got=got, want=want, where="eng_unit")


def samples_in(result: _S, eng_unit: str | None) -> _S:
    """Convert samples of a raw read or of a drawing; what is no number in them is null."""
    into = conversion_of(result.tag, eng_unit)
    if into is None:
        return result
    columns = replace(result.columns, value=_values(result.columns.value, into))
    return replace(result, tag=_tag(result.tag, into), columns=columns)


def moments_in(column: MomentsColumn, eng_unit: str | None) -> MomentsColumn:
    """Convert values at times."""
    into = conversion_of(column.tag, eng_unit)
    if into is None:
        return column
    value = _values(ColumnData(column.type, column.value, column.valid), into)
    valid = column.valid if value.valid is None else value.valid
    tag = _tag(column.tag, into)
    return replace(column, tag=tag, type=_DOUBLE, value=value.value, valid=valid)


def latest_in(result: LatestResult, eng_unit: str | None) -> LatestResult:
    """Convert newest samples of several tags."""
    if eng_unit is None:
        return result
    tags, values = [], []
    for tag, value in zip(result.tags, result.value, strict=True):
        into = conversion_of(tag, eng_unit)
        tags.append(tag if into is None else _tag(tag, into))
        if into is not None:
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            value = float(into.values(np.array([value]))[0]) if number else None  # noqa: PLW2901
        values.append(value)
    return replace(result, tags=tuple(tags), value=values)


def aggregates_in(result: AggregateResult, eng_unit: str | None) -> AggregateResult:
    """Convert aggregates, each as what it is: a value, a difference, a square, a rate or none."""
    into = conversion_of(result.tag, eng_unit)
    if into is None:
        return result
    columns = {
        name: _aggregate(column, aggregate_named(name).measure, into, result.tag.eng_unit)
        for name, column in result.columns.items()
    }
    return replace(result, tag=_tag(result.tag, into), columns=columns)


def as_of_in(found: AsOfResult, tag: Tag, eng_unit: str | None) -> tuple[Tag, AsOfResult]:
    """Convert samples that belong to times."""
    into = conversion_of(tag, eng_unit)
    if into is None:
        return tag, found
    columns = replace(found.columns, value=_values(found.columns.value, into))
    return _tag(tag, into), replace(found, columns=columns)


def windows_in(found: JoinedWindows, tag: Tag, eng_unit: str | None) -> tuple[Tag, JoinedWindows]:
    """Convert what a tag did during windows.

    An integral takes its offset over the time that is covered.
    """
    into = conversion_of(tag, eng_unit)
    if into is None:
        return tag, found
    moved = float(into.offset) * (found.covered_ns * 1e-9)
    return _tag(tag, into), replace(
        found,
        first=into.values(found.first),
        last=into.values(found.last),
        minimum=into.values(found.minimum),
        maximum=into.values(found.maximum),
        held=into.values(found.held),
        mean=into.values(found.mean),
        deviation=into.differences(found.deviation),
        integral=into.differences(found.integral) + moved,
    )


def band_in(asked: JoinTag, tag: Tag) -> JoinTag:
    """Give a tag of a join with its band in the unit that the tag has."""
    into = conversion_of(tag, asked.eng_unit)
    if into is None:
        return asked
    return replace(asked, low=into.back(asked.low), high=into.back(asked.high))


def _aggregate(
    column: AggregateColumn, measure: Measure, into: Conversion, have: str
) -> AggregateColumn:
    if measure is Measure.OTHER:
        return column
    unit = column.eng_unit
    if measure is Measure.VALUE:
        data = _values(ColumnData(column.type, column.value, column.valid), into)
        valid = column.valid if data.valid is None else data.valid
        return replace(column, type=_DOUBLE, value=data.value, valid=valid)
    if measure is Measure.SQUARE:
        value, unit = into.squares(column.value), squared_unit(into.unit)
    else:
        value = into.differences(column.value)
    if measure is Measure.VALUE_TIME:
        unit = f"{into.unit}·s"
    elif measure is Measure.RATE:
        unit = per_second(into.unit)
    elif measure is Measure.INTEGRAL:
        made = integral_of(into.unit)
        value, unit = value / integral_of(have).factor * made.factor, made.eng_unit
    return replace(column, type=_DOUBLE, value=value, eng_unit=unit)


def _values(data: ColumnData, into: Conversion) -> ColumnData:
    """Convert a column; what came in as no number, when the type of a tag changed, is null."""
    number = as_doubles(data)
    return ColumnData(_DOUBLE, into.values(number.value), number.valid)


def _tag(tag: Tag, into: Conversion) -> Tag:
    return replace(tag, eng_unit=into.unit, type=_DOUBLE)
