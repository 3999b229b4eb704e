"""Summaries through the historian: set with a class, made by a run, asked for by name."""

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest

from historian.catalog_records import TagDraft
from historian.changes import Target, Verb
from historian.errors import RequestInvalid
from historian.ingest import SeriesInput
from historian.retention_rules import RetentionClass
from query.request import AggregateRequest
from storage_engine.retention import DAY_NS
from storage_engine.sample import ColumnData, ValueType

sys.path.insert(0, str(Path(__file__).parent))
from retention_plant import NOW, Plant, count

HOUR_NS = DAY_NS // 24
SIX_HOURS = 6 * HOUR_NS


def put(historian, name="default", **limits):
    """Make a class."""
    historian.retention.stored.put_class(RetentionClass(name, **limits), "ann")


def ask(historian, tag, *names):
    """Ten days by days."""
    request = AggregateRequest(tag, NOW - 10 * DAY_NS, NOW, DAY_NS, names)
    return historian.query.aggregate(request)


def class_of(historian, tag):
    """Class of the summaries of a tag."""
    engine = historian.engine
    stream = engine.companion(historian.catalog.find(tag).series[0].stream_id)
    return None if stream is None else engine.streams()[stream].retention_class


def test_answers_of_days_stay_when_their_rows_went(tmp_path):
    """Counted, averaged and bounded as before; the plan said how many; they go by their own age."""
    plant = Plant(tmp_path)

    async def work(historian):
        await plant.write(historian)
        put(historian, age_ns=3 * DAY_NS, summary_ns=SIX_HOURS)
        names = ("Count", "Maximum", "TimeAverage", "PercentGood")
        before = ask(historian, "hall/temp", *names)
        planned = historian.retention.plan(force=True)
        done = await asyncio.to_thread(historian.retention.run, "ann", force=True)
        assert planned["classes"] == done["classes"]
        # Ten samples lie in the four quarters of each of seven days, of three tags.
        assert 7 * 4 * 3 == planned["summary_rows"] == done["summary_rows"]
        assert 30 == count(historian, "hall/temp")
        after = ask(historian, "hall/temp", *names)
        assert [SIX_HOURS] * 7 + [0] * 3 == after.summary_ns.tolist()
        for name in names:
            one, two = before.columns[name], after.columns[name]
            assert one.status.tolist() == two.status.tolist(), name
            assert np.allclose(one.value, two.value), name
        assert "summaries/default" == class_of(historian, "hall/temp")
        historian.retention.stored.assign("tag", "hall/temp", "default", "ann")
        put(historian, "hall")
        historian.retention.stored.assign("tag", "hall/temp", "hall", "ann")
        await asyncio.to_thread(historian.retention.apply)
        assert "summaries/hall" == class_of(historian, "hall/temp")
        put(historian, age_ns=3 * DAY_NS, summary_ns=SIX_HOURS, summary_age_ns=5 * DAY_NS)
        await asyncio.to_thread(historian.retention.run, "ann", force=True)
        assert 20 == ask(historian, "st10/force", "Count").samples_used[:-3].sum()
        assert 70 == ask(historian, "hall/temp", "Count").samples_used[:-3].sum()

    plant.run(work)
    plant.run(_still_there)


async def _still_there(historian):
    classes = {c.name: c for c in historian.retention.stored.classes()}
    limits = classes["default"].summary_ns, classes["default"].summary_age_ns
    assert (SIX_HOURS, 5 * DAY_NS) == limits
    assert 70 == ask(historian, "hall/temp", "Count").samples_used[:-3].sum()


def test_an_erasure_takes_summaries_and_the_trail_names_them(tmp_path):
    """Erased by tag: both the tag and its summaries stand in the trail."""
    plant = Plant(tmp_path)

    async def work(historian):
        await plant.write(historian, tags=("hall/temp",))
        put(historian, age_ns=3 * DAY_NS, summary_ns=SIX_HOURS)
        await asyncio.to_thread(historian.retention.run, "ann", force=True)
        window = (NOW - 6 * DAY_NS, NOW - 5 * DAY_NS)
        await historian.changes.remove(
            Verb.ERASE, Target(tag="hall/temp"), window, principal="ann", reason="wrong"
        )
        used = ask(historian, "hall/temp", "Count").samples_used.tolist()
        assert [10] * 4 + [0] + [10] * 5 == used
        trail = historian.changes.trail((0, NOW + DAY_NS))
        assert [{"kind": "summaries of hall/temp"}, {"tag": "hall/temp"}] == [
            {key: row[key] for key in ("tag", "kind") if key in row} for row in trail
        ]

    plant.run(work)


def test_texts_have_no_summaries(tmp_path):
    """A tag of states goes as before, numbers beside it are summarised."""
    plant = Plant(tmp_path)

    async def work(historian):
        await plant.write(historian, tags=("hall/temp",))
        historian.catalog.declare_tag(TagDraft("hall/state", ValueType.SYMBOL), "ann")
        states = ColumnData(ValueType.SYMBOL, np.array(["idle"], np.object_))
        rows = SeriesInput(
            "hall/state", np.array([NOW - 9 * DAY_NS]), np.zeros(1, np.uint32), states
        )
        await historian.ingest.put_samples([rows], "ann")
        await asyncio.to_thread(historian.engine.flush)
        put(historian, age_ns=3 * DAY_NS, summary_ns=SIX_HOURS)
        await asyncio.to_thread(historian.retention.run, "ann", force=True)
        assert (0, None) == (count(historian, "hall/state"), class_of(historian, "hall/state"))
        assert not ask(historian, "hall/state", "Count").columns["Count"].valid.any()
        assert class_of(historian, "hall/temp")

    plant.run(work)


@pytest.mark.parametrize(
    "wrong",
    [
        RetentionClass("x", summary_ns=7 * HOUR_NS),
        RetentionClass("x", summary_ns=0),
        RetentionClass("x" * 95, summary_ns=HOUR_NS),
        RetentionClass("x", summary_ns=HOUR_NS, summary_age_ns=0),
    ],
)
def test_what_no_class_may_ask_for(tmp_path, wrong):
    """Intervals that do not divide a day, a name that is too long with its prefix, no age."""
    plant = Plant(tmp_path)

    async def work(historian):
        with pytest.raises(RequestInvalid):
            historian.retention.stored.put_class(wrong, "ann")

    plant.run(work)
