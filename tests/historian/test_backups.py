"""backups.py: by itself when it is due, one at a time, ended when somebody asks."""

import dataclasses
import time

import pytest

from historian.backups import Backups
from historian.config import default_config
from historian.errors import Conflict, NotFound
from historian.runtime import Historian

HOUR_NS = 3_600_000_000_000


class HandClock:
    """A clock that stands where it was set; monotonic time is real, for the pace."""

    def __init__(self):
        self.time_ns = 1_767_225_600_000_000_000

    def now_ns(self):
        return self.time_ns

    def monotonic_s(self):
        return time.monotonic()

    async def sleep(self, seconds):
        raise AssertionError(seconds)


@pytest.fixture
def make(tmp_path):
    """A historian with settings of [backup]."""
    opened = []

    def make(**settings):
        config = default_config(tmp_path / "store")
        engine = dataclasses.replace(config.store.engine, free_bytes_min=0)
        config = dataclasses.replace(
            config,
            store=dataclasses.replace(config.store, engine=engine),
            backup=dataclasses.replace(config.backup, **settings),
        )
        opened.append(Historian.open(config, HandClock()))
        return opened[-1]

    yield make
    for historian in opened:
        historian.backups.close()
        historian.close()


def names(historian):
    return [(one["name"], one["kind"]) for one in historian.backups.all()["backups"]]


def ended(backups: Backups, job):
    deadline = time.monotonic() + 20
    while job.state == "running":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return job


def test_by_itself_every_hour_the_newest_kept(make):
    """Full, two that share, full again; older ones go once the next is whole."""
    historian = make(every_h=1.0, full_every=3, keep=3)
    for _ in range(5):
        historian.backups.once()
        historian.backups.once()  # nothing is due
        historian.clock.time_ns += HOUR_NS

    kinds = [kind for _, kind in names(historian)]
    assert ["incremental", "full", "incremental"] == kinds
    assert historian.backups.trouble == ""
    audit = [entry.action for entry in historian.catalog.database.audit()]
    assert (5, 2) == (audit.count("make backup"), audit.count("remove backup"))


def test_not_by_itself_unless_asked(make):
    """The default makes none."""
    historian = make()
    historian.backups.once()

    assert [] == names(historian)


def test_one_at_a_time_and_ended_when_asked(make):
    """A slow one is aborted within a second and leaves nothing; then the next goes."""
    historian = make(bytes_per_s=1)
    backups = historian.backups
    slow = backups.create("full", "slow", "anna")
    deadline = time.monotonic() + 10
    while not slow.bytes_done:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with pytest.raises(Conflict):
        backups.create("full", "other", "anna")
    assert "slow" == backups.health()["running"]["name"]

    assert slow is backups.abort()

    assert "aborted" == ended(backups, slow).state
    assert [] == names(historian)
    left = {path.name for path in historian.config.backup.directory.iterdir()}
    assert left == {"lock"}


def test_what_is_not_there_and_what_is_taken(make):
    """Refused before anything begins."""
    backups = make(bytes_per_s=0).backups
    for call in (backups.find, lambda n: backups.verify(n, "x"), lambda n: backups.delete(n, "x")):
        with pytest.raises(NotFound):
            call("none")
    with pytest.raises(NotFound):
        backups.job(7)
    assert "done" == ended(backups, backups.create("full", "one", "x")).state
    with pytest.raises(Conflict):
        backups.create("full", "one", "x")
    verified = ended(backups, backups.verify("one", "x"))
    assert verified.report["whole"], verified
    assert "done" == ended(backups, backups.delete("one", "x")).state
    assert [] == backups.all()["backups"]


def test_a_failure_is_told(make):
    """A repository that cannot be: the job says why, and health keeps it."""
    historian = make(bytes_per_s=0)
    directory = historian.config.backup.directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.write_text("a file")

    historian.backups.once()
    with pytest.raises(Exception, match=r"ENOTDIR|EEXIST|NOTDIR"):
        historian.backups.create("full", "one", "x")
