"""The tree reads like one hand: short files, short functions, no leftovers, no orphans."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
LINE_COLUMNS_MAX = 100
PYX_LINES_MAX = 150
# Files that may be longer; the list may only shrink.
LONG_FILES: set[str] = set()
LEFTOVERS = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|NotImplementedError")
CODE = {".py", ".pyx", ".pxd", ".pyi", ".h", ".js", ".css"}


def tracked() -> list[Path]:
    """Files of the tree as git would commit them."""
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    names = [n for n in listing.stdout.decode().split("\0") if n]
    if listing.returncode != 0:
        names = [p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*") if p.is_file()]
    return [ROOT / n for n in names if (ROOT / n).is_file()]


CODE_FILES = [p for p in tracked() if p.suffix in CODE]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def too_long_functions(text: str) -> list[str]:
    """Functions over the cap, with their length."""
    return [
        f"{node.name} has {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES_MAX
    ]


def test_files_are_short():
    """A long file is where a house begins to hurt."""
    long = {
        name_of(p): n for p in CODE_FILES if (n := len(p.read_text().splitlines())) > FILE_LINES_MAX
    }

    assert set(long) <= LONG_FILES, long
    assert set(long) == LONG_FILES, "a file became short: take it off the list"


def test_doors_in_cython_are_short():
    """A .pyx is a door; the algorithm lives in the kernel's header."""
    assert {
        name_of(p): n
        for p in CODE_FILES
        if p.suffix == ".pyx" and (n := len(p.read_text().splitlines())) > PYX_LINES_MAX
    } == {}


@pytest.mark.parametrize("path", [p for p in CODE_FILES if p.suffix == ".py"], ids=name_of)
def test_functions_are_short(path):
    """Seventy lines fit on a screen."""
    assert too_long_functions(path.read_text()) == []


def test_lines_are_short_and_clean():
    """No line over the cap, no trailing blanks, no tabs outside the Makefile."""
    found = [
        f"{name_of(p)}:{i}"
        for p in CODE_FILES
        for i, line in enumerate(p.read_text().splitlines(), 1)
        if len(line) > LINE_COLUMNS_MAX or line != line.rstrip() or "\t" in line
    ]

    assert found == []


def test_no_leftovers():
    """What is not finished is not committed."""
    own = Path(__file__)
    found = [
        f"{name_of(p)}:{i}"
        for p in CODE_FILES
        if p != own
        for i, line in enumerate(p.read_text().splitlines(), 1)
        if LEFTOVERS.search(line)
    ]

    assert found == []


def test_every_compiled_room_has_its_stub():
    """A .pyx without .pyi is a hole in the types; a stub that names what is not there, a lie."""
    for pyx in (p for p in CODE_FILES if p.suffix == ".pyx"):
        stub = pyx.with_suffix(".pyi")
        assert stub.exists(), name_of(pyx)
        text = pyx.read_text()
        for node in ast.parse(stub.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert re.search(rf"\b(?:def|class|cpdef)\b[^\n]*\b{node.name}\b", text), node.name


def test_every_module_is_used():
    """A file that nobody imports is dead, unless it is an entrance."""
    entrances = {"__main__", "__init__", "setup"}
    code = [p for p in CODE_FILES if p.suffix in {".py", ".pyx", ".pxd", ".pyi", ".h"}]
    texts = {p: p.read_text() for p in code}
    packages = ("historian", "storage_engine", "connectors", "query", "api")
    dead = [
        name_of(path)
        for path in code
        if name_of(path).split("/")[0] in packages
        and path.suffix in {".py", ".pyx"}
        and path.stem not in entrances
        and not any(
            re.search(rf"\b{path.stem}\b", t)
            for other, t in texts.items()
            if other.stem != path.stem
        )
    ]

    assert dead == []


def test_documents_have_one_title():
    """A page is about one thing."""
    for page in (p for p in tracked() if p.suffix == ".md"):
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        assert len(re.findall(r"^# ", text, flags=re.MULTILINE)) == 1, name_of(page)


def test_no_large_blobs():
    """Recordings and built files do not belong into the history."""
    assert [name_of(p) for p in tracked() if p.stat().st_size > 400_000] == []


def test_a_long_function_is_found():
    """The cap itself must be able to fail."""
    text = "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX

    assert too_long_functions(text) == ["f has 71 lines"]
