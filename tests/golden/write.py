"""Golden stores: `make golden` writes the next numbered directory and never touches another.

A store of a released format is what later versions are held to, so none is written anew.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from golden.facts import dump
from golden.stories import CONFIGS, STORIES, spool
from golden.story import CONFIG, Story

from storage_engine.filesystem import RealFileSystem

HERE = Path(__file__).parent
STORE_BYTES_MAX = 200 << 10
LSNS = 4


def next_directory(here: Path) -> Path:
    """The first number that no golden store has, nor had a later one."""
    taken = [int(p.name.removeprefix("store-")) for p in here.glob("store-*")]
    return here / f"store-{max(taken, default=0) + 1}"


def spread(lsns: list[int]) -> list[int]:
    """Some lsns over the whole history, 0 and the last among them."""
    last = len(lsns) - 1
    return sorted({0, *(lsns[last * k // (LSNS - 1)] for k in range(LSNS))})


def write(target: Path) -> None:
    """Every story into a directory of its own below `target`, which must not exist."""
    target.mkdir()
    for name, tell in STORIES.items():
        root = target / name / "store"
        root.mkdir(parents=True)
        story = Story(RealFileSystem(root), CONFIGS.get(name, CONFIG))
        tell(story)
        facts = {"lsns": (lsns := spread(story.lsns)), "streams": story.expected(lsns)}
        dump(target / name, facts)
        story.engine.close()
        size = sum(p.stat().st_size for p in root.rglob("*") if p.is_file())
        assert size < STORE_BYTES_MAX, f"{name} has {size} bytes, want < {STORE_BYTES_MAX}"
        print(f"{root}: {size} bytes, known at {lsns}")
    root = target / "spool" / "spool"
    root.mkdir(parents=True)
    dump(target / "spool", {"rows": spool(root)})


if __name__ == "__main__":
    write(next_directory(HERE))
