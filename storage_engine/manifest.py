"""The atomic list of what lives: docs/format/manifest.md in Python."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from storage_engine.checksum import crc32c
from storage_engine.columns import STRINGS
from storage_engine.errors import CorruptData, DataError, DiskError, UnsupportedFormat
from storage_engine.filesystem import FileSystem
from storage_engine.findings import Findings
from storage_engine.frame import SlotKind
from storage_engine.newest import FIRST, PRESENT, STALE, Newest
from storage_engine.producers import ids_of
from storage_engine.sample import EVENT_ID_DTYPE, ValueType
from storage_engine.segment.layout import SegmentInfo
from storage_engine.streams import Duplicates, StreamInfo, columns_of, schema_columns
from storage_engine.table import Table, decode_table, encode_table, json_column, read_json

DIRECTORY = "manifest"
MAGIC = b"LHMANIF1"
VERSION = 1
KEPT = 2
FEATURE_TOMBSTONES = 1  # bits of the header's feature word; an unknown one refuses the file
_KNOWN_FEATURES = FEATURE_TOMBSTONES

_HEADER = struct.Struct("<8sII16sQQQI")
_CRC = struct.Struct("<I")
HEADER_BYTES = _HEADER.size + _CRC.size
assert HEADER_BYTES == 64, "the header of version 1 has 64 bytes"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One generation.

    Attributes
    ----------
    incarnation : bytes
    generation : int
    checkpoint_lsn : int
        Every record up to it is in the segments and the table.
    segments : tuple of SegmentInfo
    table : dict of str to array
        The arrays of the body.
    """

    incarnation: bytes
    generation: int
    checkpoint_lsn: int
    segments: tuple[SegmentInfo, ...]
    table: Table

    @property
    def path(self) -> str:
        """Where it lies below the store."""
        return f"{DIRECTORY}/{self.generation:016x}"

    def counter(self, name: str) -> int:
        """Read a counter, 1 when there is none."""
        return int(read_json(self.table, "counters", at=self.path).get(name, 1))


def encode_manifest(manifest: Manifest) -> bytes:
    """Bytes of a generation.

    Parameters
    ----------
    manifest : Manifest

    Returns
    -------
    bytes
    """
    segments = json_column([asdict(segment) for segment in manifest.segments])
    body = encode_table({**manifest.table, "segments": segments})
    head = _HEADER.pack(
        MAGIC,
        VERSION,
        crc32c(body),
        manifest.incarnation,
        manifest.generation,
        len(body),
        manifest.checkpoint_lsn,
        FEATURE_TOMBSTONES if len(manifest.table.get("tombstone_lsn", ())) else 0,
    )
    return head + _CRC.pack(crc32c(head)) + body


def decode_manifest(data: bytes, *, at: str) -> Manifest:
    """Read a generation.

    Raises
    ------
    CorruptData, UnsupportedFormat
    """
    if len(data) < HEADER_BYTES or data[:8] != MAGIC:
        raise CorruptData(f"cannot read manifest: got no {MAGIC.decode()}, at {at}", path=at)
    (crc,) = _CRC.unpack_from(data, _HEADER.size)
    if crc32c(data[: _HEADER.size]) != crc:
        raise CorruptData(f"cannot read manifest: got a bad header crc32c, at {at}", path=at)
    fields = _HEADER.unpack_from(data)
    _, version, body_crc, incarnation, generation, length, checkpoint_lsn, features = fields
    if features & ~_KNOWN_FEATURES:
        raise UnsupportedFormat(
            f"cannot read manifest: got features {features:#x}, want {_KNOWN_FEATURES:#x} or "
            f"fewer, at {at}",
            path=at,
        )
    if version != VERSION:
        raise UnsupportedFormat(
            f"cannot read manifest: got version {version}, want {VERSION}, at {at}", path=at
        )
    body = data[HEADER_BYTES:]
    if len(body) != length or crc32c(body) != body_crc:
        raise CorruptData(f"cannot read manifest: got a bad body crc32c, at {at}", path=at)
    table = decode_table(body, at=at)
    known = SegmentInfo.__dataclass_fields__
    segments = tuple(
        SegmentInfo(**{name: value for name, value in facts.items() if name in known})
        for facts in read_json(table, "segments", at=at)
    )
    return Manifest(incarnation, generation, checkpoint_lsn, segments, table)


def generations(fs: FileSystem) -> list[int]:
    """Generations on disk, newest first; half-written ones (``.new``) are not among them."""
    names = [name for name in fs.list(DIRECTORY) if len(name) == 16]
    return sorted((int(n, 16) for n in names if set(n) <= set("0123456789abcdef")), reverse=True)


def load_manifest(fs: FileSystem, findings: Findings) -> Manifest | None:
    """Find the highest generation that checks out; damaged ones are named.

    Raises
    ------
    UnsupportedFormat
        When a newer version wrote the newest generation.
    """
    for generation in generations(fs):
        path = f"{DIRECTORY}/{generation:016x}"
        try:
            manifest = decode_manifest(_read_twice(fs, path), at=path)
        except UnsupportedFormat:
            raise
        except (DataError, DiskError, TypeError, KeyError) as error:
            findings.add(path, 0, f"manifest generation set aside: {error}")
            continue
        return manifest
    return None


def _read_twice(fs: FileSystem, path: str) -> bytes:
    """Bytes of a file; what a medium refuses once is asked for again before it counts as lost."""
    for last in (False, True):
        try:
            file = fs.open_read(path)
            try:
                return file.read_at(0, file.size())
            finally:
                file.close()
        except DiskError:
            if last:
                raise
    raise AssertionError("the second failure is raised")


def store_manifest(fs: FileSystem, manifest: Manifest) -> None:
    """Write a generation so that it is durable and whole, or not there."""
    fs.make_directories(DIRECTORY)
    path = manifest.path
    if fs.exists(path + ".new"):
        fs.remove(path + ".new")
    file = fs.create(path + ".new")
    try:
        file.append(encode_manifest(manifest))
        file.sync()
    finally:
        file.close()
    fs.rename(path + ".new", path)
    fs.sync_directory(DIRECTORY)


def stream_table(streams: Sequence[StreamInfo]) -> Table:
    """Arrays of the streams.

    Parameters
    ----------
    streams : sequence of StreamInfo

    Returns
    -------
    dict of str to array
    """
    index, schemas = schema_columns(streams)
    classes: dict[str, int] = {}
    stream_class = [classes.setdefault(s.retention_class, len(classes)) for s in streams]
    return {
        "stream_id": np.array([s.id for s in streams], np.uint32),
        "stream_uuid": np.array([s.uuid for s in streams], EVENT_ID_DTYPE),
        "stream_kind": np.array([s.kind for s in streams], np.uint8),
        "stream_schema": index,
        "stream_class": np.array(stream_class, np.uint32),
        "stream_duplicates": np.array([s.duplicates for s in streams], np.uint8),
        "schemas": json_column(schemas),
        "classes": json_column(list(classes)),
    }


def read_streams(table: Table, *, at: str) -> list[StreamInfo]:
    """Undo :func:`stream_table`; a segment's directory has no classes, which reads as default."""
    schemas = [columns_of(schema) for schema in read_json(table, "schemas", at=at)]
    classes: list[str] = ["default"]
    stream_class: list[int] = [0] * len(table["stream_id"])
    duplicates: list[int] = stream_class
    if "classes" in table:
        classes = read_json(table, "classes", at=at)
        stream_class = table["stream_class"].tolist()
    if "stream_duplicates" in table:
        duplicates = table["stream_duplicates"].tolist()
    return [
        StreamInfo(
            stream_id, uuid, SlotKind(kind), schemas[schema], classes[number], Duplicates(rule)
        )
        for stream_id, uuid, kind, schema, number, rule in zip(
            table["stream_id"].tolist(),
            ids_of(table["stream_uuid"]),
            table["stream_kind"].tolist(),
            table["stream_schema"].tolist(),
            stream_class,
            duplicates,
            strict=True,
        )
    ]


def newest_table(newest: Newest, texts: Mapping[int, object]) -> Table:
    """Arrays of the newest samples.

    Parameters
    ----------
    newest : Newest
    texts : mapping of int to str or bytes
        Stream id -> newest value, for series of strings.

    Returns
    -------
    dict of str to array
    """
    ids = np.flatnonzero(newest.flags & (PRESENT | STALE))
    # What must be looked up may have been erased: its old value is not written down again.
    known = (newest.flags[ids] & STALE) == 0
    cell = np.where(known, newest.cell[ids], 0).astype(np.uint64)
    flags = np.where(known, newest.flags[ids], newest.flags[ids] & (STALE | FIRST)).astype(np.uint8)
    blob: list[bytes] = []
    strings = np.isin(ids, np.fromiter(texts, np.int64, len(texts)))
    for place in np.flatnonzero(known & strings).tolist():
        text = texts[int(ids[place])]
        raw = text if isinstance(text, bytes) else str(text).encode("utf-8", "surrogatepass")
        cell[place] = len(blob)
        blob.append(len(raw).to_bytes(4, "little") + raw)
    return {
        "latest_stream": ids.astype(np.uint32),
        "latest_time": np.where(known, newest.time[ids], 0).astype(np.int64),
        "latest_quality": np.where(known, newest.quality[ids], 0).astype(np.uint32),
        "latest_stamp": np.where(known, newest.stamp[ids], 0).astype(np.uint64),
        "latest_flags": flags,
        "latest_cell": cell,
        "latest_text": np.frombuffer(b"".join(blob), np.uint8),
    }


def read_newest(table: Table, newest: Newest, types: npt.NDArray[np.uint8], intern: Any) -> None:
    """Undo :func:`newest_table` into ``newest``; ``intern`` gives a string its code.

    ``types`` has the value type of each stream.
    """
    raw, texts, offset = table["latest_text"].tobytes(), [], 0
    while offset < len(raw):
        size = int.from_bytes(raw[offset : offset + 4], "little")
        texts.append(raw[offset + 4 : offset + 4 + size])
        offset += 4 + size
    ids = table["latest_stream"].astype(np.intp)
    newest.grow(int(ids.max(initial=0)) + 1)
    for name in ("time", "quality", "stamp", "flags", "cell"):
        getattr(newest, name)[ids] = table[f"latest_{name}"]
    present = (table["latest_flags"] & PRESENT) != 0
    strings = np.isin(types[ids], [int(value_type) for value_type in STRINGS]) & present
    for place in np.flatnonzero(strings).tolist():
        text = texts[int(table["latest_cell"][place])]
        is_bytes = types[ids[place]] == ValueType.BYTES
        newest.cell[ids[place]] = intern(
            text if is_bytes else text.decode("utf-8", "surrogatepass")
        )
    if "stale_stream" in table:
        newest.mark_stale(table["stale_stream"].tolist())
