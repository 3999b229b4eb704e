"""Mappings as configured: which topics, what they become, where time, values and ids are found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from connectors.payload.found import Convention
from connectors.payload.path import Path, Template
from connectors.payload.registry import CONVENTIONS
from connectors.payload.times import UNITS
from connectors.settings import Table
from storage_engine.sample import Column, ValueType

_TYPES = {type_.name.lower(): type_ for type_ in ValueType}
_KINDS = ("samples", "event", "events")


@dataclass(frozen=True, slots=True)
class FieldConfig:
    """One column of an event: where its value is and what type it has."""

    column: Column
    path: Path


@dataclass(frozen=True, slots=True)
class IdConfig:
    """Where the source's own identity of a message is found."""

    source: Path | None  # None: the topic is the source
    sequence: Path


@dataclass(frozen=True, slots=True)
class QualityConfig:
    """Where the status is; ``codes`` translates texts and numbers, others must be a 32-bit code."""

    path: Path
    codes: Mapping[object, int]


@dataclass(frozen=True, slots=True)
class MappingConfig:
    """One mapping; the first whose topic filter and ``when`` take a message is used.

    ``fields`` has one entry per event kind; the key "" stands for every kind.
    """

    topic: str
    kind: str
    when: tuple[Path, object] | None
    time: tuple[Path, str] | None  # None: the time of receipt
    items: Path | None
    value: Path
    value_type: ValueType | None
    address: Template
    quality: QualityConfig | None
    event: str
    event_path: Path | None
    id: IdConfig | None
    fields: Mapping[str, tuple[FieldConfig, ...]]
    rest: str


@dataclass(frozen=True, slots=True)
class ConventionConfig:
    """One mapping by a named convention; ``make`` gives a fresh one that remembers nothing."""

    topic: str
    kind: str
    make: Callable[[], Convention]


def read_mappings(
    tables: tuple[Table, ...],
) -> tuple[MappingConfig | ConventionConfig, ...]:
    """Read ``[[mappings]]``; every setting is explained in ``payload/sample.toml``.

    Raises
    ------
    ConfigError
        If a key is unknown or a value is wrong.
    """
    return tuple(_read(table) for table in tables)


def _read(table: Table) -> MappingConfig | ConventionConfig:
    kind = table.text("kind", among=(*_KINDS, *CONVENTIONS))
    if kind in CONVENTIONS:
        make = partial(CONVENTIONS[kind], table)
        found = ConventionConfig(_topic(table), kind, make)
        make()  # reads every setting that it knows
        table.done()
        return found
    mapping = MappingConfig(
        topic=_topic(table),
        kind=kind,
        when=_when(table),
        time=_time(table),
        items=_path(table, "items"),
        value=_path(table, "value") or Path.parse(""),
        value_type=_type(table, "type", table.text("type")) if "type" in table else None,
        address=_address(table),
        quality=_quality(table),
        event=table.text("event", ""),
        event_path=_path(table, "event_path"),
        id=_id(table),
        fields=_fields(table),
        rest=table.text("rest", ""),
    )
    table.done()
    if kind != "samples" and not mapping.event and mapping.event_path is None:
        raise table.refuse("event", "nothing", "the kind of event, or event_path")
    if kind == "events" and mapping.items is None:
        raise table.refuse("items", "nothing", "the path of the list of events")
    return mapping


def _topic(table: Table) -> str:
    topic = table.text("topic")
    levels = topic.split("/")
    if (
        not topic
        or "#" in levels[:-1]
        or any(("+" in level or "#" in level) and len(level) > 1 for level in levels)
    ):
        raise table.refuse("topic", topic, "an MQTT topic filter")
    return topic


def _path(table: Table, key: str) -> Path | None:
    if key not in table:
        return None
    text = table.text(key)
    try:
        return Path.parse(text)
    except ValueError:
        raise table.refuse(key, text, "a path like a.b[0]") from None


def _need_path(table: Table, key: str) -> Path:
    path = _path(table, key)
    if path is None:
        table.take(key)
        raise table.refuse(key, None, "a path like a.b[0]")
    return path


def _type(table: Table, key: str, text: object) -> ValueType:
    if not isinstance(text, str) or text not in _TYPES:
        raise table.refuse(key, text, f"one of {', '.join(_TYPES)}")
    return _TYPES[text]


def _when(table: Table) -> tuple[Path, object] | None:
    if "when" not in table:
        return None
    when = table.table("when")
    found = (_need_path(when, "path"), when.take("equals"))
    when.done()
    return found


def _time(table: Table) -> tuple[Path, str] | None:
    if "time" not in table:
        return None
    time = table.table("time")
    found = (_need_path(time, "path"), time.text("unit", "iso", among=UNITS))
    time.done()
    return found


def _address(table: Table) -> Template:
    text = table.text("address", "{topic}")
    try:
        return Template.parse(text)
    except ValueError:
        raise table.refuse("address", text, "text with {topic[N]}, {topic}, {key}") from None


def _quality(table: Table) -> QualityConfig | None:
    if "quality" not in table:
        return None
    quality = table.table("quality")
    codes: dict[object, int] = {}
    names = quality.table("codes", {})
    for name, code in names.items():
        if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code < 1 << 32:
            raise names.refuse(name, code, "a 32-bit OPC UA status code")
        codes[name] = code
    found = QualityConfig(_need_path(quality, "path"), codes)
    quality.done()
    return found


def _id(table: Table) -> IdConfig | None:
    if "id" not in table:
        return None
    id_ = table.table("id")
    found = IdConfig(_path(id_, "source"), _need_path(id_, "sequence"))
    id_.done()
    return found


def _fields(table: Table) -> dict[str, tuple[FieldConfig, ...]]:
    shared = _columns(table.table("columns", {}))
    found = {"": shared}
    kinds = table.table("kinds", {})
    for kind, columns in kinds.items():
        if not isinstance(columns, Mapping):
            raise kinds.refuse(kind, columns, "a table of columns")
        own = _columns(kinds.table(kind))
        names = {field.column.name for field in own}
        found[kind] = own + tuple(f for f in shared if f.column.name not in names)
    return found


def _columns(table: Table) -> tuple[FieldConfig, ...]:
    found = []
    for name, value in table.items():
        entry: Any = value
        if isinstance(entry, str):  # short form: the path is the column's name
            found.append(
                FieldConfig(Column(name, _type(table, name, entry)), Path((name), (name,), False))
            )
            continue
        column = table.table(name)
        path = _path(column, "path") or Path(name, (name,), False)
        type_ = _type(column, "type", column.text("type"))
        column.done()
        found.append(FieldConfig(Column(name, type_), path))
    return tuple(found)
