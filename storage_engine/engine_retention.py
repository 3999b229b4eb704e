"""Expiry: rows that the rules let go leave the store, by dropping and by rewriting segments.

Horizons (where complete history begins, per class) and the ledger of the last day stand in the
manifest's ``facts`` under ``retention``, committed with the segments they tell of. The ledger
counts uptime, not time of day: a clock that jumps cannot make a day pass.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from storage_engine.engine_core import TIME_MIN
from storage_engine.engine_summaries import FACT, SummarySide, Written
from storage_engine.errors import CorruptData, InvalidArgument
from storage_engine.expiry import (
    Asked,
    ExpiryReport,
    Ledger,
    Run,
    class_reports,
    commit_groups,
    horizon_of,
    is_strange,
    left_alone,
    unread,
)
from storage_engine.pins import Pin, Pins
from storage_engine.pruning import bare_deletions
from storage_engine.retention import (
    DAY_NS,
    SHARE,
    Candidate,
    ExpiryPlan,
    Part,
    Rule,
    plan_expiry,
)
from storage_engine.rewrite import Rewrite, remove_segments
from storage_engine.sample import Int64Array
from storage_engine.segment.layout import SegmentInfo
from storage_engine.segment.reader import Directory
from storage_engine.tombstones import Tombstones

_RUN_FACTS = ("run_stream", "run_first", "run_last", "run_rows", "run_block", "run_start")
Pace = Callable[[int], None]
_HOUR_NS = 3_600 * 1_000_000_000


def _no_pace(size_bytes: int) -> None:
    """Go on at once."""


class RetentionSide(SummarySide):
    """Expiry, as the owner of the rules calls it; safe for many threads."""

    _examined: Mapping[int, tuple[int, Candidate]] = MappingProxyType({})
    _unreadable: frozenset[int] = frozenset()
    _ledger: Ledger | None = None

    def expire(
        self,
        rules: Mapping[str, Rule],
        pins: Iterable[Pin] = (),
        *,
        now_ns: int,
        uptime_ns: int,
        share: float = SHARE,
        force: bool = False,
        dry_run: bool = False,
        pace: Pace = _no_pace,
    ) -> ExpiryReport:
        """Let go what the rules allow, oldest first.

        Parameters
        ----------
        rules : mapping of str to Rule
            Per retention class; a class without one is kept for ever.
        pins : iterable of Pin
            Windows that stay whatever the rules say.
        now_ns : int
            Time of day that ages are counted from.
        uptime_ns : int
            Of the process, never going back.
        share : float
            Part of a class's bytes that may go within a day of uptime; see ``plan_expiry``.
        force : bool
            Let all go that the rules ask for, whatever the share.
        dry_run : bool
            Change nothing; say what would be done.
        pace : callable
            Told of bytes read and written; may wait, or raise EngineClosed to end the run.

        Returns
        -------
        ExpiryReport

        Raises
        ------
        InvalidArgument
            A share outside 0..1, or a store opened read-only and no dry run.
        DiskError, EngineClosed
            What was committed until then stays so; the next run goes on.
        """
        asked = Asked(rules, Pins(pins), now_ns, uptime_ns, share, force)
        if dry_run:
            self._check_open("plan expiry")
            return self._expire(asked, None)
        self._check_writable("expire")

        def paced(size_bytes: int) -> None:
            self._check_open("expire")
            pace(size_bytes)

        with self._upkeep_lock:
            return self._expire(asked, paced)

    def _expire(self, asked: Asked, pace: Pace | None) -> ExpiryReport:
        uptime_ns = asked.uptime_ns
        with self._lock:
            streams = self._state.streams.by_id.snapshot()
            live = self._state.segments  # held, so that no file goes while it is read
            ledger = self._ledger
            if ledger is None:
                facts: Any = self._flusher.facts.get(FACT, {})
                ledger = self._ledger = Ledger.load(facts.get("ledger", []), uptime_ns)
        names = sorted({info.retention_class for info in streams.values()})
        place = {name: number for number, name in enumerate(names)}
        class_of = np.zeros(max(streams, default=0) + 1, np.int64)
        for stream_id, info in streams.items():
            class_of[stream_id] = place[info.retention_class]
        candidates = self._examine(live, names, class_of, asked)
        plan = plan_expiry(
            candidates,
            asked.rules,
            now_ns=asked.now_ns,
            share=asked.share,
            spent=ledger.spent(uptime_ns),
            force=asked.force,
            spread=lambda name, first, last: self._spread(
                [c for c in candidates if c.info.first <= last and c.info.last >= first],
                place[name],
                class_of,
                asked.pins,
            ),
        )
        run = Run(streams, asked.pins, plan, asked.now_ns)
        going = [c for c in candidates if plan.free_rows(c)]
        damaged = self._damaged(going)
        dropped = [c for c in going if plan.free_rows(c) == c.info.rows]
        rewritten = [c for c in going if plan.free_rows(c) < c.info.rows]
        written = Written(lambda infos: remove_segments(self._fs, self._state.live, infos))
        dues = self._dues(asked, plan, candidates, lambda name: class_of == place[name])
        if pace is None:
            self._summarise(dues, None, written)
        else:
            facts = self._facts_after(plan, ledger, uptime_ns)
            try:
                self._summarise(dues, pace, written)
                failed = self._perform(run, going, facts, pace, written)
            finally:
                written.give_up()
            damaged |= {c.info.path for c in failed if c in rewritten}
            dropped = [c for c in dropped if c not in failed]
            rewritten = [c for c in rewritten if c not in failed]
            self._prune()
        done = {c.info.id for c in (*dropped, *rewritten)}
        damaged |= {c.info.path for c in candidates if c.damaged or c.info.id in self._unreadable}
        return ExpiryReport(
            dry_run=pace is None,
            forced=asked.force,
            now_ns=asked.now_ns,
            classes=class_reports(candidates, plan, done, self.horizons(), written.rows),
            dropped=tuple(c.info.path for c in dropped),
            rewritten=tuple(c.info.path for c in rewritten),
            damaged=tuple(sorted(damaged)),
            held=plan.held,
        )

    def _damaged(self, going: Sequence[Candidate]) -> set[str]:
        """Paths of those that are known not to be whole."""
        known = {finding.path for finding in self._found.list()}
        return {c.info.path for c in going if c.damaged or c.info.path in known}

    # Looking through

    def _examine(
        self, live: Sequence[SegmentInfo], names: list[str], class_of: Int64Array, asked: Asked
    ) -> list[Candidate]:
        """Look through segments; what has not changed since the last run is remembered."""
        pins, horizon = asked.pins, horizon_of(asked)
        stamp = hash((tuple(names), class_of.tobytes(), pins.stamp))
        found: dict[int, tuple[int, Candidate]] = {}
        for info in live:
            known = self._examined.get(info.id)
            if info.first >= horizon:
                known = (0, unread(info, Pins()))  # too young for any rule: no need to look
            elif known is None or known[0] != stamp:
                directory = self._reader.directory_for_reads(info)
                partly = directory is None or directory.rows_missing > 0
                if directory is None or partly or is_strange(directory, class_of):
                    known = (stamp, unread(info, pins, damaged=True))
                else:
                    known = (stamp, self._look_through(directory, names, class_of, pins))
            found[info.id] = known
        self._examined = found
        self._unreadable &= frozenset(found)
        return [
            left_alone(candidate) if candidate.info.id in self._unreadable else candidate
            for _, candidate in found.values()
        ]

    def _look_through(
        self, directory: Directory, names: list[str], class_of: Int64Array, pins: Pins
    ) -> Candidate:
        table, info = directory.table, directory.info
        classes = class_of[table["run_stream"]]
        rows = table["run_rows"].astype(np.int64)
        pinned = np.zeros(len(rows), np.int64)
        if pins.touches(info.first, info.last):
            pinned = self._pinned(directory, pins)
        parts = []
        for number in np.unique(classes).tolist():
            own = classes == number
            first, last = table["run_first"][own].min(), table["run_last"][own].max()
            held = int(rows[own].sum())
            parts.append(Part(names[number], int(first), int(last), held, int(pinned[own].sum())))
        return Candidate(info, tuple(parts))

    def _pinned(self, directory: Directory, pins: Pins) -> Int64Array:
        """How many rows of each run are pinned."""
        table = directory.table
        found = np.zeros(len(table["run_rows"]), np.int64)
        for run, facts in enumerate(zip(*(table[c].tolist() for c in _RUN_FACTS), strict=True)):
            stream_id, first, last, rows, number, start = facts
            if not pins.overlaps(stream_id, first, last):
                continue
            found[run] = rows  # a block that cannot be read is not let go on a guess
            if not pins.covers(stream_id, first, last):
                block = self._reader.block(directory, number)
                if block is not None:
                    time = block.timestamp_ns[start : start + rows]
                    found[run] = int(pins.mask(stream_id, time).sum())
        return found

    def _spread(
        self, candidates: Sequence[Candidate], number: int, class_of: Int64Array, pins: Pins
    ) -> dict[int, dict[int, int]] | None:
        """Rows of a class that are not pinned, by segment and day."""
        found: dict[int, dict[int, int]] = {}
        for candidate in candidates:
            directory = self._reader.directory(candidate.info)
            if candidate.damaged or directory is None:
                return None
            if all(part.rows == part.pinned for part in candidate.parts):
                continue
            table = directory.table
            own = np.flatnonzero(class_of[table["run_stream"]] == number)
            columns = [table[c][own].tolist() for c in _RUN_FACTS]
            days = found.setdefault(candidate.info.id, {})
            for facts in zip(*columns, strict=True):
                for day, rows in self._run_days(directory, facts, pins).items():
                    days[day] = days.get(day, 0) + rows
        return found

    def _run_days(self, directory: Directory, facts: tuple[int, ...], pins: Pins) -> dict[int, int]:
        stream_id, first, last, rows, number, start = facts
        if first // DAY_NS == last // DAY_NS and not pins.overlaps(stream_id, first, last):
            return {first // DAY_NS: rows}
        block = self._reader.block(directory, number)
        if block is None:
            return {first // DAY_NS: rows}  # writing it anew will fail, and leave it alone
        time = block.timestamp_ns[start : start + rows]
        counted = np.unique(time[~pins.mask(stream_id, time)] // DAY_NS, return_counts=True)
        return dict(zip(counted[0].tolist(), counted[1].tolist(), strict=True))

    # Doing it

    def _facts_after(self, plan: ExpiryPlan, ledger: Ledger, uptime_ns: int) -> dict[str, object]:
        """Facts that hold once the plan is done; the ledger counts it from now on."""
        horizons = dict(self.horizons())
        for name, cut in plan.cuts.items():
            horizons[name] = max(cut, horizons.get(name, cut))
        ledger.add(plan.spent, uptime_ns)
        return {FACT: {"horizons": horizons, "ledger": ledger.store(uptime_ns)}}

    def _perform(
        self,
        run: Run,
        going: Sequence[Candidate],
        facts: dict[str, object],
        pace: Pace,
        written: Written,
    ) -> list[Candidate]:
        """Commit group by group; gives those that had to be left alone because of damage."""
        failed: list[Candidate] = []
        for group in commit_groups(going):
            self._check_writable("expire")
            infos = [c.info for c in group if run.plan.free_rows(c) < c.info.rows]
            try:
                added = self._rewritten(run, infos, pace)
            except CorruptData as error:
                place = str(error.facts.get("path") or infos[0].path)
                self._found.add(place, 0, f"cannot expire: {error}")
                self._unreadable |= {c.info.id for c in group}
                failed.extend(group)
                continue
            # The first commit says that all rows before the cuts are going: it brings what is
            # to be known of them.
            added = (*added, *written.take())
            try:
                self._check_classes(run)
                self._flusher.replace([c.info.id for c in group], added, facts=facts)
            except InvalidArgument:
                self._give_up(added)
                raise
            finally:  # after a failed commit the files stay: a generation on disk may name them
                self._state.live.release([info.id for info in added])
        if not going:
            self._store_age(facts)
        return failed

    def _check_classes(self, run: Run) -> None:
        """What was decided by classes that are no longer so must not be done."""
        now = self._state.streams.by_id
        for stream_id, info in run.streams.items():
            if now[stream_id].retention_class != info.retention_class:
                raise InvalidArgument(
                    f"cannot expire: got stream {stream_id} moved to class "
                    f"{now[stream_id].retention_class!r} meanwhile, want another run",
                    stream_id=stream_id,
                )

    def _prune(self) -> None:
        """Forget deletions of rows that are gone; the next flush makes it last."""
        state, flushed_lsn = self._state, self._flusher.checkpoint_lsn
        latest = max(self.horizons().values(), default=TIME_MIN)
        with self._lock:
            stones, live = state.tombstones, state.segments
        old = [one for one in stones if one.start_ns < latest]
        bare = bare_deletions(old, live, self._reader.directory, flushed_lsn)
        if bare:
            with self._lock:
                left = [one for one in state.tombstones if one not in bare]
                state.tombstones = Tombstones(left)

    def _store_age(self, facts: dict[str, object]) -> None:
        """Nothing went: let the ledger on disk grow older, an hour at a time."""
        now: Any = facts[FACT]
        old: Any = self._flusher.facts.get(FACT, {})
        ages = [[entry[-1] for entry in told.get("ledger", [])] for told in (old, now)]
        if len(ages[0]) != len(ages[1]) or any(
            after - before >= _HOUR_NS // 2 for before, after in zip(*ages, strict=True)
        ):
            self._flusher.replace((), (), facts=facts)

    def _rewritten(
        self, run: Run, infos: Sequence[SegmentInfo], pace: Pace
    ) -> tuple[SegmentInfo, ...]:
        if not infos:
            return ()
        rewrite = Rewrite(
            self._fs,
            self._config,
            self._reader,
            incarnation=self.incarnation,
            streams=run.streams,
            now_ns=run.now_ns,
            live=self._state.live,
        )
        return rewrite.run(infos, self._state.tombstones, keep=run.keep, pace=pace)

    def _give_up(self, added: Iterable[SegmentInfo]) -> None:
        for info in added:
            if self._fs.exists(info.path):
                self._fs.remove(info.path)
