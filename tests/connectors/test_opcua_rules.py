"""opcua/rules: globs and templates of browse rules."""

import pytest

from connectors.connector import ConfigError
from connectors.opcua.connector import OpcUaConnector
from connectors.opcua.rules import Globs
from connectors.opcua.testing import quick_settings
from historian.clock import SystemClock


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("a/*", "a/b", True),
        ("a/*", "a/b/c", False),
        ("**/c", "a/b/c", True),
        ("**/c", "c", True),
        ("a/**", "a/b/c", True),
        ("a.c", "abc", False),
        ("a?c", "a/c", False),
        ("a/**", "a", False),
        ("a/**/b", "a/b", True),
        ("*b*d", "abcbd", True),
        ("*b*d", "abcd e", False),
        ("**", "a/b", True),
        ("**/a/**/a/**/a/**/c", "a/" * 900 + "x", False),
        ("*a*a*a*a*a*b", "a" * 2_000, False),
    ],
)
def test_globs_know_the_borders_of_names(glob, path, matches):
    assert matches == (Globs((glob,)).first(path) is not None)


def test_a_template_with_an_unknown_field_is_refused():
    browse = [{"address": "{tag}/{path}"}]
    with pytest.raises(ConfigError, match="address"):
        OpcUaConnector("line", quick_settings(4840, browse=browse), SystemClock())
