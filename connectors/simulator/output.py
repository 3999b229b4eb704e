"""What a simulated plant gives: events for the broker, rows for OPC UA, and the truth."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from connectors.simulator.node import Row


@dataclass(frozen=True, slots=True)
class PlantEvent:
    """One JSON message of a station, camera or meter.

    ``payload`` has ``kind``, ``ts`` (ISO 8601, nanoseconds), ``source`` and ``seq``, and the
    columns of its kind as named in ``historian/events.py``.
    """

    time_ns: int
    topic: str
    payload: dict[str, Any]

    def body(self) -> bytes:
        """The message as bytes."""
        return orjson.dumps(self.payload)


@dataclass(frozen=True, slots=True)
class PlantRows:
    """Samples of process tags taken at one instant."""

    time_ns: int
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Truth:
    """One line of what really happened; ``facts`` has ``kind`` and what belongs to it."""

    time_ns: int
    facts: dict[str, Any]

    def line(self) -> bytes:
        """JSON with a line feed."""
        return orjson.dumps(self.facts, option=orjson.OPT_APPEND_NEWLINE)


Output = PlantEvent | PlantRows | Truth


def iso_time(time_ns: int) -> str:
    """Write a time as ISO 8601 with nine digits, UTC."""
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest_ns:09d}Z"


class Journal:
    """Where processes write what happened; numbers the messages of each source.

    Parameters
    ----------
    now_ns : callable
        Simulated time.
    first_sequence : int
        Messages are numbered from here, per source.
    """

    def __init__(self, now_ns: Callable[[], int], first_sequence: int) -> None:
        self._now_ns = now_ns
        self._first = first_sequence
        self._sequence: dict[str, int] = {}
        self._items: list[Output] = []

    def event(self, source: str, topic: str, kind: str, **columns: object) -> None:
        """Publish an event; columns that are None are left out."""
        now_ns = self._now_ns()
        sequence = self._sequence.get(source, self._first)
        self._sequence[source] = sequence + 1
        payload = {"kind": kind, "ts": iso_time(now_ns), "source": source, "seq": sequence}
        payload |= {name: value for name, value in columns.items() if value is not None}
        self._items.append(PlantEvent(now_ns, topic, payload))

    def rows(self, rows: list[Row]) -> None:
        """Publish samples."""
        if rows:
            self._items.append(PlantRows(self._now_ns(), tuple(rows)))

    def truth(self, kind: str, **facts: object) -> None:
        """Write down what really happened."""
        self._items.append(Truth(self._now_ns(), {"kind": kind, **facts}))

    def take(self) -> list[Output]:
        """Everything since the last call, in order."""
        items, self._items = self._items, []
        return items
