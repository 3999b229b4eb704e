"""How a foreign file is to be read: which column is what, which clock, which types."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from zoneinfo import ZoneInfo

from historian.errors import RequestInvalid
from historian.transfer.times import NS_PER_UNIT, TimeForm
from storage_engine.sample import BAD_NO_DATA, ValueType

LAYOUTS = ("long", "wide")
TYPES = {t.name.lower(): t for t in ValueType}
T = TypeVar("T")
_YES = {"yes": True, "true": True, "no": False, "false": False}


@dataclass(frozen=True, slots=True)
class Mapping:
    """A foreign file's ways; the defaults are those of our own CSV.

    Attributes
    ----------
    layout : str
        ``long``: a row is a sample. ``wide``: a row is a time, and every further column a tag.
    tag, timestamp, quality, value : str
        Names of columns, or their numbers from 1 where a CSV file has no header. A missing
        ``quality`` means Good, and :attr:`null_quality` beside a null.
    name : str
        The tag of every row, for a file without a column of tags.
    prefix : str
        Put before every tag's name.
    columns : dict of str to str
        Wide layout: column -> tag; only these are taken when there are any.
    time : TimeForm
    type : ValueType or None
        Of tags that are new; float64 unless the file says.
    types : dict of str to ValueType
        Tag -> type, before anything else.
    nulls : frozenset of str
        Texts that mean null, beside the empty one.
    null_quality : int
    delimiter, decimal : str
    header : bool
    """

    layout: str = "long"
    tag: str = "tag"
    timestamp: str = "timestamp"
    quality: str = "quality"
    value: str = "value"
    name: str = ""
    prefix: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    time: TimeForm = field(default_factory=TimeForm)
    type: ValueType | None = None
    types: dict[str, ValueType] = field(default_factory=dict)
    nulls: frozenset[str] = frozenset()
    null_quality: int = BAD_NO_DATA
    delimiter: str = ","
    decimal: str = "."
    header: bool = True


_PLAIN = ("tag", "timestamp", "quality", "value", "name", "prefix")


def parse_mapping(options: Sequence[str]) -> Mapping:
    """Read ``key=value`` options.

    Parameters
    ----------
    options : sequence of str
        Keys as the attributes of :class:`Mapping`, and ``unit``, ``zone``, ``pattern`` of its
        times, ``null`` (may be repeated), ``column:NAME`` and ``type:TAG``.

    Raises
    ------
    RequestInvalid
        For an unknown key or a value that does not hold.
    """
    facts: dict[str, object] = {}
    times: dict[str, str] = {}
    columns: dict[str, str] = {}
    types: dict[str, ValueType] = {}
    nulls: set[str] = set()
    for option in options:
        key, given, value = option.partition("=")
        head, _, rest = key.partition(":")
        if not given:
            raise _refused(option, "key=value")
        if key in _PLAIN:
            facts[key] = value
        elif key in {"unit", "zone", "pattern"}:
            times[key] = value
        elif head == "column" and rest:
            columns[rest] = value
        elif head == "type" and rest:
            types[rest] = _choice(value, TYPES, option)
        elif key == "null":
            nulls.add(value)
        elif key in _READERS:
            facts[key] = _READERS[key](value, option)
        else:
            known = ", ".join([*_PLAIN, *_READERS, "unit, zone, pattern, null"])
            raise _refused(option, f"one of: {known}, column:NAME, type:TAG")
    time = TimeForm(
        _choice(times.get("unit", "ns"), {u: u for u in NS_PER_UNIT}, "unit"),
        _zone(times["zone"]) if "zone" in times else None,
        times.get("pattern", ""),
    )
    lists = {"columns": columns, "types": types, "nulls": frozenset(nulls), "time": time}
    return Mapping(**{**facts, **lists})  # type: ignore[arg-type]


def _refused(got: str, want: str) -> RequestInvalid:
    return RequestInvalid(
        f"cannot use mapping: got {got[:200]!r}, want {want}", got=got[:200], want=want, where="map"
    )


def _choice(value: str, known: dict[str, T], option: str) -> T:
    if value not in known:
        raise _refused(option, "one of: " + ", ".join(known))
    return known[value]


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise _refused(f"zone={name}", "a zone such as Europe/Berlin") from None


def _one_character(value: str, option: str) -> str:
    value = {"tab": "\t", "comma": ",", "semicolon": ";"}.get(value, value)
    if len(value) != 1 or value in '"\r\n':
        raise _refused(option, "one character, or tab")
    return value


def _code(value: str, option: str) -> int:
    try:
        code = int(value, 0)
    except ValueError:
        code = -1
    if not 0 <= code < 1 << 32:
        raise _refused(option, "a status code of 32 bits")
    return code


_READERS: dict[str, Callable[[str, str], object]] = {
    "layout": lambda value, option: _choice(value, {name: name for name in LAYOUTS}, option),
    "type": lambda value, option: _choice(value, TYPES, option),
    "delimiter": _one_character,
    "decimal": _one_character,
    "header": lambda value, option: _choice(value, _YES, option),
    "null_quality": _code,
}
