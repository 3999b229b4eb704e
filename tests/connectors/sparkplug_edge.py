"""An edge node for tests: its messages, written by protobuf's own library."""

import random
import sys
from pathlib import Path

from connectors.sparkplug.fleet import Fleet, Rebirths
from connectors.sparkplug.message import Rules

sys.path.insert(0, str(Path(__file__).parent))
from sparkplug_proto import Payload

T = 1_795_348_376_000
INT32, DOUBLE, BOOLEAN, STRING = 3, 10, 11, 12
FIELD = {
    **dict.fromkeys((1, 2, 3, 5, 6, 7), "int_value"), 4: "long_value", 8: "long_value",
    9: "float_value", 10: "double_value", 11: "boolean_value", 13: "long_value",
    **dict.fromkeys((12, 14, 15), "string_value"),
}  # fmt: skip


def metric(name=None, value=None, datatype=None, alias=None, *, at=None, kind=None, **more):
    return {
        "name": name, "value": value, "datatype": datatype, "alias": alias, "at": at,
        "kind": kind, "more": more,
    }  # fmt: skip


def add(metrics, one):
    added = metrics.add(name=one["name"], alias=one["alias"], timestamp=one["at"])
    if one["datatype"] is not None:
        added.datatype = one["datatype"]
    kind = one["kind"] or FIELD.get(one["datatype"])
    if one["value"] is not None:
        value = one["value"]
        setattr(added, kind, value % (1 << 32) if kind == "int_value" else value)
    for key, value in one["more"].items():
        setattr(added, key, value)
    return added


class Edge:
    """Counts like a node has to, and plays into a fleet (or gives bytes)."""

    def __init__(self, fleet=None, node="n", group="g"):
        self.fleet, self.group, self.node = fleet, group, node
        self.seq, self.bd_seq, self.now_s = 0, 0, 100.0

    def topic(self, kind, device=""):
        return f"spBv1.0/{self.group}/{kind}/{self.node}" + (f"/{device}" if device else "")

    def payload(self, metrics, at=T, seq=None):
        whole = Payload(timestamp=at)
        if seq is not False:
            if seq is None:
                seq, self.seq = self.seq, (self.seq + 1) % 256
            whole.seq = seq
        for one in metrics:
            add(whole.metrics, one)
        return whole

    def send(self, kind, metrics=(), device="", at=T, seq=None):
        raw = self.payload(metrics, at, seq).SerializeToString()
        return self.give(kind, raw, device)

    def give(self, kind, raw, device=""):
        if self.fleet is not None:
            now_ns = 1_800_000_000_000_000_000 + round(self.now_s * 1e9)
            self.fleet.receive(self.topic(kind, device), raw, now_ns, self.now_s)
        return raw

    def nbirth(self, metrics=(), at=T):
        self.seq = 0
        always = [
            metric("bdSeq", self.bd_seq, 4),
            metric("Node Control/Rebirth", False, BOOLEAN),
        ]
        return self.send("NBIRTH", [*always, *metrics], at=at)

    def ndeath(self, bd_seq=None):
        bd_seq = self.bd_seq if bd_seq is None else bd_seq
        return self.send("NDEATH", [metric("bdSeq", bd_seq, 4)], seq=False)

    def wait(self, seconds):
        """Let time pass."""
        self.now_s += seconds
        now_ns = 1_800_000_000_000_000_000 + round(self.now_s * 1e9)
        self.fleet.tick(now_ns, self.now_s)
        return self.fleet.rebirths.take(self.now_s)


def fleet(interval_s=30.0, spread_s=30.0, **rules):
    return Fleet(Rules(**rules), Rebirths(interval_s, spread_s, random.Random(3)))


def rows(told):
    """Samples since the last look: (address, ms, quality, value)."""
    found = []
    for batch in told.samples.take():
        for index, ns, quality, value in zip(
            batch.address_index.tolist(),
            batch.timestamp_ns.tolist(),
            batch.quality.tolist(),
            batch.value.objects(),
            strict=True,
        ):
            found.append((batch.addresses[index], ns // 1_000_000, quality, value))
    return found


def values(told, of=""):
    """Good values by address, of those that begin so."""
    return [(a, v) for a, _, q, v in rows(told) if q == 0 and a.startswith(of)]
