"""OPC UA: answers to Publish requests, per CPU-second, beside asyncua."""

import functools
import importlib.metadata
import logging
import os
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
from asyncua import ua as asyncua_ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary

from benchmarks import harness
from benchmarks.connectors import collecting, publishes
from benchmarks.rivals import host
from connectors.opcua.notification import decode_publish

ua: Any = asyncua_ua  # half of its names are not exported for type checkers

RUNS = 5
PER_MESSAGE = 1_000
RIVAL = "asyncua"
LARGE_FRAMES = 5_000
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - as asyncua gives times


def asyncua_decode(body: bytes) -> Any:
    """The library's own way: an object per value."""
    return struct_from_binary(ua.PublishResponse, Buffer(body))


def same(body: bytes, wanted: publishes.Values) -> None:
    """Both decoders found what was encoded."""
    handle, _, cell, status, source_ns, server_ns, _ = decode_publish(body).changes.columns
    ours = publishes.Values(handle, cell.view(np.float64), status, source_ns, server_ns)
    (part,) = asyncua_decode(body).Parameters.NotificationMessage.NotificationData
    rows = [
        (
            each.ClientHandle,
            each.Value.Value.Value,
            each.Value.StatusCode.value,
            _ns(each.Value.SourceTimestamp),
            _ns(each.Value.ServerTimestamp),
        )
        for each in part.MonitoredItems
    ]
    for want, mine, theirs in zip(wanted, ours, zip(*rows, strict=True), strict=True):
        assert np.array_equal(want, mine), "our answer differs"
        assert np.array_equal(want, np.array(theirs, want.dtype)), "asyncua's answer differs"


def _ns(moment: datetime) -> int:
    since = moment.replace(tzinfo=None) - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000


def rate(decode: Callable[[bytes], object], messages: list[bytes], rows: int) -> float:
    """Values per CPU-second, all messages again and again for a tenth of a second."""
    passes, start = 0, time.process_time()
    while True:
        for body in messages:
            decode(body)
        passes += 1
        seconds = time.process_time() - start
        if seconds > harness.WARM_S:
            return passes * rows / seconds


def decode_figure(small: bool) -> harness.Figure:
    """Values decoded per CPU-second."""
    items = 2_000 if small else 10_000
    wanted = publishes.values(items, 1)
    messages = publishes.bodies(wanted, PER_MESSAGE)
    for k, body in enumerate(messages):
        same(body, wanted.part(slice(k * PER_MESSAGE, (k + 1) * PER_MESSAGE)))
    ours, rival = harness.in_turn(
        lambda: rate(decode_publish, messages, items),
        lambda: rate(asyncua_decode, messages, items),
        1 if small else RUNS,
    )
    return harness.Figure(
        "OPC UA decode", "values/CPU-s", ours, RIVAL, rival, ">= 50x asyncua",
        {
            "boundary": "bytes of a message to columns, theirs to objects; in process",
            "data": f"{items:,} items, doubles with status, source and server time (34 bytes), "
            f"{PER_MESSAGE:,} a message",
            "warm or cold": "messages in the cache, decoded again and again for 0.1 s",
            "answers": "handles, values, status and both times equal what was encoded, both sides",
            "cores": "1",
            "runs": f"{RUNS} after one uncounted, in turn; medians",
        },
    )  # fmt: skip


def collector_figure(small: bool, core: int) -> harness.Figure:
    """Values per CPU-second of a collector, from its socket to the far side."""
    items = 500 if small else 10_000
    cycles, fewer = (4, 2) if small else (100, 20)
    large = f"ours, frames of {LARGE_FRAMES:,} rows"
    figures = harness.rounds(
        {
            "": functools.partial(collecting.ours, items, cycles, core),
            RIVAL: functools.partial(collecting.stock, items, fewer, core),
            large: functools.partial(
                collecting.ours, items, cycles, core, frame_rows_max=LARGE_FRAMES
            ),
        },
        1 if small else RUNS,
    )
    return harness.Figure(
        "OPC UA collector", "values/CPU-s", figures.pop(""), RIVAL, figures.pop(RIVAL),
        ">= 12x asyncua",
        {
            "boundary": "ours: the whole collector, all threads, from the socket through the spool "
            "to a far side that has stored all, as configured by default; asyncua: a subscription "
            "whose handler appends the value to a list, no spool, no sending",
            "data": f"{items:,} items, doubles with status, source and server time, "
            f"{collecting.ROWS:,} a message, from a player of encoded notifications in a process "
            f"of its own; {cycles * items:,} values, asyncua {fewer * items:,}",
            "durability": "fsync of the spool before each acknowledgement to the source",
            "answers": "items, values, status and times at the far side equal what was played, "
            "nothing rejected, no gap; asyncua's values equal",
            "cores": "1, the player another",
            "runs": f"{RUNS} after one uncounted, in turn; medians",
        },
        figures,
    )  # fmt: skip


def run(small: bool) -> list[harness.Figure]:
    """Measure, on one core; the player has another where there is one."""
    host.versions[RIVAL] = importlib.metadata.version(RIVAL)
    logging.getLogger(RIVAL).setLevel(logging.ERROR)  # a refused Republish is no news here
    every = os.sched_getaffinity(0)
    harness.pin({min(every)})
    try:
        return [decode_figure(small), collector_figure(small, max(every))]
    finally:
        harness.pin(every)
