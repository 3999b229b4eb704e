"""A whole store, from store.md: manifest, segments, log, and the rows that reads give."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from second_reader.codecs import read_table
from second_reader.found_blocks import FoundSegment
from second_reader.frames import read_frame
from second_reader.log import BIND, CHANGE, FRAME, STREAM, Record, read_log
from second_reader.manifest import bindings_of, newest_manifest
from second_reader.rules import event_rows, series_rows
from second_reader.segments import Segment, segment_rows
from second_reader.words import Cursor, DamagedError, Finding, Row, Stream, Tombstone

CHANGES_UUID = b"lighthouse:chang"
SERIES, EVENTS = 0, 1


class Store:
    """All that a directory holds, every checksum verified on the way."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.streams: dict[int, Stream] = {}
        self.tombstones: list[Tombstone] = []
        self.bindings: dict[tuple[bytes, int, int], int] = {}
        self.rows: dict[int, list[Row]] = {}
        self.record_times: dict[int, int] = {}
        manifest, self.findings = newest_manifest(root / "manifest")
        self.manifest = manifest
        paths = sorted((root / "segments").glob("*/*.segment"))
        checkpoint = 0
        if manifest is not None:
            checkpoint = manifest.checkpoint
            self.tombstones = list(manifest.tombstones)
            self.bindings = dict(manifest.bindings)
            self.streams = {s.stream_id: s for s in manifest.streams}
            paths = [
                root / "segments" / str(s["partition"]) / f"{s['id']:016x}.segment"
                for s in manifest.segments
            ]
        elif paths:
            self.findings.append(Finding("manifest", "no sound generation; segments speak"))
        opened = self._open(paths)
        self.segments = [segment for _, segment in opened]
        records, lost = read_log(root / "wal", checkpoint)
        self.findings += lost
        self.lsn = max([checkpoint, *(r.lsn for r in records)])
        frames = [record for record in records if not self._tried(self._learn, record)]
        widths = {i: len(s.columns) for i, s in self.streams.items()}
        for path, segment in opened:
            found, bad = segment_rows(segment, widths)
            for stream, rows in found.items():
                self.rows.setdefault(stream, []).extend(rows)
            self.findings += [Finding(path.relative_to(root).as_posix(), what) for what in bad]
        if manifest is None:
            self._adopt_tombstones()
        for record in frames:
            self._tried(self._frame, record)

    def _open(self, paths: list[Path]) -> list[tuple[Path, Segment]]:
        """Sound segments; without a manifest the streams are adopted from their footers."""
        found: list[tuple[Path, Segment]] = []
        broken: list[Path] = []
        for path in paths:
            name = path.relative_to(self.root).as_posix()
            try:
                segment = Segment(path.read_bytes())
                wrong = segment.segment_id != int(path.stem, 16)
                if wrong or segment.facts["partition"] != path.parent.name:
                    raise DamagedError("another segment than its name says")
            except (DamagedError, FileNotFoundError) as problem:
                self.findings.append(Finding(name, str(problem)))
                if self.manifest is not None:
                    broken.append(path)
                continue
            found.append((path, segment))
            if self.manifest is None:
                for stream, uuid, kind, columns in segment.streams():
                    known = self.streams.get(stream)
                    if known is None or len(columns) > len(known.columns):
                        self.streams[stream] = Stream(stream, uuid, kind, columns)
        return found + self._found_blocks(broken, [segment for _, segment in found])

    def _found_blocks(self, paths: list[Path], sound: list[Segment]) -> list[tuple[Path, Segment]]:
        """What can be read of segments whose header, directory or trailer is damaged."""
        found: list[tuple[Path, Segment]] = []
        known = {segment.incarnation for segment in sound}
        if self.manifest is not None:
            known.add(self.manifest.incarnation)
        for path in paths:
            try:
                data = path.read_bytes()
                candidates = [data[16:32], data[-48:-32], *known]
                found.append((path, FoundSegment(data, int(path.stem, 16), candidates)))
            except (DamagedError, FileNotFoundError):
                continue
        return found

    def _adopt_tombstones(self) -> None:
        """Deletions and erasures from the stream of changes, when no manifest lists them."""
        known = {mark.lsn for mark in self.tombstones}
        for stream in self.streams.values():
            names = [name for name, _ in stream.columns]
            for row in self.rows.get(stream.stream_id, []) if stream.uuid == CHANGES_UUID else []:
                fact = dict(zip(names, row.cells, strict=True))
                if row.lsn not in known and fact["verb"] in (b"delete", b"erase"):
                    span = (fact["stream"], fact["start_ns"], fact["end_ns"])
                    self.tombstones.append(Tombstone(row.lsn, *span, fact["verb"] == b"erase"))

    def _tried(self, take: Callable[[Record], bool], record: Record) -> bool:
        """Take a record; one that needs a lost one (a stream, a binding) is named and left out."""
        try:
            return take(record)
        except (DamagedError, KeyError) as problem:
            self.findings.append(Finding("wal", f"record {record.lsn} cannot be used: {problem}"))
            return True

    def _learn(self, record: Record) -> bool:
        """Take a stream, a binding or a change; False for what waits until all are known."""
        self.record_times[record.lsn] = record.time
        if record.kind == STREAM:
            fact = json.loads(record.body)
            self.streams[fact["id"]] = Stream(
                fact["id"],
                bytes.fromhex(fact["uuid"]),
                int(fact["kind"]),
                [(name, int(value_type)) for name, value_type in fact["columns"]],
                int(fact["duplicates"]),
                fact["retention_class"],
            )
        elif record.kind == BIND:
            table = read_table(record.body)
            self.bindings |= bindings_of(table, ("producer", "epoch", "slot", "stream"))
        elif record.kind == CHANGE:
            self._change(record)
        return record.kind != FRAME

    def _change(self, record: Record) -> None:
        fact = json.loads(record.body)
        into = self.streams[fact["into"]]
        cells: list[int | bytes | None] = []
        for name, _ in into.columns:
            value = fact.get(name)
            cells.append(value.encode() if isinstance(value, str) else value)
        event_id = record.lsn.to_bytes(16, "big")
        row = Row(record.time, record.lsn * 2, event_id, 0, tuple(cells))
        self.rows.setdefault(into.stream_id, []).append(row)
        if fact["verb"] in ("delete", "erase"):
            span = (fact["start_ns"], fact["end_ns"])
            mark = Tombstone(record.lsn, fact["stream"], *span, fact["verb"] == "erase")
            self.tombstones.append(mark)

    def _frame(self, record: Record) -> bool:
        """The rows of a FRAME record but the rejected ones."""
        part = Cursor(record.body)
        rows, mask_bytes = part.number(4), part.number(4)
        mask = np.unpackbits(part.array("u1", mask_bytes), bitorder="little")[:rows]
        rejected = set(np.nonzero(mask)[0].tolist())
        part.align()
        frame = read_frame(part.data[part.at :])
        if rows and rows != len(frame.rows):
            raise DamagedError(f"record {record.lsn}: a mask of another frame")
        stamp = record.lsn * 2 + frame.observed
        taken: list[tuple[int, Row]] = []
        for r in frame.rows:
            if r.number in rejected:
                continue
            stream = self.bindings[frame.producer, frame.epoch, r.slot]
            row = Row(r.time, stamp, r.event_id, r.quality, r.cells)
            width = len(self.streams[stream].columns)
            taken.append((stream, row.padded(width)))
        for stream, row in taken:
            self.rows.setdefault(stream, []).append(row)
        return True

    def read(self, stream_id: int, at: int | None = None, *, full: bool = False) -> list[Row]:
        """Rows of a stream as known at lsn `at`; `full`: all revisions, or conflicts."""
        stream = self.streams[stream_id]
        rows = self.rows.get(stream_id, [])
        marks = [t for t in self.tombstones if t.stream == stream_id]
        if stream.kind == EVENTS:
            return event_rows(rows, marks, at, conflicts=full)
        return series_rows(rows, marks, at, duplicates=stream.duplicates, all_revisions=full)
