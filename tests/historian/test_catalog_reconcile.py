"""catalog_reconcile.py: whatever was lost on one side, no sample loses its name silently."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np

from historian.catalog_reconcile import Reconciled, reconcile
from historian.catalog_records import TagDraft, series_uuid
from historian.ingest import SeriesInput
from historian.ingest_testing import OpenIngest, run_ingest
from storage_engine.sample import ColumnData, ValueType

F, N = ValueType.FLOAT64, ValueType.INT64
NOW_NS = 1_790_000_000_000_000_000


def run(path: Path, work: Callable[[OpenIngest], Awaitable[None]]) -> None:
    run_ingest(path, work, now_ns=NOW_NS)


def compare(store: OpenIngest) -> Reconciled:
    streams = store.ingest._log.appending.streams
    return reconcile(
        store.catalog, streams.stored_series(), streams.has_rows, streams.create_series
    )


async def write(store: OpenIngest, tag: str, value: float) -> None:
    column = ColumnData(F, np.array([value]))
    one = SeriesInput(tag, np.array([NOW_NS], np.int64), np.zeros(1, np.uint32), column)
    assert 1 == (await store.ingest.put_samples([one], "ann")).stored


def test_two_sides_in_line_are_left_alone(tmp_path: Path) -> None:
    """Every normal start."""

    async def work(store: OpenIngest) -> None:
        store.catalog.declare_tag(TagDraft("a", F), "ann")
        before = store.catalog.database.audit()
        assert Reconciled((), 0, 0, 0, 0) == compare(store)
        assert before == store.catalog.database.audit()

    run(tmp_path, work)


def test_a_stream_left_by_an_interrupted_creation_is_reported(tmp_path: Path) -> None:
    """The engine has it, the catalog never committed; it holds nothing."""

    async def work(store: OpenIngest) -> None:
        store.ingest._log.appending.streams.create_series([(b"u" * 16, F)])
        found = compare(store)
        assert (1, 0) == (found.empty, found.adopted)
        assert 0 == len(store.catalog)

    run(tmp_path, work)


def test_samples_without_a_tag_get_one_back(tmp_path: Path) -> None:
    """An older catalog was restored: its youngest tags are gone, their samples are not."""

    async def first(store: OpenIngest) -> None:
        store.catalog.declare_tag(TagDraft("a", F), "ann")
        await write(store, "a", 1.5)

    async def second(store: OpenIngest) -> None:
        found = compare(store)
        assert 1 == found.adopted
        (tag,) = store.catalog.tags("recovered/")
        assert "recovered" == tag.origin
        assert [(NOW_NS, 1.5, 0)] == store.values(tag.name)
        assert tag.name in found.findings[0]
        assert "create tag" == store.catalog.database.audit()[0].action
        assert Reconciled((), 0, 0, 0, 0) == compare(store)

    run(tmp_path, first)
    for file in tmp_path.glob("catalog.sqlite*"):
        file.unlink()
    run(tmp_path, second)


def test_a_further_series_finds_its_tag_by_its_uuid(tmp_path: Path) -> None:
    """Uuids of later series follow from the tag's, so nothing is guessed."""

    async def work(store: OpenIngest) -> None:
        tag = store.catalog.declare_tag(TagDraft("a", N), "ann")
        streams = store.ingest._log.appending.streams
        (stream_id,) = streams.create_series([(series_uuid(tag.uuid, 1, F), F)])
        found = reconcile(
            store.catalog, streams.stored_series(), lambda _: True, streams.create_series
        )
        assert 1 == found.adopted
        assert (tag.series[0].stream_id, stream_id) == store.catalog.resolve("a").series

    run(tmp_path, work)


def test_a_tag_whose_stream_is_gone_gets_it_again_under_any_number(tmp_path: Path) -> None:
    """An older engine was restored: dense ids may now mean other streams, uuids never do."""

    async def first(store: OpenIngest) -> None:
        store.catalog.declare_tags([TagDraft("a", F), TagDraft("b", F), TagDraft("c", F)], "ann")

    async def second(store: OpenIngest) -> None:
        streams = store.ingest._log.appending.streams
        tags = {name: store.catalog.find(name) for name in "abc"}
        uuids = {name: tag.uuid for name, tag in tags.items() if tag is not None}
        streams.create_series([(uuids["c"], F), (uuids["b"], F)])
        found = compare(store)

        assert 1 == found.recreated
        for name, uid in uuids.items():
            (series,) = store.catalog.resolve(name).series
            assert uid == store.engine.streams()[series].uuid
        await write(store, "a", 1.0)
        assert [(NOW_NS, 1.0, 0)] == store.values("a")
        assert [] == store.values("b")

    run(tmp_path, first)
    (tmp_path / "engine").rename(tmp_path / "lost")
    run(tmp_path, second)
