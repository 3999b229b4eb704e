"""QuestDB: a table by day with the tag as an indexed symbol; answers as JSON."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import places
from benchmarks.rivals import servers
from benchmarks.rivals.base import (
    Buckets,
    Columns,
    Floats,
    Ints,
    Latest,
    MissingError,
    Scan,
    in_parts,
)


class QuestDB:
    """A server process on loopback."""

    boundary = "server process on loopback, HTTP and JSON to numpy"
    layout = 1

    def __init__(self) -> None:
        self._program = servers.questdb()

    def version(self) -> str:
        """Of the Maven artifact."""
        return servers.QUESTDB_VERSION

    def open(self, home: Path) -> None:
        """Start on what is there; only HTTP, nothing reported."""
        port = servers.free_port()
        settings = {
            "HTTP_BIND_TO": f"127.0.0.1:{port}",
            "HTTP_MIN_ENABLED": "false",
            "PG_ENABLED": "false",
            "LINE_TCP_ENABLED": "false",
            "LINE_UDP_ENABLED": "false",
            "TELEMETRY_ENABLED": "false",
            "TELEMETRY_DISABLE_COMPLETELY": "true",
            "CAIRO_SQL_COPY_ROOT": str(home),
        }
        given = {f"QDB_{name}": value for name, value in settings.items()}
        folder = home / "rival"
        folder.mkdir(exist_ok=True)
        main = ["-m", "io.questdb/io.questdb.ServerMain", "-d", str(folder)]
        command = ["java", "-p", str(self._program), *main]
        self._server = servers.Server(command, port, home, **given)

    def load(self, home: Path, columns: Columns) -> None:
        """Parquet files read by the server."""
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError as error:
            raise MissingError(str(error)) from error
        self.open(home)
        self._run(
            "CREATE TABLE s (tag SYMBOL CAPACITY 131072 NOCACHE INDEX, t TIMESTAMP_NS, v DOUBLE) "
            "TIMESTAMP(t) PARTITION BY DAY BYPASS WAL"
        )
        for tag, time, value in in_parts(columns):
            order = np.argsort(time, kind="stable")
            table = pa.table(
                {"tag": tag[order].astype(np.int32), "t": time[order], "v": value[order]}
            )
            parquet.write_table(table, home / "part.parquet", compression="none")
            self._run(
                "INSERT INTO s SELECT tag::string::symbol, t::timestamp_ns, v "
                "FROM read_parquet('part.parquet')"
            )
        (home / "part.parquet").unlink()
        self.close()

    def threads(self, count: int) -> None:
        """By affinity."""
        servers.pin(self._server.pid, count)

    def size(self, home: Path) -> int:
        """The table's folder: columns, symbol index."""
        return sum(places.size_of(p) for p in (home / "rival/db").glob("s*") if p.is_dir())

    def close(self) -> None:
        """The server ends in order."""
        self._server.stop()

    def _run(self, query: str) -> None:
        self._server.ask("/exec", query=query)

    def _ask(self, query: str, *dtypes: str) -> list[np.ndarray]:
        found = self._server.json("/exec", query=query, limit="0,40000000")["dataset"]
        return [np.array([row[k] for row in found], dtype) for k, dtype in enumerate(dtypes)]

    def buckets(self, tags: Sequence[int], start_ns: int, end_ns: int, step_ns: int) -> Buckets:
        """Grouped by tag and window number, ordered."""
        found = self._ask(
            f"SELECT tag::string::int tag, (t::long - {start_ns}) / {step_ns} w, min(v), max(v), "
            f"avg(v) FROM s WHERE {_where(tags, start_ns, end_ns)} ORDER BY tag, w",
            "i8", "i8", "f8", "f8", "f8",
        )  # fmt: skip
        return Buckets(found[0], found[1] * step_ns + start_ns, *found[2:])

    def raw(self, tag: int, start_ns: int, end_ns: int) -> tuple[Ints, Floats]:
        """Rows in order."""
        found = self._ask(
            f"SELECT t::long, v FROM s WHERE {_where([tag], start_ns, end_ns)}", "i8", "f8"
        )
        return found[0], found[1]

    def scan(self) -> Scan:
        """The whole column."""
        found = self._ask("SELECT min(v), max(v), avg(v) FROM s", "f8", "f8", "f8")
        return Scan(*(float(one[0]) for one in found))

    def latest(self) -> Latest:
        """LATEST ON."""
        found = self._ask(
            "SELECT t::long, v FROM (SELECT tag::string::int n, t, v FROM s LATEST ON t "
            "PARTITION BY tag) ORDER BY n",
            "i8", "f8",
        )  # fmt: skip
        return Latest(found[0], found[1])


def _where(tags: Sequence[int], start_ns: int, end_ns: int) -> str:
    among = ", ".join(f"'{tag}'" for tag in tags)
    inside = f"t >= {start_ns}::timestamp_ns AND t < {end_ns}::timestamp_ns"
    return f"tag IN ({among}) AND {inside}"
