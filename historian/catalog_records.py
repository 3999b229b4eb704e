"""What the catalog knows: tags with their series, assets, state sets, audit entries."""

import hashlib
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NoReturn

from historian.errors import RequestInvalid
from query.ports import Tag
from storage_engine.sample import ValueType

NAME_CHARACTERS_MAX = 400
TEXT_CHARACTERS_MAX = 4_000
_STEPPED = {ValueType.FLOAT64: False, ValueType.FLOAT32: False}
_QUERY_TAGS_MAX = 65_536
_INT64_MAX = 2**63 - 1
NUMERIC = {ValueType.FLOAT64, ValueType.FLOAT32, ValueType.INT64, ValueType.UINT64}
COUNTER_PROPERTIES = ("counter_rate_max", "counter_resets")
STORED_PROPERTIES = ("hold_max_ns", "stale_after_ns", "counter_modulus", "limit_low", "limit_high")
PROPERTIES = (*STORED_PROPERTIES, *COUNTER_PROPERTIES)
NUMBER_PROPERTIES = ("counter_modulus", "limit_low", "limit_high", *COUNTER_PROPERTIES)
_ABOVE_ZERO = ("counter_modulus", "counter_rate_max")
EDITABLE = (
    "description",
    "eng_unit",
    "stepped",
    "asset",
    "state_set",
    *PROPERTIES,
)
CHANGEABLE = ("name", *EDITABLE)


@dataclass(frozen=True, slots=True)
class SeriesRecord:
    """One stored series of a tag: the engine's dense id, its uuid and type."""

    stream_id: int
    uuid: bytes
    type: ValueType


@dataclass(frozen=True, slots=True)
class TagRecord:
    """A tag as the catalog holds it.

    Attributes
    ----------
    id : int
        Row id in the catalog.
    uuid : bytes
        16 bytes; equal to the uuid of its first series.
    series : tuple of SeriesRecord
        Oldest first; one per value type it ever had.
    origin : str
        ``declared``, ``rule`` or ``recovered``.
    hold_max_ns, stale_after_ns, counter_modulus, limit_low, limit_high,
    counter_rate_max, counter_resets
        As of ``TagDraft``.
    """

    id: int
    uuid: bytes
    name: str
    description: str
    eng_unit: str
    stepped: bool
    source: str
    address: str
    asset: str
    state_set: str
    origin: str
    created_ns: int
    series: tuple[SeriesRecord, ...]
    hold_max_ns: int | None = None
    stale_after_ns: int | None = None
    counter_modulus: float | None = None
    limit_low: float | None = None
    limit_high: float | None = None
    counter_rate_max: float | None = None
    counter_resets: bool | None = None

    @property
    def type(self) -> ValueType:
        """Type of the newest series."""
        return self.series[-1].type

    def series_of(self, type_: ValueType) -> SeriesRecord | None:
        """Return the series of this type, or None."""
        return next((s for s in self.series if s.type is type_), None)

    def for_query(self) -> Tag:
        """Return the tag as query sees it."""
        return Tag(
            name=self.name,
            series=tuple(s.stream_id for s in self.series),
            type=self.type,
            stepped=self.stepped,
            eng_unit=self.eng_unit,
            description=self.description,
            hold_max_ns=self.hold_max_ns,
            stale_after_ns=self.stale_after_ns,
            counter_modulus=self.counter_modulus,
            counter_rate_max=self.counter_rate_max,
            counter_resets=bool(self.counter_resets),
        )

    def facts(self) -> dict[str, Any]:
        """Return what an administrator may edit, for the audit."""
        return {
            "name": self.name,
            "type": self.type.name.lower(),
            "description": self.description,
            "eng_unit": self.eng_unit,
            "stepped": self.stepped,
            "source": self.source,
            "address": self.address,
            "asset": self.asset,
            "state_set": self.state_set,
            "hold_max_ns": self.hold_max_ns,
            "stale_after_ns": self.stale_after_ns,
            "counter_modulus": self.counter_modulus,
            "limit_low": self.limit_low,
            "limit_high": self.limit_high,
            "counter_rate_max": self.counter_rate_max,
            "counter_resets": self.counter_resets,
        }


class QueryTags:
    """Tags as query sees them, made once for each that is asked for."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[TagRecord, Tag]] = {}

    def of(self, record: TagRecord) -> Tag:
        """Return the tag of a record; one that has changed since is made anew."""
        held = self._known.get(record.name)
        if held is None or held[0] is not record:
            if len(self._known) >= _QUERY_TAGS_MAX:
                self._known.clear()
            self._known[record.name] = held = record, record.for_query()
        return held[1]


@dataclass(frozen=True, slots=True)
class TagDraft:
    """A tag wanted: what a person, the configuration or a rule asks for.

    Attributes
    ----------
    stepped : bool or None
        Whether a value holds until the next; None: by type, floats slope, the rest step.
    hold_max_ns : int or None
        A sample holds its value at most so long, then there is a gap; None: until the next.
    stale_after_ns : int or None
        A newest sample older than this is stale, though it may still hold; None: never.
    counter_modulus : float or None
        A counter that starts again at zero there; None: not one that does.
    limit_low, limit_high : float or None
        Engineering limits, for people and displays; values beyond them are stored.
    counter_rate_max : float or None
        Largest plausible rise of a counter per second; a wrap is believed only below it.
    counter_resets : bool or None
        A counter that falls, and has not wrapped, has started again from zero.
    """

    name: str
    type: ValueType
    source: str = ""
    address: str = ""
    stepped: bool | None = None
    eng_unit: str = ""
    description: str = ""
    asset: str = ""
    state_set: str = ""
    origin: str = "declared"
    hold_max_ns: int | None = None
    stale_after_ns: int | None = None
    counter_modulus: float | None = None
    limit_low: float | None = None
    limit_high: float | None = None
    counter_rate_max: float | None = None
    counter_resets: bool | None = None

    def check(self) -> None:
        """Refuse names and texts that cannot be stored or shown.

        Raises
        ------
        RequestInvalid
            For an empty, too long or unprintable name, a type that no tag has, or a length, a
            modulus or limits that mean nothing.
        """
        check_name(self.name, "tag")
        if self.type in {ValueType.TEXT, ValueType.BYTES}:
            message = f"cannot declare tag {self.name!r}: got type {self.type.name.lower()}, "
            raise RequestInvalid(message + "want a number, bool or symbol", got=self.type.name)
        check_texts(self)
        check_properties(self, {self.type})

    def declares(self) -> dict[str, Any]:
        """Give what it says of a tag that exists; properties that it does not have stay."""
        said = {field: getattr(self, field) for field in EDITABLE} | {"stepped": self.steps}
        return {k: v for k, v in said.items() if k not in PROPERTIES or v is not None}

    @property
    def steps(self) -> bool:
        """Whether a value holds until the next, the default by type applied."""
        return _STEPPED.get(self.type, True) if self.stepped is None else self.stepped


def check_texts(tag: TagDraft | TagRecord) -> None:
    """Refuse texts that are too long.

    Raises
    ------
    RequestInvalid
    """
    for text in (tag.source, tag.address, tag.eng_unit, tag.description, tag.asset, tag.state_set):
        if len(text) > TEXT_CHARACTERS_MAX:
            message = f"cannot declare tag {tag.name!r}: got a text of {len(text)} characters"
            raise RequestInvalid(f"{message}, want at most {TEXT_CHARACTERS_MAX}")


def check_properties(tag: TagDraft | TagRecord, types: Collection[ValueType]) -> None:
    """Refuse properties of time and of numbers that mean nothing.

    Parameters
    ----------
    tag : TagDraft or TagRecord
    types : collection of ValueType
        Of its series; those of numbers want one of numbers.

    Raises
    ------
    RequestInvalid
        ``facts["where"]`` names the property.
    """

    def refuse(where: str, got: object, want: str) -> NoReturn:
        message = f"cannot declare tag {tag.name!r}: got {got}, want {want}, at {where}"
        raise RequestInvalid(message, got=got, want=want, where=where)

    for field in ("hold_max_ns", "stale_after_ns"):
        length = getattr(tag, field)
        if length is not None and not 0 < length <= _INT64_MAX:
            refuse(field, length, "nanoseconds from 1 to 2**63 - 1, or none")
    for field in NUMBER_PROPERTIES:
        number = getattr(tag, field)
        if number is None:
            continue
        if NUMERIC.isdisjoint(types):
            refuse(field, f"{number} for type {max(types).name.lower()}", "a tag of numbers")
        positive = field in _ABOVE_ZERO
        if not math.isfinite(number) or (positive and number <= 0):
            refuse(field, number, "a number above 0" if positive else "a finite number")
    low, high = tag.limit_low, tag.limit_high
    if low is not None and high is not None and not low < high:
        refuse("limit_low", low, f"less than limit_high, {high}")


@dataclass(frozen=True, slots=True)
class AssetRecord:
    """A place in the plant, ISA-95."""

    path: str
    level: str
    description: str


@dataclass(frozen=True, slots=True)
class StateSetRecord:
    """Named states; ``version`` rises with each change."""

    name: str
    version: int
    states: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change of what administrators intend; never edited, never deleted."""

    id: int
    time_ns: int
    principal: str
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def check_name(name: str, what: str) -> None:
    """Refuse a name that is empty, too long, padded, or holds control characters.

    Raises
    ------
    RequestInvalid
    """
    if not name or name != name.strip() or not name.isprintable():
        message = f"cannot declare {what}: got name {name!r}, want printable text without padding"
        raise RequestInvalid(message, got=name)
    if len(name) > NAME_CHARACTERS_MAX:
        message = f"cannot declare {what}: got a name of {len(name)} characters"
        raise RequestInvalid(f"{message}, want at most {NAME_CHARACTERS_MAX}", got=name)


def series_uuid(tag_uuid: bytes, position: int, type_: ValueType) -> bytes:
    """Uuid of a tag's series: the tag's own for the first, derived for later ones.

    Parameters
    ----------
    tag_uuid : bytes
        16 bytes.
    position : int
        Place in the tag's list of series, from 0.
    type_ : ValueType
        Type of the series.

    Returns
    -------
    bytes
        16 bytes; the same for the same arguments, so a creation cut short is found again.
    """
    if position == 0:
        return tag_uuid
    key = tag_uuid + bytes([position, int(type_)])
    return hashlib.blake2b(key, digest_size=16, person=b"lh-series").digest()


def event_stream_uuid(kind: str) -> bytes:
    """Uuid of the stream that holds a kind of event: 16 bytes, the same in every store."""
    return hashlib.blake2b(kind.encode(), digest_size=16, person=b"lh-events").digest()
