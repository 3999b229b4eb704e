"""Every record and row of a file as plain values, one after the other, in bounded memory."""

import json
from collections.abc import Iterator
from dataclasses import asdict

from storage_engine.errors import DataError
from storage_engine.filesystem import FileSystem
from storage_engine.manifest import Manifest
from storage_engine.producers import ids_of
from storage_engine.streams import StreamInfo
from storage_engine.table import AnyColumn
from storage_engine.tools.bytes_of import read_file
from storage_engine.tools.frame_file import open_frames
from storage_engine.tools.kinds import Kind, kind_of
from storage_engine.tools.log_file import LogPieces, decode_body, kind_name, open_log_file
from storage_engine.tools.manifest_file import open_manifest
from storage_engine.tools.plain import (
    Filter,
    Plain,
    plain_array,
    plain_frame,
    plain_rows,
    plain_stream,
    plain_value,
)
from storage_engine.tools.segment_file import open_segment
from storage_engine.tools.store_files import list_store
from storage_engine.wal_record import KIND_DURABLE, Finding, RecordHeader, RecordKind


class Dump:
    """Prints files; remembers the streams and bindings it has seen, and what was damaged.

    Parameters
    ----------
    wanted : Filter

    Attributes
    ----------
    findings : list of Finding
        Places that could not be printed.
    """

    def __init__(self, wanted: Filter) -> None:
        self._wanted = wanted
        self._streams: dict[int, StreamInfo] = {}
        self._bound: dict[tuple[bytes, int], dict[int, int]] = {}
        self.findings: list[Finding] = []

    def store(self, fs: FileSystem) -> Iterator[Plain]:
        """Newest sound generation, then every segment, then the log.

        Parameters
        ----------
        fs : FileSystem
            Rooted at the store.

        Yields
        ------
        dict
        """
        files = list_store(fs)
        for path in files.manifests:
            found = open_manifest(fs, path)
            if found.manifest is not None:
                yield from self.file(fs, path, Kind.MANIFEST)
                break
            self.findings += found.findings
        for path in (*files.segments, *files.log):
            yield from self.file(fs, path, kind_of(fs, path))

    def file(self, fs: FileSystem, path: str, kind: Kind | None = None) -> Iterator[Plain]:
        """One file.

        Parameters
        ----------
        fs : FileSystem
        path : str
        kind : Kind, optional

        Yields
        ------
        dict
            ``file`` and ``kind`` say what it is of.
        """
        kind = kind or kind_of(fs, path)
        ways = {
            Kind.SEGMENT: self._segment,
            Kind.LOG: self._log,
            Kind.MANIFEST: self._manifest,
            Kind.FRAMES: self._frames,
            Kind.JSON: self._json,
        }
        if kind not in ways:
            self.findings.append(Finding(path, 0, "cannot tell what this is"))
            return
        for entry in ways[kind](fs, path):
            yield {"file": path, **entry}

    def _segment(self, fs: FileSystem, path: str) -> Iterator[Plain]:
        segment = open_segment(fs, path)
        self._streams.update(segment.streams)
        for place in segment.places():
            table = segment.table
            assert table is not None, "places come from it"
            first, last = table["run_first"][place.runs], table["run_last"][place.runs]
            if len(place.runs) and (
                int(last.max()) < self._wanted.start_ns or int(first.min()) >= self._wanted.end_ns
            ):
                continue
            rows = segment.read_block(fs, place)
            stream = segment.stream_of_rows(place)
            if rows is not None and len(stream) == len(rows):
                for row in plain_rows(rows, stream, segment.streams, self._wanted):
                    yield {"block": place.number, **row}
        self.findings += segment.findings

    def _log(self, fs: FileSystem, path: str) -> Iterator[Plain]:
        found = open_log_file(fs, path)
        self.findings += found.findings
        for hole in found.holes:
            size = hole.end - hole.offset
            self.findings.append(Finding(path, hole.offset, "no sound records", size))
        for record in found.records:
            entry = self._record(found, record)
            if entry is not None:
                yield entry

    def _record(self, found: LogPieces, record: RecordHeader) -> Plain | None:
        wanted = self._wanted
        told: Plain = {
            "offset": record.offset,
            "kind": kind_name(record.kind),
            "lsn": record.lsn,
            "record_time": record.record_time_ns,
        }
        try:
            body = b"" if record.kind == KIND_DURABLE else found.body(record)
            held = decode_body(body, record.kind)
            more = self._body(held, record.kind)
        except (DataError, ValueError, KeyError, TypeError, IndexError) as error:
            self.findings.append(Finding(found.path, record.offset, f"{error}", 0))
            more = {"broken": str(error)}
        if not wanted.takes_lsn(record.lsn):
            return None
        if wanted.rows_only and not more.get("rows"):
            return None
        return told | more

    def _body(self, held: object, kind: int) -> Plain:
        if kind == RecordKind.FRAME and isinstance(held, tuple):
            rejected, frame = held
            key = (frame.envelope.producer_id, frame.envelope.epoch)
            uuids = {info.id: info.uuid for info in self._streams.values()}
            return plain_frame(
                frame, self._wanted, rejected=rejected, bound=self._bound.get(key), uuids=uuids
            )
        if isinstance(held, StreamInfo):
            self._streams[held.id] = held
            return plain_stream(held)
        if kind == RecordKind.BIND and isinstance(held, dict):
            key = (ids_of(held["producer"])[0], int(held["epoch"][0]))
            slots = dict(zip(held["slot"].tolist(), held["stream"].tolist(), strict=True))
            self._bound.setdefault(key, {}).update(slots)
            bound = {str(slot): stream for slot, stream in slots.items()}
            return {"producer_id": key[0].hex(), "epoch": key[1], "slots": bound}
        if isinstance(held, bytes):
            return {"body": held.hex()} if held else {}
        return {"body": held}

    def _manifest(self, fs: FileSystem, path: str) -> Iterator[Plain]:
        found = open_manifest(fs, path)
        self.findings += found.findings
        manifest = found.manifest
        if manifest is None:
            return
        self._streams.update(found.streams)
        self._bind(manifest)
        if self._wanted.rows_only or self._wanted.lsn_first:
            return
        yield {
            "kind": "manifest",
            "incarnation": manifest.incarnation.hex(),
            "generation": manifest.generation,
            "checkpoint_lsn": manifest.checkpoint_lsn,
        }
        for info in manifest.segments:
            yield {"kind": "segment", **asdict(info)}
        for stream in found.streams.values():
            yield {"kind": "stream", "stream": plain_stream(stream)}
        for name, values in manifest.table.items():
            if name != "segments":
                yield {"kind": "array", "name": name, "dtype": values.dtype.str, **_array(values)}

    def _bind(self, manifest: Manifest) -> None:
        names = ("binding_epoch", "binding_slot", "binding_stream")
        if any(name not in manifest.table for name in (*names, "binding_producer")):
            return
        columns = [manifest.table[name].tolist() for name in names]
        producers = ids_of(manifest.table["binding_producer"])
        for producer, epoch, slot, stream in zip(producers, *columns, strict=False):
            self._bound.setdefault((producer, epoch), {})[slot] = stream

    def _frames(self, fs: FileSystem, path: str) -> Iterator[Plain]:
        found = open_frames(fs, path)
        self.findings += found.findings
        for offset, end, why in found.holes:
            self.findings.append(Finding(path, offset, why, end - offset))
        for place in found.frames:
            told = plain_frame(found.frame(place), self._wanted)
            if told["rows"] or not self._wanted.rows_only:
                yield {"kind": "frame", "offset": place.offset, **told}

    def _json(self, fs: FileSystem, path: str) -> Iterator[Plain]:
        data = read_file(fs, path, self.findings)
        try:
            yield {"kind": "json", "content": json.loads(data)}
        except ValueError as error:
            self.findings.append(Finding(path, 0, f"cannot read JSON: {error}", len(data)))


def _array(values: AnyColumn) -> Plain:
    """Bytes that are JSON as what they say, other arrays entry by entry."""
    if values.dtype.str == "|u1" and len(values) and values[:1].tobytes() in (b"{", b"["):
        try:
            return {"content": json.loads(values.tobytes())}
        except ValueError:
            return {"values": plain_value(values.tobytes())}
    return {"values": plain_array(values)}
