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
from query.expression.spans import Spans
from query.expression.tree import Node, tags_of
from query.facts.rules import Rules
from query.ports import Tag
from query.request import QueryLimits
from query.series import TagSamples
from storage_engine.sample import Damage, Int64Array


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
        self._tree, self._sources, self._limits = tree, sources, limits
        self._tags = {name: samples.tag for name, (samples, _) in sources.items()}
        check(tree, {name: tag.type for name, tag in self._tags.items()})
        check_lines(tree, self._tags)
        self.samples_used = 0

    @property
    def tags(self) -> tuple[Tag, ...]:
        """Tags of the tree in the order written."""
        return tuple(self._tags[name] for name in tags_of(self._tree))

    @property
    def damage(self) -> tuple[Damage, ...]:
        """What the reads so far had to leave out."""
        return tuple({d: None for samples, _ in self._sources.values() for d in samples.damage})

    def spans(self, start_ns: int, end_ns: int) -> Spans:
        """Spans over [start_ns, end_ns), start before end.

        Raises
        ------
        LimitExceeded
            For more than ``limits.scan_rows_max`` samples in all, or ``limits.rows_max`` spans.
        """
        starts: list[Int64Array] = []
        states: list[Int8Array] = []
        count, newest = 0, np.zeros(0, np.int8)
        for truths in self._stretches(start_ns, end_ns):
            fresh = slice(int(len(newest) > 0 and newest[-1] == truths.state[0]), None)
            starts.append(truths.start_ns[fresh])
            states.append(truths.state[fresh])
            newest = truths.state[-1:]
            count += len(starts[-1])
            if count > self._limits.rows_max:
                raise LimitExceeded(
                    "tell when the filter is true",
                    got=f"more than {self._limits.rows_max} spans",
                    want="a shorter window",
                    where="where",
                )
        start = np.concatenate(starts)
        return Spans(start, np.append(start[1:], np.int64(end_ns)), np.concatenate(states))

    def _stretches(self, start_ns: int, end_ns: int) -> Iterator[Truths]:
        """Truths over stretches that tile the window, neighbours in one joined."""
        limits = self._limits
        rows = max(limits.chunk_rows // max(len(self._sources), 1), 1)
        window = (start_ns, end_ns)
        feeds = {
            name: Feed(*with_summaries(*source, window, limits), window, limits, rows=rows)
            for name, source in self._sources.items()
        }
        types = {name: tag.type for name, tag in self._tags.items()}
        low = start_ns
        while low < end_ns:
            for feed in feeds.values():
                self.samples_used += feed.read()
                if self.samples_used > limits.scan_rows_max:
                    raise too_many(limits)
            high = min((feed.known_until_ns for feed in feeds.values()), default=end_ns)
            cut = (low, high)
            found = {name: feed.take(low, high) for name, feed in feeds.items()}
            yield Evaluation(types, found, cut).truth(self._tree).joined()
            low = high
