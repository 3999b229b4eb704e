"""One manifest generation: read, and every array held against the others."""

from dataclasses import dataclass, field

import numpy as np

from storage_engine.errors import DataError, UnsupportedFormat
from storage_engine.filesystem import FileSystem
from storage_engine.manifest import Manifest, decode_manifest, read_streams
from storage_engine.streams import StreamInfo
from storage_engine.table import Table, read_json
from storage_engine.tools.bytes_of import read_file
from storage_engine.wal_record import Finding

# Arrays that are rows of one table: all of a group have one length.
_GROUPS = ("stream_", "producer_", "binding_", "time_", "latest_", "tombstone_")
_UNEQUAL = {"latest_text"}
_TIMES = ("time_lsn", "time_ns")


@dataclass(slots=True)
class ManifestFile:
    """A generation as far as it can be read; ``manifest`` is None when it does not hold."""

    path: str
    size: int = 0
    manifest: Manifest | None = None
    streams: dict[int, StreamInfo] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    newer: bool = False


def open_manifest(fs: FileSystem, path: str) -> ManifestFile:
    """Read a generation.

    Parameters
    ----------
    fs : FileSystem
    path : str

    Returns
    -------
    ManifestFile
    """
    found = ManifestFile(path)
    data = read_file(fs, path, found.findings)
    found.size = len(data)
    try:
        found.manifest = decode_manifest(data, at=path)
        found.streams = {info.id: info for info in read_streams(found.manifest.table, at=path)}
    except UnsupportedFormat as error:
        found.newer = True
        found.findings.append(Finding(path, 0, str(error), len(data)))
    except (DataError, KeyError, ValueError, TypeError, IndexError) as error:
        found.manifest = None
        found.findings.append(Finding(path, 0, str(error), len(data)))
    return found


def check_manifest(found: ManifestFile) -> list[Finding]:
    """Check a generation against itself.

    Parameters
    ----------
    found : ManifestFile

    Returns
    -------
    list of Finding
    """
    manifest = found.manifest
    if manifest is None:
        return list(found.findings)
    wrong = [*_shapes(manifest.table), *_names(found, manifest), *_references(found, manifest)]
    return [*found.findings, *(Finding(found.path, 0, what) for what in wrong)]


def _shapes(table: Table) -> list[str]:
    wrong = []
    for prefix in _GROUPS:
        names = [n for n in table if n.startswith(prefix) and n not in _UNEQUAL]
        lengths = {len(table[name]) for name in names}
        if len(lengths) > 1:
            wrong.append(f"the arrays {prefix}* have {sorted(lengths)} rows, want one number")
    for name in _TIMES:
        values = table.get(name)
        if values is not None and len(values) > 1 and bool((values[1:] < values[:-1]).any()):
            wrong.append(f"{name} falls")
    return wrong


def _names(found: ManifestFile, manifest: Manifest) -> list[str]:
    wrong = []
    name = found.path.rsplit("/", 1)[-1].removesuffix(".new")
    if len(name) == 16 and name != f"{manifest.generation:016x}":
        wrong.append(f"the file is called {name}, want {manifest.generation:016x}")
    ids = [info.id for info in manifest.segments]
    if len(set(ids)) != len(ids):
        wrong.append("a segment is listed twice")
    try:
        counters = read_json(manifest.table, "counters", at=found.path)
    except DataError as error:
        return [*wrong, str(error)]
    if ids and int(counters.get("next_segment_id", 0)) <= max(ids):
        wrong.append(f"next_segment_id is {counters.get('next_segment_id')}, want > {max(ids)}")
    streams = list(found.streams)
    if streams and int(counters.get("next_stream_id", 0)) <= max(streams):
        wrong.append(f"next_stream_id is {counters.get('next_stream_id')}, want > {max(streams)}")
    return wrong + [
        f"segment {info.id} ends before it begins"
        for info in manifest.segments
        if info.first > info.last or info.lsn_min > info.lsn_max
    ]


def _references(found: ManifestFile, manifest: Manifest) -> list[str]:
    wrong = []
    table = manifest.table
    if "stream_id" in table:
        ids, uuids = table["stream_id"], table["stream_uuid"]
        if len(np.unique(ids)) != len(ids) or len(set(uuids.tolist())) != len(uuids):
            wrong.append("a stream id or uuid stands twice")
    known = np.array(list(found.streams), np.uint32)
    for name in ("binding_stream", "latest_stream"):
        if name in table:
            unknown = table[name][~np.isin(table[name], known)]
            if len(unknown):
                wrong.append(f"{name} names stream {int(unknown[0])}, which is not there")
    return wrong
