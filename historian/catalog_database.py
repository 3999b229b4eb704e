"""The catalog's file: SQLite in WAL mode, its schema, transactions and the append-only audit."""

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from historian.catalog_records import AuditEntry
from historian.errors import ConfigInvalid, Conflict, NotReady
from storage_engine.clock import Clock

SCHEMA_VERSION = 9

_SCHEMA = """
CREATE TABLE tags(
    id INTEGER PRIMARY KEY, uuid BLOB NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL, eng_unit TEXT NOT NULL, stepped INTEGER NOT NULL,
    source TEXT NOT NULL, address TEXT NOT NULL, asset TEXT NOT NULL, state_set TEXT NOT NULL,
    origin TEXT NOT NULL, created_ns INTEGER NOT NULL) STRICT;
CREATE UNIQUE INDEX tags_address ON tags(source, address) WHERE address <> '';
CREATE TABLE series(
    uuid BLOB PRIMARY KEY, tag INTEGER NOT NULL REFERENCES tags(id), position INTEGER NOT NULL,
    stream_id INTEGER NOT NULL UNIQUE, type INTEGER NOT NULL, UNIQUE(tag, position)) STRICT;
CREATE TABLE assets(path TEXT PRIMARY KEY, level TEXT NOT NULL, description TEXT NOT NULL) STRICT;
CREATE TABLE state_sets(
    name TEXT NOT NULL, version INTEGER NOT NULL, states TEXT NOT NULL,
    PRIMARY KEY(name, version)) STRICT;
CREATE TABLE tokens(
    sha256 BLOB PRIMARY KEY, principal TEXT NOT NULL, scopes TEXT NOT NULL,
    created_ns INTEGER NOT NULL, revoked_ns INTEGER) STRICT;
CREATE TABLE audit(
    id INTEGER PRIMARY KEY AUTOINCREMENT, time_ns INTEGER NOT NULL, principal TEXT NOT NULL,
    action TEXT NOT NULL, subject TEXT NOT NULL, before TEXT, after TEXT) STRICT;
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_is_true BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
"""

# What brings a file of the version before to this one; only ever added to.
_UPGRADES = {
    2: """
CREATE TABLE retention_classes(
    name TEXT PRIMARY KEY, age_ns INTEGER, bytes_max INTEGER, description TEXT NOT NULL) STRICT;
CREATE TABLE retention_assignments(
    kind TEXT NOT NULL, pattern TEXT NOT NULL, class TEXT NOT NULL,
    PRIMARY KEY(kind, pattern)) STRICT;
CREATE TABLE retention_holds(
    id INTEGER PRIMARY KEY AUTOINCREMENT, unit TEXT NOT NULL, product TEXT NOT NULL,
    tags TEXT NOT NULL, windows TEXT NOT NULL, until_ns INTEGER, reason TEXT NOT NULL,
    principal TEXT NOT NULL, created_ns INTEGER NOT NULL, released_ns INTEGER) STRICT;
CREATE TABLE retention_runs(
    id INTEGER PRIMARY KEY AUTOINCREMENT, time_ns INTEGER NOT NULL, principal TEXT NOT NULL,
    report TEXT NOT NULL) STRICT;
""",
    3: """
CREATE TABLE retention_summaries(
    class TEXT PRIMARY KEY, interval_ns INTEGER, age_ns INTEGER) STRICT;
""",
    4: """
CREATE TABLE tag_thinning(
    tag INTEGER NOT NULL, since_ns INTEGER NOT NULL, kind TEXT NOT NULL, deviation REAL NOT NULL,
    max_s REAL NOT NULL, PRIMARY KEY(tag, since_ns)) STRICT;
""",
    5: """
CREATE TABLE tag_source(
    tag INTEGER PRIMARY KEY, low REAL, high REAL, facts TEXT NOT NULL) STRICT;
""",
    6: """
CREATE TABLE tag_properties(
    tag INTEGER PRIMARY KEY, hold_max_ns INTEGER, stale_after_ns INTEGER, counter_modulus REAL,
    limit_low REAL, limit_high REAL) STRICT;
""",
    7: """
CREATE TABLE tag_names(
    tag INTEGER NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL, from_ns INTEGER NOT NULL,
    to_ns INTEGER NOT NULL, PRIMARY KEY(tag, position)) STRICT;
""",
    8: """
CREATE TABLE tag_counters(
    tag INTEGER PRIMARY KEY, counter_rate_max REAL, counter_resets INTEGER) STRICT;
""",
    9: """
CREATE TABLE tag_joins(
    tag INTEGER PRIMARY KEY, former INTEGER NOT NULL UNIQUE, from_ns INTEGER NOT NULL) STRICT;
""",
}

Row = tuple[Any, ...]


class Database:
    """One connection behind one lock; every write is a transaction on stable storage.

    Parameters
    ----------
    path : Path
        The file; made when missing, unless ``read_only``.
    clock : Clock
        Stamps the audit.
    read_only : bool
        Open without the right to write.

    Raises
    ------
    ConfigInvalid
        If the file was written by a newer version, or is no catalog.
    """

    def __init__(self, path: Path, clock: Clock, *, read_only: bool = False) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._depth = 0
        uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        try:
            self._connection = sqlite3.connect(
                uri, uri=True, check_same_thread=False, isolation_level=None
            )
            self._prepare(path, read_only=read_only)
        except sqlite3.DatabaseError as error:
            message = f"cannot open catalog: {error}, want a catalog of this historian, at {path}"
            raise ConfigInvalid(message, where=str(path)) from error

    def _prepare(self, path: Path, *, read_only: bool) -> None:
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        if version > SCHEMA_VERSION:
            message = f"cannot open catalog: got version {version}, want at most {SCHEMA_VERSION}"
            raise ConfigInvalid(f"{message}, at {path}", where=str(path))
        upgrades = [_UPGRADES[n] for n in sorted(_UPGRADES) if n > version]
        if read_only:
            for script in upgrades:  # what an older file lacks reads as empty
                self._connection.executescript(script.replace("CREATE TABLE", "CREATE TEMP TABLE"))
            return
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("PRAGMA foreign_keys=ON")
        self._connection.execute("PRAGMA busy_timeout=5000")
        if upgrades:
            script = "".join([_SCHEMA if version == 0 else "", *upgrades])
            script += f"PRAGMA user_version={SCHEMA_VERSION};"
            self._connection.executescript(f"BEGIN IMMEDIATE;{script}COMMIT;")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything inside as one, or nothing. May be nested; the outermost commits.

        Raises
        ------
        Conflict
            If a row would stand twice.
        NotReady
            If the file cannot be written now.
        """
        with self._lock:
            if self._depth:
                yield
                return
            self._depth = 1
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
            except sqlite3.IntegrityError as error:
                message = f"cannot change catalog: {error}, want a row that is not there yet"
                raise Conflict(message) from error
            except sqlite3.OperationalError as error:
                raise NotReady(f"cannot change catalog: {error}") from error
            finally:
                self._depth = 0
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def execute(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Run one change within a transaction and return the id of the last row inserted."""
        cursor = self._connection.execute(statement, values)
        return int(cursor.lastrowid or 0)

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Run one question and return its rows."""
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def record(
        self,
        principal: str,
        action: str,
        subject: str,
        before: dict[str, Any] | None = None,
        after: dict[str, Any] | None = None,
    ) -> None:
        """Add an audit entry; call it inside the transaction of the change it tells of.

        Parameters
        ----------
        principal : str
            Who did it.
        action : str
            What was done: ``create tag``, ``edit tag``, ``issue token`` ...
        subject : str
            The name of what was changed.
        before, after : dict, optional
            Facts, ready for JSON.
        """
        texts = [None if d is None else json.dumps(d, sort_keys=True) for d in (before, after)]
        self.execute(
            "INSERT INTO audit(time_ns, principal, action, subject, before, after)"
            " VALUES(?,?,?,?,?,?)",
            (self._clock.now_ns(), principal, action, subject, *texts),
        )

    def audit(self, *, limit: int = 100, before_id: int | None = None) -> list[AuditEntry]:
        """Newest audit entries first, below ``before_id`` if given."""
        rows = self.rows(
            "SELECT id, time_ns, principal, action, subject, before, after FROM audit"
            " WHERE ? IS NULL OR id < ? ORDER BY id DESC LIMIT ?",
            (before_id, before_id, limit),
        )
        return [
            AuditEntry(*row[:5], *(None if text is None else json.loads(text) for text in row[5:]))
            for row in rows
        ]
