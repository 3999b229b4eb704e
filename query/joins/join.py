"""The joins as questions: names become tags, times are shifted, tags are shared among threads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from query.columns import NUMERIC
from query.converted import as_of_in, band_in, conversion_of, windows_in
from query.errors import BadRequest, LimitExceeded
from query.interval import rules_of
from query.intervals import check_times
from query.joins.as_of import AsOf
from query.joins.request import JoinTag, JoinTimesRequest, JoinWindowsRequest
from query.joins.windows import JoinedWindows, join_tag_windows
from query.parallel import in_parallel
from query.plan import check_windows
from query.ports import Tag
from query.request import MomentsRequest, QueryLimits
from query.result import AsOfResult
from query.series import TIME_MAX_NS, TagSamples
from storage_engine.sample import Damage, Int64Array

SamplesOf = Callable[[Tag, int | None], TagSamples]


@dataclass(frozen=True, slots=True)
class JoinWindowsResult:
    """What tags did during windows, one entry per tag in the order asked for."""

    tags: tuple[Tag, ...]
    start_ns: Int64Array
    end_ns: Int64Array
    columns: tuple[JoinedWindows, ...]
    damage: tuple[Damage, ...] = ()


@dataclass(frozen=True, slots=True)
class JoinTimesResult:
    """Samples that belong to times, one entry per tag; times of samples are not shifted back."""

    tags: tuple[Tag, ...]
    time_ns: Int64Array
    columns: tuple[AsOfResult, ...]
    damage: tuple[Damage, ...] = ()


class Joins:
    """Answers joins of times and windows with tags.

    Parameters
    ----------
    resolve : callable
        Name -> tag.
    samples_of : callable
        Tag, known_at_lsn -> its samples.
    limits : QueryLimits
    """

    def __init__(
        self, resolve: Callable[[str], Tag], samples_of: SamplesOf, limits: QueryLimits
    ) -> None:
        self._resolve = resolve
        self._samples_of = samples_of
        self._limits = limits

    def windows(self, request: JoinWindowsRequest, now_ns: int | None) -> JoinWindowsResult:
        """Join windows; ``now_ns``: until when newest samples hold.

        Raises
        ------
        UnknownTag
        BadRequest
            For no tags, a tag that is no number, a band that ends before it begins, an empty
            window, or times beyond the calendar.
        LimitExceeded
        """
        what = "join windows"
        check_windows(what, request.start_ns, request.end_ns, self._limits)
        tags = self._tags(what, request.tags, len(request.start_ns))
        for tag, asked in zip(tags, request.tags, strict=True):
            if tag.type not in NUMERIC:
                got = f"a {tag.type.name.lower()} tag"
                raise BadRequest(what, got=got, want="a number or bool", where=f"tag {tag.name!r}")
            if not asked.low <= asked.high:
                got = f"{asked.low} to {asked.high}"
                raise BadRequest(what, got=got, want="low up to high", where=f"tag {tag.name!r}")
        rules = MomentsRequest(
            (),
            treat_uncertain_as_bad=request.treat_uncertain_as_bad,
            stepped=request.stepped,
            gaps=request.gaps,
        )
        held = [self._samples_of(tag, request.known_at_lsn) for tag in tags]

        def work(pair: tuple[TagSamples, JoinTag]) -> JoinedWindows:
            samples, asked = pair
            self._check_shift(what, asked, request.start_ns, request.end_ns)
            windows = (request.start_ns, request.end_ns)
            made = rules_of(samples, rules, now_ns)
            banded = band_in(asked, samples.tag)
            return join_tag_windows(samples, banded, windows, made, self._limits)

        columns = in_parallel(work, list(zip(held, request.tags, strict=True)))
        told = zip(columns, tags, request.tags, strict=True)
        made = [windows_in(one, tag, asked.eng_unit) for one, tag, asked in told]
        return JoinWindowsResult(
            tuple(tag for tag, _ in made),
            request.start_ns,
            request.end_ns,
            tuple(one for _, one in made),
            _damage(held),
        )

    def times(self, request: JoinTimesRequest) -> JoinTimesResult:
        """Join times.

        Raises
        ------
        UnknownTag
        BadRequest
            For no tags, an unknown direction, a negative age, or times beyond the calendar.
        LimitExceeded
        """
        what = "join times"
        if request.direction not in ("backward", "forward", "nearest"):
            raise BadRequest(
                what,
                got=repr(request.direction),
                want="backward, forward or nearest",
                where="direction",
            )
        if request.max_age_ns is not None and request.max_age_ns < 0:
            raise BadRequest(what, got=request.max_age_ns, want="0 or more", where="max_age_ns")
        if len(request.time_ns) > self._limits.intervals_max:
            got, want = f"{len(request.time_ns)} times", f"at most {self._limits.intervals_max}"
            raise LimitExceeded(what, got=got, want=want, where="time_ns")
        tags = self._tags(what, request.tags, len(request.time_ns))
        held = [self._samples_of(tag, request.known_at_lsn) for tag in tags]
        worst = (0 if request.treat_uncertain_as_bad else 1) if request.usable else None

        def work(pair: tuple[TagSamples, JoinTag]) -> AsOfResult:
            samples, asked = pair
            self._check_shift(what, asked, request.time_ns, request.time_ns)
            samples.numbers = conversion_of(samples.tag, asked.eng_unit) is not None
            finder = AsOf(samples, self._limits, strict=request.strict, worst=worst)
            times = request.time_ns + asked.shift_ns
            return finder.find(times, request.direction, max_age_ns=request.max_age_ns)

        columns = in_parallel(work, list(zip(held, request.tags, strict=True)))
        told = zip(columns, tags, request.tags, strict=True)
        made = [as_of_in(one, tag, asked.eng_unit) for one, tag, asked in told]
        of, found = tuple(tag for tag, _ in made), tuple(one for _, one in made)
        return JoinTimesResult(of, request.time_ns, found, _damage(held))

    def _tags(self, what: str, asked: Sequence[JoinTag], rows: int) -> tuple[Tag, ...]:
        if not asked:
            raise BadRequest(what, got="no tags", want="one or more", where="tags")
        most = self._limits.values_max
        for count, bound, of in (
            (len(asked), self._limits.tags_max, "tags"),
            (len(asked) * rows, most, "values"),
        ):
            if count > bound:
                raise LimitExceeded(
                    what, got=f"{count} {of}", want=f"at most {bound}", where="tags"
                )
        tags = tuple(self._resolve(one.tag) for one in asked)
        for tag, one in zip(tags, asked, strict=True):
            conversion_of(tag, one.eng_unit)
        return tags

    @staticmethod
    def _check_shift(what: str, asked: JoinTag, low: Int64Array, high: Int64Array) -> None:
        if abs(asked.shift_ns) > TIME_MAX_NS:
            got = asked.shift_ns
            raise BadRequest(what, got=got, want="a shift of years at most", where="shift_ns")
        if len(low):
            check_times(what, int(low.min()) + asked.shift_ns, int(high.max()) + asked.shift_ns)


def _damage(held: Sequence[TagSamples]) -> tuple[Damage, ...]:
    return tuple(dict.fromkeys(one for samples in held for one in samples.damage))
