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


def test_edits_are_told_at_once_and_again_after_the_trail_was_flushed(tmp_path):
    """What is remembered of the trail is never older than the trail."""
    config = EngineConfig(free_bytes_min=0)
    engine = Engine.open(RealFileSystem(tmp_path), config, _Clock())
    columns = (Column("value", ValueType.FLOAT64),)
    mine, other = (
        engine.create_stream(bytes([n]) * 16, SlotKind.SERIES, columns) for n in range(1, 3)
    )
    lsns = []
    for round_ in range(3):
        for verb, stream in (
            (Verb.EDIT, mine), (Verb.ANNOTATE, mine), (Verb.DELETE, mine), (Verb.ERASE, other),
        ):  # fmt: skip
            start = 10 * len(lsns)
            change = Change(verb, stream, start, start + 5, "ann", "because", "noisy")
            lsns.append(engine.change(change))
            engine.wait_durable(lsns[-1])
            starts, ends = engine.edits([mine])
            told = [10 * k for k in range(len(lsns)) if k % 4 in {0, 2}]
            assert (told, [t + 5 for t in told]) == (starts.tolist(), ends.tolist())
        if round_ == 1:
            engine.flush()
    assert [0] == engine.edits([mine], known_at_lsn=lsns[1])[0].tolist()
    assert 6 == len(engine.edits([mine])[0])
    engine.close()
