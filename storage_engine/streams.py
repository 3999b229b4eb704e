"""The streams of a store: dense ids, uuids, schemas that only grow."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from storage_engine.errors import InvalidArgument, LimitExceeded
from storage_engine.frame import SlotKind
from storage_engine.sample import SERIES_VALUE, Column
from storage_engine.stream_columns import StreamColumns, UuidIndex
from storage_engine.stream_info import (
    EVENTS_TYPE,
    Duplicates,
    StreamInfo,
    columns_of,
    schema_columns,
    schema_of,
    stream_from_json,
)
from storage_engine.table import Table

__all__ = [
    "EVENTS_TYPE",
    "Duplicates",
    "StreamColumns",
    "StreamInfo",
    "StreamTable",
    "check_schema",
    "columns_of",
    "get_stream",
    "plan_set",
    "schema_columns",
    "schema_of",
    "stream_from_json",
]


class StreamTable:
    """All streams. Readers take ``by_id`` and ``types`` as they are; one writer at a time adds."""

    def __init__(self) -> None:
        self.by_id = StreamColumns()
        self.by_uuid = UuidIndex(self.by_id)
        self.next_id = 1

    @property
    def types(self) -> npt.NDArray[np.uint8]:
        """Value type of each series by id, ``EVENTS_TYPE`` of event streams, 0 of no stream."""
        return self.by_id.types

    @property
    def id_end(self) -> int:
        """Every id is below it."""
        return self.next_id

    def load(self, table: Table, *, at: str) -> None:
        """Take the arrays of a manifest, into a table that is empty."""
        self.by_id.load(table, at=at)
        self.by_uuid.rebuild()
        self.next_id = max(self.next_id, self.by_id.end)

    def put(self, info: StreamInfo) -> None:
        """Add or replace a stream; repeating it changes nothing."""
        have = self.by_id.get(info.id)
        if have is not None and len(have.columns) > len(info.columns):
            return  # an older record replayed behind a newer one
        if have == info:
            return
        self.by_id.put(info)
        self.by_uuid.put(info.uuid, info.id)
        self.next_id = max(self.next_id, info.id + 1)

    def put_new(self, first: StreamInfo, uuids: Sequence[bytes]) -> None:
        """Add streams that differ from ``first`` in id and uuid alone, with the next ids."""
        self.by_id.end = self.next_id
        self.by_id.put_new(first, uuids)
        for number, uuid in enumerate(uuids, first.id):
            self.by_uuid.put(uuid, number)
        self.next_id = self.by_id.end

    def plan_new(
        self,
        uuids: Sequence[bytes],
        kind: SlotKind,
        columns: Sequence[Column],
        retention_class: str,
        *,
        streams_max: int,
    ) -> tuple[StreamInfo | None, list[bytes]]:
        """Plan the streams of those uuids that are not known yet.

        Returns
        -------
        first : StreamInfo or None
            The first new one; the others have the next ids and are like it.
        uuids : list of bytes
            Of the new ones.

        Raises
        ------
        InvalidArgument, LimitExceeded
            As :meth:`plan`.
        """
        bad = [len(uuid) for uuid in uuids if len(uuid) != 16]
        if bad:
            raise InvalidArgument(f"cannot create streams: got uuid of {bad[0]} bytes, want 16")
        check_schema(kind, columns)
        new = self.by_uuid.unknown(uuids)
        if len(self.by_id) + len(new) > streams_max:
            raise LimitExceeded(
                f"cannot create streams: got {len(self.by_id)} streams and {len(new)} more, "
                f"want <= {streams_max}"
            )
        if not new:
            return None, new
        return StreamInfo(self.next_id, new[0], kind, tuple(columns), retention_class), new

    def plan(
        self,
        uuid: bytes,
        kind: SlotKind,
        columns: Sequence[Column],
        retention_class: str,
        *,
        streams_max: int,
    ) -> tuple[StreamInfo, bool]:
        """Find the stream of a uuid, or plan a new one.

        Returns
        -------
        info : StreamInfo
        new : bool
            Whether it has to be logged and put.

        Raises
        ------
        InvalidArgument
            For a bad uuid or schema, or a uuid known with another schema.
        LimitExceeded
            When there are too many streams.
        """
        if len(uuid) != 16:
            raise InvalidArgument(f"cannot create stream: got uuid of {len(uuid)} bytes, want 16")
        check_schema(kind, columns)
        known = self.by_uuid.get(uuid)
        if known is not None:
            have = self.by_id[known]
            if have.kind is not kind or have.columns[: len(columns)] != tuple(columns):
                raise InvalidArgument(
                    f"cannot create stream {uuid.hex()}: got {schema_of(columns)}, "
                    f"want {schema_of(have.columns)} as it was created",
                    stream_id=known,
                )
            return have, False
        if len(self.by_id) >= streams_max:
            raise LimitExceeded(
                f"cannot create stream: got {len(self.by_id)} streams, want < {streams_max}"
            )
        return StreamInfo(self.next_id, uuid, kind, tuple(columns), retention_class), True

    def plan_grow(self, stream_id: int, columns: Sequence[Column]) -> StreamInfo:
        """Plan a stream with more columns at its end.

        Raises
        ------
        InvalidArgument
            When the new columns do not start with the old ones, or it is a series.
        """
        have = get_stream(self.by_id, stream_id)
        if have.kind is SlotKind.SERIES or tuple(columns)[: len(have.columns)] != have.columns:
            raise InvalidArgument(
                f"cannot grow stream {stream_id}: got {schema_of(columns)}, want columns that "
                f"start with {schema_of(have.columns)}",
                stream_id=stream_id,
            )
        check_schema(have.kind, columns)
        return replace(have, columns=tuple(columns))


def plan_set(
    have: StreamInfo, retention_class: str | None, duplicates: Duplicates | None
) -> StreamInfo:
    """Plan a stream under another retention class or rule of duplicates; None leaves it.

    Raises
    ------
    InvalidArgument
        For an empty class, or a rule of duplicates for events.
    """
    if duplicates is not None and have.kind is not SlotKind.SERIES:
        raise InvalidArgument(
            f"cannot set stream {have.id}: got duplicates {duplicates.name} for events, "
            f"want a series",
            stream_id=have.id,
        )
    if retention_class is not None and not 0 < len(retention_class) <= 100:
        raise InvalidArgument(
            f"cannot set stream {have.id}: got retention class {retention_class!r}, "
            f"want 1 to 100 characters",
            stream_id=have.id,
        )
    return replace(
        have,
        retention_class=retention_class or have.retention_class,
        duplicates=have.duplicates if duplicates is None else duplicates,
    )


def get_stream(streams: Mapping[int, StreamInfo], stream_id: int) -> StreamInfo:
    """Look a stream up, or raise InvalidArgument."""
    info = streams.get(int(stream_id))
    if info is None:
        raise InvalidArgument(
            f"cannot find stream: got id {stream_id}, want one of {len(streams)} known",
            stream_id=stream_id,
        )
    return info


def check_schema(kind: SlotKind, columns: Sequence[Column]) -> None:
    """Refuse schemas that no stream can have."""
    names = [column.name for column in columns]
    series = kind is SlotKind.SERIES
    if series and names != [SERIES_VALUE]:
        raise InvalidArgument(f"cannot create stream: got columns {names}, want ['value']")
    if len(set(names)) != len(names) or not all(names) or len(names) > 1000:
        raise InvalidArgument(
            f"cannot create stream: got columns {names}, want at most 1000 different names"
        )
