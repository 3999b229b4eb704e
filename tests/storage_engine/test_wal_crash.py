"""wal.py under power cuts: acknowledged is replayed, nothing is invented, order and prefix hold."""

import contextlib
import errno
import random
from dataclasses import dataclass, field

import pytest

from storage_engine.errors import StorageError
from storage_engine.recording import RecordingFileSystem
from storage_engine.wal import Record, RecordKind, Wal

FILE_BYTES = 4096


class FixedClock:
    def now_ns(self) -> int:
        return 1_700_000_000_000_000_000


def open_wal(fs: RecordingFileSystem, start_lsn: int = 0) -> tuple[Wal, list[Record]]:
    records: list[Record] = []
    wal = Wal.open(
        fs,
        "wal",
        clock=FixedClock(),
        start_lsn=start_lsn,
        apply=records.append,
        file_bytes_max=FILE_BYTES,
        pending_bytes_max=1 << 16,
    )
    return wal, records


@dataclass
class Run:
    """A run of the log: what was submitted, and when what was promised."""

    fs: RecordingFileSystem = field(default_factory=RecordingFileSystem)
    submitted: dict[int, bytes] = field(default_factory=dict)
    acknowledged: list[tuple[int, int]] = field(default_factory=list)  # position, lsn
    checkpoints: list[tuple[int, int]] = field(default_factory=list)

    def append(self, wal: Wal, size: int) -> int:
        body = random.Random(len(self.submitted)).randbytes(size)
        lsn = wal.append(RecordKind.FRAME, (body,), len(self.submitted))
        self.submitted[lsn] = body
        return lsn

    def wait(self, wal: Wal) -> None:
        lsn = max(self.submitted)
        assert wal.wait(lsn)
        self.acknowledged.append((self.fs.position, lsn))

    def checkpoint(self, wal: Wal, lsn: int) -> None:
        """The manifest covers everything up to ``lsn`` from here on."""
        self.checkpoints.append((self.fs.position, lsn))
        wal.drop_before(lsn + 1)

    def at(self, position: int, notes: list[tuple[int, int]]) -> int:
        return max((lsn for when, lsn in notes if when <= position), default=0)

    def check(self, state: RecordingFileSystem, what: str, *, deeper: int = 0) -> None:
        position = state.crashed_at
        assert position is not None
        start = self.at(position, self.checkpoints)
        wal, records = open_wal(state, start)
        lsns = [r.lsn for r in records]
        assert lsns == list(range(start + 1, start + 1 + len(lsns))), what
        assert max([start, *lsns]) >= self.at(position, self.acknowledged), what
        for record in records:
            assert record.body == self.submitted[record.lsn], what
        assert wal.findings == [], what
        if deeper:
            for inner, again in state.crash_states(limit=4, seed=position):
                _, second = open_wal(again, start)
                assert [r.lsn for r in second] == lsns, f"{what}; in recovery {inner}"
        lsn = wal.append(RecordKind.NOTE, (b"after",), 0)
        assert wal.wait(lsn), what
        _, third = open_wal(next(iter(state.crash_states(state.position)))[1], start)
        assert [r.lsn for r in third] == [*lsns, lsn], what
        assert third[-1].body == b"after", what


def batches(run: Run) -> None:
    """Batches of several records, some torn across sectors, two files."""
    wal, _ = open_wal(run.fs)
    for size in (10, 700, 0):
        run.append(wal, size)
    run.wait(wal)
    run.append(wal, 100)
    run.wait(wal)
    for size in (600, 1500, 5, 600):
        run.append(wal, size)
    run.wait(wal)
    wal.close()


def rotations_and_drops(run: Run) -> None:
    """Files begun, recycled and removed while records go on."""
    wal, _ = open_wal(run.fs)
    for i in range(9):
        run.append(wal, 900 + i)
        run.append(wal, 300)
        run.wait(wal)
        if i % 3 == 2:
            run.checkpoint(wal, max(run.submitted) - 2)
    wal.rotate()
    run.append(wal, 50)
    run.wait(wal)


def reopened(run: Run) -> None:
    """Opened again twice, once with a tail that no mark vouches for."""
    for _ in range(3):
        wal, _ = open_wal(run.fs)
        run.append(wal, 520)
        run.wait(wal)
        run.append(wal, 1100)
        run.append(wal, 30)
        run.wait(wal)


def check_all(run: Run, limit: int | None = None) -> int:
    states = 0
    for what, state in run.fs.crash_states(limit=limit):
        run.check(state, what)
        states += 1
    return states


@pytest.mark.parametrize("play", [batches, rotations_and_drops, reopened])
def test_every_crash_state_replays_what_was_acknowledged(play):
    """A power cut may come after any operation and keep any part of what was unsynced."""
    run = Run()
    play(run)

    assert check_all(run) > 100


def test_a_crash_during_recovery_changes_nothing():
    """Recovery writes too (copies, a new file): cut there, the next one sees the same log."""
    run = Run()
    rotations_and_drops(run)

    for what, state in run.fs.crash_states(limit=3):
        run.check(state, what, deeper=1)


def test_random_runs_survive_random_cuts():
    """Sizes, waits, rotations and reopenings in orders that nobody thought of."""
    for seed in range(12):
        rng = random.Random(seed)
        run = Run()
        wal, _ = open_wal(run.fs)
        for _ in range(25):
            run.append(wal, rng.choice([0, 1, 40, 470, 513, 900, 2000]))
            step = rng.random()
            if step < 0.4:
                run.wait(wal)
            elif step < 0.45:
                wal.rotate()
            elif step < 0.55:
                run.wait(wal)
                wal, _ = open_wal(run.fs, run.at(run.fs.position, run.checkpoints))
            elif step < 0.6 and run.acknowledged:
                run.checkpoint(wal, run.at(run.fs.position, run.acknowledged))
        check_all(run, limit=4)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("play", [batches, rotations_and_drops])
def test_any_one_call_that_fails_costs_nothing_acknowledged(play, number):
    """The N-th write, sync, rename ... is refused, for every N; afterwards comes a power cut."""
    whole = Run()
    counted: list[str] = []
    whole.fs.fault = lambda what, _path: counted.append(what)
    play(whole)
    assert {"write", "sync", "rename", "sync directory", "create"} <= set(counted)

    for n in range(len(counted)):
        run = Run()
        calls = iter(range(len(counted) + 99))
        run.fs.fault = lambda _what, _path, calls=calls, n=n: number if next(calls) == n else None
        with contextlib.suppress(StorageError):
            play(run)
        run.fs.fault = None
        for what, state in run.fs.crash_states(run.fs.position, limit=4):
            run.check(state, f"call {n} ({counted[n]}) refused; {what}")


@pytest.mark.parametrize(
    ("owner", "method"),
    [
        ("storage_engine.recording.RecordingFile", "sync"),
        ("storage_engine.recording.RecordingFileSystem", "sync_directory"),
    ],
)
def test_a_log_that_forgets_a_sync_is_caught(monkeypatch, owner, method):
    """The states must be able to fail: a planted bug loses acknowledged records."""
    run = Run()
    monkeypatch.setattr(f"{owner}.{method}", lambda *_: None)
    rotations_and_drops(run)
    monkeypatch.undo()

    with pytest.raises(AssertionError):
        check_all(run, limit=24)


def test_a_committer_that_acknowledges_before_the_sync_is_caught(monkeypatch):
    """The mark behind a batch may reach the disk without it: only the order of calls counts."""
    run = Run()
    wal, _ = open_wal(run.fs)
    run.append(wal, 700)
    run.acknowledged.append((run.fs.position, 1))
    wal.close()

    with pytest.raises(AssertionError):
        check_all(run)


def test_the_states_contain_torn_tails(monkeypatch):
    """Without one, the rule that stops at the first hole would go untested."""
    run = Run()
    wal, _ = open_wal(run.fs)
    for size in (900, 900, 900):
        run.append(wal, size)
    run.wait(wal)
    monkeypatch.setattr(
        "storage_engine.wal_reader._Replay.torn",
        lambda *_: pytest.fail("a torn tail was seen", pytrace=False),
    )

    with pytest.raises(pytest.fail.Exception, match="torn tail"):
        check_all(run)
