"""ClickHouse through chdb: a MergeTree ordered by tag and time, merged to one part."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.rivals.base import (
    Buckets,
    Columns,
    Drawn,
    Floats,
    Ints,
    Joined,
    Latest,
    MissingError,
    Scan,
    in_parts,
)
from benchmarks.rivals.duck import where

TABLE = """
CREATE TABLE s (tag UInt32 CODEC(Delta, ZSTD(3)), t Int64 CODEC(DoubleDelta, ZSTD(3)),
 v Float64 CODEC({values})) ENGINE = MergeTree ORDER BY (tag, t)
"""


class ClickHouse:
    """In a process of its own; values in the codec that decodes fastest there."""

    boundary = "in process, SQL text to numpy through Arrow"
    layout = 1

    def __init__(self, values: str = "ALP") -> None:
        try:
            import pyarrow as pa
            from chdb import session
        except ImportError as error:
            raise MissingError(str(error)) from error
        self._session, self._arrow, self._values = session, pa, values
        self._threads = 0

    def version(self) -> str:
        """Of the package."""
        import chdb

        return str(chdb.__version__)

    def load(self, home: Path, columns: Columns) -> None:
        """Parts by Arrow files, then merged."""
        from pyarrow import parquet

        self.open(home)
        self._run("SET enable_alp_codec = 1")
        self._run(TABLE.format(values=self._values))
        path = home / "part.parquet"
        for tag, time, value in in_parts(columns):
            table = self._arrow.table({"tag": tag.astype(np.uint32), "t": time, "v": value})
            parquet.write_table(table, path, compression="none")
            self._run(f"INSERT INTO s SELECT tag, t, v FROM file('{path}', Parquet)")
        path.unlink()
        self._run("OPTIMIZE TABLE s FINAL")
        self.close()

    def open(self, home: Path) -> None:
        """One session on a folder."""
        self._db = self._session.Session(str(home / "rival"))
        self._run("CREATE DATABASE IF NOT EXISTS b")
        self._run("USE b")

    def threads(self, count: int) -> None:
        """At most."""
        self._run(f"SET max_threads = {count}")

    def size(self, home: Path) -> int:
        """Active parts, as the system itself counts them."""
        found = self._ask(
            "SELECT sum(bytes_on_disk) AS n FROM system.parts WHERE active AND table = 's'"
        )
        return int(found["n"][0])

    def close(self) -> None:
        """The session."""
        self._db.close()

    def _run(self, query: str) -> None:
        self._db.query(query)

    def _ask(self, query: str) -> dict[str, np.ndarray]:
        raw = self._db.query(query, "ArrowStream").bytes()
        table = self._arrow.ipc.open_stream(raw).read_all()
        return {name: table[name].to_numpy() for name in table.column_names}

    def buckets(self, tags: Sequence[int], start_ns: int, end_ns: int, step_ns: int) -> Buckets:
        """Windows by integer division, ordered."""
        found = self._ask(
            f"SELECT tag, intDiv(t - {start_ns}, {step_ns}) AS w, min(v) AS a, max(v) AS b, "
            f"avg(v) AS c FROM s WHERE {where(tags)} AND t >= {start_ns} AND t < {end_ns} "
            f"GROUP BY tag, w ORDER BY tag, w"
        )
        starts = found["w"].astype(np.int64) * step_ns + start_ns
        return Buckets(found["tag"].astype(np.int64), starts, found["a"], found["b"], found["c"])

    def windows(self, tags: Sequence[int], start: list[int], end: list[int]) -> Joined:
        """By the as-of join; the windows are a table in memory."""
        self._run("CREATE TABLE IF NOT EXISTS u (k UInt8, a Int64, z Int64) ENGINE = Memory")
        self._run("TRUNCATE TABLE u")
        rows = ", ".join(f"(0, {a}, {z})" for a, z in zip(start, end, strict=True))
        self._run(f"INSERT INTO u VALUES {rows}")
        found = self._ask(
            "SELECT tag, a, count() AS n, min(v) AS low, max(v) AS high, avg(v) AS mean FROM "
            f"(SELECT tag, t, v, toUInt8(0) AS k FROM s WHERE {where(tags)} AND t >= {min(start)} "
            f"AND t < {max(end)}) AS x ASOF JOIN u ON x.k = u.k AND x.t >= u.a WHERE t < z "
            "GROUP BY tag, a ORDER BY tag, a"
        )
        counts = found["n"].astype(np.int64)
        return Joined(
            found["tag"].astype(np.int64), found["a"], counts, found["low"], found["high"]
        )

    def raw(self, tag: int, start_ns: int, end_ns: int) -> tuple[Ints, Floats]:
        """Rows in order."""
        found = self._ask(
            f"SELECT t, v FROM s WHERE tag = {tag} AND t >= {start_ns} AND t < {end_ns} ORDER BY t"
        )
        return found["t"], found["v"]

    def at(self, tags: Sequence[int], times: list[int]) -> Floats:
        """By the as-of join with the times, which are a table in memory."""
        self._run("CREATE TABLE IF NOT EXISTS m (m Int64) ENGINE = Memory")
        self._run("TRUNCATE TABLE m")
        self._run(f"INSERT INTO m VALUES {', '.join(f'({time})' for time in times)}")
        return self._as_of(tags, "m", len(times), max(times))

    def grid(self, tags: Sequence[int], start_ns: int, end_ns: int, step_ns: int) -> Floats:
        """By the as-of join with the steps."""
        count = -(-(end_ns - start_ns) // step_ns)
        steps = f"(SELECT toInt64({start_ns} + number * {step_ns}) AS m FROM numbers({count}))"
        return self._as_of(tags, steps, count, end_ns)

    def _as_of(self, tags: Sequence[int], moments: str, count: int, end_ns: int) -> Floats:
        each = f"(SELECT toUInt32(arrayJoin([{', '.join(map(str, tags))}])) AS tag)"
        found = self._ask(
            f"SELECT q.tag AS tag, q.m AS m, x.v AS v FROM (SELECT tag, m FROM {each} AS n "
            f"CROSS JOIN {moments} AS k) AS q ASOF JOIN (SELECT tag, t, v FROM s WHERE "
            f"{where(tags)} AND t <= {end_ns}) AS x ON q.tag = x.tag AND q.m >= x.t ORDER BY tag, m"
        )
        values: Floats = found["v"].reshape(len(tags), count)
        return values

    def drawing(self, tag: int, start_ns: int, end_ns: int, pixels: int) -> Drawn:
        """By argMin and argMax of the time."""
        width = (end_ns - start_ns) // pixels
        found = self._ask(
            f"SELECT intDiv(t - {start_ns}, {width}) AS w, argMin(v, t) AS a, argMax(v, t) AS b, "
            f"min(v) AS c, max(v) AS d FROM s WHERE tag = {tag} AND t >= {start_ns} "
            f"AND t < {end_ns} GROUP BY w ORDER BY w"
        )
        return Drawn(found["w"].astype(np.int64), *(found[name] for name in "abcd"))

    def filtered(
        self, tag: int, other: int, above: float, start_ns: int, end_ns: int
    ) -> tuple[Ints, Floats]:
        """By the as-of join with the other tag."""
        found = self._ask(
            f"SELECT x.t AS t, x.v AS v FROM (SELECT t, v, toUInt8(0) AS k FROM s "
            f"WHERE tag = {tag} AND t >= {start_ns} AND t < {end_ns}) AS x ASOF JOIN "
            f"(SELECT t, v, toUInt8(0) AS k FROM s WHERE tag = {other} AND t < {end_ns}) AS y "
            "ON x.k = y.k AND x.t >= y.t "
            f"WHERE y.v > {above!r} ORDER BY t"
        )
        return found["t"], found["v"]

    def fetch(self, tags: int) -> int:
        """One query for all."""
        return len(self._ask(f"SELECT t, v FROM s WHERE tag < {tags}")["t"])

    def scan(self) -> Scan:
        """The whole column."""
        found = self._ask("SELECT min(v) AS a, max(v) AS b, avg(v) AS c FROM s")
        return Scan(*(float(found[name][0]) for name in "abc"))

    def latest(self) -> Latest:
        """By argMax."""
        found = self._ask(
            "SELECT tag, max(t) AS n, argMax(v, t) AS x FROM s GROUP BY tag ORDER BY tag"
        )
        return Latest(found["n"], found["x"])

    def weighted(self, tag: int, start_ns: int, end_ns: int) -> float:
        """By the next row of the window."""
        found = self._ask(
            "SELECT sum(v * (n - t)) / sum(n - t) AS x FROM (SELECT t, v, leadInFrame(t) OVER "
            "(ORDER BY t ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS n "
            f"FROM s WHERE tag = {tag} AND t >= {start_ns} AND t < {end_ns}) WHERE n > t"
        )
        return float(found["x"][0])
