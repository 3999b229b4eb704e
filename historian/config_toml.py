"""A TOML table to a frozen dataclass: types checked, unknown keys refused by name."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from historian.errors import ConfigInvalid

T = TypeVar("T")

INLINE = {"inline": True}  # metadata of a field whose keys stand in the table of its owner
NOT_A_KEY = {"hidden": True}  # metadata of a field that the file cannot set
SIGNED = {"signed": True}  # metadata of a number that may be below zero
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def build(
    cls: type[T],
    table: Mapping[str, Any],
    *,
    base: Path,
    where: str = "",
) -> T:
    """Make one dataclass from one table.

    Parameters
    ----------
    cls : type
        A dataclass of scalars, paths, literals, mappings, tuples and further such dataclasses.
    table : Mapping
        As TOML gives it.
    base : Path
        Folder that relative paths mean.
    where : str
        Path of the table within the file, for messages.

    Raises
    ------
    ConfigInvalid
        For an unknown or missing key, or a value of another type; ``facts["where"]`` names it.
    """
    hints = typing.get_type_hints(cls)
    every = dataclasses.fields(cls)  # type: ignore[arg-type]
    fields = {f.name: f for f in every if not f.metadata.get("hidden")}
    values: dict[str, Any] = {}
    also: list[str] = []
    for name in [name for name, f in fields.items() if f.metadata.get("inline")]:
        inner = {f.name for f in dataclasses.fields(hints[name])}
        own = {key: value for key, value in table.items() if key in inner}
        values[name] = build(hints[name], own, base=base, where=where)
        table = {key: value for key, value in table.items() if key not in inner}
        fields.pop(name)
        also += sorted(inner)
    for key in table:
        if key not in fields:
            _refuse_key(_join(where, key), key, [*fields, *also])
    for key, value in table.items():
        signed = fields[key].metadata.get("signed") and type(value) in {int, float}
        place = _join(where, key)
        values[key] = float(value) if signed else _value(hints[key], value, base, place)
    for name, f in fields.items():
        if name in values:
            continue
        if f.default is f.default_factory is dataclasses.MISSING:
            message = f"cannot use configuration: got no key, want one, at {_join(where, name)}"
            raise ConfigInvalid(message, where=_join(where, name))
        if isinstance(f.default, Path):
            values[name] = base / f.default
        elif dataclasses.is_dataclass(hints[name]):
            values[name] = _value(hints[name], {}, base, _join(where, name))
    try:
        return cls(**values)
    except ValueError as error:
        message = f"cannot use configuration: {error}, at {where or 'top'}"
        raise ConfigInvalid(message, where=where) from error


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _refuse_key(where: str, key: str, known: list[str]) -> typing.NoReturn:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    want = f"{near[0]!r}, perhaps" if near else "one of: " + ", ".join(sorted(known))
    message = f"cannot use configuration: got unknown key {key!r}, want {want}, at {where}"
    raise ConfigInvalid(message, where=where, got=key, want=near[0] if near else None)


def _refuse_value(value: Any, want: str, where: str) -> typing.NoReturn:
    message = f"cannot use configuration: got {value!r}, want {want}, at {where}"
    raise ConfigInvalid(message, where=where, got=value, want=want)


def _value(hint: Any, value: Any, base: Path, where: str) -> Any:
    """Check one value against its field's type and convert it."""
    origin = get_origin(hint)
    if origin in {Union, types.UnionType}:  # only "X or None": TOML has no null
        hint = next(a for a in get_args(hint) if a is not type(None))
        return _value(hint, value, base, where)
    if origin is Literal:
        if value not in get_args(hint):
            _refuse_value(value, "one of: " + ", ".join(map(str, get_args(hint))), where)
        return value
    if origin is tuple:
        if not isinstance(value, list):
            _refuse_value(value, "a list", where)
        item = get_args(hint)[0]
        return tuple(_value(item, v, base, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is Mapping or dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            _refuse_value(value, "a table", where)
        return dict(value) if origin is Mapping else build(hint, value, base=base, where=where)
    return _scalar(hint, value, base, where)


def _scalar(hint: Any, value: Any, base: Path, where: str) -> Any:
    if hint is Path:
        if not isinstance(value, str) or not value:
            _refuse_value(value, "a path", where)
        return (base / Path(value).expanduser()).resolve()
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        _refuse_value(value, _WORDS[hint], where)
    if hint in {int, float} and value < 0:
        _refuse_value(value, "zero or more", where)
    return value
