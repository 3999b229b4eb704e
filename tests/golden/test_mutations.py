"""Golden stores spoiled on purpose: both readers agree on what is left, and say what is not."""

import random
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from golden.facts import load
from golden.story import CONFIG
from golden.views import read_by_engine, read_by_second
from second_reader.spool import read_spool
from second_reader.store import Store

from historian.collector.spool import Spool
from storage_engine.engine import Engine
from storage_engine.filesystem import RealFileSystem
from storage_engine.testing import SetClock

SPOOLS = sorted(Path(__file__).parent.glob("store-*/spool/spool"))
STORES = sorted(path.parent for path in Path(__file__).parent.glob("store-*/*/store"))
SEEDS = 40
FLIP, ZERO, CUT, REMOVE, MANIFESTS = "flip", "zero", "cut", "remove", "all manifests"
VERBS = [FLIP, FLIP, FLIP, ZERO, ZERO, CUT, REMOVE, MANIFESTS]
SECTOR = 512


def spoil(root: Path, chance: random.Random) -> tuple[str, bool]:
    """Damage one file (or every manifest); gives what was done, and whether nobody can tell.

    Nobody can tell when the newest log file went whole, or the last mark with a record before it:
    so it looks as well when these were never written.
    """
    files = [p for p in sorted(root.rglob("*")) if p.is_file() and p.stat().st_size]
    files = [p for p in files if p.parent != root and p.name != "spare.log"]
    verb, one = chance.choice(VERBS), chance.choice(files)
    last_log, silent = max(p for p in files if p.suffix == ".log"), False
    victims = [p for p in files if p.parent.name == "manifest"] if verb == MANIFESTS else [one]
    for path in victims:
        data = bytearray(path.read_bytes())
        used = len(data.rstrip(b"\0"))
        at = chance.randrange(used)
        if verb in {FLIP, MANIFESTS}:
            data[at] ^= 1 << chance.randrange(8)
        elif verb == ZERO:
            start = at - at % SECTOR
            data[start : start + SECTOR] = bytes(len(data[start : start + SECTOR]))
            silent = path == last_log and start + SECTOR >= used
        elif verb == CUT:
            data = data[:at]
        path.write_bytes(data)
        if verb == REMOVE:
            path.unlink()
            silent = path == last_log
    return f"{verb} {victims[0].relative_to(root)}", silent


def newest(views: dict[str, Any], lsn: int) -> dict[str, Any]:
    return {uuid: view["known_at"][str(lsn)] for uuid, view in views.items()}


@pytest.mark.parametrize("store", STORES, ids=lambda path: "-".join(path.parts[-2:]))
def test_two_readers_agree_on_what_is_left(store, tmp_path):
    """The same rows from both; and where rows are missing, both name damage."""
    facts = load(store)
    lsn = facts["lsns"][-1]
    expected = newest(facts["streams"], lsn)
    harmed = 0
    for seed in range(SEEDS):
        root = tmp_path / str(seed)
        shutil.copytree(store / "store", root)
        done, silent = spoil(root, random.Random(f"{store.name} {seed}"))
        where = f"{done}, seed {seed}"
        second = Store(root)
        seen = newest(read_by_second(second, [lsn]), lsn)
        engine = Engine.open(RealFileSystem(root), CONFIG, SetClock(), read_only=True)
        found = newest(read_by_engine(engine, [lsn]), lsn)
        named = engine.findings()
        engine.close()
        assert found == seen, where
        if found == expected:
            continue
        harmed += 1
        assert named or silent, where
        assert second.findings or silent, where
    assert harmed > SEEDS // 10, "damage that harms nothing proves nothing"


@pytest.mark.parametrize("spool", SPOOLS, ids=lambda path: path.parts[-3])
def test_two_readers_agree_on_the_frames_of_a_spool(spool, tmp_path):
    """Flips, sectors of zeros, cuts: the frames that are left are the same, and damage is named."""
    harmed = 0
    for seed in range(SEEDS):
        chance = random.Random(f"spool {seed}")
        root = tmp_path / str(seed)
        shutil.copytree(spool, root)
        path = chance.choice(sorted((root / "frames").iterdir()))
        data = bytearray(path.read_bytes())
        at, verb = chance.randrange(len(data)), chance.choice([FLIP, ZERO, CUT])
        if verb == FLIP:
            data[at] ^= 1 << chance.randrange(8)
        elif verb == ZERO:
            start = at - at % SECTOR
            data[start : start + SECTOR] = bytes(len(data[start : start + SECTOR]))
        else:
            del data[at:]
        path.write_bytes(data)

        second = read_spool(root)
        held = Spool(RealFileSystem(root), 1 << 20)
        positions: list[tuple[int, int]] = []
        while (reading := held.read(1 << 20)).frames:
            positions += reading.positions
            held.acknowledge(reading, len(reading.frames))
        held.close()

        assert positions == [(f.epoch, f.sequence) for f in second.waiting()], seed
        if len(second.frames) < 6 and verb != CUT:
            assert second.findings, seed
            assert list((root / "damaged").iterdir()), seed
        harmed += len(positions) < 4
    assert harmed > SEEDS // 4
