"""The second reader stands alone, and its parts hold against the documents' examples."""

import ast
import random
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from second_reader.checksum import crc32c
from second_reader.codecs import decode, unzstd
from second_reader.words import DamagedError

HERE = Path(__file__).parent
MODULES = sorted(p for p in HERE.glob("*.py") if not p.name.startswith("test_"))
# zstd and pco are taken from libraries: they are formats of others.
ALLOWED = {"numpy", "second_reader", *sys.stdlib_module_names}


def imported(text: str) -> set[str]:
    """Top names of all imports, also those inside functions."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or ".").split(".")[0])
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "__import__":
            found.add("__import__")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_it_imports_nothing_of_the_engine(path):
    """A reader that borrows the engine's code would prove the code, not the documents."""
    more = {"codecs.py": {"zstandard"}, "composite.py": {"pcodec"}}.get(path.name, set())

    assert imported(path.read_text()) <= ALLOWED | more


@pytest.mark.parametrize(
    "text", ["import storage_engine", "def f():\n  from historian.x import y", "from . import a"]
)
def test_a_planted_import_is_found(text):
    """The rule can fail."""
    assert not imported(text) <= ALLOWED


def test_checksum_of_the_document():
    """frame.md gives one value; long and short ways agree on every split."""
    assert crc32c(b"123456789") == 0xE3069283
    data = random.Random(1).randbytes(5000)
    for cut in (0, 1, 3, 8, 511, 512, 513, 4096, 5000):
        assert crc32c(data) == crc32c(data[:cut], data[cut:])
    short = [data[i : i + 100] for i in range(0, 5000, 100)]
    assert crc32c(data) == crc32c(*short)


def test_codecs_refuse_what_does_not_add_up():
    """Another number of rows than the body holds is damage."""
    body = np.arange(3, dtype="<u8").tobytes()

    assert decode(1, body, "<u8", 3).tolist() == [0, 1, 2]
    assert decode(2, body[:8], "<u8", 2).tolist() == [0, 0]
    for codec, part, rows in [(1, body, 4), (2, body, 3), (4, body, 3), (9, body, 3), (3, b"", 1)]:
        with pytest.raises(DamagedError):
            decode(codec, part, "<u8", rows)
    with pytest.raises(DamagedError):
        unzstd(b"no frame")
