"""filesystem.py and its twin: the same calls, the same answers, the same errors."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from storage_engine.errors import DiskError, InvalidArgument, StoreLocked
from storage_engine.filesystem import FileSystem, RealFileSystem
from storage_engine.recording import RecordingFileSystem
from storage_engine.recording_tree import RecordingTree


@pytest.fixture(params=["real", "twin"])
def fs(request, tmp_path) -> FileSystem:
    return RealFileSystem(tmp_path) if request.param == "real" else RecordingFileSystem()


def test_a_file_is_written_read_cut_and_grown(fs):
    """Both ends of every call, with the end of the file where append thinks it is."""
    file = fs.create("a")
    file.append(b"hello")
    file.append(memoryview(b" world"))
    file.write_at(0, bytearray(b"J"))
    assert file.read_at(0, 100) == b"Jello world"
    file.truncate(4)
    file.append(b"y")
    file.preallocate(8)
    file.write_at(10, b"!")
    file.sync()
    assert file.read_at(0, 100) == b"Jelly\0\0\0\0\0!"
    assert file.read_at(3, 2) == b"ly"
    assert file.read_at(50, 2) == b""
    assert file.size() == fs.size("a") == 11
    file.preallocate(3)
    assert file.size() == 11
    file.close()
    file.close()
    again = fs.open_write("a")
    again.append(b"?")
    again.close()
    reading = fs.open_read("a")
    assert reading.read_at(10, 9) == b"!?"
    reading.close()


def test_names_are_made_moved_and_removed(fs):
    """Directories are seen by exists and list as files are."""
    fs.make_directories("x/y")
    fs.make_directories("x/y")
    fs.make_directories(".")
    fs.create("x/one").close()
    fs.create("x/two").close()
    assert fs.list("x") == ["one", "two", "y"]
    fs.rename("x/one", "x/y/three")
    fs.rename("x/two", "x/y/three")
    fs.sync_directory("x")
    fs.sync_directory(".")
    assert fs.list("x/y") == ["three"]
    assert fs.exists("x/y")
    assert not fs.exists("x/one")
    fs.remove("x/y/three")
    assert fs.list("x/y") == []
    assert fs.list("nowhere") == []
    assert fs.free_bytes() > 0


@pytest.mark.parametrize(
    ("call", "number"),
    [
        (lambda fs: fs.open_read("none"), errno.ENOENT),
        (lambda fs: fs.open_write("none"), errno.ENOENT),
        (lambda fs: fs.size("none"), errno.ENOENT),
        (lambda fs: fs.remove("none"), errno.ENOENT),
        (lambda fs: fs.rename("none", "other"), errno.ENOENT),
        (lambda fs: fs.create("none/file"), errno.ENOENT),
        (lambda fs: fs.sync_directory("none"), errno.ENOENT),
        (lambda fs: (fs.create("a"), fs.create("a")), errno.EEXIST),
    ],
)
def test_a_refusal_carries_errno_and_path(fs, call, number):
    """Callers decide by the fact, not by the text."""
    with pytest.raises(DiskError) as caught:
        call(fs)

    assert caught.value.facts["errno"] == number
    assert caught.value.facts["path"] in {"none", "none/file", "a"}


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../b", ""])
def test_paths_stay_below_the_root(fs, path):
    """A path from a manifest must not lead out of the store."""
    with pytest.raises(InvalidArgument):
        fs.open_read(path)


def test_the_lock_keeps_a_second_writer_out(fs):
    """One at a time; released, it may be taken again."""
    held = fs.lock("LOCK")
    with pytest.raises(StoreLocked) as caught:
        fs.lock("LOCK")
    assert caught.value.facts["path"] == "LOCK"
    held.release()
    held.release()
    fs.lock("LOCK").release()


def test_the_lock_names_the_process_that_holds_it(tmp_path):
    """The administrator must know whom to stop; the lock falls when that process ends."""
    code = (
        "import sys; from pathlib import Path; from storage_engine.filesystem import *;"
        "lock = RealFileSystem(Path(sys.argv[1])).lock('LOCK'); print('held', flush=True);"
        "sys.stdin.read()"
    )
    root = Path(__file__).parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    with pytest.raises(StoreLocked) as caught:
        RealFileSystem(tmp_path).lock("LOCK")
    assert caught.value.facts["pid"] == str(child.pid)
    assert str(child.pid) in str(caught.value)
    child.kill()
    child.communicate()
    RealFileSystem(tmp_path).lock("LOCK").release()


def test_short_writes_are_continued(tmp_path, monkeypatch):
    """The kernel may take less than it was given."""
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:3], at))
    file = RealFileSystem(tmp_path).create("a")
    file.append(b"0123456789")
    file.append(b"abc")
    assert file.read_at(0, 99) == b"0123456789abc"
    file.close()


def test_short_reads_are_continued(tmp_path, monkeypatch):
    """Fewer bytes than asked for mean the end of the file, nothing else."""
    file = RealFileSystem(tmp_path).create("a")
    file.append(b"0123456789")
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, size, at: pread(fd, min(size, 4), at))
    assert file.read_at(1, 99) == b"123456789"
    file.close()


def test_a_full_disk_is_named_enospc(tmp_path):
    """/dev/full refuses every write."""
    (tmp_path / "full").symlink_to("/dev/full")
    file = RealFileSystem(tmp_path).open_write("full")
    with pytest.raises(DiskError, match="got ENOSPC") as caught:
        file.append(b"x")
    assert caught.value.facts["errno"] == errno.ENOSPC
    file.close()


def test_the_twin_is_full_at_its_capacity():
    """Low-disk tests need a disk that fills."""
    fs = RecordingFileSystem(capacity_bytes=10)
    file = fs.create("a")
    file.append(b"12345678")
    with pytest.raises(DiskError) as caught:
        file.append(b"90a")
    assert caught.value.facts["errno"] == errno.ENOSPC
    assert fs.free_bytes() == 2
    file.write_at(0, b"87654321")


def test_a_cut_leaves_a_renamed_directory_under_one_name():
    """Never an empty twin of it, never a directory whose parent is not there."""
    fs = RecordingTree()
    fs.make_directories("a.new/b/c")
    fs.create("a.new/b/file").append(b"!")
    for path in ("a.new/b", "a.new"):
        fs.sync_directory(path)
    fs.rename("a.new", "a")
    fs.sync_directory(".")
    seen = set()
    for what, state in fs.crash_states():
        found = tuple(state.list("."))
        seen.add(found)
        assert len(found) <= 1, what
        if state.exists("a"):
            assert ["c", "file"] == state.list("a/b"), what
        directories = state.disk().directories - {"."}
        assert all(str(Path(path).parent) in {".", *directories} for path in directories), what
    assert {(), ("a.new",), ("a",)} == seen
