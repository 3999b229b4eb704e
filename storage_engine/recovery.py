"""From files to a state in memory: the newest sound manifest, then the log behind it.

Damage is named and served around; nothing is deleted here.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from storage_engine.changes import CHANGES_UUID, Verb, change_of
from storage_engine.columns import STRINGS
from storage_engine.config import EngineConfig
from storage_engine.errors import DataError, DiskError, InvalidArgument, UnsupportedFormat
from storage_engine.filesystem import FileSystem
from storage_engine.findings import Findings
from storage_engine.frame import SlotKind, decode_frame
from storage_engine.manifest import (
    Manifest,
    generations,
    load_manifest,
    read_newest,
    read_streams,
)
from storage_engine.newest import PRESENT, VALID, cells_of
from storage_engine.prepare import prepare, split_record
from storage_engine.producers import ids_of
from storage_engine.reads import Window, read_events, read_samples
from storage_engine.segment.layout import DIRECTORY, SegmentInfo, read_facts, segment_number
from storage_engine.segment.reader import SegmentReader
from storage_engine.state import Pending, PendingChange, State, grown
from storage_engine.streams import stream_from_json
from storage_engine.table import Table, decode_table, encode_table
from storage_engine.tombstones import Tombstone, Tombstones, read_tombstones
from storage_engine.wal_record import Record, RecordKind, file_number

_TIME_MIN, _TIME_MAX = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Found:
    """What the files say before the log is replayed.

    ``generation`` is the highest on disk, sound or not: the next one goes above it.
    """

    incarnation: bytes
    generation: int
    manifest: Manifest | None
    start_lsn: int


def load_store(
    fs: FileSystem, config: EngineConfig, findings: Findings, state: State, reader: SegmentReader
) -> Found:
    """Fill ``state`` from the newest sound manifest, or from the segments when there is none.

    Parameters
    ----------
    fs : FileSystem
    config : EngineConfig
    findings : Findings
    state : State
        Empty.
    reader : SegmentReader

    Returns
    -------
    Found

    Raises
    ------
    UnsupportedFormat
        When a newer version wrote the store.
    """
    highest = max(generations(fs), default=0)
    manifest = load_manifest(fs, findings)
    if manifest is not None:
        try:
            _load_manifest(manifest, state)
        except (DataError, KeyError, ValueError, IndexError) as error:
            findings.add(manifest.path, 0, f"manifest generation cannot be used: {error}")
            manifest = None
            state.__init__(config)  # type: ignore[misc]
    state.live.next_id = max(state.live.next_id, _highest_segment(fs) + 1)
    if manifest is not None:
        return Found(manifest.incarnation, highest, manifest, manifest.checkpoint_lsn)
    adopted = _adopt_segments(fs, findings, state, reader)
    # Without any log its numbers must still go on behind those in the segments.
    logged = any(file_number(name) is not None for name in fs.list("wal"))
    newest_lsn = max((info.lsn_max for info in state.segments), default=0)
    start_lsn = 0 if logged else newest_lsn
    state.applied_lsn = start_lsn
    return Found(adopted or os.urandom(16), highest, None, start_lsn)


def _load_manifest(manifest: Manifest, state: State) -> None:
    table = manifest.table
    state.streams.load(table, at=manifest.path)
    state.streams.next_id = max(state.streams.next_id, manifest.counter("next_stream_id"))
    state.producers.load(table)
    state.applied = dict(state.producers.states)
    state.times.load(table["time_lsn"], table["time_ns"])
    state.newest.grow(state.streams.id_end)
    read_newest(table, state.newest, state.streams.types, state.front.intern)
    state.newest.use_firsts(*state.streams.by_id.firsts())
    state.tombstones = read_tombstones(table)
    if "stream_flushed" in table:
        state.flushed_ns = grown(state.flushed_ns, state.streams.id_end)
        state.flushed_ns[table["stream_id"]] = table["stream_flushed"]
    state.live.use(manifest.segments)
    state.live.next_id = max(state.live.next_id, manifest.counter("next_segment_id"))
    state.applied_lsn = manifest.checkpoint_lsn


def _segment_files(fs: FileSystem) -> list[tuple[str, str, int]]:
    """(partition, name, id) of all segment files, half-written ones too."""
    found = []
    for partition in fs.list(DIRECTORY):
        for name in fs.list(f"{DIRECTORY}/{partition}"):
            number = segment_number(name)
            if number is not None:
                found.append((partition, name, number))
    return sorted(found, key=lambda entry: entry[2])


def _highest_segment(fs: FileSystem) -> int:
    return max((entry[2] for entry in _segment_files(fs)), default=0)


def _adopt_segments(
    fs: FileSystem, findings: Findings, state: State, reader: SegmentReader
) -> bytes | None:
    """Take streams and segments from the segments' own footers; gives the store's incarnation."""
    incarnation: bytes | None = None
    adopted = []
    for partition, name, segment_id in _segment_files(fs):
        if not name.endswith(".segment"):
            continue
        path = f"{DIRECTORY}/{partition}/{name}"
        blank = SegmentInfo(segment_id, partition, "default", fs.size(path), 0, 0, 0, 0, 0)
        try:
            directory = reader.load_directory(blank)
            facts = read_facts(directory.table, at=path)
            info = SegmentInfo(id=segment_id, size=blank.size, **facts)
            streams = read_streams(directory.table, at=path)
        except UnsupportedFormat:
            raise
        except (DataError, DiskError, TypeError, ValueError, KeyError) as error:
            findings.add(path, 0, f"segment set aside: {error}")
            continue
        for stream in streams:
            state.streams.put(stream)
        incarnation = directory.incarnation
        adopted.append(info)
        findings.add(path, 0, "segment adopted from its own footer: no manifest names it")
    state.live.use(adopted)
    _rebuild_tombstones(state, reader)
    _rebuild_newest(state, reader)
    return incarnation


def _rebuild_tombstones(state: State, reader: SegmentReader) -> None:
    """Deletions and erasures hold on: the stream of changes lies in segments and names them."""
    into = state.streams.by_uuid.get(CHANGES_UUID)
    if into is None:
        return
    names = ("verb", "stream", "start_ns", "end_ns")
    window = Window(_TIME_MIN, _TIME_MAX)
    view = state.view(state.streams.by_id[into])
    rows = read_events(reader, view, window, columns=names, conflicts=False)
    columns = (rows.lsn.tolist(), *(rows.data[name].value.tolist() for name in names))
    state.tombstones = Tombstones(
        Tombstone(lsn, stream, start, end, verb == Verb.ERASE)
        for lsn, verb, stream, start, end in zip(*columns, strict=True)
        if verb in {Verb.DELETE, Verb.ERASE}
    )


def _rebuild_newest(state: State, reader: SegmentReader) -> None:
    newest = state.newest
    newest.grow(state.streams.id_end)
    for info in state.streams.by_id.values():
        if info.kind is not SlotKind.SERIES:
            continue
        window = Window(_TIME_MIN, _TIME_MAX, max_count=1, backward=True)
        rows = read_samples(reader, state.view(info), window)
        if len(rows) == 0:
            continue
        valid = rows.value.valid is None or bool(rows.value.valid[0])
        if info.value_type in STRINGS:
            newest.cell[info.id] = state.front.intern(rows.value.value[0])
        else:
            newest.cell[info.id] = cells_of(info.value_type, rows.value.value)[0]
        newest.time[info.id] = rows.timestamp_ns[0]
        newest.quality[info.id] = rows.quality[0]
        newest.stamp[info.id] = rows.lsn[0] * np.uint64(2)
        # Marked as rewritten, so that an equal time is settled by a read.
        newest.flags[info.id] = PRESENT | 4 | (VALID if valid else 0)


def bind_record(producer_id: bytes, epoch: int, slots: dict[int, int]) -> bytes:
    """Body of a BIND record.

    Parameters
    ----------
    producer_id : bytes
    epoch : int
    slots : dict of int to int

    Returns
    -------
    bytes
    """
    columns: Table = {
        "producer": np.array([producer_id], "V16"),
        "epoch": np.array([epoch], np.uint64),
        "slot": np.array(list(slots), np.uint32),
        "stream": np.array(list(slots.values()), np.uint32),
    }
    return encode_table(columns)


def replayer(
    state: State, findings: Findings, make_room: Callable[[int, int], None]
) -> Callable[[Record], None]:
    """Make the function that puts each record of the log into ``state``.

    Parameters
    ----------
    state : State
    findings : Findings
        Takes records that cannot be applied; the rest goes on.
    make_room : callable
        Called with rows and bytes before a frame is applied.

    Returns
    -------
    callable
    """

    def apply(record: Record) -> None:
        try:
            if record.kind is RecordKind.FRAME:
                _replay_frame(state, record, make_room)
            elif record.kind is RecordKind.STREAM:
                info = stream_from_json(record.body)
                state.streams.put(info)
                state.follow_duplicates(info)
            elif record.kind is RecordKind.CHANGE:
                _replay_change(state, record, make_room)
            elif record.kind is RecordKind.BIND:
                _replay_bind(state, record.body)
        except (DataError, InvalidArgument, KeyError, ValueError) as error:
            findings.add("wal", 0, f"record with lsn {record.lsn} cannot be applied: {error}")
        state.note_record(record.lsn, record.record_time_ns)

    return apply


def _replay_bind(state: State, body: bytes) -> None:
    table = decode_table(body, at="a BIND record")
    slots = dict(zip(table["slot"].tolist(), table["stream"].tolist(), strict=True))
    state.producers.bind(ids_of(table["producer"])[0], int(table["epoch"][0]), slots)


def _replay_change(state: State, record: Record, make_room: Callable[[int, int], None]) -> None:
    into, change = change_of(record.body)
    rows = change.rows(into, record.lsn, record.record_time_ns)
    pending = PendingChange(record.lsn, rows, record.record_time_ns, change)
    make_room(0, pending.size_bytes)
    state.apply_change(pending)


def _replay_frame(state: State, record: Record, make_room: Callable[[int, int], None]) -> None:
    rejected, data = split_record(record.body)
    frame = decode_frame(data)
    envelope = frame.envelope
    bindings = state.producers.bindings(envelope.producer_id, envelope.epoch)
    prepared = prepare(frame, rejected, state.streams, bindings)
    make_room(prepared.rows, prepared.size_bytes)
    state.producers.note(envelope, record.lsn)
    state.apply(Pending(record.lsn, prepared, record.record_time_ns))
