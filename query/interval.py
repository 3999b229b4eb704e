"""Aggregates over windows: facts from a scan, judged by the registry."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from query.aggregates.durations import good_share
from query.aggregates.evidence import Aggregate, Evidence
from query.aggregates.naming import aggregate_named
from query.columns import NUMERIC
from query.facts.gaps import has_gaps
from query.facts.rules import Counter, Rules
from query.folded import found_in
from query.parts import Parts, joined
from query.percentiles import Percentiles, percentiles
from query.plan import AggregatePlan
from query.ports import Holes
from query.request import (
    AggregateRequest,
    CorrelationRequest,
    MomentsRequest,
    QueryLimits,
    SpansRequest,
    StatesRequest,
)
from query.result import AggregateColumn, AggregateResult
from query.series import TIME_MAX_NS, TIME_MIN_NS, TagSamples
from query.summaries import Windows, load, summary_extent
from query.summarised import Answered, answer, untold
from storage_engine.sample import Int64Array

Ruled = SpansRequest | AggregateRequest | MomentsRequest | StatesRequest | CorrelationRequest


def aggregate_windows(
    samples: TagSamples,
    plan: AggregatePlan,
    request: AggregateRequest,
    limits: QueryLimits,
    *,
    now_ns: int | None,
    parts: Parts | None = None,
) -> AggregateResult:
    """Aggregates of one tag over many windows, in the order of the plan.

    Parameters
    ----------
    samples : TagSamples
        Of the tag.
    plan : AggregatePlan
        Windows, which may overlap, and the facts that are wanted.
    request : AggregateRequest
        Names and rules; its own window is not looked at.
    limits : QueryLimits
        Bounds of the scan.
    now_ns : int or None
        Until when the newest sample is known to hold; None: it covers one tick.
    parts : Parts or None
        Parts of the windows that alone count, one at least of each; None: all of them.
    """
    tag = samples.tag
    extent = _extent(samples)
    first_ns, last_ns = extent if extent is not None else (TIME_MAX_NS, TIME_MIN_NS)
    rules = _rules(samples, request, last_ns, now_ns)
    if "increase" in plan.facts:
        rules = replace(rules, counter=_counter(samples))
    wanted = (*plan.facts, "gaps") if has_gaps(rules) else plan.facts
    data_end_ns = rules.data_end_ns
    start, end = windows = plan.start_ns, plan.end_ns
    cut = windows if parts is None else (parts.start_ns, parts.end_ns)
    found = _found(samples, cut, rules, limits, wanted)
    if parts is not None:
        found = joined(found, parts, rules, request.resolution_ns, first_ns=first_ns)
    facts = found.facts
    before = (end <= first_ns) | found.blind
    outside = before | (start >= data_end_ns)
    asked = {name: aggregate_named(name) for name in request.aggregates}
    owned = (np.arange(len(start)) if parts is None else parts.owner, *cut)
    evidence = Evidence(
        facts,
        start,
        end,
        before,
        outside,
        ~outside & ((start < first_ns) | (end > data_end_ns)),
        data_end_ns,
        request.resolution_ns,
        rules.stepped,
        request.treat_uncertain_as_bad,
        request.percent_data_bad,
        request.percent_data_good,
        _annotations(samples, asked.values(), parts),
        tag.eng_unit,
        _percentiles(samples, asked.values(), found, owned, limits),
        plan.elsewhere,
    )
    columns = {name: one.compute(evidence) for name, one in asked.items()}
    return _result(samples, plan, evidence, columns, found.summary_ns)


def _result(
    samples: TagSamples,
    plan: AggregatePlan,
    evidence: Evidence,
    columns: dict[str, AggregateColumn],
    summary_ns: Int64Array,
) -> AggregateResult:
    """Columns, and what they stand on."""
    start, end, facts = plan.start_ns, plan.end_ns, evidence.facts
    counts = facts.counts
    return AggregateResult(
        samples.tag,
        start,
        end,
        columns,
        good_share(evidence),
        np.asarray(counts.good + counts.uncertain + counts.bad, dtype=np.int64),
        evidence.partial,
        summary_ns,
        plan.labels,
        gap_ns=np.zeros(len(start), np.int64) if facts.gaps is None else facts.gaps.gap_ns,
        edited=samples.edited(start, end),
    )


def _found(
    samples: TagSamples,
    windows: Windows,
    rules: Rules,
    limits: QueryLimits,
    wanted: tuple[str, ...],
) -> Answered:
    """Facts of windows from summaries where raw samples are gone, folds, or a scan."""
    rows = load(samples, windows, limits)
    if rows is not None:
        return answer(samples, rows, windows, rules, limits, wanted=wanted)
    nothing = np.zeros(len(windows[0]), np.int64)
    return Answered(found_in(samples, windows, rules, limits, wanted), nothing, nothing > 0)


def _annotations(
    samples: TagSamples, asked: Iterable[Aggregate], parts: Parts | None
) -> Int64Array:
    if not any(one.annotations for one in asked):
        return np.zeros(0, np.int64)
    times = samples.annotations()
    return times if parts is None else times[parts.hold(times)]


def _percentiles(
    samples: TagSamples,
    asked: Iterable[Aggregate],
    found: Answered,
    owned: tuple[Int64Array, Int64Array, Int64Array],
    limits: QueryLimits,
) -> Percentiles | None:
    """Percentiles of intervals, if any is asked for; raises BadRequest where samples are gone."""
    shares = {one.percentile for one in asked if one.percentile is not None}
    if not shares:
        return None
    if (found.summary_ns > 0).any() or found.blind.any():
        raise untold(samples, "Percentile", "no percentile")
    return percentiles(samples, owned, found.facts.counts.good, shares, limits)


def _counter(samples: TagSamples) -> Counter:
    tag = samples.tag
    declared = tuple(samples.declarations())
    return Counter(tag.counter_modulus, tag.counter_rate_max, tag.counter_resets, declared)


def rules_of(samples: TagSamples, request: MomentsRequest, now_ns: int | None) -> Rules:
    """Rules of a request for values at times."""
    newest = samples.previous(TIME_MAX_NS)
    told = summary_extent(samples)
    last_ns = int(newest.timestamp_ns[0]) if len(newest) else TIME_MIN_NS
    return _rules(samples, request, last_ns if told is None else max(last_ns, told[1]), now_ns)


def rules_for_others(request: Ruled) -> MomentsRequest:
    """Rules of a request, for other tags than the one it asks about."""
    return MomentsRequest(
        (),
        treat_uncertain_as_bad=request.treat_uncertain_as_bad,
        resolution_ns=request.resolution_ns,
        gaps=request.gaps,
    )


def _rules(
    samples: TagSamples,
    request: AggregateRequest | MomentsRequest,
    last_ns: int,
    now_ns: int | None,
) -> Rules:
    """Rules of a request for a tag whose newest sample is at ``last_ns``."""
    tag = samples.tag
    data_end_ns = last_ns + request.resolution_ns
    if now_ns is not None and last_ns > TIME_MIN_NS:
        data_end_ns = max(data_end_ns, now_ns)
    stepped = tag.stepped if request.stepped is None else request.stepped
    return Rules(
        stepped=stepped or tag.type not in NUMERIC,
        treat_uncertain_as_bad=request.treat_uncertain_as_bad,
        use_sloped_extrapolation=request.use_sloped_extrapolation and now_ns is None,
        data_end_ns=data_end_ns,
        hold=now_ns is not None,
        hold_max_ns=tag.hold_max_ns if request.gaps else None,
        holes=samples.holes if request.gaps else Holes.none(),
    )


def _extent(samples: TagSamples) -> tuple[int, int] | None:
    """Times of the oldest and the newest sample, those that only summaries tell of among them."""
    known = [one for one in (samples.extent(), summary_extent(samples)) if one is not None]
    return (min(one[0] for one in known), max(one[1] for one in known)) if known else None
