"""historian/collector/notes.py: what a connector keeps is there when the next process starts."""

import pytest

from historian.collector.notes import NOTES, Notes
from storage_engine.errors import DiskError
from storage_engine.filesystem import RealFileSystem


def test_a_note_is_there_for_the_next_process_and_the_last_one_counts(tmp_path):
    """By source and key, whatever characters they have."""
    first = Notes(RealFileSystem(tmp_path))
    first.keep("line 1/plc", "subscriptions", b"old")
    first.keep("line 1/plc", "subscriptions", b"new")
    first.keep("line 1", "plc.subscriptions", b"other")

    second = Notes(RealFileSystem(tmp_path))

    assert second.kept("line 1/plc", "subscriptions") == b"new"
    assert second.kept("line 1", "plc.subscriptions") == b"other"
    assert second.kept("line 1/plc", "heard") == b""
    assert len(list((tmp_path / NOTES).iterdir())) == 2


@pytest.mark.parametrize("operation", ["create", "rename"])
def test_a_disk_that_refuses_a_note_costs_the_note_alone(tmp_path, operation, caplog):
    """The connector goes on, and the log says so."""

    class Refusing(RealFileSystem):
        pass

    def refuse(*_):
        raise DiskError("cannot write: got no space, want some")

    fs = Refusing(tmp_path)
    notes = Notes(fs)
    notes.keep("plc", "heard", b"1")
    setattr(fs, operation, refuse)

    notes.keep("plc", "heard", b"2")

    assert notes.kept("plc", "heard") == b"1"
    assert "cannot keep note heard of source plc" in caplog.text
