"""kill -9 of the server at random moments: acknowledged means there, once."""

import random
import threading
import time
from collections import Counter

import httpx
import numpy as np
import orjson
import pytest

from historian.testing import ServerProcess
from storage_engine.frame import (
    FLAG_OBSERVED,
    Declaration,
    SampleSection,
    SlotKind,
    decode_frame,
    encode_frame,
)
from storage_engine.sample import Column, ColumnData, ValueType

RULE = """
[[tag_rules]]
source = "line"
address = "(.*)"
name = "kill/{1}"
"""
TAGS = 7
ROWS = 200
START_NS = 1_767_225_600_000_000_000


class Producer:
    """A collector's sending half: one epoch, frames in order, the same bytes until acknowledged."""

    def __init__(self, frames: int) -> None:
        self.id = b"kill-test-producer"[:16]
        self.frames: list[bytes] = []
        self.truth: Counter[tuple[str, int, float]] = Counter()
        self.acknowledged = 0
        previous = 0
        for k in range(frames):
            row = np.arange(k * ROWS, (k + 1) * ROWS)
            slot = (row % TAGS).astype(np.uint32)
            at = START_NS + (row // TAGS).astype(np.int64) * 1_000_000_000
            value = np.sqrt(row.astype(np.float64))
            for s, t, v in zip(slot.tolist(), at.tolist(), value.tolist(), strict=True):
                self.truth[f"kill/t{s}", t, v] += 1
            section = SampleSection(
                slot, at, np.zeros(ROWS, np.uint32), ColumnData(ValueType.FLOAT64, value)
            )
            declared = tuple(
                Declaration(
                    i, SlotKind.SERIES, "line", f"t{i}", (Column("value", ValueType.FLOAT64),)
                )
                for i in range(TAGS)
            )
            raw = encode_frame(
                incarnation=bytes(16),
                producer_id=self.id,
                epoch=1,
                sequence=k + 1,
                previous_crc=previous,
                flags=FLAG_OBSERVED,
                declarations=declared if k == 0 else (),
                samples=(section,),
                events=(),
                notices=(),
            )
            previous = decode_frame(raw).envelope.crc
            self.frames.append(raw)

    def send_next(self, client: httpx.Client) -> None:
        """Send up to three frames; move on by what was acknowledged."""
        batch = self.frames[self.acknowledged : self.acknowledged + 3]
        answer = client.post(
            "/v1/frames",
            content=b"".join(batch),
            headers={"Content-Type": "application/vnd.lighthouse.frames"},
        )
        if answer.status_code != httpx.codes.OK:
            time.sleep(0.05)
            return
        for frame in orjson.loads(answer.content)["frames"]:
            assert frame["status"] in {"stored", "duplicate"}, frame
            assert frame["rejected"] == 0, frame
            self.acknowledged += 1


def stored(client: httpx.Client) -> Counter[tuple[str, int, float]]:
    """Everything the server gives back, all revisions."""
    found: Counter[tuple[str, int, float]] = Counter()
    for i in range(TAGS):
        tag = f"kill/t{i}"
        query = {"tag": tag, "start": "0", "end": str(2**61), "revisions": "all", "time": "ns"}
        answer = client.get("/v1/raw", params=query)
        assert answer.status_code == httpx.codes.OK, answer.text
        body = orjson.loads(answer.content)
        for at, value in zip(body["time"], body["value"], strict=True):
            found[tag, int(at), value] += 1
    return found


def kill_again_and_again(home, kills: int, frames: int, seed: int) -> None:
    """One producer sends while the server is killed, then everything is compared."""
    rng = random.Random(seed)
    producer = Producer(frames)
    server = ServerProcess(home, RULE)
    for _ in range(kills):
        server.start()
        killer = threading.Timer(rng.uniform(0.0, 0.25), server.kill)
        killer.start()
        with server.client() as client:
            while killer.is_alive() and producer.acknowledged < frames:
                try:
                    producer.send_next(client)
                except httpx.TransportError:
                    break
        killer.join()
    with server, server.client() as client:
        while producer.acknowledged < frames:
            producer.send_next(client)
        assert producer.truth == stored(client)


def test_nothing_acknowledged_is_lost_and_nothing_appears_twice(tmp_path):
    """A few kills in every run; fifty in the long one."""
    kill_again_and_again(tmp_path, kills=4, frames=600, seed=11)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_fifty_kills(tmp_path):
    """The acceptance line."""
    kill_again_and_again(tmp_path, kills=50, frames=6000, seed=12)
