"""What a file is: version, header, parts, sizes; for people and programs."""

import json
from collections import Counter
from dataclasses import asdict

import numpy as np

from storage_engine.block import block_columns
from storage_engine.codec import NUMBER_CODECS, STRING_CODECS
from storage_engine.errors import DataError, DiskError
from storage_engine.filesystem import FileSystem
from storage_engine.sample import ValueType
from storage_engine.segment.layout import EDGE_BYTES
from storage_engine.shared_columns import SHARED
from storage_engine.tools.bytes_of import read_file, read_piece
from storage_engine.tools.frame_file import open_frames
from storage_engine.tools.kinds import Kind, kind_of
from storage_engine.tools.log_file import kind_name, open_log_file
from storage_engine.tools.manifest_file import open_manifest
from storage_engine.tools.plain import Plain, plain_envelope, plain_stream
from storage_engine.tools.segment_file import BlockPlace, SegmentFile, open_segment
from storage_engine.tools.store_files import list_store
from storage_engine.wal_record import VERSION as LOG_VERSION
from storage_engine.wal_record import Finding

CODECS = {0: "none", SHARED: "shared"}
CODECS |= {number: codec.name for number, codec in NUMBER_CODECS.items()}
CODECS |= {number: codec.name for number, codec in STRING_CODECS.items()}
_ROLES = {0: "time", 1: "stamp", 2: "quality", 3: "event id"}


def inspect_file(fs: FileSystem, path: str, kind: Kind | None = None) -> Plain:
    """Describe a file.

    Parameters
    ----------
    fs : FileSystem
    path : str
    kind : Kind, optional

    Returns
    -------
    dict
        ``kind``, ``path``, ``size`` and what the kind has; ``findings`` of what cannot be read.
    """
    kind = kind or kind_of(fs, path)
    findings: list[Finding] = []
    ways = {
        Kind.SEGMENT: _segment,
        Kind.MANIFEST: _manifest,
        Kind.LOG: _log,
        Kind.FRAMES: _frames,
        Kind.JSON: _json,
    }
    told: Plain = {"kind": kind.value, "path": path}
    try:
        told["size"] = fs.size(path)
    except DiskError as error:
        findings.append(Finding(path, 0, str(error)))
    if kind in ways:
        told |= ways[kind](fs, path, findings)
    told["findings"] = [asdict(finding) for finding in findings]
    return told


def inspect_store(fs: FileSystem) -> Plain:
    """Describe a store: its files, and what the newest generation says.

    Parameters
    ----------
    fs : FileSystem
        Rooted at the store.

    Returns
    -------
    dict
    """
    files = list_store(fs)
    findings: list[Finding] = []
    manifest: Plain = {}
    for path in files.manifests:
        manifest = inspect_file(fs, path, Kind.MANIFEST)
        if manifest.get("generation") is not None:
            break
    names = ("manifests", "segments", "log", "unfinished", "damaged")
    held = {
        name: [{"path": p, "size": _size(fs, p)} for p in getattr(files, name)] for name in names
    }
    return {
        "kind": "store",
        "manifest": manifest,
        "files": held,
        "findings": [asdict(finding) for finding in findings],
    }


def _size(fs: FileSystem, path: str) -> int | None:
    try:
        return fs.size(path)
    except DiskError:
        return None


def _segment(fs: FileSystem, path: str, findings: list[Finding]) -> Plain:
    segment = open_segment(fs, path)
    findings += segment.findings
    edge = segment.edge
    table = segment.table
    told: Plain = {
        "version": edge.version if edge and not segment.newer else None,
        "incarnation": edge.incarnation.hex() if edge else None,
        "id": edge.segment_id if edge else None,
        "header": segment.header is not None,
        "trailer": segment.trailer is not None,
        "facts": segment.facts,
        "sections": _sections(segment),
        "streams": [plain_stream(info) for info in segment.streams.values()],
    }
    blocks, total = [], Counter[str]()
    for place in segment.places():
        assert table is not None, "places come from it"
        entry: Plain = {
            "block": place.number,
            "offset": place.offset,
            "bytes": place.length,
            "rows": place.rows,
            "runs": len(place.runs),
            "first_stream": place.first_stream,
            "columns": block_codecs(fs, segment, place, findings),
        }
        for column in entry["columns"]:  # type: ignore[attr-defined]
            total[f"{column['column']} {column['codec']}"] += column["bytes"]
        blocks.append(entry)
    told["blocks"] = blocks
    told["bytes_by_codec"] = dict(total)
    return told


def _sections(segment: SegmentFile) -> list[Plain]:
    trailer = segment.trailer
    if trailer is None:
        return [{"section": "unknown", "offset": 0, "bytes": segment.size}]
    held = (segment.table or {}).get("stream_pyramid_offset", np.zeros(0, np.uint64))
    end = int(held[held > 0].min(initial=trailer.offset))
    places = [
        ("header", 0, EDGE_BYTES),
        ("blocks", EDGE_BYTES, end - EDGE_BYTES),
        ("summaries", end, trailer.offset - end),
        ("directory", trailer.offset, trailer.length),
        ("trailer", segment.size - EDGE_BYTES, EDGE_BYTES),
    ]
    return [{"section": name, "offset": at, "bytes": size} for name, at, size in places]


def block_codecs(
    fs: FileSystem, segment: SegmentFile, place: BlockPlace, findings: list[Finding]
) -> list[Plain]:
    """Columns of a block with their codecs and bytes, by the block's own table.

    Parameters
    ----------
    fs : FileSystem
    segment : SegmentFile
    place : BlockPlace
    findings : list of Finding
        Grows.

    Returns
    -------
    list of dict
        column, type, codec, bytes, nulls.
    """
    offset, size = place.offset, place.length
    try:
        _, entries = block_columns(read_piece(fs, segment.path, offset, size), at=segment.path)
    except (DataError, DiskError) as error:
        findings.append(Finding(segment.path, offset, str(error), size))
        return []
    return [
        {
            "column": _ROLES.get(entry.role, f"data {entry.index}"),
            "type": ValueType(entry.type).name if entry.type in set(ValueType) else None,
            "codec": CODECS.get(entry.codec, str(entry.codec)),
            "bytes": entry.size + entry.mask_size,
            "nulls": CODECS.get(entry.mask, str(entry.mask)),
        }
        for entry in entries
    ]


def _manifest(fs: FileSystem, path: str, findings: list[Finding]) -> Plain:
    found = open_manifest(fs, path)
    findings += found.findings
    manifest = found.manifest
    if manifest is None:
        return {"generation": None}
    return {
        "version": 1,
        "incarnation": manifest.incarnation.hex(),
        "generation": manifest.generation,
        "checkpoint_lsn": manifest.checkpoint_lsn,
        "segments": [asdict(info) for info in manifest.segments],
        "streams": len(found.streams),
        "sections": [
            {"section": name, "dtype": v.dtype.str, "rows": len(v), "bytes": v.nbytes}
            for name, v in manifest.table.items()
        ],
    }


def _log(fs: FileSystem, path: str, findings: list[Finding]) -> Plain:
    found = open_log_file(fs, path)
    findings += found.findings
    findings += [Finding(path, h.offset, "no sound records", h.end - h.offset) for h in found.holes]
    kinds: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for record in found.records:
        kinds[kind_name(record.kind)] += 1
        sizes[kind_name(record.kind)] += record.end - record.offset
    lsns = [record.lsn for record in found.lsns()]
    times = [record.record_time_ns for record in found.lsns()]
    return {
        "version": LOG_VERSION if found.header else None,
        "number": found.number,
        "header": asdict(found.header) if found.header else None,
        "lsn_first": min(lsns, default=None),
        "lsn_last": max(lsns, default=None),
        "durable_lsn": found.durable_lsn,
        "record_time_first": min(times, default=None),
        "record_time_last": max(times, default=None),
        "used": found.used,
        "sections": [
            {"section": name, "records": kinds[name], "bytes": sizes[name]} for name in kinds
        ],
    }


def _frames(fs: FileSystem, path: str, findings: list[Finding]) -> Plain:
    found = open_frames(fs, path)
    findings += found.findings
    findings += [Finding(path, at, why, end - at) for at, end, why in found.holes]
    frames = []
    for place in found.frames:
        frame = found.frame(place)
        frames.append(
            {
                "offset": place.offset,
                "bytes": place.end - place.offset,
                **plain_envelope(frame.envelope),
                "declarations": len(frame.declarations),
                "samples_sections": len(frame.samples),
                "events_sections": len(frame.events),
                "notices": len(frame.notices),
            }
        )
    return {"version": 1 if frames else None, "frames": frames}


def _json(fs: FileSystem, path: str, findings: list[Finding]) -> Plain:
    data = read_file(fs, path, findings)
    try:
        return {"content": json.loads(data)}
    except ValueError as error:
        findings.append(Finding(path, 0, f"cannot read JSON: {error}", len(data)))
        return {}
