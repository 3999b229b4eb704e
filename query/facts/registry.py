"""Every kind of facts: how samples give them, how pieces join, what they need around a piece."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from query.facts.area import AreaFacts, area_facts
from query.facts.bounds import (
    BoundFacts,
    InterpolatedFacts,
    bound_facts,
    interpolated_facts,
    join_bounds,
    join_interpolated,
)
from query.facts.counts import CountFacts, WorstFacts, count_facts, join_worst, worst_facts
from query.facts.edges import (
    EdgeFacts,
    TransitionFacts,
    edge_facts,
    join_edges,
    transition_facts,
)
from query.facts.extremes import (
    ExtremeFacts,
    extreme_facts,
    join_extremes,
    usable_extreme_facts,
)
from query.facts.gaps import GapFacts, gap_facts
from query.facts.increase import IncreaseFacts, increase_facts, join_increase
from query.facts.joining import Firsts, added
from query.facts.moments import (
    MomentFacts,
    SumFacts,
    join_moments,
    moment_facts,
    sum_facts,
)
from query.facts.regions import RegionFacts, StateFacts, region_facts, state_facts
from query.facts.rules import Rules, Windows
from query.facts.trend import TrendFacts, join_trends, trend_facts
from query.series import Signal
from storage_engine.sample import ValueType


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of facts.

    Attributes
    ----------
    kernel : callable
        Samples, windows, rules -> facts, one row per window.
    join : callable
        Facts of pieces, where the pieces of each window begin -> facts of windows.
    usable_around : bool
        Wants the nearest usable samples around a piece; else the nearest of any quality will do.
    native : tuple of str
        Fields in the samples' own type.
    by_time : bool
        Goes by time, so that gaps count; else it sees the samples that were written, alone.
    draws : bool
        Draws a line through samples, however the tag is: a value that goes on is none.
    """

    kernel: Callable[[Signal, Windows, Rules], Any]
    join: Callable[[Any, Firsts], Any] = added
    usable_around: bool = False
    native: tuple[str, ...] = field(default=())
    by_time: bool = False
    draws: bool = False


_EXTREMES = ("minimum", "maximum")
_EDGES = ("first", "last", "first_good", "last_good")

# The name is the field of Facts.
KINDS: dict[str, Kind] = {
    "counts": Kind(count_facts),
    "regions": Kind(region_facts, by_time=True),
    "gaps": Kind(gap_facts, by_time=True),
    "extremes": Kind(extreme_facts, join_extremes, native=_EXTREMES),
    "usable_extremes": Kind(usable_extreme_facts, join_extremes, native=_EXTREMES, by_time=True),
    "area": Kind(area_facts, usable_around=True, by_time=True, draws=True),
    "sums": Kind(sum_facts),
    "moments": Kind(moment_facts, join_moments),
    "edges": Kind(edge_facts, join_edges, native=_EDGES),
    "bounds": Kind(bound_facts, join_bounds, native=("start", "end"), by_time=True),
    "interpolated": Kind(
        interpolated_facts,
        join_interpolated,
        usable_around=True,
        native=("value",),
        by_time=True,
    ),
    "states": Kind(state_facts, by_time=True),
    "transitions": Kind(transition_facts, usable_around=True),
    "worst": Kind(worst_facts, join_worst),
    "increase": Kind(increase_facts, join_increase, usable_around=True, by_time=True, draws=True),
    "trend": Kind(trend_facts, join_trends),
}
ALWAYS = ("counts", "regions")


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of every window, in the order the windows were given.

    All but ``counts`` and ``regions`` are there only when asked for. ``number_type`` is the type
    of values: the samples' own, or float64 where series of several types met.
    """

    number_type: ValueType
    counts: CountFacts
    regions: RegionFacts
    gaps: GapFacts | None = None
    extremes: ExtremeFacts | None = None
    usable_extremes: ExtremeFacts | None = None
    area: AreaFacts | None = None
    sums: SumFacts | None = None
    moments: MomentFacts | None = None
    edges: EdgeFacts | None = None
    bounds: BoundFacts | None = None
    interpolated: InterpolatedFacts | None = None
    states: StateFacts | None = None
    transitions: TransitionFacts | None = None
    worst: WorstFacts | None = None
    increase: IncreaseFacts | None = None
    trend: TrendFacts | None = None
