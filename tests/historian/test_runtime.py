"""runtime.py: what it opens it closes; what stops it reopens; what it cannot do it says."""

import asyncio
import errno
import os
import shutil
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from historian.catalog_records import TagDraft
from historian.clock import SystemClock
from historian.config import HistorianConfig, load_config, parse_config
from historian.errors import ConfigInvalid, NotFound, NotReady
from historian.ingest import SeriesInput
from historian.runtime import Historian
from storage_engine.errors import DiskError, InvalidArgument, StoreLocked
from storage_engine.recording import RecordingFileSystem
from storage_engine.sample import (
    EVENT_ID_DTYPE,
    Column,
    ColumnData,
    EventBatch,
    ValueType,
    source_event_id,
)

FAST = {"free_bytes_min": 0}


class FastClock(SystemClock):
    """The real clock, but nobody waits long."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(min(seconds, 0.02))


def config_of(path: Path, **tables: Any) -> HistorianConfig:
    store = {"path": "store", **FAST, **tables.pop("store", {})}
    return parse_config({"store": store, **tables}, base=path)


def serve(
    config: HistorianConfig,
    work: Callable[[Historian], Awaitable[None]],
    filesystem: RecordingFileSystem | None = None,
) -> None:
    """Open, start, work, stop, as the door does."""

    async def main() -> None:
        historian = await asyncio.to_thread(
            Historian.open, config, FastClock(), filesystem=filesystem
        )
        try:
            await historian.start()
            await work(historian)
        finally:
            await historian.stop()

    asyncio.run(main())


def sample(tag: str, value: float, at_ns: int) -> SeriesInput:
    column = ColumnData(ValueType.FLOAT64, np.array([value]))
    return SeriesInput(tag, np.array([at_ns], np.int64), np.zeros(1, np.uint32), column)


def created(unit: str, at_ns: int) -> EventBatch:
    event_id = np.frombuffer(source_event_id("s", unit), EVENT_ID_DTYPE)
    data = (ColumnData(ValueType.TEXT, np.array([unit], np.object_)),)
    columns = (Column("unit", ValueType.TEXT),)
    return EventBatch("unit_created", np.array([at_ns], np.int64), event_id, columns, data)


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that must come; the test's own timeout bounds it."""
    while not true():  # noqa: ASYNC110 - another process sets no event
        await asyncio.sleep(0.01)


def test_what_was_written_is_there_after_stopping_and_starting(tmp_path: Path) -> None:
    """Samples, units, tags and the token: all of it survives a normal end."""
    config = config_of(tmp_path)
    at_ns = SystemClock().now_ns()
    secrets: list[str] = []

    async def first(historian: Historian) -> None:
        historian.catalog.declare_tag(TagDraft("t", ValueType.FLOAT64), "ann")
        assert 1 == (await historian.ingest.put_samples([sample("t", 1.5, at_ns)], "ann")).stored
        await historian.ingest.put_events(created("B1", at_ns), "ann")
        assert ["B1"] == [u.key.serial for u in historian.genealogy.units()]
        secrets.append(config.http.token_file.read_text().strip())

    async def second(historian: Historian) -> None:
        assert [1.5] == historian.query.latest(["t"]).value
        assert ["B1"] == [u.key.serial for u in historian.genealogy.units()]
        assert "admin" == historian.tokens.verify(secrets[0]).name
        assert 1 == len(historian.read_events("unit_created", 0, 2**62))
        with pytest.raises(NotFound, match="want one of"):
            historian.read_events("nothing", 0, 1)

    serve(config, first)
    serve(config, second)
    assert 0o600 == config.http.token_file.stat().st_mode & 0o777


def test_ready_says_why_not(tmp_path: Path) -> None:
    """A load balancer needs yes or no, a person needs the reason."""
    config = config_of(tmp_path)
    historian = Historian.open(config, SystemClock())
    assert "not started" in historian.ready().reasons[0]
    historian.close()

    reader = Historian.open(config, SystemClock(), read_only=True)
    assert "read-only" in reader.ready().reasons[0]
    with pytest.raises(NotReady, match="read-only"):
        asyncio.run(reader.start())
    reader.close()

    async def work(started: Historian) -> None:
        assert started.ready().ok
        assert started.health()["ready"] is True
        assert b"historian_ready 1.0" in started.metrics_text()

    serve(config, work)

    async def short(started: Historian) -> None:
        assert "free on disk" in started.ready().reasons[0]

    serve(config_of(tmp_path, store={"free_bytes_min": 2**62}), short)


def test_a_full_disk_keeps_nobody_from_starting(tmp_path: Path) -> None:
    """What is stored can be read, and writes are taken as soon as there is room."""
    disk = RecordingFileSystem(capacity_bytes=1 << 30)
    config = config_of(tmp_path, store={"free_bytes_min": 1 << 40})

    async def work(historian: Historian) -> None:
        assert "free on disk" in historian.ready().reasons[0]
        assert 0 == len(historian.genealogy.units())
        with pytest.raises((NotReady, DiskError)):
            await historian.ingest.put_events(created("B1", historian.clock.now_ns()), "ann")
        disk.capacity_bytes = 1 << 42
        await until(lambda: historian.ready().ok)
        await historian.ingest.put_events(created("B1", historian.clock.now_ns()), "ann")
        assert 1 == len(historian.genealogy.units())

    serve(config, work, disk)


def test_the_files_of_a_killed_server_can_be_read_without_one(tmp_path: Path) -> None:
    """The command line opens them read-only when no server runs."""
    config = config_of(tmp_path)
    at_ns = SystemClock().now_ns()

    async def work(historian: Historian) -> None:
        historian.catalog.declare_tag(TagDraft("t", ValueType.FLOAT64), "ann")
        await historian.ingest.put_samples([sample("t", 1.5, at_ns)], "ann")
        shutil.copytree(config.store.path, tmp_path / "copy")

    serve(config, work)
    reader = Historian.open(
        config_of(tmp_path, store={"path": "copy"}), SystemClock(), read_only=True
    )
    assert [1.5] == reader.query.latest(["t"]).value
    with pytest.raises(InvalidArgument, match="read-only"):
        reader.catalog.declare_tag(TagDraft("t2", ValueType.FLOAT64), "ann")
    reader.close()


def test_a_second_writer_is_kept_out(tmp_path: Path) -> None:
    """Two servers on one folder would number the same log."""
    config = config_of(tmp_path)

    async def work(historian: Historian) -> None:
        with pytest.raises(StoreLocked):
            await asyncio.to_thread(Historian.open, config, SystemClock())
        assert historian.ready().ok

    serve(config, work)


def test_a_failed_sync_is_never_acknowledged_and_the_engine_is_reopened(tmp_path: Path) -> None:
    """After a failed fsync nobody knows what is on the disk but the disk: rebuild from the log."""
    disk = RecordingFileSystem()
    broken = {"now": False}

    def fault(operation: str, path: str) -> int:
        return errno.EIO if broken["now"] and operation == "sync" and "wal" in path else 0

    disk.fault = fault
    at_ns = SystemClock().now_ns()

    async def work(historian: Historian) -> None:
        put = historian.ingest.put_samples
        historian.catalog.declare_tag(TagDraft("t", ValueType.FLOAT64), "ann")
        await put([sample("t", 1.0, at_ns)], "ann")
        await historian.ingest.put_events(created("B1", at_ns), "ann")
        failed = historian.engine
        broken["now"] = True
        with pytest.raises(NotReady, match="send the same again"):
            await put([sample("t", 2.0, at_ns + 1)], "ann")
        with pytest.raises(NotReady):
            await put([sample("t", 3.0, at_ns + 2)], "ann")
        assert not historian.ready().ok
        broken["now"] = False
        await until(lambda: historian.ready().ok)

        assert historian.engine is not failed
        assert 1 == (await put([sample("t", 4.0, at_ns + 3)], "ann")).stored
        assert [4.0] == historian.query.latest(["t"]).value
        assert ["B1"] == [u.key.serial for u in historian.genealogy.units()]
        await historian.ingest.put_events(created("B2", at_ns), "ann")
        assert 2 == len(historian.genealogy.units())
        assert b'historian_failures_total{what="engine"} 1.0' in historian.metrics_text()

    serve(config_of(tmp_path), work, disk)


def test_an_engine_that_fails_while_nobody_writes_is_found_by_maintenance(tmp_path: Path) -> None:
    """A write in flight may have been cancelled; the next second looks."""
    disk = RecordingFileSystem()
    broken = {"now": False}
    disk.fault = lambda operation, _: errno.EIO if broken["now"] and operation == "sync" else 0

    async def work(historian: Historian) -> None:
        failed = historian.engine
        broken["now"] = True
        with pytest.raises(DiskError):
            historian.catalog.declare_tag(TagDraft("t", ValueType.FLOAT64), "ann")
        broken["now"] = False
        await until(lambda: historian.ready().ok and historian.engine is not failed)
        historian.catalog.declare_tag(TagDraft("t", ValueType.FLOAT64), "ann")

    serve(config_of(tmp_path), work, disk)


def test_declared_tags_assets_and_states_are_entered_once(tmp_path: Path) -> None:
    """The file is read at each start; only changes are changes."""
    tables: dict[str, Any] = {
        "tags": [{"name": "t", "type": "int64", "state_set": "mode"}],
        "assets": [{"path": "plant/line1", "level": "line"}],
        "state_sets": [{"name": "mode", "states": ["off", "on"]}],
    }
    entries: list[int] = []

    async def work(historian: Historian) -> None:
        entries.append(len(historian.catalog.database.audit(limit=1000)))
        tag = historian.catalog.find("t")
        assert tag is not None
        assert ("mode", ValueType.INT64, "declared") == (tag.state_set, tag.type, tag.origin)

    serve(config_of(tmp_path, **tables), work)
    serve(config_of(tmp_path, **tables), work)
    tables["state_sets"][0]["states"] = ["off", "on", "fault"]
    serve(config_of(tmp_path, **tables), work)

    assert 4 == entries[0]  # with the administrator's token
    assert [0, 1] == [entries[1] - entries[0], entries[2] - entries[1]]


def test_collectors_need_a_file_to_read(tmp_path: Path) -> None:
    """They are processes: they cannot be handed objects."""
    config = config_of(tmp_path, sources=[{"name": "a", "kind": "mqtt"}])

    with pytest.raises(ConfigInvalid, match="a file"):
        Historian.open(config, SystemClock())


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_children_are_started_started_again_and_ended(tmp_path: Path) -> None:
    """A collector that dies comes back; none outlives the server."""
    file = tmp_path / "historian.toml"
    file.write_text(
        '[store]\npath = "store"\nfree_bytes_min = 0\n[[collectors]]\nname = "c1"\n'
        '[[collectors]]\nname = "by hand"\nsupervised = false\n'
    )
    pids: list[int] = []

    async def work(historian: Historian) -> None:
        def child() -> dict[str, Any]:
            found: dict[str, Any] = historian.health()["children"]
            assert ["collector c1"] == list(found)
            return found["collector c1"]  # type: ignore[no-any-return]

        await until(lambda: child()["pid"] is not None)
        pids.append(child()["pid"])
        os.kill(pids[0], signal.SIGKILL)
        await until(lambda: child()["starts"] == 2 and child()["pid"] is not None)
        pids.append(child()["pid"])
        assert alive(pids[1])
        assert b"historian_children_running 1.0" in historian.metrics_text()

    serve(load_config(file), work)
    assert not alive(pids[1])


def test_stopping_twice_and_stopping_what_never_started_is_harmless(tmp_path: Path) -> None:
    """The door stops in a ``finally``."""

    async def main() -> None:
        historian = Historian.open(config_of(tmp_path), SystemClock())
        await historian.stop()
        await historian.stop()
        with pytest.raises(NotReady):
            _ = historian.engine
        with pytest.raises(NotReady):
            historian.read_events("gap", 0, 1)

    asyncio.run(main())


def test_a_catalog_that_cannot_be_opened_leaves_the_store_unlocked(tmp_path: Path) -> None:
    """Otherwise the corrected configuration could not be tried in the same process."""
    config = config_of(tmp_path)
    config.store.path.mkdir()
    config.store.catalog_path.write_bytes(b"nonsense" * 1000)
    with pytest.raises(ConfigInvalid):
        Historian.open(config, SystemClock())
    config.store.catalog_path.unlink()

    Historian.open(config, SystemClock()).close()
