"""Arrows only go down, in .py, .pyx and .pxd; doors are used by who may; no circles."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import structure

ROOT = Path(__file__).parents[2]


def test_no_import_goes_up_or_past_a_door():
    """A floor that knows the one above cannot be used without it."""
    assert structure.broken_arrows(ROOT) == []


def test_disk_and_clock_are_used_through_their_doors():
    """Crash tests and clock tests only see what passes the seams."""
    assert structure.broken_doors(ROOT) == []


def test_no_file_is_part_of_an_import_circle():
    """A circle makes two files one, with twice the text."""
    assert structure.circles(ROOT) == []


def test_no_drawers():
    """A module named for nothing collects everything."""
    assert structure.bad_names(ROOT) == []


@pytest.fixture
def house(tmp_path):
    """A copy of the sources that a test may spoil."""
    for package in structure.FLOOR:
        shutil.copytree(
            ROOT / package,
            tmp_path / package,
            ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__"),
        )
    return tmp_path


PLANTS = [
    ("storage_engine/spoiled.py", "import query.ports\n", "arrow not downward"),
    ("storage_engine/spoiled.pyx", "from historian.events import COMMON\n", "arrow not downward"),
    ("storage_engine/spoiled.pxd", "cimport api.spoiled\n", "arrow not downward"),
    ("storage_engine/spoiled.pyx", "from historian cimport events\n", "arrow not downward"),
    ("query/spoiled.py", "from storage_engine import wal\n", "past the engine's door"),
    ("connectors/spoiled.py", "import storage_engine.filesystem\n", "past the engine's door"),
    ("connectors/spoiled.py", "from query.ports import Tag\n", "arrow not downward"),
    ("query/spoiled.py", "def f():\n    from connectors import sink\n", "arrow not downward"),
    ("api/spoiled.py", "from storage_engine.frame import decode_frame\n", "past the engine's door"),
    ("historian/spoiled.py", "from tests import house\n", "imports what stands beside"),
    ("historian/spoiled.py", "from . import events\n", "relative import"),
    ("query/spoiled.py", "import asyncua\n", "library outside its room"),
    ("storage_engine/spoiled.py", "import asyncio\n", "barred from the engine"),
    (
        "connectors/mqtt/spoiled.py",
        "from connectors.opcua import connector\n",
        "connectors are strangers",
    ),
    (
        "query/spoiled.py",
        "from storage_engine.sample import (\n    A,\n)\nfrom historian import (\n    b,\n)\n",
        "arrow not downward",
    ),
]


@pytest.mark.parametrize(("path", "text", "rule"), PLANTS)
def test_a_planted_arrow_is_found(house, path, text, rule):
    """A rule that cannot fail keeps nothing."""
    (house / path).write_text(text)

    found = [b for b in structure.broken_arrows(house) if b.path == path]

    assert [rule] == [b.rule for b in found]


def test_a_planted_circle_is_found(house):
    """Also one through a function's inside."""
    (house / "query/one.py").write_text("import query.two\n")
    (house / "query/two.py").write_text("def f():\n    import query.one\n")

    assert ["query.one", "query.two"] in structure.circles(house)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("storage_engine/spoiled.py", "f = open('x')\n"),
        ("storage_engine/spoiled.pyx", "os.rename('a', 'b')\n"),
        ("historian/spoiled.py", "now = time.time()\n"),
        ("connectors/spoiled.py", "await asyncio.sleep(1)\n"),
    ],
)
def test_a_planted_door_breaker_is_found(house, path, text):
    """Disk and clock."""
    (house / path).write_text(text)

    assert [path] == [b.path for b in structure.broken_doors(house) if b.path == path]
