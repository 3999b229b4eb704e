"""Recordings stay outside the project: without them their tests are left out, but never in CI."""

import os
from pathlib import Path

import pytest

RECORDINGS = Path(os.environ.get("HISTORIAN_DATA", Path(__file__).parents[1] / "../shared/data"))


def pytest_collection_modifyitems(items):
    """Leave out what reads recordings, where there are none and nobody insists."""
    if RECORDINGS.is_dir() or os.environ.get("CI") == "true":
        return
    reason = f"no recordings at {RECORDINGS}: set HISTORIAN_DATA"
    for item in items:
        if item.get_closest_marker("recording"):
            item.add_marker(pytest.mark.skip(reason=reason))
