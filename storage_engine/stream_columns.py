"""The streams of a store as columns by id: objects are made only when asked for."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from storage_engine.frame import SlotKind
from storage_engine.sample import (
    EVENT_ID_DTYPE,
    Column,
    Int64Array,
    UInt32Array,
    UInt64Array,
)
from storage_engine.stream_info import (
    EVENTS_TYPE,
    Duplicates,
    StreamInfo,
    columns_of,
    schema_of,
)
from storage_engine.table import Table, json_column, read_json

_ABSENT = 255  # where a kind stands: no stream has this id
_MADE_MAX = 65_536  # objects kept for the next who asks
_LATER_MAX = 65_536


class StreamColumns(Mapping[int, StreamInfo]):
    """Streams by id. One writer at a time; a :meth:`snapshot` never changes.

    Attributes
    ----------
    end : int
        Every id is below it.
    types : uint8, shape (>= end,)
        Value type of a series, ``EVENTS_TYPE`` of an event stream, 0 of an id without stream.
    """

    def __init__(self) -> None:
        self.end = 1
        self._count = 0
        self._shared = False
        self._made: dict[int, StreamInfo] = {}
        self._schemas: list[tuple[Column, ...]] = []
        self._schema_of: dict[tuple[Column, ...], int] = {}
        self._classes: list[str] = []
        self._class_of: dict[str, int] = {}
        self._uuid: UInt64Array = np.zeros((64, 2), np.uint64)
        self._kind: npt.NDArray[np.uint8] = np.full(64, _ABSENT, np.uint8)
        self._schema: UInt32Array = np.zeros(64, np.uint32)
        self._class: UInt32Array = np.zeros(64, np.uint32)
        self._duplicates: npt.NDArray[np.uint8] = np.zeros(64, np.uint8)
        self.types: npt.NDArray[np.uint8] = np.zeros(64, np.uint8)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        return iter(self.ids().tolist())

    def __contains__(self, stream_id: object) -> bool:
        if not isinstance(stream_id, int | np.integer) or not 0 <= stream_id < self.end:
            return False
        return bool(self._kind[stream_id] != _ABSENT)

    def __getitem__(self, stream_id: int) -> StreamInfo:
        made = self._made.get(stream_id)
        if made is not None:
            return made
        if stream_id not in self:
            raise KeyError(stream_id)
        made = StreamInfo(
            int(stream_id),
            self._uuid[stream_id].tobytes(),
            SlotKind(int(self._kind[stream_id])),
            self._schemas[self._schema[stream_id]],
            self._classes[self._class[stream_id]],
            Duplicates(int(self._duplicates[stream_id])),
        )
        if len(self._made) >= _MADE_MAX:
            self._made = {}
        self._made[made.id] = made
        return made

    def ids(self) -> Int64Array:
        """All ids, ascending."""
        return np.flatnonzero(self._kind[: self.end] != _ABSENT)

    def uuids(self) -> UInt64Array:
        """Uuid of each id, two words each, zeros where there is none: shape (end, 2)."""
        return self._uuid[: self.end]

    def firsts(self) -> tuple[Int64Array, npt.NDArray[np.bool_]]:
        """Ids of all series, and whether the first of equal times counts in each."""
        ids = np.flatnonzero(self._kind[: self.end] == SlotKind.SERIES)
        return ids, self._duplicates[ids] == Duplicates.FIRST

    def put(self, info: StreamInfo) -> None:
        """Add or replace a stream."""
        stream_id = info.id
        new = stream_id >= self.end or self._kind[stream_id] == _ABSENT
        if stream_id >= len(self._kind):
            self._grow(max(2 * len(self._kind), stream_id + 1))
        elif self._shared and stream_id < self.end:
            self._grow(len(self._kind))  # a copy: snapshots keep what they have
        self._uuid[stream_id] = np.frombuffer(info.uuid, np.uint64)
        self._kind[stream_id] = info.kind
        self._schema[stream_id] = self._schema_number(info.columns)
        self._class[stream_id] = self._class_number(info.retention_class)
        self._duplicates[stream_id] = info.duplicates
        series = info.kind is SlotKind.SERIES
        self.types[stream_id] = int(info.value_type) if series else EVENTS_TYPE
        self._made.pop(stream_id, None)
        self._count += int(new)
        self.end = max(self.end, stream_id + 1)

    def put_new(self, first: StreamInfo, uuids: Sequence[bytes]) -> None:
        """Add streams that differ in id and uuid alone.

        Parameters
        ----------
        first : StreamInfo
            Has the first id, which is :attr:`end`, and all that is common.
        uuids : sequence of bytes
            Of ids one after the other.
        """
        part = slice(self.end, self.end + len(uuids))
        if part.stop > len(self._kind):
            self._grow(max(2 * len(self._kind), part.stop))
        series = first.kind is SlotKind.SERIES
        self._uuid[part] = np.frombuffer(b"".join(uuids), np.uint64).reshape(-1, 2)
        self._kind[part] = first.kind
        self._schema[part] = self._schema_number(first.columns)
        self._class[part] = self._class_number(first.retention_class)
        self._duplicates[part] = first.duplicates
        self.types[part] = int(first.value_type) if series else EVENTS_TYPE
        self._count += len(uuids)
        self.end = part.stop

    def _schema_number(self, columns: tuple[Column, ...]) -> int:
        number = self._schema_of.setdefault(columns, len(self._schemas))
        if number == len(self._schemas):
            self._schemas.append(columns)
        return number

    def _class_number(self, name: str) -> int:
        number = self._class_of.setdefault(name, len(self._classes))
        if number == len(self._classes):
            self._classes.append(name)
        return number

    def _grow(self, size: int) -> None:
        for name in ("_uuid", "_kind", "_schema", "_class", "_duplicates", "types"):
            old = getattr(self, name)
            blank = _ABSENT if name == "_kind" else 0
            bigger = np.full((size, *old.shape[1:]), blank, old.dtype)
            bigger[: len(old)] = old
            setattr(self, name, bigger)
        self._shared = False

    def snapshot(self) -> "StreamColumns":
        """Streams as they are now; costs nothing until one of them changes."""
        self._shared = True
        held = StreamColumns.__new__(StreamColumns)
        held.__dict__.update(self.__dict__)
        held._made = {}  # noqa: SLF001
        held._schema_of, held._class_of = {}, {}  # noqa: SLF001 - a snapshot takes no streams
        return held

    def classes(self, size: int) -> tuple[list[str], Int64Array]:
        """Names of the retention classes in use, ascending, and each id's place among them.

        Parameters
        ----------
        size : int
            Entries of the second.
        """
        ids = self.ids()
        used, place = np.unique(self._class[ids], return_inverse=True)
        names = [self._classes[number] for number in used.tolist()]
        rank = {name: number for number, name in enumerate(sorted(names))}
        ranks = np.array([rank[name] for name in names], np.int64)
        codes = np.zeros(max(size, self.end), np.int64)
        codes[ids] = ranks[place] if names else 0
        return sorted(names), codes[:size]

    def directory(self, ids: npt.NDArray[Any]) -> Table:
        """Arrays of some streams as a segment's directory has them.

        Parameters
        ----------
        ids : int, shape (n,)

        Returns
        -------
        dict of str to array
        """
        used, schema = np.unique(self._schema[ids], return_inverse=True)
        schemas = [schema_of(self._schemas[number]) for number in used.tolist()]
        return {
            "stream_id": np.asarray(ids, np.uint32),
            "stream_uuid": self._uuid[ids].reshape(-1).view(EVENT_ID_DTYPE),
            "stream_kind": self._kind[ids],
            "stream_schema": schema.astype(np.uint32),
            "schemas": json_column(schemas),
        }

    def table(self) -> Table:
        """Arrays of all streams as a manifest has them."""
        ids = self.ids()
        return {
            **self.directory(ids),
            "stream_class": self._class[ids],
            "stream_duplicates": self._duplicates[ids],
            "classes": json_column(self._classes),
        }

    def load(self, table: Table, *, at: str) -> None:
        """Take the arrays of a manifest; call it on an empty one.

        Parameters
        ----------
        table : dict of str to array
        at : str
            Where they come from, for messages.

        Raises
        ------
        CorruptData, KeyError, ValueError, IndexError
            When they make no sense.
        """
        ids = table["stream_id"].astype(np.intp)
        schemas = [columns_of(schema) for schema in read_json(table, "schemas", at=at)]
        classes = read_json(table, "classes", at=at) if "classes" in table else ["default"]
        numbers = np.array([self._schema_number(columns) for columns in schemas], np.uint32)
        in_class = np.array([self._class_number(str(name)) for name in classes], np.uint32)
        kinds = table["stream_kind"]
        if not np.isin(kinds, [int(kind) for kind in SlotKind]).all():
            raise ValueError(f"got stream kinds {np.unique(kinds).tolist()}")
        types = [int(columns[0].type) if columns else EVENTS_TYPE for columns in schemas]
        self._grow(max(len(self._kind), int(ids.max(initial=0)) + 1))
        self._uuid[ids] = table["stream_uuid"].view(np.uint64).reshape(-1, 2)
        self._kind[ids] = kinds
        self._schema[ids] = numbers[table["stream_schema"]]
        if "stream_class" in table:
            self._class[ids] = in_class[table["stream_class"]]
        if "stream_duplicates" in table:
            rules = table["stream_duplicates"]
            if not np.isin(rules, [int(rule) for rule in Duplicates]).all():
                raise ValueError(f"got rules of duplicates {np.unique(rules).tolist()}")
            self._duplicates[ids] = rules
        value_type = np.array(types, np.uint8)[table["stream_schema"]]
        self.types[ids] = np.where(kinds == SlotKind.SERIES, value_type, EVENTS_TYPE)
        self._count = len(np.unique(ids))
        self.end = max(self.end, int(ids.max(initial=0)) + 1)


def directory_of(streams: Mapping[int, StreamInfo], ids: Sequence[int]) -> Table:
    """Arrays of some streams as a segment's directory has them.

    Parameters
    ----------
    streams : mapping of int to StreamInfo
        At least those.
    ids : sequence of int
        Ascending.

    Returns
    -------
    dict of str to array
    """
    if not isinstance(streams, StreamColumns):
        held = StreamColumns()
        for stream_id in ids:
            held.put(streams[stream_id])
        streams = held
    return streams.directory(np.array(ids, np.intp))


class UuidIndex:
    """Id of each uuid: sorted words for most of them, a dictionary for the newest.

    Parameters
    ----------
    columns : StreamColumns
        Has every stream that is put here.
    """

    def __init__(self, columns: StreamColumns) -> None:
        self._columns = columns
        self._later: dict[bytes, int] = {}
        self._words: UInt64Array = np.empty(0, np.uint64)
        self._ids: Int64Array = np.empty(0, np.intp)
        self._stale = False

    def put(self, uuid: bytes, stream_id: int) -> None:
        """Add a uuid."""
        self._later[uuid] = stream_id
        if len(self._later) > max(_LATER_MAX, len(self._ids) // 4):
            self.rebuild()

    def rebuild(self) -> None:
        """Take all uuids from the columns at the next look."""
        self._stale = True
        self._later = {}

    def get(self, uuid: bytes) -> int | None:
        """Id of a uuid, None when it is not known."""
        self._sort()
        known = self._later.get(uuid)
        if known is not None or len(uuid) != 16 or not len(self._words):
            return known
        word = np.frombuffer(uuid, np.uint64)[0]
        uuids = self._columns.uuids()
        for place in range(int(self._words.searchsorted(word)), len(self._words)):
            if self._words[place] != word:
                break
            if uuids[self._ids[place]].tobytes() == uuid:
                return int(self._ids[place])
        return None

    def _sort(self) -> None:
        if self._stale:
            ids = self._columns.ids()
            words = self._columns.uuids()[ids, 0]
            order = np.argsort(words)
            self._words, self._ids, self._stale = words[order], ids[order], False

    def unknown(self, uuids: Sequence[bytes]) -> list[bytes]:
        """Those of some uuids that are not known, each once, in order.

        Parameters
        ----------
        uuids : sequence of bytes
            16 bytes each.
        """
        self._sort()
        different = list(dict.fromkeys(uuids))
        words = np.frombuffer(b"".join(different), np.uint64).reshape(-1, 2)[:, 0]
        place = np.minimum(self._words.searchsorted(words), max(len(self._words) - 1, 0))
        near = self._words[place] == words if len(self._words) else np.zeros(len(words), np.bool_)
        return [
            uuid
            for uuid, looked in zip(different, near.tolist(), strict=True)
            if uuid not in self._later and not (looked and self.get(uuid) is not None)
        ]
