"""Streams of the engine by what they mean here: a tag's series, a kind of event."""

from collections.abc import Sequence

from historian.catalog_reconcile import StoredSeries
from historian.catalog_records import event_stream_uuid
from historian.events import EVENT_KINDS
from storage_engine.engine import Engine
from storage_engine.frame import SlotKind
from storage_engine.sample import SERIES_VALUE, Column, ValueType


class Streams:
    """Creates and finds streams of one open engine.

    Parameters
    ----------
    engine : Engine
        Open; for writing unless only read from.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kinds = {event_stream_uuid(kind): kind for kind in EVENT_KINDS}
        self._event_streams: dict[str, int] = {}
        self._kind_of: dict[int, str] = {}
        for stream_id, info in engine.streams().items():
            kind = self._kinds.get(info.uuid)
            if kind is not None:
                self._remember(kind, stream_id)

    def _remember(self, kind: str, stream_id: int) -> None:
        self._event_streams[kind] = stream_id
        self._kind_of[stream_id] = kind

    def create_series(self, wanted: Sequence[tuple[bytes, ValueType]]) -> list[int]:
        """Make series streams, durable on return; the same uuid gives the same id.

        Parameters
        ----------
        wanted : sequence of (uuid, type)
        """
        found: dict[tuple[bytes, ValueType], int] = {}
        for type_ in dict.fromkeys(type_ for _, type_ in wanted):
            uids = [uid for uid, other in wanted if other is type_]
            columns = (Column(SERIES_VALUE, type_),)
            ids = self._engine.create_streams(uids, SlotKind.SERIES, columns)
            found |= {(uid, type_): number for uid, number in zip(uids, ids, strict=True)}
        return [found[one] for one in wanted]

    def create_event_streams(self) -> None:
        """Make the stream of every kind of event, and grow those whose kind has more columns."""
        for kind, columns in EVENT_KINDS.items():
            uid = event_stream_uuid(kind)
            stream_id = self._engine.create_stream(uid, SlotKind.EVENTS, columns)
            known = self._engine.streams()[stream_id].columns
            if len(known) < len(columns):
                self._engine.grow_stream(stream_id, columns)
            self._remember(kind, stream_id)

    @property
    def complete(self) -> bool:
        """Whether every kind of event has its stream; a full disk may have kept us from it."""
        return len(self._event_streams) == len(EVENT_KINDS)

    def event_stream(self, kind: str) -> int | None:
        """Return the stream of a kind of event; None when there is none."""
        return self._event_streams.get(kind)

    def kind_of(self, stream_id: int) -> str | None:
        """Return the kind of event that a stream holds; None for a series."""
        return self._kind_of.get(stream_id)

    def stored_series(self) -> dict[bytes, StoredSeries]:
        """Return every series stream of the engine by uuid."""
        return {
            info.uuid: StoredSeries(stream_id, info.uuid, info.columns[0].type)
            for stream_id, info in self._engine.streams().items()
            if info.kind is SlotKind.SERIES
        }

    def has_rows(self, stream_id: int) -> bool:
        """Whether a series holds at least one sample."""
        return bool(self._engine.latest([stream_id]).present[0])
