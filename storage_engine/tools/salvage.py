"""A new sound store from what still checks out of damaged ones. The sources are never changed.

The newest sound manifest says what there should be. Segments that are whole are copied; of others
every block that checks out is written anew. What is lost then is looked for in other segments and
in the log below the checkpoint. Records behind the checkpoint are replayed as at any open.
"""

import os
import threading
from collections.abc import Sequence

import numpy as np

from storage_engine.changes import CHANGES_UUID
from storage_engine.clock import Clock
from storage_engine.columns import Rows
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.errors import InvalidArgument
from storage_engine.filesystem import FileSystem
from storage_engine.findings import Findings
from storage_engine.flushing import Flusher
from storage_engine.frame import SlotKind
from storage_engine.manifest import Manifest, store_manifest, stream_table
from storage_engine.recovery import Found, load_store, replayer
from storage_engine.sample import UInt32Array
from storage_engine.segment.reader import SegmentReader
from storage_engine.state import Frozen, State
from storage_engine.table import json_column, read_json
from storage_engine.tombstones import Tombstone, Tombstones, erased, read_tombstones
from storage_engine.tools.losses import Loss
from storage_engine.tools.rebuilt import Piece, Rebuilt, gather
from storage_engine.tools.recover import Recovered, pieces_of, recover_segments
from storage_engine.tools.store_files import list_store
from storage_engine.tools.survey import Source, survey
from storage_engine.tools.unbound import name_unbound
from storage_engine.tools.verify import verify_store

_UNBOUNDED = 1 << 30
_LAST = 2**63
_LEAST = {"i": -(2**63)}  # what arrays per stream hold for a stream without rows
Report = dict[str, object]


def salvage(
    sources: Sequence[Source], target: FileSystem, config: EngineConfig, clock: Clock
) -> Report:
    """Make a store of everything that still checks out.

    Parameters
    ----------
    sources : sequence of Source
        The first is believed first.
    target : FileSystem
        Of the new store; empty.
    config : EngineConfig
    clock : Clock

    Returns
    -------
    dict
        ``recovered`` counts, ``lost`` places, ``findings`` of the sources, ``remaining`` findings
        of the new store (none, or this has a fault).

    Raises
    ------
    InvalidArgument
        When the target holds a store, a source is of a newer version, or there is nothing.
    DiskError
        When the target cannot be written.
    """
    if list_store(target).any_content:
        raise InvalidArgument("cannot salvage: got a folder that holds a store, want an empty one")
    return _Salvage(sources, target, config, clock).run()


class _Salvage:
    def __init__(
        self,
        sources: Sequence[Source],
        target: FileSystem,
        config: EngineConfig,
        clock: Clock,
    ) -> None:
        self.labels = [source.label for source in sources]
        self.found = survey(sources)
        self.target = target
        self.config = config
        self.clock = clock
        self.incarnation = os.urandom(16)
        self.problems = Findings(config.findings_max)
        ids = [copy.id or 0 for copy in self.found.copies]
        ids += [info.id for manifest in self.found.manifests for info in manifest.segments]
        self.rebuilt = Rebuilt(
            target,
            incarnation=self.incarnation,
            streams=self.found.streams,
            next_id=max(ids, default=0) + 1,
            now_ns=clock.now_ns(),
        )
        self.scratch = State(config)
        self.refilled = 0
        self.replayed = 0

    def run(self) -> Report:
        taken = recover_segments(self.found, self.rebuilt)
        base = self.found.base
        covered = max((info.lsn_max for info in self.rebuilt.infos), default=0)
        checkpoint = base.checkpoint_lsn if base is not None else covered
        self.prepare_scratch()
        if base is None or taken.losses:
            self.fill_from_segments(taken)
            self.fill_from_log(taken, checkpoint)
        state, manifest = self.load(taken, checkpoint)
        self.replay(taken, state, manifest, checkpoint)
        return self.report(taken, checkpoint)

    # Looking for what is lost

    def prepare_scratch(self) -> None:
        """A state that knows streams, bindings and erasures, to replay old records into."""
        for info in self.found.streams.values():
            self.scratch.streams.put(info)
        for manifest in sorted(self.found.manifests, key=lambda one: one.checkpoint_lsn):
            self.scratch.producers.load(manifest.table)
        if self.found.base is not None:
            self.scratch.tombstones = read_tombstones(self.found.base.table)

    def fill_from_segments(self, taken: Recovered) -> None:
        """Take lost rows from segments that the manifest does not list (any more)."""
        for copy in taken.unused:
            self.fill(taken, pieces_of(self.found, taken, copy))

    def fill_from_log(self, taken: Recovered, checkpoint: int) -> None:
        """Take lost rows from records that the log still has below the checkpoint."""
        state = self.scratch

        def make_room(rows: int, size_bytes: int) -> None:
            state.make_room(rows, size_bytes, frozen_max=_UNBOUNDED)
            self.fill_from_heads(taken, state)

        apply = replayer(state, self.problems, make_room)
        for record in self.found.replay(0, checkpoint):
            name_unbound(state, record, self.found, taken)
            apply(record)
        state.freeze()
        self.fill_from_heads(taken, state)

    def fill_from_heads(self, taken: Recovered, state: State) -> None:
        for frozen in state.frozen:
            self.fill(taken, _pieces_of_head(frozen, state))
        state.frozen = ()

    def fill(self, taken: Recovered, pieces: Sequence[Piece]) -> None:
        """Write those rows that were lost and that no segment has by now."""
        kept: list[Piece] = []
        everything = self.found.base is None
        for piece in pieces:
            for stream_id in np.unique(piece.stream).tolist():
                rows = piece.rows.take(piece.stream == stream_id)
                mask = np.ones(len(rows), np.bool_)
                if not everything:
                    mask = np.zeros(len(rows), np.bool_)
                    for loss in taken.losses:
                        mask |= loss.takes(stream_id, rows)
                gone = erased(rows, self.scratch.tombstones.of(stream_id))
                if gone is not None:
                    mask &= ~gone
                if mask.any():
                    rows = rows.take(mask)
                    rows = rows.take(self.rebuilt.missing(stream_id, rows))
                    if len(rows):
                        kept.append(Piece(np.full(len(rows), stream_id, np.uint32), rows))
                        self.note_found(taken.losses, stream_id, rows)
        for group in gather(kept):
            self.refilled += len(group.rows)
            for name in sorted({self.class_of(s) for s in np.unique(group.stream).tolist()}):
                mask = np.array([self.class_of(s) == name for s in group.stream.tolist()], np.bool_)
                part = Piece(group.stream[mask], group.rows.take(mask))
                self.rebuilt.write([part], None, name)

    def note_found(self, losses: Sequence[Loss], stream_id: int, rows: Rows) -> None:
        left = np.ones(len(rows), np.bool_)
        for loss in losses:
            mine = loss.takes(stream_id, rows) & left
            loss.found += int(mine.sum())
            left &= ~mine

    def class_of(self, stream_id: int) -> str:
        info = self.found.streams.get(stream_id)
        return info.retention_class if info is not None else "default"

    # Making the new store

    def load(self, taken: Recovered, checkpoint: int) -> tuple[State, Manifest | None]:
        """State of the new store as of the checkpoint."""
        base, state = self.found.base, State(self.config)
        manifest = None
        if base is not None:
            manifest = self.manifest_of(base, taken, checkpoint)
            self.target.make_directories("manifest")
            store_manifest(self.target, manifest)
        found = Findings(self.config.findings_max)
        reader = SegmentReader(self.target, self.config, found)
        load_store(self.target, self.config, found, state, reader)
        reader.close()
        for info in self.found.streams.values():
            state.streams.put(info)
        if base is None:
            state.producers = self.scratch.producers
            state.applied = dict(state.producers.states)
            state.times = self.scratch.times
            state.tombstones = Tombstones([*self.scratch.tombstones, *self.tombstones()])
            state.applied_lsn = checkpoint
        return state, manifest

    def manifest_of(self, base: Manifest, taken: Recovered, checkpoint: int) -> Manifest:
        """The base with the segments that there are, streams that it lacks behind its own."""
        counters = read_json(base.table, "counters", at=base.path)
        counters["next_segment_id"] = self.rebuilt.next_id
        counters["next_stream_id"] = max([*self.found.streams, 0]) + 1
        ids = base.table["stream_id"].tolist()
        more = [info for info in self.found.streams.values() if info.id not in set(ids)]
        streams = [*(self.found.streams[one] for one in ids), *more]
        padded = {
            name: np.append(
                values, np.full(len(more), _LEAST.get(values.dtype.kind, 0), values.dtype)
            )
            for name, values in base.table.items()
            if name.startswith("stream_") and len(values) == len(ids) and values.dtype.kind in "iu"
        }
        stale = {loss.stream for loss in taken.losses if loss.stream is not None}
        if any(loss.stream is None for loss in taken.losses):
            stale = set(self.found.streams)
        stale |= set(base.table.get("stale_stream", np.zeros(0, np.uint32)).tolist())
        series = {i.id for i in self.found.streams.values() if i.kind is SlotKind.SERIES}
        table = {
            **base.table,
            **padded,
            **stream_table(streams),
            "stale_stream": np.array(sorted(stale & series), np.uint32),
            "counters": json_column(counters),
        }
        return Manifest(self.incarnation, 1, checkpoint, tuple(self.rebuilt.infos), table)

    def tombstones(self) -> list[Tombstone]:
        """Deletions and erasures that the stream of changes tells of."""
        found = []
        for info in self.found.streams.values():
            if info.uuid != CHANGES_UUID:
                continue
            for rows in self.rebuilt.rows_of(info.id):
                verbs, streams, starts, ends = (rows.data[i].objects() for i in range(4))
                lsns = (rows.stamp >> np.uint64(1)).tolist()
                found += [
                    Tombstone(
                        lsn, int(str(stream)), int(str(start)), int(str(end)), verb == "erase"
                    )
                    for lsn, verb, stream, start, end in zip(
                        lsns, verbs, streams, starts, ends, strict=True
                    )
                    if verb in {"delete", "erase"}
                ]
        return found

    def replay(
        self, taken: Recovered, state: State, manifest: Manifest | None, checkpoint: int
    ) -> None:
        """Bring records behind the checkpoint into segments, and commit twice."""
        generation = manifest.generation if manifest else 0
        flusher = Flusher(
            self.target,
            self.config,
            self.clock,
            state=state,
            lock=threading.RLock(),
            found=Found(self.incarnation, generation, manifest, checkpoint),
        )

        def make_room(rows: int, size_bytes: int) -> None:
            state.make_room(rows, size_bytes, frozen_max=_UNBOUNDED)
            flusher.flush_frozen()

        apply = replayer(state, self.problems, make_room)
        for record in self.found.replay(checkpoint + 1, _LAST):
            name_unbound(state, record, self.found, taken)
            apply(record)
            self.replayed += 1
        # Numbers that were given once are not given again, be their records lost or not.
        state.applied_lsn = max(state.applied_lsn, self.found.durable_lsn)
        for _ in range(2):  # two generations, so that the loss of one loses nothing
            state.freeze()
            flusher.flush_frozen()

    # Telling

    def report(self, taken: Recovered, checkpoint: int) -> Report:
        losses = [*taken.losses, *self.lost_records(checkpoint)]
        losses = [loss for loss in losses if loss.missing != 0]
        rows = self.open_once()
        remaining = verify_store(self.target).findings
        streams = self.found.streams
        problems = self.problems.list()
        return {
            "sources": self.labels,
            "base": None
            if self.found.base is None
            else {"generation": self.found.base.generation, "checkpoint_lsn": checkpoint},
            "incarnation": self.incarnation.hex(),
            "recovered": {
                "rows": rows,
                "rows_of_whole_segments": self.rebuilt.rows_copied,
                "rows_of_sound_blocks": self.rebuilt.rows_rebuilt - self.refilled,
                "rows_found_elsewhere": self.refilled,
                "whole_segments": taken.whole,
                "records_replayed": self.replayed,
                "streams": len(streams),
            },
            "lost": [loss.plain(streams) for loss in losses],
            "unnamed_streams": [
                {"stream": one, "uuid": streams[one].uuid.hex(), "was": taken.unnamed[one]}
                for one in sorted(taken.unnamed)
            ],
            "findings": [_plain(one) for one in [*self.found.findings, *taken.findings, *problems]],
            "remaining": [_plain(one) for one in remaining],
        }

    def open_once(self) -> int:
        """Open the new store as any server would; gives its rows, and names what it says."""
        engine = Engine.open(self.target, self.config, self.clock)
        try:
            rows = engine.stats().segment_rows
            for finding in engine.findings():
                self.problems.add(finding.path, finding.offset, finding.what)
        finally:
            engine.close()
        return rows

    def lost_records(self, checkpoint: int) -> list[Loss]:
        """Stretches of lsns behind the checkpoint that no log file has."""
        held = sorted(lsn for lsn in self.found.records if lsn > checkpoint)
        losses = []
        before = checkpoint
        if self.found.base is None and checkpoint == 0 and held:
            before = held[0] - 1
        for lsn in [*held, self.found.durable_lsn + 1]:
            if lsn > before + 1:
                around = [self.found.records.get(before), self.found.records.get(lsn)]
                times = [entry.record_time_ns for entry in around if entry is not None]
                between = f" (recorded about {min(times)} to {max(times)} ns)" if times else ""
                what = f"lsn {before + 1} to {lsn - 1} are in no log file{between}"
                losses.append(Loss("log", 0, what, lsn_first=before + 1, lsn_last=lsn - 1))
            before = max(before, lsn)
        if not self.found.logs:
            what = f"no log file: what was acknowledged behind lsn {before}, if anything, is lost"
            losses.append(Loss("log", 0, what, lsn_first=before + 1))
        elif self.found.marked_lsn < self.found.durable_lsn:
            last = self.found.durable_lsn
            what = f"the log ends without a mark behind lsn {last}: more may have followed"
            losses.append(Loss("log", 0, what, lsn_first=last + 1))
        return losses


def _plain(finding: object) -> dict[str, object]:
    return {name: getattr(finding, name) for name in ("path", "offset", "what", "size")}


def _pieces_of_head(frozen: Frozen, state: State) -> list[Piece]:
    head = frozen.head
    pieces = [Piece(stream, rows) for stream, rows in head.series_pieces(state.streams.types, 8192)]
    for stream_id in head.event_streams():
        rows = head.events_of(stream_id)
        stream: UInt32Array = np.full(len(rows), stream_id, np.uint32)
        pieces.append(Piece(stream, rows))
    return pieces
