"""docs/query.md: every example answers as printed, and every aggregate has its section."""

import doctest
import re
from pathlib import Path

from query.aggregates.naming import FAMILIES
from query.aggregates.registry import AGGREGATES

PAGE = Path(__file__).resolve().parents[2] / "docs/query.md"


def test_every_example_answers_as_printed():
    """A page that is not run is soon wrong."""
    flags = doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL

    failed, tried = doctest.testfile(str(PAGE), module_relative=False, optionflags=flags)

    assert (0, True) == (failed, tried > 30)


def test_every_aggregate_has_a_section_with_an_example():
    """Who adds a line to the registry documents it."""
    section = re.compile(r"^### (\w+)(?:\(\w+\))?\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
    sections = dict(section.findall(PAGE.read_text()))

    shown = [name for name in sections if re.search(r">>> (ask|when)\(", sections[name])]
    known = [*AGGREGATES, *FAMILIES]
    assert known == [name for name in shown if name in known]
