"""The manifest, from manifest.md: generations, streams, tombstones, bindings."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from second_reader.checksum import crc32c
from second_reader.codecs import read_table
from second_reader.words import DamagedError, Finding, NewerError, Stream, Tombstone

KNOWN_FEATURES = 1


@dataclass
class Manifest:
    """One sound generation."""

    incarnation: bytes
    generation: int
    checkpoint: int
    segments: list[dict[str, object]]
    streams: list[Stream]
    tombstones: list[Tombstone]
    bindings: dict[tuple[bytes, int, int], int]
    table: dict[str, np.ndarray]


def bindings_of(table: dict[str, np.ndarray], names: tuple[str, ...]) -> dict:
    """(producer, epoch, slot) -> stream; producer and epoch may be given once for all."""
    producers, epochs, slots, streams = (table[n] for n in names)
    if len(producers) == 1:
        producers = np.repeat(producers, len(slots))
        epochs = np.repeat(epochs, len(slots))
    keys = zip((p.tobytes() for p in producers), epochs.tolist(), slots.tolist(), strict=True)
    return dict(zip(keys, streams.tolist(), strict=True))


def read_manifest(data: bytes) -> Manifest:
    """A generation whose checksums hold."""
    if len(data) < 64 or data[:8] != b"LHMANIF1":
        raise DamagedError("manifest magic")
    if crc32c(data[:60]) != int.from_bytes(data[60:64], "little"):
        raise DamagedError("manifest header checksum")
    if int.from_bytes(data[8:12], "little") > 1:
        raise NewerError("manifest version")
    if int.from_bytes(data[56:60], "little") & ~KNOWN_FEATURES:
        raise NewerError("manifest features")
    size = int.from_bytes(data[40:48], "little")
    body = data[64 : 64 + size]
    if crc32c(body) != int.from_bytes(data[12:16], "little") or len(body) != size:
        raise DamagedError("manifest body checksum")
    t = read_table(body)
    classes, schemas = (json.loads(t[k].tobytes()) for k in ("classes", "schemas"))
    streams = [
        Stream(i, u.tobytes(), k, [(n, int(v)) for n, v in schemas[s]], d, classes[c])
        for i, u, k, s, c, d in zip(
            t["stream_id"].tolist(),
            t["stream_uuid"],
            *(t[f"stream_{k}"].tolist() for k in ("kind", "schema", "class", "duplicates")),
            strict=True,
        )
    ]
    marks = (t[f"tombstone_{k}"].tolist() for k in ("lsn", "stream", "start", "end", "erase"))
    names = tuple(f"binding_{k}" for k in ("producer", "epoch", "slot", "stream"))
    return Manifest(
        data[16:32],
        int.from_bytes(data[32:40], "little"),
        int.from_bytes(data[48:56], "little"),
        json.loads(t["segments"].tobytes()),
        streams,
        [Tombstone(a, b, c, d, bool(e)) for a, b, c, d, e in zip(*marks, strict=True)],
        bindings_of(t, names),
        t,
    )


def newest_manifest(directory: Path) -> tuple[Manifest | None, list[Finding]]:
    """The highest generation that checks out, and those above it that do not."""
    findings: list[Finding] = []
    names = [p for p in directory.glob("*") if len(p.name) == 16 and "." not in p.name]
    for path in sorted(names, reverse=True):
        try:
            manifest = read_manifest(path.read_bytes())
            if manifest.generation != int(path.name, 16):
                raise DamagedError("another generation than its name says")
            return manifest, findings
        except DamagedError as problem:
            findings.append(Finding(f"manifest/{path.name}", str(problem)))
    return None, findings
