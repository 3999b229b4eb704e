"""The invariants of a store in one place: what was submitted and promised, against what is served.

I1 what was acknowledged is there; I2 nothing is there that was never submitted; I3 times, values
and qualities are exact to the bit; I4 nothing is there twice; I5 frames are there whole; I6 what is
there is a prefix of each producer's frames; I7 the store opens; I9 nothing good is deleted;
I12 a change that has an effect has its record. A state after a cut must be exactly the history up
to some lsn, which says I2 to I6 and I12 at once; that lsn must not be before the last promise (I1).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from storage_engine.changes import Change
from storage_engine.engine import Engine
from storage_engine.frame import SlotKind
from storage_engine.sample import Column
from storage_engine.streams import StreamInfo
from storage_engine.testing import EventRow, Model, SampleRow, bits, plain_events, plain_samples

EVERYTHING = (-(2**63), 2**63 - 1)


IMPORT = "fifteen years"


class Violation(AssertionError):  # noqa: N818 - what it is
    """A broken invariant, with its number."""


def hold(invariant: str, condition: bool, what: str) -> None:
    """Raise a Violation that names the invariant, unless the condition holds."""
    if not condition:
        raise Violation(f"{invariant}: {what}")


@dataclass(frozen=True)
class Told:
    """Everything a store says, or has to say, as plain values that compare."""

    streams: dict[int, tuple]
    producers: dict[bytes, tuple[int, int, int]]
    bindings: dict[tuple[bytes, int], dict[int, int]]
    samples: dict[int, list]
    events: dict[int, list]
    known_before: dict[int, list]
    newest: dict[int, tuple]
    record_times: list[int]
    imported: int


@dataclass
class Expiry:
    """A run of retention: rows of a class before a time may go, and are gone once it is done.

    ``lsn`` is the last one that was in segments; ``pinned`` rows (stream, start, end) stay.
    """

    position: int
    retention_class: str
    before_ns: int
    lsn: int
    pinned: tuple[int, int, int]
    done: int | None = None


@dataclass
class Truth:
    """The history: what was submitted under which lsn, and what was promised when.

    ``position`` is a count of steps of the disk (operations of a recorded log, lines read from a
    pipe), whatever the harness counts; a promise holds from its position on.
    """

    incarnations: list[tuple[int, bytes]] = field(default_factory=list)
    streams: list[tuple[int, int, tuple]] = field(default_factory=list)  # lsn, id, facts
    frames: list[tuple[int, bytes, tuple[int, int, int], bool]] = field(default_factory=list)
    binds: list[tuple[int, bytes, int, dict[int, int]]] = field(default_factory=list)
    times: list[tuple[int, int]] = field(default_factory=list)  # lsn, record time
    rows: list[tuple[int, int]] = field(default_factory=list)  # lsn, rows in its frame
    model: Model = field(default_factory=Model)
    promised: list[tuple[int, int]] = field(default_factory=list)  # position, lsn
    begun: list[tuple[int, int]] = field(default_factory=list)  # position, lsn
    imports: list[tuple[int, int]] = field(default_factory=list)  # position when done, lsn
    expiries: list[Expiry] = field(default_factory=list)
    _at: dict[tuple[int, int], Told] = field(default_factory=dict)

    def stream(self, lsn: int, info: StreamInfo) -> None:
        """A stream was created, or is another from here on."""
        self.streams.append((lsn, info.id, facts_of(info)))

    def change(self, lsn: int, into: int, change: Change, time_ns: int) -> None:
        """History was changed."""
        self.model.change(lsn, change, into)
        values = (str(change.verb), change.stream_id, change.start_ns, change.end_ns)
        row = EventRow(
            0,
            time_ns,
            lsn.to_bytes(16, "big"),
            (*values, change.principal, change.reason, change.comment),
        )
        self.model.append(lsn, (), [row], slots={0: into}, observed=False)
        self.times.append((lsn, time_ns))
        self.rows.append((lsn, 1))

    def bind(self, lsn: int, producer_id: bytes, epoch: int, slots: dict[int, int]) -> None:
        """Slots were bound."""
        self.binds.append((lsn, producer_id, epoch, dict(slots)))

    def frame(
        self,
        lsn: int,
        producer_id: bytes,
        state: tuple[int, int, int],
        samples: Sequence[SampleRow],
        events: Sequence[EventRow],
        *,
        slots: dict[int, int],
        observed: bool,
        one_shot: bool = False,
    ) -> None:
        """A frame was taken; ``state`` is (epoch, sequence, crc)."""
        self.frames.append((lsn, producer_id, state, one_shot))
        self.rows.append((lsn, len(samples) + len(events)))
        self.model.append(lsn, samples, events, slots=slots, observed=observed)

    def imported(
        self, position: int, lsn: int, samples: Sequence[SampleRow], slots: dict[int, int]
    ) -> None:
        """Rows were imported past the log, and the call has returned."""
        self.model.append(lsn, samples, (), slots=slots, observed=True)
        self.rows.append((lsn, len(samples)))
        self.imports.append((position, lsn))

    def forget_after(self, lsn: int) -> None:
        """The log was opened anew at an lsn: later ones are given out again, to other records."""
        for name in ("streams", "frames", "binds", "times", "rows"):
            setattr(self, name, [entry for entry in getattr(self, name) if entry[0] <= lsn])
        self.begun = [(when, min(last, lsn)) for when, last in self.begun]
        self.imports = [entry for entry in self.imports if entry[1] <= lsn]
        self.model.forget_after(lsn)
        self._at.clear()

    def crcs(self) -> set[int]:
        """Sums of all frames, which are their names."""
        return {state[2] for _, _, state, _ in self.frames}

    def submit(self, position: int, lsn: int) -> None:
        """Up to this lsn all was submitted, at this position at the earliest."""
        self.begun.append((position, lsn))

    def promise(self, position: int, lsn: int) -> None:
        """Up to this lsn all was acknowledged."""
        self.promised.append((position, lsn))

    def promised_at(self, position: int) -> int:
        """Newest lsn acknowledged by then."""
        return max((lsn for when, lsn in self.promised if when <= position), default=0)

    def submitted_at(self, position: int) -> int:
        """Newest lsn submitted by then."""
        return max((lsn for when, lsn in self.begun if when <= position), default=0)

    def at(self, lsn: int, imported: int) -> Told:
        """What a store has to say that holds everything up to ``lsn``, and nothing else.

        ``imported`` pieces of the import are in it; they become visible by a commit of their own.
        """
        told = self._at.get((lsn, imported))
        if told is None:
            told = self._at[lsn, imported] = self._tell(lsn, imported)
        return told

    def _tell(self, lsn: int, imported: int) -> Told:
        streams = {stream: facts for when, stream, facts in self.streams if when <= lsn}
        producers = {name: state for when, name, state, _ in self.frames if when <= lsn}
        told = Told(streams, producers, self._bindings(lsn), {}, {}, {}, {}, [], imported)
        removed = [entry for entry in self.model.removed if entry[0] <= lsn]
        rules = {stream: facts[-1] for stream, facts in streams.items()}
        hidden = {lsn for _, lsn in self.imports[imported:]}
        held = {
            i: [r for r in rows if r[1] not in hidden] for i, rows in self.model.samples.items()
        }
        model = Model(held, self.model.events, removed, rules)
        for stream, (_, kind, columns, *_) in streams.items():
            if kind is SlotKind.SERIES:
                told.samples[stream] = model.read(stream, *EVERYTHING, lsn, every=True)
                last = model.read(stream, *EVERYTHING, lsn)[-1:]
                told.newest[stream] = last[0][:3] if last else ()
                told.known_before[stream] = model.read(stream, *EVERYTHING, before(lsn))
            else:
                told.events[stream] = _widened(model, stream, columns, lsn)
        told.record_times.extend(time for when, time in self.times if when <= lsn)
        return told

    def _bindings(self, lsn: int) -> dict[tuple[bytes, int], dict[int, int]]:
        """What slots mean; a frame retires those of older epochs, a one-shot frame its own."""
        bound: dict[tuple[bytes, int], dict[int, int]] = {}
        steps: list[tuple] = [*self.binds, *self.frames]
        for when, name, *facts in sorted(steps, key=lambda step: step[0]):
            if when > lsn:
                break
            if isinstance(facts[0], int):
                bound.setdefault((name, facts[0]), {}).update(facts[1])
                continue
            (epoch, _, _), one_shot = facts
            old = [key for key in bound if key[0] == name and key[1] < epoch + one_shot]
            for key in old:
                del bound[key]
        return bound

    def rows_upto(self, lsn: int) -> int:
        """Rows in frames up to an lsn."""
        return sum(count for when, count in self.rows if when <= lsn)


def before(lsn: int) -> int:
    """An lsn of the past, for reads as known at it."""
    return lsn * 2 // 3


def facts_of(info: StreamInfo) -> tuple:
    """What a stream is, beside its id."""
    return info.uuid, info.kind, tuple(info.columns), info.retention_class, info.duplicates


def _widened(model: Model, stream: int, columns: Sequence[Column], lsn: int) -> list:
    """Events as the stream's present columns show them: null where they had none."""
    found = model.read_events(stream, *EVERYTHING, lsn, conflicts=True)
    return [
        (time, key, values + (None,) * (len(columns) - len(values)), at)
        for time, key, values, at in found
    ]


def tell(engine: Engine, truth: Truth) -> Told:
    """Ask a store for everything it knows of the truth's streams and producers."""
    place = engine.import_position(IMPORT)
    told = Told({}, {}, {}, {}, {}, {}, {}, [], place if isinstance(place, int) else 0)
    past = before(engine.durable_lsn)
    for stream, info in engine.streams().items():
        told.streams[stream] = facts_of(info)
        if info.kind is SlotKind.SERIES:
            found = engine.read(stream, *EVERYTHING, all_revisions=True)
            told.samples[stream] = plain_samples(found)
            told.newest[stream] = _newest(engine, stream)
            found = engine.read(stream, *EVERYTHING, known_at_lsn=past)
            told.known_before[stream] = plain_samples(found)
        else:
            events = engine.read_events(stream, *EVERYTHING, conflicts=True)
            told.events[stream] = plain_events(events)
    for name in {name for _, name, _, _ in truth.frames}:
        state = engine.producer(name)
        if state is not None:
            told.producers[name] = (state.epoch, state.sequence, state.crc)
    for name, epoch in {(name, epoch) for _, name, epoch, _ in truth.binds}:
        slots = dict(engine.bindings(name, epoch))
        if slots:
            told.bindings[name, epoch] = slots
    lsns = [lsn for lsn, _ in truth.times if lsn <= engine.durable_lsn]
    told.record_times.extend(engine.record_time_ns(lsn) for lsn in lsns)
    return told


def _newest(engine: Engine, stream: int) -> tuple:
    latest = engine.latest([stream])
    if not latest.present[0]:
        return ()
    value = latest.value[0]
    value = value.item() if isinstance(value, np.generic) else value
    return int(latest.timestamp_ns[0]), int(latest.quality[0]), bits(value)


def differences(want: Told, found: Told) -> Iterator[str]:
    """Where two tellings differ, in words short enough to read."""
    for name in Told.__dataclass_fields__:
        one, other = getattr(want, name), getattr(found, name)
        if one == other:
            continue
        if not isinstance(one, dict):
            yield f"{name}: got {other}, want {one}"
            continue
        for key in sorted({*one, *other}, key=repr):
            a, b = one.get(key), other.get(key)
            if a != b and isinstance(a, list) and isinstance(b, list):
                missing, extra = [r for r in a if r not in b], [r for r in b if r not in a]
                yield f"{name} of {key}: missing {missing[:3]}, too many {extra[:3]}, of {len(a)}"
            elif a != b:
                yield f"{name} of {key}: got {b}, want {a}"


@dataclass(frozen=True)
class Holds:
    """How much of the history a store holds: up to which lsn, imports, horizon of expiry."""

    lsn: int
    imported: int
    horizons: tuple[tuple[str, int], ...]
    expired: bool  # nothing is left before the horizons


def check_open(engine: Engine, truth: Truth, what: str, *, damaged: bool = False) -> Holds:
    """Hold an open store against the history; gives how much of it there is.

    Raises
    ------
    Violation
        With the invariant's number.
    """
    lsn = engine.durable_lsn
    hold("I8", damaged or not engine.findings(), f"damage without damage: {engine.findings()[:2]}")
    last = max((lsn for _, lsn in truth.begun), default=0)
    hold("I2", lsn <= last, f"lsn {lsn} was never given out, {last} is the last; {what}")
    found = tell(engine, truth)
    want = truth.at(lsn, found.imported)
    horizons = dict(engine.horizons())
    expired = True
    if horizons:
        want, found, expired = _without_expired(truth, want, found, horizons)
    if want != found:
        told = "; ".join(list(differences(want, found))[:4])
        raise Violation(f"I2 to I6 at lsn {lsn}: {told}; {what}")
    stats = engine.stats()
    held, sent = stats.segment_rows + stats.head_rows, truth.rows_upto(lsn)
    hold("I4", held <= sent, f"{held} rows are held of {sent} that were sent; {what}")
    _check_erased(engine, what)
    return Holds(lsn, found.imported, tuple(sorted(horizons.items())), expired)


def _check_erased(engine: Engine, what: str) -> None:
    """What the store calls erased for good is in none of its segments."""
    waiting = {one.tombstone for one in engine.erasures()}
    for stone in [one for one in engine._state.tombstones if one.erase and one not in waiting]:
        for info in engine._state.segments:
            directory = engine._reader.directory(info)
            assert directory is not None, "there is no damage here"
            runs, table = directory.runs_of(stone.stream_id), directory.table
            for run in range(runs.start, runs.stop):
                block = engine._reader.block(directory, int(table["run_block"][run]))
                start = int(table["run_start"][run])
                rows = block.take(slice(start, start + int(table["run_rows"][run])))
                hold("I12", not stone.covers(rows).any(), f"erased rows are in {info.path}; {what}")


def _without_expired(
    truth: Truth, want: Told, found: Told, horizons: dict[str, int]
) -> tuple[Told, Told, bool]:
    """Both tellings without rows that were free to go, and whether all of those have gone."""
    expired, both = True, []
    for name in ("samples", "known_before", "events"):
        for stream, rows in getattr(want, name).items():
            facts = want.streams[stream]
            horizon = horizons.get(facts[3], EVERYTHING[0])
            pins = [e.pinned[1:] for e in truth.expiries if e.pinned[0] == stream]
            old = {
                row
                for row in rows
                if row[0] < horizon and not any(a <= row[0] < b for a, b in pins)
            }
            lsn = max((e.lsn for e in truth.expiries if e.retention_class == facts[3]), default=0)
            have = getattr(found, name).get(stream, [])
            expired &= not any(row in old and row[-1] <= lsn for row in have)
            both.append((name, stream, old))
    tellings = []
    for told in (want, found):
        cut = {name: dict(getattr(told, name)) for name in ("samples", "known_before", "events")}
        for name, stream, old in both:
            if stream in cut[name]:
                cut[name][stream] = [row for row in cut[name][stream] if row not in old]
        tellings.append(replace(told, **cut))
    return tellings[0], tellings[1], expired


def check_promises(truth: Truth, holds: Holds, position: int, what: str) -> None:
    """I1, and I2 in time: what was acknowledged by then is there, and nothing of the future."""
    promised, submitted, lsn = truth.promised_at(position), truth.submitted_at(position), holds.lsn
    hold("I1", lsn >= promised, f"got history up to {lsn}, {promised} was acknowledged; {what}")
    hold("I2", lsn <= submitted, f"got lsn {lsn}, only {submitted} had been submitted; {what}")
    done = sum(when <= position for when, _ in truth.imports)
    hold("I1", holds.imported >= done, f"{holds.imported} of {done} imports are there; {what}")
    for name, horizon in holds.horizons:
        runs = [e for e in truth.expiries if e.retention_class == name]
        allowed = max((e.before_ns for e in runs if e.position <= position), default=EVERYTHING[0])
        hold("I9", horizon <= allowed, f"{name} is cut at {horizon}, not {allowed}; {what}")
        if any(e.done is not None and e.done <= position for e in runs):
            hold("I1", holds.expired, f"rows of {name} are back that had expired; {what}")


def check_incarnation(truth: Truth, engine: Engine, position: int, what: str) -> None:
    """A store that was once open keeps its incarnation."""
    known = [name for when, name in truth.incarnations if when <= position]
    hold("I1", not known or engine.incarnation == known[-1], f"another incarnation; {what}")
