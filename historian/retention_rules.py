"""Which retention class a tag or a kind of event belongs to. Pure."""

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from historian.catalog_records import TEXT_CHARACTERS_MAX
from historian.errors import RequestInvalid
from historian.events import EVENT_KINDS
from storage_engine.changes import CHANGES_CLASS
from storage_engine.summaries import CLASS_PREFIX, DAY_NS

DEFAULT_CLASS = "default"  # of tags that nothing is said about
EVENTS_CLASS = "events"  # of kinds of events that nothing is said about
KINDS = ("tag", "pattern", "asset", "event")
NAME_CHARACTERS_MAX = 100
_WILD = re.compile(r"\[[^\]]*\]|[*?]")


@dataclass(frozen=True, slots=True)
class RetentionClass:
    """How long what belongs to it is kept; no limit means for ever.

    Attributes
    ----------
    name : str
    age_ns : int or None
    bytes_max : int or None
    description : str
    summary_ns : int or None
        Length of the intervals whose summaries outlive the rows; divides a day.
    summary_age_ns : int or None
        How long these are kept; None for ever.
    """

    name: str
    age_ns: int | None = None
    bytes_max: int | None = None
    description: str = ""
    summary_ns: int | None = None
    summary_age_ns: int | None = None

    def facts(self) -> dict[str, Any]:
        """Return what it says, for the audit."""
        return {
            "age_ns": self.age_ns,
            "bytes_max": self.bytes_max,
            "description": self.description,
            "summary_ns": self.summary_ns,
            "summary_age_ns": self.summary_age_ns,
        }


@dataclass(frozen=True, slots=True)
class Assignment:
    """What belongs to a class.

    Attributes
    ----------
    kind : str
        ``tag``: one name. ``pattern``: names by shell pattern. ``asset``: all tags of an asset and
        those below it. ``event``: one kind of event.
    pattern : str
    retention_class : str
    """

    kind: str
    pattern: str
    retention_class: str


class Assignments:
    """All assignments, ready to be asked.

    Parameters
    ----------
    assignments : sequence of Assignment
    """

    def __init__(self, assignments: Sequence[Assignment]) -> None:
        named = [a for a in assignments if a.kind == "tag"]
        events = [a for a in assignments if a.kind == "event"]
        self._tags = {a.pattern: a.retention_class for a in named}
        self._events = {a.pattern: a.retention_class for a in events}
        groups = [a for a in assignments if a.kind in {"pattern", "asset"}]
        self._groups = [
            (a, re.compile(fnmatch.translate(a.pattern)))
            for a in sorted(groups, key=lambda a: (-_weight(a), a.kind, a.pattern))
        ]

    def class_of_tag(self, name: str, asset: str, former: Sequence[str] = ()) -> str:
        """Class of a tag: by its name, else by the group that says most, else the default.

        What was assigned to the tag itself stays when it is renamed.

        Parameters
        ----------
        name : str
        asset : str
            Path of its asset, may be empty.
        former : sequence of str
            Former names that still mean it, newest first.

        Returns
        -------
        str
        """
        for one in (name, *former):
            if one in self._tags:
                return self._tags[one]
        for group, pattern in self._groups:
            if group.kind == "asset":
                if asset == group.pattern or asset.startswith(group.pattern + "/"):
                    return group.retention_class
            elif pattern.fullmatch(name):
                return group.retention_class
        return DEFAULT_CLASS

    def class_of_event(self, kind: str) -> str:
        """Class of a kind of event."""
        return self._events.get(kind, EVENTS_CLASS)


def _weight(group: Assignment) -> int:
    """How much a group says: characters that have to be there."""
    return len(group.pattern if group.kind == "asset" else _WILD.sub("", group.pattern))


def check_class(wanted: RetentionClass) -> None:
    """Refuse what no class may be.

    Raises
    ------
    RequestInvalid
    """
    name = wanted.name
    good = name and name == name.strip() and name.isprintable() and "/" not in name
    if not good or len(name) > NAME_CHARACTERS_MAX or name == CHANGES_CLASS:
        message = f"cannot put retention class: got name {name!r}, want 1 to {NAME_CHARACTERS_MAX}"
        raise RequestInvalid(
            f"{message} printable characters without /, other than {CHANGES_CLASS!r}", where="name"
        )
    if wanted.age_ns is not None and not 0 < wanted.age_ns < 2**63:
        message = f"cannot put retention class {name!r}: got age {wanted.age_ns} ns"
        raise RequestInvalid(f"{message}, want 1 or more, or none", where="age")
    if wanted.bytes_max is not None and not 0 <= wanted.bytes_max < 2**63:
        message = f"cannot put retention class {name!r}: got {wanted.bytes_max} bytes"
        raise RequestInvalid(f"{message}, want 0 or more, or none", where="bytes_max")
    _check_summaries(wanted)
    if len(wanted.description) > TEXT_CHARACTERS_MAX:
        message = f"cannot put retention class {name!r}: got a text of {len(wanted.description)}"
        raise RequestInvalid(f"{message} characters, want at most {TEXT_CHARACTERS_MAX}")


def _check_summaries(wanted: RetentionClass) -> None:
    what = f"cannot put retention class {wanted.name!r}: got"
    length = wanted.summary_ns
    if length is not None and (length < 1 or DAY_NS % length):
        message = f"{what} summaries of {length} ns, want a part of a day, for example an hour"
        raise RequestInvalid(message, where="summary_interval")
    if length is not None and len(CLASS_PREFIX + wanted.name) > NAME_CHARACTERS_MAX:
        most = NAME_CHARACTERS_MAX - len(CLASS_PREFIX)
        message = f"{what} {len(wanted.name)} characters, want at most {most} with summaries"
        raise RequestInvalid(message, where="name")
    if wanted.summary_age_ns is not None and not 0 < wanted.summary_age_ns < 2**63:
        message = f"{what} summary age {wanted.summary_age_ns} ns, want 1 or more, or none"
        raise RequestInvalid(message, where="summary_age")


def check_assignment(kind: str, pattern: str) -> None:
    """Refuse what cannot be assigned.

    Raises
    ------
    RequestInvalid
    """
    if kind not in KINDS:
        message = f"cannot assign: got kind {kind!r}, want one of {', '.join(KINDS)}"
        raise RequestInvalid(message, where="kind")
    if not 0 < len(pattern) <= TEXT_CHARACTERS_MAX:
        message = f"cannot assign {kind}: got a pattern of {len(pattern)} characters"
        raise RequestInvalid(f"{message}, want 1 to {TEXT_CHARACTERS_MAX}", where="pattern")
    if kind == "event" and pattern not in EVENT_KINDS:
        message = f"cannot assign event: got {pattern!r}, want a kind of event"
        raise RequestInvalid(message, where="pattern")
