"""committer.pyx: one failure ends it, whoever waits is told, and nothing is tried again."""

import os

import pytest

from storage_engine.committer import Committer
from storage_engine.errors import EngineClosed, InvalidArgument, LimitExceeded


@pytest.mark.parametrize(("device", "call"), [("/dev/full", "write"), ("/dev/null", "sync")])
def test_a_failing_device_ends_the_committer(device, call):
    """/dev/full refuses the write with ENOSPC, /dev/null the fdatasync with EINVAL."""
    fd = os.open(device, os.O_WRONLY)
    committer = Committer(fd, 0, 0, 1, 65536)
    lsn = committer.append(1, 0, (b"x",))

    assert committer.wait(lsn, 60.0) < 0
    assert committer.failed is not None
    assert f"failed to {call}" in committer.failed
    assert committer.durable_lsn == 0
    assert committer.batches == 0
    with pytest.raises(EngineClosed, match=f"failed to {call}"):
        committer.append(1, 0, (b"y",))
    assert not committer.switch(fd, 0, 0)
    committer.close()
    os.close(fd)


def test_closing_commits_what_waits(tmp_path):
    """Close is not a crash."""
    fd = os.open(tmp_path / "log", os.O_RDWR | os.O_CREAT)
    committer = Committer(fd, 0, 0, 7, 1 << 20)
    lsns = [committer.append(1, 0, (bytes(i),)) for i in range(100)]
    committer.close()
    committer.close()

    assert lsns == list(range(7, 107))
    assert committer.durable_lsn == 106
    assert committer.pending_bytes == 0
    with pytest.raises(EngineClosed):
        committer.append(1, 0, ())
    assert committer.wait(107, 60.0) < 0
    os.close(fd)


def test_records_beyond_the_bounds_are_refused_whole(tmp_path):
    """Nothing of a refused record is taken, and no lsn is spent on it."""
    fd = os.open(tmp_path / "log", os.O_RDWR | os.O_CREAT)
    committer = Committer(fd, 0, 0, 1, 4096)
    with pytest.raises(LimitExceeded):
        committer.append(1, 0, (bytes(4000), bytes(100)))
    with pytest.raises(InvalidArgument):
        committer.append(1, 0, (b"",) * 17)
    with pytest.raises(TypeError):
        committer.append(1, 0, (b"x", "text"))

    assert committer.append(1, 0, (bytes(4000),)) == 1
    committer.close()
    assert (tmp_path / "log").stat().st_size == 40 + 4000 + 40
    os.close(fd)
