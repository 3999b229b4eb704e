"""Reading a connector's settings table: every key is taken by name, what is left over is refused.

Secrets stay out of configuration files: a setting names an environment variable instead.
"""

import difflib
import os
from collections.abc import Mapping
from typing import Any

from connectors.connector import ConfigError

_MISSING = object()


class Table:
    """One table of settings, with its path for messages.

    Parameters
    ----------
    values : mapping of str to object
        As TOML gives it.
    where : str
        Path of the table, for example ``sources.line1.settings``.
    """

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values = dict(values)
        self._taken: set[str] = set()
        self.where = where

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def refuse(self, key: str, got: object, want: str) -> ConfigError:
        """Build the error for a wrong value (the caller raises it)."""
        return ConfigError(f"cannot use setting {self.where}.{key}: got {got!r}, want {want}")

    def take(self, key: str, default: object = _MISSING) -> Any:
        """Raw value of a key; without a default the key is required."""
        self._taken.add(key)
        if key in self._values:
            return self._values[key]
        if default is _MISSING:
            raise ConfigError(f"cannot read settings: {self.where}.{key} is missing")
        return default

    def text(self, key: str, default: object = _MISSING, among: tuple[str, ...] = ()) -> str:
        """Read a string, one of ``among`` if given."""
        value = self.take(key, default)
        if not isinstance(value, str) or (among and value not in among):
            raise self.refuse(key, value, f"one of {', '.join(among)}" if among else "a string")
        return value

    def integer(self, key: str, default: object, low: int, high: int) -> int:
        """Read an integer of ``low`` to ``high``, both included."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.refuse(key, value, f"an integer from {low} to {high}")
        return value

    def number(self, key: str, default: object, low: float, high: float) -> float:
        """Read a number of ``low`` to ``high``, both included."""
        value = self.take(key, default)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not low <= value <= high
        ):
            raise self.refuse(key, value, f"a number from {low:g} to {high:g}")
        return float(value)

    def flag(self, key: str, default: object) -> bool:
        """Read true or false."""
        value = self.take(key, default)
        if not isinstance(value, bool):
            raise self.refuse(key, value, "true or false")
        return value

    def texts(self, key: str, default: object = ()) -> tuple[str, ...]:
        """Read a list of strings."""
        value = self.take(key, default)
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise self.refuse(key, value, "a list of strings")
        return tuple(value)

    def table(self, key: str, default: object = _MISSING) -> "Table":
        """Read a nested table."""
        value = self.take(key, default)
        if not isinstance(value, Mapping):
            raise self.refuse(key, value, "a table")
        return Table(value, f"{self.where}.{key}")

    def tables(self, key: str, default: object = ()) -> tuple["Table", ...]:
        """Read a list of nested tables."""
        value = self.take(key, default)
        if not isinstance(value, list | tuple) or not all(isinstance(v, Mapping) for v in value):
            raise self.refuse(key, value, "a list of tables")
        return tuple(Table(v, f"{self.where}.{key}[{i}]") for i, v in enumerate(value))

    def items(self) -> tuple[tuple[str, Any], ...]:
        """Every key with its raw value, all of them taken: a table whose keys are names."""
        self._taken.update(self._values)
        return tuple(self._values.items())

    def secret(self, key: str) -> str | None:
        """Value of the environment variable that ``<key>_env`` names, None without the setting."""
        name = self.take(f"{key}_env", None)
        if name is None:
            return None
        if not isinstance(name, str) or name not in os.environ:
            raise self.refuse(f"{key}_env", name, "the name of a set environment variable")
        return os.environ[name]

    def done(self) -> None:
        """Refuse what nobody took."""
        for key in sorted(set(self._values) - self._taken):
            near = difflib.get_close_matches(key, self._taken, n=1)
            hint = f", nearest is {near[0]!r}" if near else ""
            raise ConfigError(f"cannot read settings: {self.where}.{key} is unknown{hint}")
