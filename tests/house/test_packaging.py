"""Five top-level packages, by an explicit list; nothing else travels."""

import importlib.metadata
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIVE = ("api", "connectors", "historian", "query", "storage_engine")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_list_of_packages_is_the_tree():
    """A folder that is not listed is missing from the wheel without a word."""
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    found = {
        ".".join(p.parent.relative_to(ROOT).parts)
        for top in FIVE
        for p in (ROOT / top).rglob("__init__.py")
    }

    assert found == listed


def test_package_faces_are_docstrings():
    """A face that imports pulls its floor in; registries are the exception."""
    registries = {
        "storage_engine/codec/__init__.py",
        "api/routes/__init__.py",
        "api/commands/__init__.py",
    }
    for top in FIVE:
        for face in (ROOT / top).rglob("__init__.py"):
            name = face.relative_to(ROOT).as_posix()
            if name not in registries:
                body = face.read_text().strip()
                assert body.startswith('"""'), name
                assert body.endswith('"""'), name
                assert body.count('"""') == 2, name


def test_every_package_is_typed():
    """Mypy reads installed packages only with the marker."""
    for top in FIVE:
        assert (ROOT / top / "py.typed").exists(), top


def test_setup_is_short():
    """All metadata is in pyproject; setup.py only compiles."""
    assert len((ROOT / "setup.py").read_text().splitlines()) <= 60


def test_the_version_has_one_source():
    """The changelog knows the version that is built."""
    version = PROJECT["project"]["version"]

    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
    assert version == importlib.metadata.version("lighthouse-historian")


def test_dependencies_are_imported():
    """A dependency that nothing imports is weight."""
    text = "\n".join(p.read_text() for top in FIVE for p in (ROOT / top).rglob("*.py"))
    needed_by_others = {
        "httptools",
        "uvloop",
        "tzdata",
    }  # uvicorn, zoneinfo
    for line in PROJECT["project"]["dependencies"]:
        name = line.split(">")[0].split(";")[0].strip().replace("-", "_")
        assert name in needed_by_others or name in text, line


def test_compiled_rooms_travel_in_the_source_distribution():
    """Setuptools packs neither .pyx nor their .pxd on its own: it would build without a room."""
    included = (ROOT / "MANIFEST.in").read_text().splitlines()
    for top in FIVE:
        kinds = {p.suffix for s in ("pyx", "pxd", "h") for p in (ROOT / top).rglob(f"*.{s}")}
        assert not kinds or f"recursive-include {top} *.pyx *.pxd *.h" in included, top
