"""Sparkplug: metrics a second of DDATA into columns, and through the state machine into samples."""

import importlib
import random
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from itertools import cycle, islice
from typing import Any

from benchmarks import harness
from benchmarks.rivals import host
from connectors.sparkplug.decode import BITS, Payload
from connectors.sparkplug.fleet import Fleet, Rebirths
from connectors.sparkplug.message import Rules
from connectors.sparkplug.structures import encode_field

_METRICS = 100
_DOUBLE = 10
_T = 1_795_348_376_000
_TAKEN = 50  # messages that are put together


def birth(kind: str) -> bytes:
    """A birth of as many doubles, with names and aliases."""
    body = b"".join(
        encode_field(
            2,
            encode_field(1, f"line/press/value {k}".encode())
            + encode_field(2, k + 1)
            + encode_field(3, _T)
            + encode_field(4, _DOUBLE)
            + encode_field(13, 0.0),
        )
        for k in range(_METRICS if kind == "DBIRTH" else 0)
    )
    return encode_field(1, _T) + body + encode_field(3, 0 if kind == "NBIRTH" else 1)


def data(seed: int) -> list[bytes]:
    """DDATA of one round of sequence numbers: alias, time and a double for each metric."""
    rng = random.Random(seed)
    return [
        encode_field(1, _T + n)
        + b"".join(
            encode_field(
                2,
                encode_field(2, k + 1)
                + encode_field(3, _T + n)
                + encode_field(13, rng.uniform(0, 100)),
            )
            for k in range(_METRICS)
        )
        + encode_field(3, (n + 2) % 256)
        for n in range(256)
    ]


def rate(call: Callable[[bytes], object], messages: list[bytes], count: int) -> float:
    """Metrics a second of a decoder, over so many messages."""
    work = list(islice(cycle(messages), count))
    start = time.perf_counter()
    for raw in work:
        call(raw)
    return count * _METRICS / (time.perf_counter() - start)


def samples_rate(messages: list[bytes], count: int) -> float:
    """Metrics a second from payloads to batches that can be put."""
    fleet = Fleet(Rules(), Rebirths(30.0, 30.0, random.Random(1)))
    fleet.receive("spBv1.0/g/NBIRTH/n", birth("NBIRTH"), 1, 1.0)
    fleet.receive("spBv1.0/g/DBIRTH/n/d", birth("DBIRTH"), 1, 1.0)
    fleet.told.samples.take()
    work, found = list(islice(cycle(messages), count)), 0
    start = time.perf_counter()
    for at in range(0, count, _TAKEN):
        for raw in work[at : at + _TAKEN]:
            fleet.receive("spBv1.0/g/DDATA/n/d", raw, 1, 1.0)
        found += sum(map(len, fleet.told.samples.take()))
    seconds = time.perf_counter() - start
    assert found == count * _METRICS, "every metric became a sample"
    return found / seconds


def rivals() -> dict[str, Callable[[bytes], list[float]]]:
    """Decoders that give the values of a message; the missing are named as left out."""
    try:
        pysparkplug: Any = importlib.import_module("pysparkplug")
        schema: Any = importlib.import_module("pysparkplug._protobuf.sparkplug_b_pb2")
    except ImportError as error:
        host.skipped["pysparkplug, upb"] = str(error)
        return {}
    host.versions["pysparkplug"] = version("pysparkplug")
    host.versions["upb"] = version("protobuf")
    born = pysparkplug.DBirth.decode(birth("DBIRTH"))

    def by_pysparkplug(raw: bytes) -> list[float]:
        return [metric.value for metric in pysparkplug.DData.decode(raw, birth=born).metrics]

    def by_upb(raw: bytes) -> list[float]:
        aliases, times, values = [], [], []
        for metric in schema.Payload.FromString(raw).metrics:
            aliases.append(metric.alias)
            times.append(metric.timestamp)
            values.append(metric.double_value)
        return values

    return {"upb": by_upb, "pysparkplug": by_pysparkplug}


def run(small: bool) -> list[harness.Figure]:
    """Measure."""
    count, runs = (500, 1) if small else (40_000, 5)
    harness.pin({1})
    messages = data(5)
    others = rivals()
    for raw in messages:
        ours = Payload(raw).columns[BITS].view("f8").tolist()
        assert all(ours == call(raw) for call in others.values()), "the same values"
    sides: dict[str, Callable[[], float]] = {
        "": lambda: rate(Payload, messages, 5 * count),
        "samples": lambda: samples_rate(messages, count),
        **{
            name: partial(rate, call, messages, max(100, count // 40))
            for name, call in others.items()
        },
    }
    found = harness.rounds(sides, runs)
    harness.pin({0, 1})
    conditions = {
        "boundary": "in process: bytes of a payload to columns",
        "data": f"DDATA of {_METRICS} metrics with alias, time and a double, "
        f"{len(messages[0])} bytes; rivals give lists of Python values",
        "cores": "1",
    }
    ours_runs, sampled = found.pop(""), found.pop("samples")
    through = conditions | {
        "boundary": "in process: bytes of a payload through order, aliases and types of the birth "
        f"to batches, {_TAKEN} messages together"
    }
    upb = found.pop("upb", [])
    return [
        harness.Figure(
            "Sparkplug into columns", "metrics/s", ours_runs, "upb" if upb else "", upb,
            ">= 5,000,000", conditions, found,
        ),
        harness.Figure("Sparkplug into samples", "metrics/s", sampled, "", [], "report", through),
    ]  # fmt: skip
