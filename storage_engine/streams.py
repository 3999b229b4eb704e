"""The streams of a store: dense ids, uuids, schemas that only grow."""

import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from storage_engine.errors import InvalidArgument, LimitExceeded
from storage_engine.frame import SlotKind
from storage_engine.sample import SERIES_VALUE, Column, UInt32Array, ValueType

EVENTS_TYPE = 255  # in the type table, where a series has its value type


class Duplicates(enum.IntEnum):
    """What a plain read of a series gives of several revisions of one time.

    A rule of reading: all revisions are kept whatever it says. The numbers are part of formats.
    """

    LAST = 0
    FIRST = 1
    ALL = 2


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One stream.

    Attributes
    ----------
    id : int
        Dense, never reused.
    uuid : bytes
        16 bytes, given by who created it.
    kind : SlotKind
    columns : tuple of Column
        A series has one, ``value``.
    retention_class : str
        Of rows written from now on, in segments written from now on.
    duplicates : Duplicates
        Of a series.
    """

    id: int
    uuid: bytes
    kind: SlotKind
    columns: tuple[Column, ...]
    retention_class: str
    duplicates: Duplicates = Duplicates.LAST

    @property
    def value_type(self) -> ValueType:
        """Type of a series."""
        return self.columns[0].type

    def to_json(self) -> bytes:
        """Body of a STREAM record of the log."""
        facts = {
            "id": self.id,
            "uuid": self.uuid.hex(),
            "kind": int(self.kind),
            "columns": schema_of(self.columns),
            "retention_class": self.retention_class,
            "duplicates": int(self.duplicates),
        }
        return json.dumps(facts, separators=(",", ":")).encode()


def schema_of(columns: Sequence[Column]) -> list[list[Any]]:
    """Columns as JSON: [[name, type number], ...]."""
    return [[column.name, int(column.type)] for column in columns]


def columns_of(schema: Sequence[Sequence[Any]]) -> tuple[Column, ...]:
    """Undo :func:`schema_of`."""
    return tuple(Column(str(name), ValueType(number)) for name, number in schema)


def stream_from_json(body: bytes) -> StreamInfo:
    """Read a STREAM record.

    Parameters
    ----------
    body : bytes

    Returns
    -------
    StreamInfo

    Raises
    ------
    ValueError, KeyError
        When it is no such record.
    """
    facts = json.loads(body)
    return StreamInfo(
        int(facts["id"]),
        bytes.fromhex(facts["uuid"]),
        SlotKind(facts["kind"]),
        columns_of(facts["columns"]),
        str(facts["retention_class"]),
        Duplicates(facts.get("duplicates", 0)),
    )


def schema_columns(streams: Sequence[StreamInfo]) -> tuple[UInt32Array, list[list[list[Any]]]]:
    """Schemas of streams, each written once.

    Parameters
    ----------
    streams : sequence of StreamInfo

    Returns
    -------
    index : uint32, shape (n,)
    schemas : list
        What the index points into.
    """
    known: dict[tuple[Column, ...], int] = {}
    index = [known.setdefault(stream.columns, len(known)) for stream in streams]
    return np.array(index, np.uint32), [schema_of(columns) for columns in known]


class StreamTable:
    """All streams. Readers take ``by_id`` and ``types`` as they are; one writer at a time adds."""

    def __init__(self) -> None:
        self.by_id: dict[int, StreamInfo] = {}
        self.by_uuid: dict[bytes, int] = {}
        self.types: npt.NDArray[np.uint8] = np.zeros(64, np.uint8)
        self.next_id = 1

    @property
    def id_end(self) -> int:
        """Every id is below it."""
        return self.next_id

    def put(self, info: StreamInfo) -> None:
        """Add or replace a stream; repeating it changes nothing."""
        have = self.by_id.get(info.id)
        if have is not None and len(have.columns) > len(info.columns):
            return  # an older record replayed behind a newer one
        self.by_id[info.id] = info
        self.by_uuid[info.uuid] = info.id
        self.next_id = max(self.next_id, info.id + 1)
        if info.id >= len(self.types):
            types = np.zeros(max(2 * len(self.types), info.id + 1), np.uint8)
            types[: len(self.types)] = self.types
            self.types = types
        series = info.kind is SlotKind.SERIES
        self.types[info.id] = int(info.value_type) if series else EVENTS_TYPE

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
