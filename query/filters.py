"""Filters as texts become conditions, with their tags by the rules of what is asked."""

from collections.abc import Callable, Hashable
from threading import RLock

from query.expression.condition import Condition
from query.expression.parser import parse
from query.expression.remembering import RememberingCondition
from query.expression.tree import tags_of
from query.facts.rules import Rules
from query.interval import rules_for_others, rules_of
from query.ports import Tag, TagResolver
from query.request import (
    AggregateRequest,
    MomentsRequest,
    PlotRequest,
    QueryLimits,
    RawRequest,
    SpansRequest,
)
from query.series import TagSamples


class Filters:
    """Makes conditions; with ``remember``, those of one question, each once.

    Parameters
    ----------
    resolver : TagResolver
    samples_of : callable
        Tag, known_at_lsn -> its samples.
    limits : QueryLimits
    remember : bool
        Safe for threads then.
    """

    def __init__(
        self,
        resolver: TagResolver,
        samples_of: Callable[[Tag, int | None], TagSamples],
        limits: QueryLimits,
        *,
        remember: bool = False,
    ) -> None:
        self._resolver, self._samples_of, self._limits = resolver, samples_of, limits
        self._kind = RememberingCondition if remember else Condition
        self._lock = RLock()
        self._made: dict[Hashable, Condition] = {}

    def get(
        self,
        where: str,
        request: SpansRequest | AggregateRequest | MomentsRequest,
        now_ns: int | None,
    ) -> Condition:
        """Condition of a filter; ``now_ns``: until when newest samples hold.

        Raises
        ------
        UnknownTag
        BadRequest
            See ``query.expression.parser.parse`` and ``Condition``.
        """
        key = (
            where,
            request.treat_uncertain_as_bad,
            request.hold_last,
            request.resolution_ns,
            request.gaps,
            request.known_at_lsn,
        )
        with self._lock:
            if key not in self._made:
                self._made[key] = self._make(where, request, now_ns)
            return self._made[key]

    def _make(
        self,
        where: str,
        request: SpansRequest | AggregateRequest | MomentsRequest,
        now_ns: int | None,
    ) -> Condition:
        tree, rules = parse(where), rules_for_others(request)
        sources: dict[str, tuple[TagSamples, Rules]] = {}
        own: dict[Tag, tuple[TagSamples, Rules]] = {}
        for name in tags_of(tree):
            tag = self._resolver.resolve(name)
            if tag not in own:
                samples = self._samples_of(tag, request.known_at_lsn)
                own[tag] = (samples, rules_of(samples, rules, now_ns))
            sources[name] = own[tag]
        return self._kind(tree, sources, self._limits)


def rules_for_filter(request: RawRequest | PlotRequest) -> MomentsRequest:
    """Rules of a filter of a read that has none of its own."""
    return MomentsRequest(
        (),
        treat_uncertain_as_bad=request.treat_uncertain_as_bad,
        hold_last=request.hold_last,
        known_at_lsn=request.known_at_lsn,
    )
