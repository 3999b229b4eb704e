"""Columnar JSON of ``POST /v1/samples`` to columns; pure, and in bulk.

::

    {"time_unit": "ms", "time": [t0, t1],              shared by series without their own
     "series": [{"tag": "a", "value": [1.5, null], "quality": [0, 2147483648]},
                {"tag": "b", "time": [t0], "value": ["RUN"]}]}

Lists of all series are converted together: a scan of ten thousand tags with one sample each costs
what one tag with ten thousand samples costs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from api.encoding import JsonError, decode
from api.errors import ApiError
from api.times import NS_PER_UNIT, parse_times
from api.values import FLOATS, INTEGERS, Typed, column_parts, natural_type, plain_column
from storage_engine.sample import ColumnData, Int64Array, UInt32Array, ValueType

TIME_UNITS = (*NS_PER_UNIT, "iso")
TAG_LENGTH_MAX = 512
_QUALITY_MAX = 2**32 - 1


@dataclass(frozen=True, slots=True)
class ParsedSeries:
    """Samples of one tag and one type, as sent.

    Attributes
    ----------
    index : int
        Position in the body's ``series``.
    tag : str
        Name of the tag.
    rows : int64, shape (n,), or None
        Which rows of that entry these are; None: all, in order.
    timestamp_ns, quality, value
        int64 (n,), uint32 (n,), n values.
    """

    index: int
    tag: str
    rows: Int64Array | None
    timestamp_ns: Int64Array
    quality: UInt32Array
    value: ColumnData


def refuse(
    message: str, got: object, want: str, where: str, code: str = "invalid_body"
) -> ApiError:
    """Build the refusal of a body (400)."""
    return ApiError(400, code, message, got=str(got)[:64], want=want, where=where)


def parse_document(body: bytes | memoryview, keys: frozenset[str]) -> Mapping[str, Any]:
    """JSON object of a body, with no keys but the known ones.

    Raises
    ------
    ApiError
        ``invalid_json`` or ``invalid_body`` (400).
    """
    return known_keys(decoded(body), keys, "body")


def decoded(body: bytes | memoryview) -> Any:
    """Value of a body.

    Raises
    ------
    ApiError
        ``invalid_json`` (400).
    """
    try:
        return decode(body)
    except JsonError as error:
        raise refuse(
            "cannot read body", str(error), "JSON in UTF-8", "body", "invalid_json"
        ) from None


def known_keys(value: object, keys: frozenset[str], where: str) -> Mapping[str, Any]:
    """Check that a value is an object with known keys only."""
    if not isinstance(value, dict):
        raise refuse("cannot read body", type(value).__name__, "an object", where)
    unknown = sorted(value.keys() - keys)
    if unknown:
        raise refuse("cannot read body: unknown key", unknown[0], ", ".join(sorted(keys)), where)
    return value


def a_list(value: object, where: str) -> list[Any]:
    """Check that a value is a list."""
    if not isinstance(value, list):
        raise refuse("cannot read body", type(value).__name__, "a list", where)
    return value


def time_unit(document: Mapping[str, Any]) -> str:
    """Unit of the body's times, ``iso`` when it names none."""
    unit = document.get("time_unit", "iso")
    if unit not in TIME_UNITS:
        raise refuse("cannot read times", unit, ", ".join(TIME_UNITS), "time_unit")
    return str(unit)


@dataclass(slots=True)
class _Entry:
    index: int
    tag: str
    time: list[Any] | None  # None: the shared list
    value: list[Any]
    quality: list[Any] | int


_BODY_KEYS = frozenset({"time_unit", "time", "series"})
_SERIES_KEYS = frozenset({"tag", "time", "value", "quality"})


def parse_samples(
    body: bytes | memoryview, type_of: Callable[[str], ValueType | None], rows_max: int
) -> list[ParsedSeries]:
    """Read the body of a columnar write.

    Parameters
    ----------
    body : bytes
        JSON.
    type_of : callable
        Type of a tag's newest series, None when there is no such tag.
    rows_max : int
        Rows of one request.

    Returns
    -------
    list of ParsedSeries
        In the order of the body; an entry whose values do not all fit its tag gives several.

    Raises
    ------
    ApiError
        400 for a body of another shape, ``too_many_rows`` (413) above ``rows_max``.
    """
    document = parse_document(body, _BODY_KEYS)
    unit = time_unit(document)
    shared = document.get("time")
    if shared is not None:
        a_list(shared, "time")
    listed = a_list(document.get("series"), "series")
    entries = [_entry(value, index, shared) for index, value in enumerate(listed)]
    _refuse_twice(entries)
    rows = sum(len(e.value) for e in entries)
    if rows > rows_max:
        raise ApiError(
            413,
            "too_many_rows",
            "cannot take the write",
            got=f"{rows} rows",
            want=f"at most {rows_max} rows in one request",
            where="series",
        )
    return _columns(entries, shared, unit, type_of)


def _entry(value: object, index: int, shared: list[Any] | None) -> _Entry:
    where = f"series[{index}]"
    known = known_keys(value, _SERIES_KEYS, where)
    tag = known.get("tag")
    if not isinstance(tag, str) or not 0 < len(tag) <= TAG_LENGTH_MAX:
        raise refuse("cannot read tag", tag, f"1 to {TAG_LENGTH_MAX} characters", f"{where}.tag")
    values = a_list(known.get("value"), f"{where}.value")
    own = known.get("time")
    times = shared if own is None else a_list(own, f"{where}.time")
    if times is None:
        raise refuse(
            "cannot read times", "none", "a list here or for the whole body", f"{where}.time"
        )
    if len(times) != len(values):
        raise refuse("cannot read series", f"{len(times)} times", f"{len(values)}", f"{where}.time")
    quality = known.get("quality", 0)
    if isinstance(quality, list) and len(quality) != len(values):
        got = f"{len(quality)} qualities"
        raise refuse("cannot read series", got, f"{len(values)}", f"{where}.quality")
    return _Entry(index, tag, None if own is None else times, values, quality)


def _refuse_twice(entries: list[_Entry]) -> None:
    """One entry per tag: else a rejected row could not be named by tag and row."""
    seen: set[str] = set()
    for entry in entries:
        if entry.tag in seen:
            want = "one entry for all samples of a tag"
            raise refuse("cannot read series", entry.tag, want, f"series[{entry.index}].tag")
        seen.add(entry.tag)


def _columns(
    entries: list[_Entry],
    shared: list[Any] | None,
    unit: str,
    type_of: Callable[[str], ValueType | None],
) -> list[ParsedSeries]:
    shared_ns = None if shared is None else parse_times(shared, unit, "time")
    own_ns = _own_times([e for e in entries if e.time is not None], unit)
    values = _values(entries, type_of)
    parsed = []
    good = np.zeros(max((len(e.value) for e in entries), default=0), dtype=np.uint32)
    for entry in entries:
        timestamp_ns = shared_ns if entry.time is None else own_ns[entry.index]
        assert timestamp_ns is not None
        plain = type(entry.quality) is int and entry.quality == 0
        quality = good[: len(entry.value)] if plain else _quality(entry)
        for part in values[entry.index]:
            rows = part.rows
            parsed.append(
                ParsedSeries(
                    entry.index,
                    entry.tag,
                    rows,
                    timestamp_ns if rows is None else timestamp_ns[rows],
                    quality if rows is None else quality[rows],
                    part.data,
                )
            )
    return parsed


def _cut(entries: list[_Entry], column: Int64Array | Any) -> dict[int, Any]:
    cut = {}
    start = 0
    for entry in entries:
        cut[entry.index] = column[start : start + len(entry.value)]
        start += len(entry.value)
    return cut


def _own_times(entries: list[_Entry], unit: str) -> dict[int, Int64Array]:
    joined = list(chain.from_iterable(e.time or () for e in entries))
    try:
        return _cut(entries, parse_times(joined, unit, "time"))
    except ApiError:
        # Something is wrong somewhere: once more, series by series, to name the place.
        return {
            e.index: parse_times(e.time or (), unit, f"series[{e.index}].time") for e in entries
        }


def _values(
    entries: list[_Entry], type_of: Callable[[str], ValueType | None]
) -> dict[int, list[Typed]]:
    result: dict[int, list[Typed]] = {}
    together: dict[ValueType, list[_Entry]] = {}
    for entry in entries:
        kinds = set(map(type, entry.value))
        wanted = type_of(entry.tag)
        numeric = bool(kinds) and kinds <= {int, float}
        if wanted is None and numeric:
            wanted = natural_type(kinds)
        plain = (wanted in FLOATS and numeric) or (wanted in INTEGERS and kinds == {int})
        if plain and wanted is not None:
            together.setdefault(wanted, []).append(entry)
        else:
            where = f"series[{entry.index}].value"
            result[entry.index] = column_parts(entry.value, wanted, where)
    for wanted, group in together.items():
        joined = list(chain.from_iterable(e.value for e in group))
        whole = plain_column(joined, set(), wanted)
        if whole is None:  # an integer beyond the type's bounds: series by series
            for entry in group:
                where = f"series[{entry.index}].value"
                result[entry.index] = column_parts(entry.value, wanted, where)
            continue
        for index, part in _cut(group, whole.value).items():
            result[index] = [Typed(None, ColumnData(whole.type, part))]
    return result


def _quality(entry: _Entry) -> UInt32Array:
    quality = entry.quality
    count = len(entry.value)
    where = f"series[{entry.index}].quality"
    want = "OPC UA status codes, 0 to 4294967295"
    if type(quality) is int and 0 <= quality <= _QUALITY_MAX:
        return np.full(count, quality, dtype=np.uint32)
    if not isinstance(quality, list):
        raise refuse("cannot read quality", quality, want, where)
    if set(map(type, quality)) <= {int}:
        try:
            return np.array(quality, dtype=np.uint32)
        except OverflowError:
            pass  # the search below names the row
    row = next(i for i, q in enumerate(quality) if type(q) is not int or not 0 <= q <= _QUALITY_MAX)
    raise refuse("cannot read quality", quality[row], want, f"{where}[{row}]")
