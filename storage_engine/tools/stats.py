"""What a store consists of: rows and bytes by class, partition, stream and codec."""

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field

import numpy as np

from storage_engine.errors import InvalidArgument
from storage_engine.filesystem import FileSystem
from storage_engine.frame import SlotKind
from storage_engine.summaries import companion_uuid
from storage_engine.tools.inspect import block_codecs
from storage_engine.tools.log_file import kind_name, open_log_file
from storage_engine.tools.manifest_file import ManifestFile, open_manifest
from storage_engine.tools.segment_file import SegmentFile, open_segment
from storage_engine.tools.store_files import list_store
from storage_engine.wal_record import Finding, RecordKind

Plain = dict[str, object]


@dataclass(slots=True)
class _Sum:
    segments: int = 0
    rows: int = 0
    bytes: int = 0

    def add(self, rows: int, size: int) -> None:
        self.segments += 1
        self.rows += rows
        self.bytes += size

    def plain(self) -> Plain:
        return {**asdict(self), "bytes_per_row": _ratio(self.bytes, self.rows)}


@dataclass(slots=True)
class _Totals:
    classes: dict[tuple[str, str], _Sum] = field(default_factory=lambda: defaultdict(_Sum))
    stream_rows: Counter[int] = field(default_factory=Counter)
    stream_bytes: Counter[int] = field(default_factory=Counter)
    codec_bytes: Counter[str] = field(default_factory=Counter)
    codec_blocks: Counter[str] = field(default_factory=Counter)
    same_time: int = 0
    late_rows: int = 0
    directory_bytes: int = 0
    findings: list[Finding] = field(default_factory=list)


def store_stats(fs: FileSystem, *, top: int = 20) -> Plain:
    """Count what the newest sound generation names, and the log behind it.

    Parameters
    ----------
    fs : FileSystem
        Rooted at the store.
    top : int
        Streams named, by bytes and by rows.

    Returns
    -------
    dict

    Raises
    ------
    InvalidArgument
        When there is no sound generation: salvage first.
    """
    newest = _newest(fs)
    if newest is None or newest.manifest is None:
        raise InvalidArgument("cannot count: got no sound manifest generation, want one")
    manifest, totals = newest.manifest, _Totals()
    for info in manifest.segments:
        segment = open_segment(fs, info.path)
        totals.findings += segment.findings
        totals.classes[info.retention_class, info.partition].add(info.rows, info.size)
        if getattr(info, "late", False):
            totals.late_rows += info.rows
        if segment.table is not None:
            _segment(fs, segment, totals)
    rows = sum(info.rows for info in manifest.segments)
    size = sum(info.size for info in manifest.segments)
    return {
        "generation": manifest.generation,
        "checkpoint_lsn": manifest.checkpoint_lsn,
        "segments": len(manifest.segments),
        "rows": rows,
        "bytes": size,
        "bytes_per_row": _ratio(size, rows),
        "directory_bytes": totals.directory_bytes,
        "manifest_bytes": newest.size,
        "late_rows": totals.late_rows,
        "late_share": _ratio(totals.late_rows, rows),
        "rows_of_repeated_times": totals.same_time,
        "partitions": [
            {"retention_class": name, "partition": partition, **entry.plain()}
            for (name, partition), entry in sorted(totals.classes.items())
        ],
        "streams": len(newest.streams),
        "streams_by_bytes": _top(totals.stream_bytes, newest, totals, top),
        "streams_by_rows": _top(totals.stream_rows, newest, totals, top),
        "codecs": [
            {"codec": name, "bytes": count, "columns": totals.codec_blocks[name]}
            for name, count in totals.codec_bytes.most_common()
        ],
        "log": _log(fs, manifest.checkpoint_lsn, totals),
        "findings": [asdict(finding) for finding in totals.findings],
    }


def _newest(fs: FileSystem) -> ManifestFile | None:
    for path in list_store(fs).manifests:
        found = open_manifest(fs, path)
        if found.manifest is not None:
            return found
    return None


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def _segment(fs: FileSystem, segment: SegmentFile, totals: _Totals) -> None:
    table, trailer = segment.table, segment.trailer
    assert table is not None, "checked before"
    assert trailer is not None, "it led to the directory"
    totals.directory_bytes += trailer.length
    for place in segment.places():
        rows, streams = table["run_rows"][place.runs], table["run_stream"][place.runs]
        shares = rows / max(place.rows, 1) * place.length
        for stream, count, share in zip(
            streams.tolist(), rows.tolist(), shares.tolist(), strict=True
        ):
            totals.stream_rows[stream] += count
            totals.stream_bytes[stream] += round(share)
        for column in block_codecs(fs, segment, place, totals.findings):
            name = str(column["codec"])
            totals.codec_bytes[name] += int(str(column["bytes"]))
            totals.codec_blocks[name] += 1
    repeats = (table["run_flags"] & np.uint8(1)) == 0
    totals.same_time += int(table["run_rows"][repeats].sum())


def _top(counter: Counter[int], newest: ManifestFile, totals: _Totals, top: int) -> list[Plain]:
    found: list[Plain] = []
    summaries = {companion_uuid(info.uuid): info.id for info in newest.streams.values()}
    for stream, _ in counter.most_common(top):
        info = newest.streams.get(stream)
        rows, size = totals.stream_rows[stream], totals.stream_bytes[stream]
        kind = "EVENTS"
        if info is not None and info.kind is SlotKind.SERIES:
            kind = info.value_type.name
        elif info is not None and info.uuid in summaries:
            kind = f"SUMMARIES of {summaries[info.uuid]}"
        found.append(
            {
                "stream": stream,
                "uuid": info.uuid.hex() if info else None,
                "type": kind,
                "retention_class": info.retention_class if info else None,
                "rows": rows,
                "bytes": size,
                "bytes_per_row": _ratio(size, rows),
            }
        )
    return found


def _log(fs: FileSystem, checkpoint_lsn: int, totals: _Totals) -> Plain:
    """Sizes of the log; rows behind the checkpoint are those of the head."""
    records: Counter[str] = Counter()
    used = size = behind = behind_bytes = files = last = 0
    for path in list_store(fs).log:
        pieces = open_log_file(fs, path)
        totals.findings += pieces.findings
        files += 1
        size += len(pieces.data)
        used += pieces.used
        for record in pieces.lsns():
            records[kind_name(record.kind)] += 1
            last = max(last, record.lsn)
            if record.lsn > checkpoint_lsn and record.kind == RecordKind.FRAME:
                behind += 1
                behind_bytes += record.body_bytes
    return {
        "files": files,
        "bytes": size,
        "used_bytes": used,
        "last_lsn": last,
        "records": dict(records),
        "frames_behind_checkpoint": behind,
        "frame_bytes_behind_checkpoint": behind_bytes,
    }
