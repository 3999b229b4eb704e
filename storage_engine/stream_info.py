"""One stream: what it is called, what it holds, and how both are written down."""

import enum
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from storage_engine.frame import SlotKind
from storage_engine.sample import Column, UInt32Array, ValueType

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


def creations(first: StreamInfo, uuids: Sequence[bytes]) -> list[bytes]:
    """Bodies of STREAM records of streams that differ in id and uuid alone.

    Parameters
    ----------
    first : StreamInfo
        Has the first id and all that is common.
    uuids : sequence of bytes
        Of ids one after the other.

    Returns
    -------
    list of bytes
    """
    head = b'{"id":%d,"uuid":"%s"'
    before = len(head % (first.id, first.uuid.hex().encode()))
    rest = first.to_json()[before:]
    return [
        head % (number, uuid.hex().encode()) + rest for number, uuid in enumerate(uuids, first.id)
    ]


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
