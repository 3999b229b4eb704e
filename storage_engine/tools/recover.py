"""Segments of a rescue: whole ones as they are, of the others every block that checks out."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from storage_engine.columns import Rows
from storage_engine.frame import SlotKind
from storage_engine.sample import Column, UInt32Array, ValueType
from storage_engine.segment.layout import SegmentInfo
from storage_engine.segment.partition import partition_days
from storage_engine.streams import StreamInfo
from storage_engine.tools.block_scan import scan_blocks
from storage_engine.tools.bytes_of import read_file
from storage_engine.tools.losses import Loss, lost_block, lost_segment
from storage_engine.tools.rebuilt import Piece, Rebuilt
from storage_engine.tools.segment_check import check_segment
from storage_engine.tools.survey import Copy, Survey
from storage_engine.wal_record import Finding

_UNNAMED = b"salvaged"


@dataclass(slots=True)
class Recovered:
    """What became of the segments.

    Attributes
    ----------
    losses : list of Loss
    unused : list of Copy
        Segments that no one lists; they may hold what is lost elsewhere.
    whole : int
        Copied as they were.
    unnamed : dict of int to str
        Streams that have rows, and whose identity nothing tells any more; what is known of them.
    findings : list of Finding
    """

    losses: list[Loss] = field(default_factory=list)
    unused: list[Copy] = field(default_factory=list)
    whole: int = 0
    unnamed: dict[int, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


@dataclass(slots=True)
class _Blocks:
    """Sound blocks of one segment by number, from all its copies."""

    sound: dict[int, Piece] = field(default_factory=dict)
    mixed: dict[int, Loss] = field(default_factory=dict)


def recover_segments(found: Survey, rebuilt: Rebuilt) -> Recovered:
    """Bring the segments that should be there into the new store.

    Parameters
    ----------
    found : Survey
    rebuilt : Rebuilt
        Gets them.

    Returns
    -------
    Recovered

    Raises
    ------
    DiskError
        When the new store cannot be written.
    """
    taken = Recovered()
    if found.base is not None:
        listed = {info.id for info in found.base.segments}
        for info in found.base.segments:
            copies = [copy for copy in found.copies if copy.id == info.id]
            _take(found, rebuilt, taken, copies, info)
        taken.unused = [copy for copy in found.copies if copy.id not in listed]
        return taken
    groups: dict[tuple[bytes | None, int | None], list[Copy]] = {}
    for copy in found.copies:
        edge = copy.file.edge
        groups.setdefault((edge.incarnation if edge else None, copy.id), []).append(copy)
    for copies in groups.values():
        _take(found, rebuilt, taken, copies, None)
    return taken


def _take(
    found: Survey,
    rebuilt: Rebuilt,
    taken: Recovered,
    copies: Sequence[Copy],
    listed: SegmentInfo | None,
) -> None:
    used = {info.id for info in rebuilt.infos}
    for copy in copies:
        info = copy.file.info()
        if info is None or (listed is not None and info != listed) or info.id in used:
            continue
        checked = check_segment(copy.source.fs, copy.file.path)
        if not checked.findings and _same_streams(found, copy):
            rebuilt.copy(copy.source.fs, copy.file.path, info)
            taken.whole += 1
            return
    blocks = _Blocks()
    for copy in copies:
        _collect(found, taken, copy, blocks)
    pieces = [blocks.sound[number] for number in sorted(blocks.sound)]
    for piece in pieces:
        _name_streams(found, taken, piece)
    if pieces:
        partition, held = _home(copies, listed)
        rebuilt.write(pieces, partition, held)
    taken.losses += _losses(copies, blocks, listed)


def _same_streams(found: Survey, copy: Copy) -> bool:
    """Whether the segment's stream ids mean what they mean in the new store."""
    return all(found.streams[info.id].uuid == info.uuid for info in copy.file.streams.values())


def _collect(found: Survey, taken: Recovered, copy: Copy, blocks: _Blocks) -> None:
    """Sound blocks of a copy: by its directory, else by looking at every place."""
    file, fs = copy.file, copy.source.fs
    if file.table is not None:
        ids = {info.id: _id_of(found, info) for info in file.streams.values()}
        for place in file.places():
            if place.number in blocks.sound:
                continue
            rows = file.read_block(fs, place)
            stream = file.stream_of_rows(place)
            if rows is not None and len(stream) == len(rows):
                blocks.sound[place.number] = _translated(stream, rows, ids)
        taken.findings += [f for f in file.findings if f not in taken.findings]
        return
    data = read_file(fs, file.path, taken.findings)
    segment_id = copy.id
    edge = file.edge
    incarnations = [edge.incarnation] if edge is not None else found.incarnations
    if segment_id is None:
        return
    for incarnation in incarnations:
        for block in scan_blocks(data, incarnation, segment_id, found.streams):
            if block.stream is not None:
                blocks.sound.setdefault(block.number, Piece(block.stream, block.rows))
                continue
            time, lsn = block.rows.timestamp_ns, block.rows.stamp >> np.uint64(1)
            blocks.mixed[block.number] = Loss(
                copy.place,
                block.offset,
                f"block {block.number}: sound, but its run list is lost: rows of stream "
                f"{block.first_stream} and maybe others cannot be told apart",
                None,
                int(time.min()),
                int(time.max()),
                int(lsn.min()),
                int(lsn.max()),
                len(block.rows),
            )


def _id_of(found: Survey, info: StreamInfo) -> int:
    """Id that a stream of a segment has in the new store: the same uuid decides."""
    have = found.streams.get(info.id)
    if have is not None and have.uuid == info.uuid:
        return info.id
    for known in found.streams.values():
        if known.uuid == info.uuid:
            return known.id
    new = max([*found.streams, 0]) + 1
    held = StreamInfo(new, info.uuid, info.kind, info.columns, info.retention_class)
    found.streams[new] = held
    return new


def _translated(stream: UInt32Array, rows: Rows, ids: dict[int, int]) -> Piece:
    if all(old == new for old, new in ids.items()):
        return Piece(stream, rows)
    new = np.array([ids.get(one, one) for one in stream.tolist()], np.uint32)
    order = np.lexsort((rows.stamp, rows.timestamp_ns, new))
    return Piece(new[order], rows.take(order))


def _name_streams(found: Survey, taken: Recovered, piece: Piece) -> None:
    """Make up streams that nothing describes any more, so that their rows are kept."""
    for stream_id in np.unique(piece.stream).tolist():
        if stream_id in found.streams:
            continue
        types = [column.type for column in piece.rows.data]
        found.streams[stream_id] = made_up(stream_id, types, events=piece.rows.event_id is not None)
        taken.unnamed[stream_id] = f"stream {stream_id}"


def made_up(stream_id: int, types: Sequence[ValueType], *, events: bool) -> StreamInfo:
    """Describe a stream that nothing describes any more.

    Parameters
    ----------
    stream_id : int
    types : sequence of ValueType
        Of its columns.
    events : bool

    Returns
    -------
    StreamInfo
        Its uuid says ``salvaged`` and the id.
    """
    columns = tuple(
        Column(f"column {place}" if events else "value", held) for place, held in enumerate(types)
    )
    kind = SlotKind.EVENTS if events else SlotKind.SERIES
    uuid = _UNNAMED + stream_id.to_bytes(8, "big")
    return StreamInfo(stream_id, uuid, kind, columns, "default")


def _home(copies: Sequence[Copy], listed: SegmentInfo | None) -> tuple[str | None, str]:
    """Partition and retention class of a segment, from whoever still knows."""
    if listed is not None:
        return listed.partition, listed.retention_class
    for copy in copies:
        facts = copy.file.facts
        if facts:
            return str(facts.get("partition")), str(facts.get("retention_class", "default"))
    for copy in copies:
        parts = copy.file.path.split("/")
        if len(parts) > 1 and partition_days(parts[-2]) is not None:
            return parts[-2], "default"
    return None, "default"


def _losses(copies: Sequence[Copy], blocks: _Blocks, listed: SegmentInfo | None) -> list[Loss]:
    whole = next((copy for copy in copies if copy.file.table is not None), None)
    if whole is not None:
        return [
            loss
            for place in whole.file.places()
            if place.number not in blocks.sound
            for loss in lost_block(whole.place, whole.file, place, "does not check out")
        ]
    names = ", ".join(copy.place for copy in copies) or (listed.path if listed else "")
    rows = sum(len(piece.rows) for piece in blocks.sound.values())
    told = [loss for number, loss in blocks.mixed.items() if number not in blocks.sound]
    if listed is not None:
        what = "no copy of the segment" if not copies else "the directory is lost, and some blocks"
        missing = listed.rows - rows
        return [lost_segment(names, listed, missing, what)] if missing > 0 else []
    what = f"the directory is lost; {len(blocks.sound)} blocks were found"
    return [*told, Loss(names, 0, what)]


def pieces_of(found: Survey, taken: Recovered, copy: Copy) -> list[Piece]:
    """Every sound block of one copy of a segment.

    Parameters
    ----------
    found : Survey
    taken : Recovered
    copy : Copy

    Returns
    -------
    list of Piece
    """
    blocks = _Blocks()
    _collect(found, taken, copy, blocks)
    pieces = [blocks.sound[number] for number in sorted(blocks.sound)]
    for piece in pieces:
        _name_streams(found, taken, piece)
    return pieces
