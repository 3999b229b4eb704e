"""What genealogy and energy read from: event streams by kind. The runtime fulfils it."""

from typing import Protocol

from storage_engine.sample import EventColumns

TIME_MIN_NS = -(2**63) + 1
TIME_MAX_NS = 2**63 - 1


class EventReader(Protocol):
    """Event streams by the name of their kind (``historian/events.py``).

    The runtime hands over an adapter over ``Engine.read_events`` that knows each kind's stream.
    """

    def read_events(self, kind: str, start_ns: int, end_ns: int) -> EventColumns:
        """Events of ``kind`` with start <= time < end, in (time, id) order, the first of a key.

        A kind that was never written gives zero rows, never an error.
        """
        ...
