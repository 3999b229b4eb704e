"""OPC UA at plant rate: into the durable store, encrypted, over a long line, with many items."""

import asyncio
import functools
import importlib.metadata
import logging
import os
import shutil
import statistics
import tempfile
from pathlib import Path

from benchmarks import harness
from benchmarks.connectors import collecting, plant
from benchmarks.connectors.delayed_line import delayed
from benchmarks.connectors.replay_server import Manner
from benchmarks.rivals import host

RUNS = 5
RIVAL = "asyncua"
ROUND_TRIP_S = 0.04
_PACE_S = 0.1
_ROWS = 1_000
_PLACES = (
    "player of encoded notifications, collector and server, each a process; socket to durable store"
)


def _line(manner: Manner, cores: tuple[int, int], **more: object) -> plant.Cost:
    home = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        return plant.line(home, manner, cores, **more)  # type: ignore[arg-type]
    finally:
        shutil.rmtree(home)


def _conditions(data: str, cores: str, **more: str) -> dict[str, str]:
    return {
        "boundary": _PLACES,
        "data": f"{data}, doubles with status, source and server time, {_ROWS:,} a message",
        "durability": "fsync of the spool before each acknowledgement to the source, fsync of the "
        "server's log before each to the collector",
        "answers": "rows stored by the server equal those played, twenty tags counted, no gap told",
        "warm or cold": "processes new in each run, everything subscribed before it begins",
        "cores": cores,
        "runs": f"{RUNS} after one uncounted, in turn; medians",
        **more,
    }


def sustained(small: bool, cores: tuple[int, int]) -> list[harness.Figure]:
    """100,000 values a second, in clear and encrypted: CPU of the collector."""
    items, cycles = (500, 10) if small else (10_000, 100)
    manner = Manner(items, cycles, _ROWS, _PACE_S)
    costs: dict[str, list[plant.Cost]] = {"plain": [], "secure": []}

    def rate(name: str, secure: bool) -> float:
        cost = _line(manner, cores, secure=secure)
        costs[name].append(cost)
        return items * cycles / cost.seconds

    plain, secure = harness.in_turn(
        functools.partial(rate, "plain", False),
        functools.partial(rate, "secure", True),
        1 if small else RUNS,
    )
    data = f"{items:,} items at 10 Hz for {cycles * _PACE_S:g} s"
    where = "collector on one core; server and player on the other"
    shares = {
        name: [100 * cost.collector_s / cost.seconds for cost in found[1:]]
        for name, found in costs.items()
    }
    servers = statistics.median(100 * c.server_s / c.seconds for c in costs["plain"][1:])
    return [
        harness.Figure(
            "OPC UA sustained, SignAndEncrypt", "values/s", secure, "in clear", plain,
            ">= 85 % of in clear",
            _conditions(data, where, security="Basic256Sha256, SignAndEncrypt, both sides"),
        ),
        harness.Figure(
            "OPC UA sustained, collector", "% of a core", shares["plain"], "", [], "<= 40 %",
            _conditions(data, where, server=f"{servers:.0f} % of its core"),
            {"SignAndEncrypt": shares["secure"]},
            less_is_better=True,
        ),
    ]  # fmt: skip


def full_speed(small: bool, cores: tuple[int, int]) -> harness.Figure:
    """As fast as the collector takes it, in clear and encrypted."""
    items, cycles = (500, 10) if small else (10_000, 100)
    manner = Manner(items, cycles, _ROWS)

    def rate(secure: bool) -> float:
        return items * cycles / _line(manner, cores, secure=secure).seconds

    plain, secure = harness.in_turn(lambda: rate(False), lambda: rate(True), 1 if small else RUNS)
    return harness.Figure(
        "OPC UA full speed, SignAndEncrypt", "values/s", secure, "in clear", plain, "told",
        _conditions(
            f"{items:,} items, {items * cycles:,} values as fast as they are asked for",
            "collector on one core; server and player on the other",
        ),
    )  # fmt: skip


def far_away(small: bool, cores: tuple[int, int]) -> harness.Figure:
    """With 40 ms of round trip, beside the library's subscription over the same line."""
    items = 500 if small else 10_000
    cycles, fewer = (4, 2) if small else (100, 20)

    def ours() -> float:
        manner = Manner(items, cycles, _ROWS)
        return items * cycles / _line(manner, cores, round_trip_s=ROUND_TRIP_S).seconds

    def stock() -> float:
        manner = Manner(items, fewer, _ROWS)
        with (
            collecting.replayed(manner, cores[1]) as (conn, port, _),
            delayed(port, ROUND_TRIP_S, cores[1]) as far,
        ):
            return items * fewer / asyncio.run(
                collecting.subscribed_s(f"opc.tcp://127.0.0.1:{far}", items, fewer, conn)
            )  # fmt: skip

    mine, theirs = harness.in_turn(ours, stock, 1 if small else RUNS)
    return harness.Figure(
        "OPC UA over 40 ms", "values/s", mine, RIVAL, theirs, ">= 6x asyncua",
        _conditions(
            f"{items:,} items, {items * cycles:,} values (asyncua {items * fewer:,}) as fast as "
            "they are asked for",
            "collector on one core; server, player and line on the other",
            line="forwarder that holds every byte back for 20 ms each way",
            rival="a subscription whose handler appends the value to a list; no spool, no store",
        ),
    )  # fmt: skip


def memory(small: bool, cores: tuple[int, int]) -> harness.Figure:
    """Most memory of a collector with very many items."""
    items = 1_000 if small else 100_000
    manner = Manner(items, 3, _ROWS, 1.0)
    costs = [_line(manner, cores) for _ in range(1 if small else 3)]
    return harness.Figure(
        "OPC UA collector, memory", "MB", [c.collector_bytes / 1e6 for c in costs], "", [],
        "< 400 MB",
        _conditions(
            f"{items:,} items, each three values", "collector on one core; the rest on the other",
            counted="VmHWM of the collector's process at the end",
        ) | {"runs": f"{len(costs)}; median"},
        less_is_better=True,
    )  # fmt: skip


def run(small: bool) -> list[harness.Figure]:
    """Measure; the collector has one core, everything else the other."""
    host.versions[RIVAL] = importlib.metadata.version(RIVAL)
    logging.getLogger(RIVAL).setLevel(logging.ERROR)
    every = os.sched_getaffinity(0)
    cores = min(every), max(every)
    harness.pin({cores[0]})
    try:
        return [
            *sustained(small, cores),
            full_speed(small, cores),
            far_away(small, cores),
            memory(small, cores),
        ]
    finally:
        harness.pin(every)
