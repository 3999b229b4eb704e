"""A collector's spool, from spool.md."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from second_reader.frames import Declaration, Frame, FrameRow, split_frames
from second_reader.words import Finding, NewerError


@dataclass
class Spool:
    """Frames in the order they were made, and what is known about them."""

    producer: bytes
    epoch: int
    sent: tuple[int, int]
    frames: list[Frame] = field(default_factory=list)
    refused: list[Frame] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    losses: list[tuple[int, int, int]] = field(default_factory=list)

    def waiting(self) -> list[Frame]:
        """Frames behind the last one known to be at the server."""
        return [f for f in self.frames if (f.epoch, f.sequence) > self.sent]

    def rows(self) -> list[tuple[Declaration | None, FrameRow, bool]]:
        """Every row with what its slot stands for and whether a source observed it.

        What a slot stands for is None where the frame that declared it has left for the server.
        """
        slots: dict[tuple[int, int], Declaration] = {}
        found = []
        for frame in self.frames:
            slots |= {(frame.epoch, d.slot): d for d in frame.declarations}
            found += [(slots.get((frame.epoch, r.slot)), r, frame.observed) for r in frame.rows]
        return found


def read_spool(root: Path) -> Spool:
    """A spool that no process holds."""
    identity = json.loads((root / "identity.json").read_bytes())
    if identity["version"] > 1:
        raise NewerError(f"spool version {identity['version']}")
    sent = (0, 0)
    if (root / "sent.json").exists():
        said = json.loads((root / "sent.json").read_bytes())
        sent = (said["epoch"], said["sequence"])
    spool = Spool(bytes.fromhex(identity["producer_id"]), identity["epoch"], sent)
    for path in sorted((root / "frames").glob("*.frames")):
        frames, bad = split_frames(path.read_bytes())
        spool.frames += [frame for _, frame in frames]
        name = path.relative_to(root).as_posix()
        spool.findings += [Finding(name, f"bytes {a} to {b} are no frame") for a, b in bad]
    for path in sorted((root / "refused").glob("*.frame")):
        spool.refused += [frame for _, frame in split_frames(path.read_bytes())[0]]
    last: tuple[int, int] | None = None
    for frame in spool.frames:
        here = (frame.epoch, frame.sequence)
        if last is not None and last[0] == here[0] and here[1] > last[1] + 1:
            spool.losses.append((here[0], last[1] + 1, here[1] - 1))
        last = here
    return spool
