"""DuckDB: one table sorted by tag and time, in a database file; answers through fetchnumpy."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import places
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


class DuckDB:
    """In the asking process of its own."""

    boundary = "in process, SQL text to numpy"
    layout = 1

    def __init__(self) -> None:
        try:
            import duckdb
        except ImportError as error:
            raise MissingError(str(error)) from error
        self._module = duckdb

    def version(self) -> str:
        """Of the package."""
        return str(self._module.__version__)

    def load(self, home: Path, columns: Columns) -> None:
        """One table, in order, checkpointed."""
        db = self._module.connect(str(home / "rival.duckdb"))
        db.execute("CREATE TABLE s (tag INTEGER, t BIGINT, v DOUBLE)")
        for tag, time, value in in_parts(columns):
            part = {"tag": tag.astype(np.int32), "t": time, "v": value}
            db.register("part", part)
            db.execute("INSERT INTO s SELECT tag, t, v FROM part")
            db.unregister("part")
        db.execute("CHECKPOINT")
        db.close()

    def open(self, home: Path) -> None:
        """Read-only."""
        self._db = self._module.connect(str(home / "rival.duckdb"), read_only=True)
        self._db.execute("SET enable_progress_bar = false")

    def threads(self, count: int) -> None:
        """Of its pool."""
        self._db.execute(f"SET threads = {count}")

    def size(self, home: Path) -> int:
        """The database file."""
        return places.size_of(home)

    def close(self) -> None:
        """The connection."""
        self._db.close()

    def _ask(self, query: str) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = self._db.execute(query).fetchnumpy()
        return found

    def buckets(self, tags: Sequence[int], start_ns: int, end_ns: int, step_ns: int) -> Buckets:
        """Windows by integer division; ordered, as a chart needs them."""
        found = self._ask(
            f"SELECT tag, (t - {start_ns}) // {step_ns} AS w, min(v) AS a, max(v) AS b, "
            f"avg(v) AS c FROM s WHERE {where(tags)} AND t >= {start_ns} AND t < {end_ns} "
            f"GROUP BY tag, w ORDER BY tag, w"
        )
        starts = found["w"].astype(np.int64) * step_ns + start_ns
        return Buckets(found["tag"].astype(np.int64), starts, found["a"], found["b"], found["c"])

    def windows(self, tags: Sequence[int], start: list[int], end: list[int]) -> Joined:
        """By the as-of join, which was faster than one by inequalities."""
        self._db.register("u", {"a": np.array(start), "z": np.array(end)})
        found = self._ask(
            "SELECT tag, a, count(*) AS n, min(v) AS low, max(v) AS high, avg(v) AS mean "
            f"FROM (SELECT * FROM s WHERE {where(tags)} AND t >= {min(start)} AND t < {max(end)}) "
            "AS x ASOF JOIN u ON x.t >= u.a WHERE t < z GROUP BY tag, a ORDER BY tag, a"
        )
        self._db.unregister("u")
        return Joined(
            found["tag"].astype(np.int64), found["a"], found["n"], found["low"], found["high"]
        )

    def raw(self, tag: int, start_ns: int, end_ns: int) -> tuple[Ints, Floats]:
        """Rows in order."""
        found = self._ask(
            f"SELECT t, v FROM s WHERE tag = {tag} AND t >= {start_ns} AND t < {end_ns} ORDER BY t"
        )
        return found["t"], found["v"]

    def at(self, tags: Sequence[int], times: list[int]) -> Floats:
        """By the as-of join with the times."""
        return self._as_of(tags, np.array(times))

    def grid(self, tags: Sequence[int], start_ns: int, end_ns: int, step_ns: int) -> Floats:
        """By the as-of join with the steps."""
        return self._as_of(tags, np.arange(start_ns, end_ns, step_ns))

    def _as_of(self, tags: Sequence[int], times: Ints) -> Floats:
        self._db.register("m", {"m": times})
        self._db.register("n", {"tag": np.array(tags, np.int32)})
        found = self._ask(
            "SELECT q.tag, m, v FROM (SELECT n.tag, m.m FROM n, m) AS q ASOF JOIN "
            f"(SELECT * FROM s WHERE {where(tags)} AND t <= {times.max()}) AS x "
            "ON q.tag = x.tag AND q.m >= x.t ORDER BY q.tag, m"
        )
        self._db.unregister("m")
        self._db.unregister("n")
        values: Floats = found["v"].reshape(len(tags), len(times))
        return values

    def drawing(self, tag: int, start_ns: int, end_ns: int, pixels: int) -> Drawn:
        """By arg_min and arg_max of the time."""
        width = (end_ns - start_ns) // pixels
        found = self._ask(
            f"SELECT (t - {start_ns}) // {width} AS w, arg_min(v, t) AS a, arg_max(v, t) AS b, "
            f"min(v) AS c, max(v) AS d FROM s WHERE tag = {tag} AND t >= {start_ns} "
            f"AND t < {end_ns} GROUP BY w ORDER BY w"
        )
        return Drawn(found["w"].astype(np.int64), *(found[name] for name in "abcd"))

    def filtered(
        self, tag: int, other: int, above: float, start_ns: int, end_ns: int
    ) -> tuple[Ints, Floats]:
        """By the as-of join with the other tag."""
        found = self._ask(
            f"SELECT x.t, x.v FROM (SELECT t, v FROM s WHERE tag = {tag} AND t >= {start_ns} "
            f"AND t < {end_ns}) AS x ASOF JOIN (SELECT t, v FROM s WHERE tag = {other} "
            f"AND t < {end_ns}) AS y ON x.t >= y.t WHERE y.v > {above!r} ORDER BY x.t"
        )
        return found["t"], found["v"]

    def fetch(self, tags: int) -> int:
        """One query for all."""
        return len(self._ask(f"SELECT t, v FROM s WHERE tag < {tags}")["t"])

    def scan(self) -> Scan:
        """The whole column."""
        return Scan(*self._db.execute("SELECT min(v), max(v), avg(v) FROM s").fetchone())

    def latest(self) -> Latest:
        """By arg_max, which was the fastest of three ways to ask."""
        found = self._ask(
            "SELECT tag, max(t) AS t, arg_max(v, t) AS v FROM s GROUP BY tag ORDER BY tag"
        )
        return Latest(found["t"], found["v"])

    def weighted(self, tag: int, start_ns: int, end_ns: int) -> float:
        """By lead."""
        query = (
            "SELECT sum(v * (n - t)) / sum(n - t) FROM "
            "(SELECT t, v, lead(t) OVER (ORDER BY t) AS n "
            f"FROM s WHERE tag = {tag} AND t >= {start_ns} AND t < {end_ns}) WHERE n IS NOT NULL"
        )
        return float(self._db.execute(query).fetchone()[0])


def where(tags: Sequence[int]) -> str:
    """Condition on the tag; a run of numbers is a range, which any zone map can use."""
    if len(tags) == 1:
        return f"tag = {tags[0]}"
    if list(tags) == list(range(tags[0], tags[0] + len(tags))):
        return f"tag BETWEEN {tags[0]} AND {tags[-1]}"
    return f"tag IN ({', '.join(map(str, tags))})"
