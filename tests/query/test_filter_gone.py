"""query/expression/gone.py: filters where raw samples have gone say what is left, and no more."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from query.engine import Query
from query.request import QueryLimits, SpansRequest
from query.testing import MemoryResolver
from storage_engine.sample import UNCERTAIN
from storage_engine.testing import DAY_NS

sys.path.insert(0, str(Path(__file__).parent))
from folding import reader_of
from test_query_summaries import F64, HOUR_NS, I64, NOW, Holder

START, HORIZON, END = NOW - 4 * DAY_NS, NOW - 2 * DAY_NS, NOW
FILTERS = ("{t0} > 0", "{t0} <= {t1}", "{t0} is good or {t1} = 5", "abs({t1}) < 4 and {t0} < 9")


def _spans(holder, tags, where, chunk_rows):
    limits = QueryLimits(chunk_rows=chunk_rows)
    query = Query(reader_of(holder.engine), MemoryResolver(*tags), lambda: NOW, limits)
    return query.spans(SpansRequest(where, START, END))


def _at(found, times):
    return found.state[np.searchsorted(found.start_ns, times, side="right") - 1]


@pytest.mark.parametrize("stepped", [True, False])
@pytest.mark.parametrize("where", FILTERS)
def test_what_is_known_is_what_was_known_before(where, stepped):
    """Where a summary alone is left nothing is guessed; raw samples behind it answer as ever."""
    holder = Holder(F64, I64, quality=(0, 0, 0, UNCERTAIN))
    tags = [replace(tag, stepped=stepped) for tag in holder.tags]
    before = _spans(holder, tags, where, 10_000)
    assert holder.expire(2).classes[0].summary_rows > 30

    for chunk_rows in (10_000, 16):
        after = _spans(holder, tags, where, chunk_rows)
        edges = [before.start_ns, after.start_ns, before.end_ns - 1, after.end_ns - 1]
        times = np.unique(np.concatenate(edges))
        old, new = _at(before, times), _at(after, times)
        assert (old == new)[new != 0].all()
        raw = times >= HORIZON + HOUR_NS
        assert (old == new)[raw].all()
        gone = times < HORIZON - HOUR_NS
        assert (new != 0)[gone].any(), "samples that summaries tell"
        assert (new == 0)[gone & (old != 0)].any(), "and none between them"
