"""What cameras say begins and ends: paired to one event, with bounds on what is open."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from connectors.payload.found import Found
from connectors.payload.values import Refused, canonical
from connectors.settings import Table
from storage_engine.sample import source_event_id

_GIVEN_UP_MAX = 10_000
_ATTRIBUTES_BYTES_MAX = 16 << 10
_TEXT_CHARACTERS_MAX = 1_000


@dataclass(slots=True)
class Started:
    """Something that began and is not known to have ended.

    ``source`` and ``sequence`` are its identity; ``columns`` are those of a vision event.
    """

    source: str
    sequence: str
    start_ns: int
    heard_ns: int
    columns: dict[str, Any]

    @property
    def open_id(self) -> bytes:
        """Id of the event that says that no end came."""
        return source_event_id(self.source, f"{self.sequence}/open")


class Pairs:
    """Starts that wait for their ends.

    One that waits too long, or is one too many, becomes an event without an end; if its end comes
    after all, that event is voided by the whole one.

    Parameters
    ----------
    table : Table
        ``open_max_s``: how long a start waits since it was last heard of, default an hour;
        ``open_max``: how many may wait, default 10,000.
    """

    def __init__(self, table: Table) -> None:
        self._wait_ns = int(table.number("open_max_s", 3_600.0, 1.0, 30 * 86_400.0) * 1e9)
        self._open_max = table.integer("open_max", 10_000, 1, 1_000_000)
        self._open: OrderedDict[object, Started] = OrderedDict()  # last heard of, last
        self._given_up: OrderedDict[object, Started] = OrderedDict()

    def start(self, key: object, started: Started) -> None:
        """Remember a start, or what is newly known of it; its attributes were ``checked``."""
        self._open[key] = started
        self._open.move_to_end(key)

    def started(self, key: object) -> Started | None:
        """Give the start that waits under this key."""
        return self._open.get(key)

    def end(self, key: object) -> tuple[Started | None, str | None]:
        """Give the start and forget it; with it the id to be voided, where one was given up."""
        given_up = self._given_up.pop(key, None)
        found = self._open.pop(key, given_up)
        if given_up is None or found is None or found.sequence != given_up.sequence:
            return found, None
        return found, given_up.open_id.hex()

    def give_up(self, received_ns: int, found: Found) -> None:
        """Make events of starts whose end did not come in time."""
        while self._open:
            key, oldest = next(iter(self._open.items()))
            late = received_ns - oldest.heard_ns > self._wait_ns
            if not late and len(self._open) <= self._open_max:
                return
            del self._open[key]
            before = self._given_up.get(key)
            if before is not None and before.sequence == oldest.sequence:
                continue  # told already that it has no end
            self._given_up[key] = oldest
            while len(self._given_up) > _GIVEN_UP_MAX:
                self._given_up.popitem(last=False)
            found.counts["vision_ends_missing"] += 1
            columns = dict(oldest.columns)
            columns["attributes"] = {**columns.get("attributes", {}), "pairing": "no end"}
            columns["start_ns"] = oldest.start_ns
            found.event("vision_event", oldest.start_ns, oldest.open_id, **columns)


def checked(columns: dict[str, Any]) -> dict[str, Any]:
    """Give the columns of a vision event back, if they may be kept until its end.

    Raises
    ------
    Refused
        If the attributes are more than is kept, or cannot be written.
    """
    size = len(canonical(columns["attributes"]))
    if size > _ATTRIBUTES_BYTES_MAX:
        want = f"at most {_ATTRIBUTES_BYTES_MAX}"
        raise Refused(f"cannot keep attributes: got {size} bytes, want {want}")
    return columns


def number(value: object) -> float | None:
    """Give a number as float, None for anything else: a confidence may be left out."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e300 else None


def text(value: object) -> str | None:
    """Give text or a whole number as text, None for anything else.

    Raises
    ------
    Refused
        If it is longer than any name.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        return None
    if len(value) > _TEXT_CHARACTERS_MAX:
        got = f"{len(value)} characters"
        raise Refused(f"cannot read text: got {got}, want at most {_TEXT_CHARACTERS_MAX}")
    return value
