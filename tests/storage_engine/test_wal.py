"""wal.py: what was acknowledged is replayed in order; what failed once is never tried again."""

import errno
import os
import random
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from storage_engine.errors import (
    DiskError,
    EngineClosed,
    InvalidArgument,
    LimitExceeded,
    LowDisk,
)
from storage_engine.filesystem import FileSystem, RealFileSystem
from storage_engine.recording import RecordingFileSystem
from storage_engine.wal import Record, RecordKind, Wal, read_log

FIRST = "wal/0000000000000001.log"


class FixedClock:
    def now_ns(self) -> int:
        return 1_700_000_000_000_000_000


@pytest.fixture(params=["real", "twin"])
def fs(request, tmp_path) -> FileSystem:
    return RealFileSystem(tmp_path) if request.param == "real" else RecordingFileSystem()


def open_wal(
    fs: FileSystem, start_lsn: int = 0, file_bytes: int = 8192, pending: int = 1 << 16
) -> tuple[Wal, list[Record]]:
    records: list[Record] = []
    wal = Wal.open(
        fs,
        "wal",
        clock=FixedClock(),
        start_lsn=start_lsn,
        apply=records.append,
        file_bytes_max=file_bytes,
        pending_bytes_max=pending,
    )
    return wal, records


def bodies(count: int, size: int = 40) -> list[bytes]:
    return [random.Random(i).randbytes(size + i) for i in range(count)]


def written(fs: FileSystem, content: list[bytes], **options: int) -> Wal:
    wal, _ = open_wal(fs, **options)
    for i, body in enumerate(content):
        assert wal.wait(wal.append(RecordKind.FRAME, (body[:7], body[7:]), 1000 + i))
    return wal


def written_until_refused(wal: Wal) -> None:
    while True:
        assert wal.wait(wal.append(RecordKind.FRAME, (bytes(900),), 0))


def content_of(fs: FileSystem, path: str) -> bytes:
    file = fs.open_read(path)
    try:
        return file.read_at(0, file.size())
    finally:
        file.close()


def test_records_come_back_in_order_over_several_files(fs):
    """Body, kind and record time are the caller's own; the lsn counts from 1."""
    content = bodies(60, 300)
    written(fs, content).close()

    wal, records = open_wal(fs)

    assert [Record(i + 1, RecordKind.FRAME, 1000 + i, b) for i, b in enumerate(content)] == records
    assert wal.findings == []
    assert wal.torn is None
    assert wal.durable_lsn == 60
    assert len(fs.list("wal")) > 3
    assert wal.append(RecordKind.NOTE, (), 0) == 61
    wal.close()


def test_replay_starts_behind_the_checkpoint(fs):
    """What segments hold already is not applied again."""
    written(fs, bodies(30, 300)).close()

    wal, records = open_wal(fs, start_lsn=17)

    assert [r.lsn for r in records] == list(range(18, 31))
    assert wal.findings == []
    wal.close()


def test_the_committer_in_c_writes_the_same_bytes_as_the_one_in_python(tmp_path):
    """Crash tests run on the one in Python; their verdict must hold for the other."""
    content = bodies(12)
    real, twin = RealFileSystem(tmp_path), RecordingFileSystem()
    written(real, content).close()
    written(twin, content).close()

    assert content_of(real, FIRST) == content_of(twin, FIRST)


def test_a_failed_sync_ends_the_log_and_is_never_tried_again():
    """After a failed fsync the kernel may call dirty pages clean: a second success is a lie."""
    fs = RecordingFileSystem()
    wal, _ = open_wal(fs)
    first = wal.append(RecordKind.FRAME, (b"kept",), 0)
    assert wal.wait(first)
    calls: list[str] = []

    def fault(what: str, _path: str) -> int | None:
        calls.append(what)
        return errno.EIO if what == "sync" else None

    fs.fault = fault
    second = wal.append(RecordKind.FRAME, (b"lost",), 0)
    with pytest.raises(DiskError, match="failed to sync"):
        wal.wait(second)
    fs.fault = lambda what, _path: calls.append(what)
    for call in (lambda: wal.wait(second), lambda: wal.wait(second, 0.0)):
        with pytest.raises(DiskError):
            call()
    with pytest.raises(EngineClosed):
        wal.append(RecordKind.FRAME, (b"more",), 0)
    wal.close()

    assert calls == ["write", "sync"]
    assert wal.durable_lsn == first


def test_what_a_failed_sync_left_in_the_cache_is_copied_before_the_log_opens():
    """The reopened log may see records that are not on the disk; replayed means durable."""
    fs = RecordingFileSystem()
    wal, _ = open_wal(fs)
    assert wal.wait(wal.append(RecordKind.FRAME, (b"kept",), 0))
    lsn = wal.append(RecordKind.FRAME, (b"in the cache",), 0)
    fs.fault = lambda what, _path: errno.EIO if what == "sync" else None
    with pytest.raises(DiskError):
        wal.wait(lsn)
    fs.fault = None

    again, records = open_wal(fs)
    assert [r.body for r in records] == [b"kept", b"in the cache"]
    assert again.durable_lsn == 2

    _, worst = next(iter(fs.crash_states(fs.position)))
    _, records = open_wal(worst)
    assert [r.body for r in records] == [b"kept", b"in the cache"]


def test_a_full_disk_refuses_the_append_and_goes_on_when_there_is_space():
    """Refused before the acknowledgement, by itself again after; nothing is lost."""
    fs = RecordingFileSystem(capacity_bytes=10_000)
    wal = written(fs, bodies(20, 300))
    with pytest.raises(LowDisk):
        written_until_refused(wal)
    held = wal.durable_lsn

    full, records = open_wal(fs, file_bytes=16384)
    assert len(records) == held
    with pytest.raises(LowDisk):
        full.append(RecordKind.FRAME, (b"no",), 0)

    fs.capacity_bytes = 1 << 30
    assert full.append(RecordKind.FRAME, (b"yes",), 0) == held + 1
    assert full.wait(held + 1)
    _, records = open_wal(fs)
    assert records[-1].body == b"yes"


def test_what_waits_for_the_disk_is_bounded(fs):
    """A producer that outruns the disk is told so; what was taken before stays."""
    wal, _ = open_wal(fs, pending=4096)
    with pytest.raises(LimitExceeded, match="want at most 4096"):
        wal.append(RecordKind.FRAME, (bytes(4096),), 0)
    lsn = wal.append(RecordKind.FRAME, (bytes(2000),), 0)

    assert lsn == 1
    assert wal.wait(lsn)
    wal.close()


def test_dropped_files_are_recycled_and_their_old_records_never_come_back(tmp_path):
    """A recycled file is full of sound records of its earlier life."""
    fs = RealFileSystem(tmp_path)
    wal = written(fs, bodies(40, 300), file_bytes=4096)
    dropped = wal.drop_before(30)
    assert dropped > 1
    assert "spare.log" in fs.list("wal")
    wal.rotate()
    assert "spare.log" not in fs.list("wal")
    last = wal.append(RecordKind.NOTE, (b"new life",), 0)
    assert wal.wait(last)
    wal.close()

    again, records = open_wal(fs, start_lsn=29, file_bytes=4096)
    again.close()

    assert [r.lsn for r in records] == list(range(30, 42))
    assert records[-1].body == b"new life"
    assert (again.findings, again.torn) == ([], None)


def test_many_producers_share_the_log(tmp_path):
    """Every lsn is given once, and wait returns only for what a replay finds."""
    fs = RealFileSystem(tmp_path)
    wal, _ = open_wal(fs, file_bytes=1 << 16)
    mine: list[dict[int, bytes]] = [{} for _ in range(6)]

    def produce(index: int) -> None:
        for i in range(60):
            body = f"{index} {i}".encode() * 20
            lsn = wal.append(RecordKind.FRAME, (body,), i)
            mine[index][lsn] = body
            assert wal.wait(lsn)

    threads = [threading.Thread(target=produce, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wal.batches <= 360
    wal.close()

    again, records = open_wal(fs)
    again.close()
    want = {lsn: body for one in mine for lsn, body in one.items()}
    assert want == {r.lsn: r.body for r in records}
    assert list(range(1, 361)) == [r.lsn for r in records]


def test_the_notify_descriptor_is_readable_when_records_are_durable(tmp_path):
    """An event loop waits on it instead of a thread."""
    wal, _ = open_wal(RealFileSystem(tmp_path))
    assert wal.notify_fd is not None

    wal.append(RecordKind.FRAME, (b"x",), 0)
    select.select([wal.notify_fd], [], [])

    assert wal.durable_lsn == 1
    wal.close()


def test_wrong_calls_are_refused(fs):
    """Waiting for what was never appended would wait for ever."""
    wal, _ = open_wal(fs)
    with pytest.raises(InvalidArgument):
        wal.wait(1)
    wal.close()
    wal.close()
    with pytest.raises(EngineClosed):
        wal.append(RecordKind.NOTE, (), 0)


def test_read_log_changes_nothing(fs):
    """Other processes replay a store that they may not write."""
    written(fs, bodies(5)).close()
    before = {n: content_of(fs, f"wal/{n}") for n in fs.list("wal")}
    records: list[Record] = []

    found = read_log(fs, "wal", start_lsn=0, apply=records.append)

    assert found.last_lsn == 5
    assert [r.body for r in records] == bodies(5)
    assert before == {n: content_of(fs, f"wal/{n}") for n in fs.list("wal")}


WRITER = """
import sys
from pathlib import Path
from storage_engine.filesystem import RealFileSystem
from storage_engine.wal import RecordKind, Wal

class Clock:
    def now_ns(self):
        return 0

wal = Wal.open(RealFileSystem(Path(sys.argv[1])), "wal", clock=Clock(), start_lsn=0,
               apply=lambda record: None, file_bytes_max=65536)
number = wal.last_lsn
while True:
    number += 1
    lsn = wal.append(RecordKind.FRAME, (b"%d " % number * 50,), 0)
    wal.wait(lsn)
    sys.stdout.write(f"{lsn}\\n")
    sys.stdout.flush()
"""


def test_a_killed_process_has_kept_what_it_acknowledged(tmp_path):
    """Kill -9 at random moments, several times over the same log."""
    root = Path(__file__).parents[2]
    acknowledged = 0
    for kill in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        assert child.stdout is not None
        for _ in range(50 + 71 * kill):
            acknowledged = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().splitlines(keepends=True)
        acknowledged = max([acknowledged, *(int(r) for r in rest if r.endswith("\n"))])
        child.wait()
        child.stdout.close()
        records: list[Record] = []
        found = read_log(RealFileSystem(tmp_path), "wal", start_lsn=0, apply=records.append)
        assert found.findings == []
        assert [r.lsn for r in records] == list(range(1, len(records) + 1))
        assert len(records) >= acknowledged
        assert all(r.body == b"%d " % r.lsn * 50 for r in records)
