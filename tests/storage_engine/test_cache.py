"""cache.py, findings.py, config.py: bounds that hold."""

import pytest

from storage_engine.cache import ByteCache
from storage_engine.config import EngineConfig
from storage_engine.errors import InvalidArgument
from storage_engine.findings import Findings


def test_the_least_recently_used_value_goes_first():
    """And each value that goes is told."""
    gone = []
    cache = ByteCache(10, gone.append)
    cache.put("a", "A", 4)
    cache.put("b", "B", 4)
    assert "A" == cache.get("a")

    cache.put("c", "C", 4)

    assert [None, "A", "C"] == [cache.get(key) for key in "bac"]
    assert ["B"] == gone
    assert 8 == cache.size_bytes


def test_a_value_above_the_bound_is_not_kept():
    """The bound is on memory, not on good will."""
    cache = ByteCache(10)
    cache.put("a", "A", 11)

    assert cache.get("a") is None
    assert 0 == cache.size_bytes


def test_a_value_put_again_counts_once():
    """Two readers may decode the same block at the same time."""
    cache = ByteCache(10)
    cache.put("a", "A", 6)
    cache.put("a", "A", 6)

    assert 6 == cache.size_bytes
    cache.clear()
    assert 0 == cache.size_bytes


def test_findings_are_told_once_and_bounded():
    """A damaged block that is read every second is one finding."""
    findings = Findings(2)
    for path in ("a", "a", "b", "c"):
        findings.add(path, 0, "broken")

    assert ["a", "b"] == [finding.path for finding in findings.list()]
    assert 1 == findings.omitted


@pytest.mark.parametrize("setting", ["head_bytes_max", "block_rows", "wal_file_bytes"])
def test_settings_that_cannot_work_are_refused(setting):
    """At start, with the setting's name."""
    with pytest.raises(InvalidArgument, match=f"engine setting {setting}: got 0"):
        EngineConfig(**{setting: 0})
