"""A rival in a process of its own, which takes the times itself: a crash there is no crash here."""

import contextlib
import gc
import importlib
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks import places
from benchmarks.datasets.columns import DataSet
from benchmarks.rivals.base import MissingError

CALL_S = 600

RIVALS = {
    "DuckDB": "benchmarks.rivals.duck:DuckDB",
    "ClickHouse": "benchmarks.rivals.clickhouse:ClickHouse",
    "Parquet": "benchmarks.rivals.parquet:Parquet",
    "TsFile": "benchmarks.rivals.ts_file:TsFile",
    "VictoriaMetrics": "benchmarks.rivals.victoria:VictoriaMetrics",
    "QuestDB": "benchmarks.rivals.quest:QuestDB",
    "InfluxDB": "benchmarks.rivals.influx:InfluxDB",
}
# Why a rival was left out, by name; printed and kept with the results.
skipped: dict[str, str] = {}
versions: dict[str, str] = {}


class Hosted:
    """The caller's side of one rival, loaded with one data set.

    Parameters
    ----------
    name : str
        Of :data:`RIVALS`.
    data : DataSet
    """

    def __init__(self, name: str, data: DataSet) -> None:
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._link, theirs = context.Pipe()
        self._child = context.Process(target=serve, args=(theirs, RIVALS[name]))
        self._child.start()
        theirs.close()
        versions[name] = self.call("version")[1]
        self.boundary = str(self.call("boundary")[1])
        make = _Loading(self, data)
        key = places.digest([], versions[name], self.call("layout")[1], data.key)
        self.home = places.kept(f"rival-{name.lower()}-{data.name}", key, make)
        self.call("open", self.home)

    def call(self, what: str, *arguments: object) -> tuple[float, Any]:
        """Seconds, and the answer.

        Raises
        ------
        MissingError
            It is not here, cannot do this, ended, or gave no answer in time.
        """
        try:
            self._link.send((what, arguments))
            if not self._link.poll(CALL_S):
                raise MissingError(f"{what}: no answer in {CALL_S} s")
            seconds, answer, error = self._link.recv()
        except (EOFError, OSError) as ended:
            raise MissingError(f"{what}: its process ended") from ended
        if error is not None:
            raise MissingError(error)
        return seconds, answer

    def close(self) -> None:
        """End the process."""
        with suppress(OSError):
            self._link.send(None)
        self._child.join(CALL_S)
        if self._child.is_alive():
            self._child.kill()


class _Loading:
    """Fills a folder that is being made."""

    def __init__(self, hosted: Hosted, data: DataSet) -> None:
        self._hosted, self._data = hosted, data

    def __call__(self, folder: Path) -> None:
        self._data.tables()
        self._hosted.call("load", folder, self._data)


def serve(link: Connection, where: str) -> None:
    """The child's side: do what is asked, say how long it took, until the caller is gone."""
    module, name = where.split(":")
    rival: Any = None
    with contextlib.suppress(EOFError, OSError):
        while (asked := link.recv()) is not None:
            try:
                if rival is None:
                    rival = getattr(importlib.import_module(module), name)()
                seconds, answer = answered(rival, *asked)
                told = None
            except MissingError as error:
                seconds, answer, told = 0.0, None, str(error)
            except Exception as error:  # noqa: BLE001  # a rival may raise anything; it is named
                seconds, answer, told = 0.0, None, f"{type(error).__name__}: {error}"
            link.send((seconds, answer, told and told[:300]))
    with contextlib.suppress(Exception):
        rival.close()


def answered(rival: Any, what: str, arguments: tuple[Any, ...]) -> tuple[float, Any]:
    """Seconds and answer of one call."""
    if what == "load":
        arguments = (arguments[0], arguments[1].columns())
    found = getattr(rival, what, None)
    if found is None:
        raise MissingError(f"does not answer {what}")
    gc.collect()
    start = time.perf_counter()
    answer = found(*arguments) if callable(found) else found
    return time.perf_counter() - start, answer


@contextmanager
def hosted(names: Sequence[str], data: DataSet) -> Iterator[dict[str, Hosted]]:
    """Those rivals that can be had, loaded; the others are named in :data:`skipped`."""
    found: dict[str, Hosted] = {}
    try:
        for name in names:
            try:
                found[name] = Hosted(name, data)
            except MissingError as error:
                skipped[f"{name}, {data.name}"] = str(error)
        yield found
    finally:
        for one in found.values():
            one.close()


def all_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
