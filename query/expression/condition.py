"""A condition over tags, read and evaluated in pieces of bounded size: spans of one truth."""

from collections.abc import Iterator, Mapping

import numpy as np

from query.errors import LimitExceeded
from query.expression.evaluation import Evaluation
from query.expression.feed import Feed, too_many
from query.expression.gone import with_summaries
from query.expression.kinds import check
from query.expression.pieces import Int8Array, Truths
from query.expression.slopes import check_lines
from query.expression.spans import Spans, joined
from query.expression.tree import Node, tags_of
from query.facts.rules import Rules
from query.ports import Tag
from query.request import QueryLimits
from query.series import TIME_MAX_NS, TagSamples
from storage_engine.sample import Damage, Int64Array

_GAP_NS = 300_000_000_000  # between windows that is read rather than left out
# Rows that are read at once for times, and for each of them.
_ROWS_MIN, _ROWS_EACH = 1_024, 16


class Condition:
    """A tree over tags.

    Parameters
    ----------
    tree : Node
        As :func:`query.expression.parser.parse` gives it.
    sources : mapping of str to pair of TagSamples and Rules
        Every tag of the tree, by the name it has there.
    limits : QueryLimits
        Samples read in all, rows held at a time, spans of an answer.

    Raises
    ------
    BadRequest
        For parts of the wrong kind, and products of lines.
    """

    def __init__(
        self,
        tree: Node,
        sources: Mapping[str, tuple[TagSamples, Rules]],
        limits: QueryLimits,
    ) -> None:
        self._tree, self._limits = tree, limits
        self._tags = {name: samples.tag for name, (samples, _) in sources.items()}
        check(tree, {name: tag.type for name, tag in self._tags.items()})
        check_lines(tree, self._tags)
        # A tag under two names is read once.
        first: dict[Tag, str] = {}
        self._same = {name: first.setdefault(tag, name) for name, tag in self._tags.items()}
        self._own = {name: sources[name] for name in first.values()}
        self.samples_used = 0

    @property
    def tags(self) -> tuple[Tag, ...]:
        """Tags of the tree in the order written."""
        return tuple(self._tags[name] for name in tags_of(self._tree))

    @property
    def damage(self) -> tuple[Damage, ...]:
        """What the reads so far had to leave out."""
        return tuple({d: None for samples, _ in self._own.values() for d in samples.damage})

    def spans(self, start_ns: int, end_ns: int) -> Spans:
        """Spans over [start_ns, end_ns), start before end.

        Raises
        ------
        LimitExceeded
            For more than ``limits.scan_rows_max`` samples in all, or ``limits.rows_max`` spans.
        """
        return self.during(np.array([start_ns], np.int64), np.array([end_ns], np.int64))

    def states(self, time_ns: Int64Array) -> Int8Array:
        """State at times in any order, as of spans; raises as :meth:`spans`."""
        if len(time_ns) == 0:
            return np.zeros(0, np.int8)
        times = np.unique(time_ns)
        rows_max = _ROWS_MIN + _ROWS_EACH * len(times)
        return self._during(times, times + 1, rows_max, TIME_MAX_NS).at(time_ns)

    def during(self, start_ns: Int64Array, end_ns: Int64Array) -> Spans:
        """Spans that hold windows; what lies far between them is not read.

        Parameters
        ----------
        start_ns, end_ns : int64, shape (n,)
            Windows [start, end), ascending, none over another; one at least.

        Raises
        ------
        LimitExceeded
            As :meth:`spans`.
        """
        return self._during(start_ns, end_ns, self._limits.chunk_rows, _GAP_NS)

    def _during(
        self, start_ns: Int64Array, end_ns: Int64Array, rows_max: int, gap_ns: int
    ) -> Spans:
        limits, count = self._limits, 0
        parts: list[Spans] = []
        for truths in self._stretches(start_ns, end_ns, min(rows_max, limits.chunk_rows), gap_ns):
            end = np.append(truths.start_ns[1:], np.int64(truths.behind_ns))
            part = Spans(truths.start_ns, end, truths.state)
            count += len(part) - int(len(parts) > 0 and parts[-1].goes_on(part))
            if count > limits.rows_max:
                raise LimitExceeded(
                    "tell when the filter is true",
                    got=f"more than {limits.rows_max} spans",
                    want="a shorter window",
                    where="where",
                )
            parts.append(part)
        return joined(parts)

    def _stretches(
        self, start_ns: Int64Array, end_ns: Int64Array, rows_max: int, gap_ns: int
    ) -> Iterator[Truths]:
        """Truths over stretches that hold the windows, ascending.

        A gap between windows is left out where it is longer than ``gap_ns``, or than what was
        read at once before it.
        """
        window, limits = (int(start_ns[0]), int(end_ns[-1])), self._limits
        sources = {
            name: with_summaries(*source, window, limits) for name, source in self._own.items()
        }
        rows = max(rows_max // max(len(sources), 1), 1)
        breaks = np.flatnonzero(start_ns[1:] - end_ns[:-1] > gap_ns) + 1
        for first, behind in zip([0, *breaks], [*breaks, len(start_ns)], strict=True):
            low, end = int(start_ns[first]), int(end_ns[behind - 1])
            while low < end:
                feeds = {
                    name: Feed(*source, (low, end), limits, rows=rows)
                    for name, source in sources.items()
                }
                for truths in self._pass(feeds, low, end):
                    yield truths
                    read_ns, low = truths.behind_ns - int(truths.start_ns[0]), truths.behind_ns
                    wanted = int(start_ns[min(np.searchsorted(end_ns, low, "right"), behind - 1)])
                    if wanted - low > read_ns:
                        low = wanted
                        break

    def _pass(self, feeds: Mapping[str, Feed], low: int, end: int) -> Iterator[Truths]:
        """Truths over stretches that tile [low, end), neighbours in one joined."""
        types = {name: tag.type for name, tag in self._tags.items()}
        while low < end:
            for feed in feeds.values():
                self.samples_used += feed.read()
                if self.samples_used > self._limits.scan_rows_max:
                    raise too_many(self._limits)
            high = min((feed.known_until_ns for feed in feeds.values()), default=end)
            cut = (low, high)
            found = {name: feed.take(low, high) for name, feed in feeds.items()}
            named = {name: found[first] for name, first in self._same.items()}
            yield Evaluation(types, named, cut).truth(self._tree).joined()
            low = high
