"""Retention as administrators intend it: classes, what belongs to them, holds, reports of runs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from historian.catalog_database import Database
from historian.errors import Conflict, NotFound, RequestInvalid
from historian.retention_rules import (
    DEFAULT_CLASS,
    EVENTS_CLASS,
    KINDS,
    Assignment,
    RetentionClass,
    check_assignment,
    check_class,
)
from storage_engine.clock import Clock

REASON_CHARACTERS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Hold:
    """Something that is kept whatever the rules say.

    Attributes
    ----------
    id : int
    unit, product : str
        A unit's serial, and its product where several bear it; empty for a window by hand.
    tags : tuple of str
        Names or shell patterns of a window by hand.
    windows : tuple of (str, int, int)
        Station (empty: that of no station), start and end in nanoseconds, as last derived.
    until_ns : int or None
        It ends by itself then.
    reason, principal : str
    created_ns : int
    released_ns : int or None
        When somebody ended it.
    """

    id: int
    unit: str
    product: str
    tags: tuple[str, ...]
    windows: tuple[tuple[str, int, int], ...]
    until_ns: int | None
    reason: str
    principal: str
    created_ns: int
    released_ns: int | None

    def active(self, now_ns: int) -> bool:
        """Whether it still holds."""
        ended = self.until_ns is not None and self.until_ns <= now_ns
        return self.released_ns is None and not ended

    def facts(self) -> dict[str, Any]:
        """What was asked for, for the audit."""
        return {
            "unit": self.unit,
            "product": self.product,
            "tags": list(self.tags),
            "windows": [list(window) for window in self.windows],
            "until_ns": self.until_ns,
            "reason": self.reason,
        }


class RetentionCatalog:
    """The tables of retention, every change audited. Safe from any thread.

    Parameters
    ----------
    database : Database
    clock : Clock
    runs_kept : int
        Reports of runs kept.
    """

    def __init__(self, database: Database, clock: Clock, *, runs_kept: int = 100) -> None:
        self._database = database
        self._clock = clock
        self._runs_kept = runs_kept
        self.revision = 0  # rises with each change of classes or assignments

    # Classes

    def classes(self) -> list[RetentionClass]:
        """All classes by name; those every store has are among them."""
        rows = self._database.rows(
            "SELECT name, c.age_ns, bytes_max, description, interval_ns, s.age_ns"
            " FROM retention_classes c LEFT JOIN retention_summaries s ON class = name"
        )
        found = {name: RetentionClass(name, *rest) for name, *rest in rows}
        for name in (DEFAULT_CLASS, EVENTS_CLASS):
            found.setdefault(name, RetentionClass(name, None, None, ""))
        return [found[name] for name in sorted(found)]

    def put_class(self, wanted: RetentionClass, principal: str) -> RetentionClass:
        """Make or change a class; what is equal already is no change.

        Raises
        ------
        RequestInvalid
            For a name or a limit that no class may have.
        """
        check_class(wanted)
        before = {c.name: c for c in self.classes()}.get(wanted.name)
        if before == wanted:
            return wanted
        with self._database.transaction():
            self._database.execute(
                "INSERT INTO retention_classes VALUES(?,?,?,?) ON CONFLICT(name) DO UPDATE SET"
                " age_ns=excluded.age_ns, bytes_max=excluded.bytes_max,"
                " description=excluded.description",
                (wanted.name, wanted.age_ns, wanted.bytes_max, wanted.description),
            )
            self._database.execute(
                "INSERT INTO retention_summaries VALUES(?,?,?) ON CONFLICT(class) DO UPDATE SET"
                " interval_ns=excluded.interval_ns, age_ns=excluded.age_ns",
                (wanted.name, wanted.summary_ns, wanted.summary_age_ns),
            )
            old = None if before is None else before.facts()
            self._database.record(
                principal, "put retention class", wanted.name, old, wanted.facts()
            )
            self.revision += 1
        return wanted

    def remove_class(self, name: str, principal: str) -> None:
        """Remove a class to which nothing is assigned.

        Raises
        ------
        NotFound
        Conflict
            Something is assigned to it, or every store has it.
        """
        before = {c.name: c for c in self.classes()}.get(name)
        if before is None:
            raise NotFound(f"cannot remove retention class: got {name!r}, want a known one")
        used = [a for a in self.assignments() if a.retention_class == name]
        if used or name in {DEFAULT_CLASS, EVENTS_CLASS}:
            why = (
                f"{used[0].kind} {used[0].pattern!r} is assigned to it" if used else "always there"
            )
            raise Conflict(f"cannot remove retention class {name!r}: {why}", got=name)
        with self._database.transaction():
            self._database.execute("DELETE FROM retention_classes WHERE name=?", (name,))
            self._database.execute("DELETE FROM retention_summaries WHERE class=?", (name,))
            self._database.record(principal, "remove retention class", name, before.facts(), None)
            self.revision += 1

    # Assignments

    def assignments(self) -> list[Assignment]:
        """What was assigned, by kind and pattern."""
        rows = self._database.rows(
            "SELECT kind, pattern, class FROM retention_assignments ORDER BY kind, pattern"
        )
        return [Assignment(*row) for row in rows]

    def assign(self, kind: str, pattern: str, name: str | None, principal: str) -> None:
        """Assign tags or events to a class, or take the assignment back.

        Parameters
        ----------
        kind : str
            ``tag``, ``pattern``, ``asset`` or ``event``.
        pattern : str
            A tag's name, a shell pattern of names, an asset's path, a kind of event.
        name : str or None
            The class; None takes the assignment away.
        principal : str

        Raises
        ------
        RequestInvalid
            For an unknown kind, or a pattern that cannot be.
        NotFound
            For an unknown class, or an assignment that is not there.
        """
        check_assignment(kind, pattern)
        held = {(a.kind, a.pattern): a.retention_class for a in self.assignments()}
        before = held.get((kind, pattern))
        if name is not None and name not in {c.name for c in self.classes()}:
            raise NotFound(
                f"cannot assign {kind} {pattern!r}: got class {name!r}, want a known one"
            )
        if name is None and before is None:
            raise NotFound(
                f"cannot take back assignment: got {kind} {pattern!r}, want one assigned"
            )
        if before == name:
            return
        with self._database.transaction():
            if name is None:
                self._database.execute(
                    "DELETE FROM retention_assignments WHERE kind=? AND pattern=?", (kind, pattern)
                )
            else:
                self._database.execute(
                    "INSERT INTO retention_assignments VALUES(?,?,?)"
                    " ON CONFLICT(kind, pattern) DO UPDATE SET class=excluded.class",
                    (kind, pattern, name),
                )
            old, new = ({"class": one} if one else None for one in (before, name))
            self._database.record(principal, "assign retention", f"{kind} {pattern}", old, new)
            self.revision += 1

    # Holds

    def holds(self, *, active_at_ns: int | None = None) -> list[Hold]:
        """Holds in order of making; with a time, those that hold then."""
        rows = self._database.rows(
            "SELECT id, unit, product, tags, windows, until_ns, reason, principal, created_ns,"
            " released_ns FROM retention_holds ORDER BY id"
        )
        found = []
        for row in rows:
            windows = tuple((str(s), int(a), int(b)) for s, a, b in json.loads(row[4]))
            fields = [*row[:3], tuple(json.loads(row[3])), windows, *row[5:]]
            found.append(Hold(*fields))
        return [h for h in found if active_at_ns is None or h.active(active_at_ns)]

    def add_hold(
        self,
        *,
        unit: str,
        product: str,
        tags: Sequence[str],
        windows: Sequence[tuple[str, int, int]],
        until_ns: int | None,
        reason: str,
        principal: str,
    ) -> Hold:
        """Enter a hold.

        Raises
        ------
        RequestInvalid
            Without a reason, or with an end that is over.
        """
        now_ns = self._clock.now_ns()
        if not 0 < len(reason) <= REASON_CHARACTERS_MAX:
            message = f"cannot hold: got a reason of {len(reason)} characters"
            raise RequestInvalid(f"{message}, want 1 to {REASON_CHARACTERS_MAX}", where="reason")
        if until_ns is not None and until_ns <= now_ns:
            raise RequestInvalid("cannot hold: got an end that is over, want a later one")
        asked = (unit, product, json.dumps(list(tags)), json.dumps(windows))
        with self._database.transaction():
            number = self._database.execute(
                "INSERT INTO retention_holds(unit, product, tags, windows, until_ns, reason,"
                " principal, created_ns) VALUES(?,?,?,?,?,?,?,?)",
                (*asked, until_ns, reason, principal, now_ns),
            )
            hold = self.hold(number)
            self._database.record(principal, "hold", str(number), None, hold.facts())
        return hold

    def hold(self, number: int) -> Hold:
        """Look one hold up, or raise NotFound."""
        found = next((h for h in self.holds() if h.id == number), None)
        if found is None:
            raise NotFound(f"cannot find hold: got {number}, want a known one", got=str(number))
        return found

    def derive(self, number: int, windows: Sequence[tuple[str, int, int]]) -> None:
        """Enter the windows of a hold as they are known now."""
        with self._database.transaction():
            self._database.execute(
                "UPDATE retention_holds SET windows=? WHERE id=?", (json.dumps(windows), number)
            )

    def release(self, number: int, principal: str) -> Hold:
        """End a hold; ending it twice changes nothing.

        Raises
        ------
        NotFound
        """
        before = self.hold(number)
        if before.released_ns is not None:
            return before
        now_ns = self._clock.now_ns()
        with self._database.transaction():
            self._database.execute(
                "UPDATE retention_holds SET released_ns=? WHERE id=?", (now_ns, number)
            )
            self._database.record(
                principal, "release hold", str(number), before.facts(), {"released_ns": now_ns}
            )
        return self.hold(number)

    # Runs

    def add_run(self, principal: str, report: dict[str, Any], *, audit: bool) -> None:
        """Keep the report of a run, and the newest ones before it."""
        with self._database.transaction():
            number = self._database.execute(
                "INSERT INTO retention_runs(time_ns, principal, report) VALUES(?,?,?)",
                (self._clock.now_ns(), principal, json.dumps(report)),
            )
            self._database.execute(
                "DELETE FROM retention_runs WHERE id <= ?", (number - self._runs_kept,)
            )
            if audit:
                self._database.record(principal, "run retention", str(number), None, report)

    def runs(self, limit: int = 20) -> list[dict[str, Any]]:
        """Newest reports first."""
        rows = self._database.rows(
            "SELECT time_ns, principal, report FROM retention_runs ORDER BY id DESC LIMIT ?",
            (limit,),
        )
        return [
            {"time_ns": time_ns, "principal": principal, **json.loads(report)}
            for time_ns, principal, report in rows
        ]


__all__ = ["KINDS", "Hold", "RetentionCatalog"]
