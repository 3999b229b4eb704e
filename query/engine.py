"""The reads: request -> plan -> steps -> columns. Storage and names come in by the ports."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from query.aggregates.naming import aggregate_named
from query.converted import (
    aggregates_in,
    check_aggregates,
    conversion_of,
    latest_in,
    moments_in,
    samples_in,
    tag_in,
)
from query.correlation import answer_correlation
from query.drawing import Drawing
from query.errors import LimitExceeded
from query.expression.condition import Condition
from query.filtered import (
    aggregate_where,
    among_others,
    plan_spans,
    read_raw_where,
    read_spans,
)
from query.filters import Filters, rules_for_filter
from query.interval import aggregate_windows, rules_for_others, rules_of
from query.intervals import NO_CALENDARS, Calendars, Intervals, cut
from query.joins.join import Joins, JoinTimesResult, JoinWindowsResult
from query.joins.overlaps import Intervals as Spans
from query.joins.overlaps import Overlaps, overlaps
from query.joins.request import JoinTimesRequest, JoinWindowsRequest
from query.latest import read_latest
from query.moments import values_at
from query.parallel import in_parallel
from query.plan import plan_aggregate, plan_moments, plan_plot, plan_raw
from query.ports import SampleReader, Tag, TagResolver
from query.raw import read_pages, read_raw
from query.raw_many import read_recent
from query.request import (
    AggregateRequest,
    CorrelationRequest,
    CutRequest,
    MomentsRequest,
    PlotRequest,
    QueryLimits,
    RawRequest,
    SpansRequest,
    StatesRequest,
)
from query.result import (
    AggregateResult,
    CorrelationResult,
    LatestResult,
    MomentsColumn,
    MomentsResult,
    PlotResult,
    RawResult,
    SpansResult,
    StatesResult,
)
from query.series import TagSamples
from query.states import answer_states
from storage_engine.sample import Damage, Int64Array

_R = TypeVar("_R")


class Query:
    """Answers questions about samples.

    Parameters
    ----------
    reader : SampleReader
        Holds the samples.
    resolver : TagResolver
        Knows the names.
    clock_now : callable
        Nanoseconds since 1970, UTC.
    limits : QueryLimits
        Bounds of one answer.
    calendars : mapping of str to ShiftCalendar
        Shifts by name of their calendar.

    Notes
    -----
    Safe for threads as far as reader and resolver are; keeps no state but that of a question.
    """

    def __init__(
        self,
        reader: SampleReader,
        resolver: TagResolver,
        clock_now: Callable[[], int],
        limits: QueryLimits | None = None,
        calendars: Calendars = NO_CALENDARS,
    ) -> None:
        self._reader = reader
        self._resolver = resolver
        self._clock_now = clock_now
        self.limits = limits or QueryLimits()
        self.calendars = calendars
        self._filters: Filters | None = None

    def question(self) -> "Query":
        """Give the same reads as one question, however many tags it is asked about.

        Now is one time in all of it, and a filter that its reads have in common is evaluated
        once for each time.
        """
        now_ns = self._clock_now()
        asked = Query(self._reader, self._resolver, lambda: now_ns, self.limits, self.calendars)
        asked._filters = Filters(self._resolver, asked._samples, self.limits, remember=True)
        return asked

    def latest(self, names: Sequence[str], eng_unit: str | None = None) -> LatestResult:
        """Newest sample of each tag, perhaps in another unit of measure.

        Raises
        ------
        UnknownTag
            For the first name that is no tag.
        BadRequest
            See ``query.converted.conversion_of``.
        LimitExceeded
            For more than ``limits.tags_max`` names.
        """
        if len(names) > self.limits.tags_max:
            raise LimitExceeded(
                "read latest",
                got=f"{len(names)} tags",
                want=f"at most {self.limits.tags_max}",
                where="tag",
            )
        tags = tuple(self._resolver.resolve(name) for name in names)
        for tag in tags:
            conversion_of(tag, eng_unit)
        return latest_in(read_latest(self._reader, tags, self._clock_now), eng_unit)

    def raw(self, request: RawRequest) -> RawResult:
        """Stored samples of a tag, with bounding values where wanted.

        Raises
        ------
        UnknownTag
        BadRequest
            See ``plan_raw``; also for a continuation that does not belong to the request.
        LimitExceeded
            When there are more than ``limits.rows_max`` rows and no ``max_count`` was given.
        """
        tag = self._resolver.resolve(request.tag)
        into = conversion_of(tag, request.eng_unit)
        plan = plan_raw(request, self.limits)
        if self._reader.keeps_all(tag.series):
            request = replace(request, all_revisions=True)
        samples = self._samples(tag, request.known_at_lsn)
        samples.numbers = into is not None
        if request.where is None:
            result = read_raw(samples, request, plan, self.limits)
            return samples_in(replace(result, damage=samples.damage), request.eng_unit)
        condition = self._condition(request.where, rules_for_filter(request))
        result = read_raw_where(condition, samples, request, plan, self.limits)
        result = replace(result, damage=_all(samples.damage, condition.damage))
        return samples_in(result, request.eng_unit)

    def raw_many(self, names: Sequence[str], request: RawRequest) -> list[RawResult]:
        """Raw samples of many tags, as :meth:`raw` gives those of each; raises as :meth:`many`."""
        found = read_recent(self._reader, self.tags(names), request, self.limits)
        others = [name for name, told in zip(names, found, strict=True) if told is None]
        read = iter(self.many(others, lambda name: self.raw(replace(request, tag=name)), len))
        answers = [next(read) if told is None else told for told in found]
        if sum(map(len, answers)) > self.limits.values_max:
            raise self._too_many()
        return answers

    def raw_pages(self, request: RawRequest) -> Iterator[RawResult]:
        """All of a raw read in pages of ``limits.chunk_rows``; raises as :meth:`raw`.

        Pages are of one state where ``known_at_lsn`` is said; no number of rows is too many, and
        the request says none.
        """
        plan_raw(request, self.limits)
        return read_pages(self.raw, request, min(self.limits.chunk_rows, self.limits.rows_max))

    def aggregate(self, request: AggregateRequest) -> AggregateResult:
        """Aggregates of a tag per interval.

        Raises
        ------
        UnknownTag
        BadRequest, LimitExceeded
            See ``plan_aggregate``.
        """
        tag = self._resolver.resolve(request.tag)
        plan = plan_aggregate(request, tag, self.limits, self.calendars)
        check_aggregates(tag, request.aggregates, request.eng_unit)
        samples = self._samples(tag, request.known_at_lsn)
        now_ns = self._clock_now() if request.hold_last else None
        others = self._others(request)
        plan = replace(plan, elsewhere=partial(self._elsewhere, others, request, now_ns))
        if request.where is None:
            result = aggregate_windows(samples, plan, request, self.limits, now_ns=now_ns)
            seen = samples.damage
        else:
            condition = self._condition(request.where, request)
            result = aggregate_where(condition, samples, plan, request, self.limits, now_ns=now_ns)
            seen = _all(samples.damage, condition.damage)
        damage = _all(seen, *(one.damage for one in others.values()))
        return aggregates_in(replace(result, damage=damage), request.eng_unit)

    def _others(self, request: AggregateRequest) -> dict[str, TagSamples]:
        """Tags whose values aggregates want, by name."""
        asked = dict.fromkeys(aggregate_named(name).other for name in request.aggregates)
        lsn = request.known_at_lsn
        return {name: self._samples(self._resolver.resolve(name), lsn) for name in asked if name}

    def _elsewhere(
        self,
        others: dict[str, TagSamples],
        request: AggregateRequest,
        now_ns: int | None,
        name: str,
        time_ns: Int64Array,
    ) -> MomentsColumn:
        """Values of one of the others at times."""
        samples = others[name]
        rules = rules_of(samples, rules_for_others(request), now_ns)
        return values_at(samples, time_ns, rules, self.limits, simple=True)

    def _samples(self, tag: Tag, known_at_lsn: int | None) -> TagSamples:
        holes = self._resolver.not_collected(tag)
        told = partial(self._resolver.declarations, tag)
        return TagSamples(
            self._reader, tag, known_at_lsn=known_at_lsn, holes=holes, declarations=told
        )

    def tags(self, names: Sequence[str], eng_unit: str | None = None) -> list[Tag]:
        """Tags of names; raises UnknownTag, and LimitExceeded above ``limits.tags_max``."""
        what, most = "ask many tags", self.limits.tags_max
        if len(names) > most:
            got, want = f"{len(names)} tags", f"at most {most}"
            raise LimitExceeded(what, got=got, want=want, where="tag")
        return [tag_in(self._resolver.resolve(name), eng_unit) for name in names]

    def many(
        self, names: Sequence[str], ask: Callable[[str], _R], size: Callable[[_R], int]
    ) -> list[_R]:
        """One question about many tags, several of them at a time.

        Parameters
        ----------
        names : sequence of str
        ask : callable
            Name -> answer; one of the reads of this class.
        size : callable
            Answer -> how many values it has.

        Returns
        -------
        list
            In the order of the names.

        Raises
        ------
        UnknownTag
            For the first name that is no tag, before anything is read.
        LimitExceeded
            For more than ``limits.tags_max`` names, or ``limits.values_max`` values in all.
        """
        self.tags(names)
        total = 0

        def one(name: str) -> _R:
            nonlocal total
            if total > self.limits.values_max:
                raise self._too_many()
            answer = ask(name)
            total += size(answer)  # what a race loses is counted below
            return answer

        found = in_parallel(one, names)
        if sum(map(size, found)) > self.limits.values_max:
            raise self._too_many()
        return found

    def _too_many(self) -> LimitExceeded:
        got, want = f"more than {self.limits.values_max} values", "fewer tags or a shorter window"
        return LimitExceeded("ask many tags", got=got, want=want, where="tag")

    def cut(self, request: CutRequest) -> Intervals:
        """Intervals of a window, for reads of other rooms; raises as ``query.intervals.cut``."""
        return cut("cut into intervals", request, self.limits, self.calendars)

    def at(self, request: MomentsRequest) -> MomentsResult:
        """Values of tags at given times, or at the beginnings of intervals.

        Raises
        ------
        UnknownTag
            For the first name that is no tag.
        BadRequest, LimitExceeded
            See ``plan_moments``; and of a filter as :meth:`spans`.
        """
        times = plan_moments(request, self.limits, self.calendars)
        tags = self.tags(request.tags)
        for tag in tags:
            conversion_of(tag, request.eng_unit)
        now_ns = self._clock_now() if request.hold_last else None
        condition, state, asked = None, None, times
        if request.where is not None:
            condition = self._condition(request.where, request)
            state = condition.states(times)
            asked = times[state == 1]
        columns = []
        for tag in tags:
            samples = self._samples(tag, request.known_at_lsn)
            rules = rules_of(samples, request, now_ns)
            simple = request.bounds == "simple"
            found = values_at(samples, asked, rules, self.limits, simple=simple)
            found = found if state is None else among_others(found, state)
            columns.append(moments_in(found, request.eng_unit))
        damage = () if condition is None else condition.damage
        return MomentsResult(times, tuple(columns), state, damage)

    def join_windows(self, request: JoinWindowsRequest) -> JoinWindowsResult:
        """What tags did during windows; raises as ``query.joins.join.Joins.windows``."""
        return self._joins().windows(request, self._clock_now() if request.hold_last else None)

    def join_times(self, request: JoinTimesRequest) -> JoinTimesResult:
        """Samples of tags that belong to times; raises as ``query.joins.join.Joins.times``."""
        return self._joins().times(request)

    def join_overlaps(self, left: Spans, right: Spans, *, least_ns: int = 1) -> Overlaps:
        """Pairs of two sets of intervals that share time; see ``query.joins.overlaps``."""
        return overlaps(left, right, self.limits, least_ns=least_ns)

    def _joins(self) -> Joins:
        return Joins(self._resolver.resolve, self._samples, self.limits)

    def spans(self, request: SpansRequest) -> SpansResult:
        """When a filter over tags is true, false, and not known.

        Raises
        ------
        UnknownTag
            For the first name that is no tag.
        BadRequest, LimitExceeded
            See ``plan_spans``, ``query.expression.parser.parse`` and ``Condition``.
        """
        plan_spans(request)
        return read_spans(self._condition(request.where, request), request)

    def _condition(
        self, where: str, request: SpansRequest | AggregateRequest | MomentsRequest
    ) -> Condition:
        """Read a filter, with its tags by the rules of a request; in a question once."""
        filters = self._filters or Filters(self._resolver, self._samples, self.limits)
        return filters.get(where, request, self._clock_now() if request.hold_last else None)

    def states(self, request: StatesRequest) -> StatesResult:
        """Time in each state of a tag per interval; raises as ``query.states.answer_states``."""
        samples = self._samples(self._resolver.resolve(request.tag), request.known_at_lsn)
        now_ns = self._clock_now() if request.hold_last else None
        return answer_states(samples, request, self.limits, self.calendars, now_ns=now_ns)

    def correlation(self, request: CorrelationRequest) -> CorrelationResult:
        """Correlation of two tags; raises as ``query.correlation.answer_correlation``."""
        tags = (self._resolver.resolve(name) for name in (request.x, request.y))
        x, y = (self._samples(tag, request.known_at_lsn) for tag in tags)
        now_ns = self._clock_now() if request.hold_last else None
        return answer_correlation((x, y), request, self.limits, self.calendars, now_ns=now_ns)

    def plot(self, request: PlotRequest) -> PlotResult:
        """Few real samples that draw the same line as all of them.

        Raises
        ------
        UnknownTag
        BadRequest, LimitExceeded
            See ``plan_plot``; and of a filter as :meth:`spans`.
        """
        tag = self._resolver.resolve(request.tag)
        edges = plan_plot(request, tag, self.limits)
        conversion_of(tag, request.eng_unit)
        samples = self._samples(tag, request.known_at_lsn)
        condition = None
        if request.where is not None:
            condition = self._condition(request.where, rules_for_filter(request))
        result = Drawing(samples, request, edges, self.limits, condition).result()
        return samples_in(result, request.eng_unit)


def _all(*parts: Sequence[Damage]) -> tuple[Damage, ...]:
    return tuple(dict.fromkeys(one for part in parts for one in part))
