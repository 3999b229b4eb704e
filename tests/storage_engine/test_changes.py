"""changes.py, engine_reads.py: what a person may say about history, and what was said."""

import pytest

from storage_engine.changes import Change, Verb
from storage_engine.config import EngineConfig
from storage_engine.engine import Engine
from storage_engine.errors import InvalidArgument
from storage_engine.filesystem import RealFileSystem
from storage_engine.frame import SlotKind
from storage_engine.sample import Column, ValueType


@pytest.mark.parametrize("place", range(3))
def test_text_that_is_no_utf8_is_refused(place):
    """Segments hold UTF-8; half of a surrogate pair could never be read by anyone else."""
    texts = ["ann", "because \U0001f600", "see \ud7ff\ue000"]
    Change(Verb.ANNOTATE, 1, 0, 1, *texts).check()

    texts[place] += "\ud800"
    with pytest.raises(InvalidArgument, match="lone surrogate"):
        Change(Verb.ANNOTATE, 1, 0, 1, *texts).check()


class _Clock:
    def now_ns(self):
        return 1_800_000_000 * 10**9


def test_an_annotation_of_several_series_counts_once_and_each_time_it_is_made(tmp_path):
    """A tag whose type changed has several; deletions and other series do not count."""
    config = EngineConfig(free_bytes_min=0)
    engine = Engine.open(RealFileSystem(tmp_path), config, _Clock())
    columns = (Column("value", ValueType.FLOAT64),)
    old, new, other = (
        engine.create_stream(bytes([n]) * 16, SlotKind.SERIES, columns) for n in range(1, 4)
    )
    assert [] == engine.annotations([old, new]).tolist()

    def say(verb, start, *streams):
        for stream in streams:
            lsn = engine.change(Change(verb, stream, start, start + 5, "ann", "because", "noisy"))
        engine.wait_durable(lsn)
        return lsn

    say(Verb.ANNOTATE, 30, old, new)
    known = say(Verb.ANNOTATE, 10, old, new)
    say(Verb.ANNOTATE, 10, old, new)
    say(Verb.ANNOTATE, 20, other)
    say(Verb.DELETE, 40, new)

    assert [10, 10, 30] == engine.annotations([old, new]).tolist()
    assert [10, 30] == engine.annotations([old, new], known_at_lsn=known).tolist()
    assert [20] == engine.annotations([other]).tolist()
    engine.close()
