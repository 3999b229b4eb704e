"""What is public is documented, and the documents speak of what is there."""

import ast
import re
from pathlib import Path

import pytest

from api.commands import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FORMAT_QUESTIONS = ("null", "schema", "duplicate", "expir", "restore", "twenty years")
FORMATS = [p for p in (ROOT / "docs/format").glob("*.md") if p.name != "README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    """A dead link costs trust."""
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if not re.match(r"https?:|mailto:", target):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", FORMATS, ids=lambda p: p.name)
def test_format_documents_answer_the_six_questions(page):
    """Null, schema change, duplicate key, expiry, restore, a reader in twenty years."""
    text = page.read_text().lower()

    assert [q for q in FORMAT_QUESTIONS if q not in text] == []


def test_every_format_has_its_document():
    """Bytes that live for twenty years are described before they are written."""
    names = {p.stem for p in FORMATS}

    assert {"frame", "wal", "store", "segment", "manifest", "spool"} <= names


def test_every_error_of_the_engine_is_in_the_tree():
    """The tree on top of errors.py is what a caller reads."""
    text = (ROOT / "storage_engine/errors.py").read_text()
    tree = ast.get_docstring(ast.parse(text)) or ""
    classes = [n.name for n in ast.parse(text).body if isinstance(n, ast.ClassDef)]

    assert [c for c in classes if c not in tree] == []


def test_every_route_is_in_the_http_manual():
    """An integrator needs nothing but docs/http.md."""
    manual = (ROOT / "docs/http.md").read_text()
    routes: set[str] = set()
    for path in (ROOT / "api/routes").glob("*.py"):
        routes.update(
            re.findall(r"router\.(?:get|post|put|patch|delete)\(\s*\"([^\"]+)\"", path.read_text())
        )

    assert routes
    assert sorted(r for r in routes if r not in manual) == []


def test_every_command_is_in_the_readme():
    """A command nobody can find is not there."""
    readme = (ROOT / "README.md").read_text()
    commands = list(COMMANDS)

    assert len(commands) > 15
    assert sorted(c for c in commands if f"historian {c}" not in readme) == []


def test_every_event_kind_is_documented():
    """MES people write these."""
    kinds = re.findall(
        r'^    "(\w+)": _kind\(', (ROOT / "historian/events.py").read_text(), re.MULTILINE
    )
    manual = (ROOT / "docs/events.md").read_text()

    assert kinds
    assert [k for k in kinds if f"`{k}`" not in manual] == []


def test_decisions_are_numbered_and_whole():
    """A decision without its consequences is an order."""
    decisions = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert [f"{i:04d}" for i in range(1, len(decisions) + 1)] == [d.name[:4] for d in decisions]
    for page in decisions:
        text = page.read_text()
        for heading in ("## Objective", "## Decision", "## Consequences"):
            assert heading in text, (page.name, heading)


def test_the_map_is_short():
    """Two pages: what one reads before the first change."""
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= 130


def test_words_are_explained():
    """One word, one thing."""
    glossary = (ROOT / "docs/glossary.md").read_text()
    words = (
        "tag series sample quality block segment partition head WAL frame manifest flush "
        "compaction retention tombstone codec thinning aggregate interval window downsample "
        "rollup latest backup unit lot operation visit station line genealogy trace link clip "
        "connector collector source address verdict lsn slot spool"
    )
    explained = set(re.findall(r"^\*\*([^*]+)\*\*", glossary, re.MULTILINE))

    assert [] == sorted(set(words.split()) - explained)
