"""changes.py: what a person may say about history."""

import pytest

from storage_engine.changes import Change, Verb
from storage_engine.errors import InvalidArgument


@pytest.mark.parametrize("place", range(3))
def test_text_that_is_no_utf8_is_refused(place):
    """Segments hold UTF-8; half of a surrogate pair could never be read by anyone else."""
    texts = ["ann", "because \U0001f600", "see \ud7ff\ue000"]
    Change(Verb.ANNOTATE, 1, 0, 1, *texts).check()

    texts[place] += "\ud800"
    with pytest.raises(InvalidArgument, match="lone surrogate"):
        Change(Verb.ANNOTATE, 1, 0, 1, *texts).check()
