"""The aggregates: those of OPC 10000-13, and others. To add one: a function and a line below.

An aggregate turns the facts of intervals into values and status codes; it never sees samples.
Where the standard's text and its example tables differ, or leave a choice, `docs/query.md` says
which reading is followed.
"""

from query.aggregates import (
    averages,
    bounds,
    counters,
    counts,
    durations,
    edges,
    extremes,
    qualities,
    spreads,
    trends,
)
from query.aggregates.evidence import Aggregate
from query.aggregates.measure import (
    DIFFERENCE,
    INTEGRAL,
    OTHER,
    RATE,
    SQUARE,
    VALUE,
    VALUE_TIME,
)

_BOTH = ("usable_extremes", "bounds")

# Name -> rule; one line each. Names are those of OPC 10000-13.
STANDARD: dict[str, Aggregate] = {
    "Interpolative": Aggregate(bounds.interpolative, VALUE, ("interpolated",), numeric=False),
    "Average": Aggregate(averages.average, VALUE, ("sums",)),
    "TimeAverage": Aggregate(averages.time_average, VALUE, ("area",)),
    "TimeAverage2": Aggregate(averages.time_average_2, VALUE),
    "Total": Aggregate(averages.total, VALUE_TIME, ("area",)),
    "Total2": Aggregate(averages.total_2, VALUE_TIME),
    "Minimum": Aggregate(extremes.minimum, VALUE, ("extremes",)),
    "Maximum": Aggregate(extremes.maximum, VALUE, ("extremes",)),
    "MinimumActualTime": Aggregate(extremes.minimum_actual_time, VALUE, ("extremes",)),
    "MaximumActualTime": Aggregate(extremes.maximum_actual_time, VALUE, ("extremes",)),
    "Range": Aggregate(extremes.range_, DIFFERENCE, ("extremes",)),
    "Minimum2": Aggregate(extremes.minimum_2, VALUE, _BOTH),
    "Maximum2": Aggregate(extremes.maximum_2, VALUE, _BOTH),
    "MinimumActualTime2": Aggregate(extremes.minimum_actual_time_2, VALUE, _BOTH),
    "MaximumActualTime2": Aggregate(extremes.maximum_actual_time_2, VALUE, _BOTH),
    "Range2": Aggregate(extremes.range_2, DIFFERENCE, _BOTH),
    "AnnotationCount": Aggregate(counts.annotation_count, OTHER, numeric=False, annotations=True),
    "Count": Aggregate(counts.count, OTHER, numeric=False),
    "DurationInStateZero": Aggregate(durations.duration_in_state_zero, OTHER, ("states",)),
    "DurationInStateNonZero": Aggregate(durations.duration_in_state_non_zero, OTHER, ("states",)),
    "NumberOfTransitions": Aggregate(
        counts.number_of_transitions, OTHER, ("transitions",), numeric=False
    ),
    "Start": Aggregate(edges.start, VALUE, ("edges",), numeric=False),
    "End": Aggregate(edges.end, VALUE, ("edges",), numeric=False),
    "Delta": Aggregate(edges.delta, DIFFERENCE, ("edges",)),
    "StartBound": Aggregate(bounds.start_bound, VALUE, ("bounds",), numeric=False),
    "EndBound": Aggregate(bounds.end_bound, VALUE, ("bounds",), numeric=False),
    "DeltaBounds": Aggregate(bounds.delta_bounds, DIFFERENCE, ("bounds",)),
    "DurationGood": Aggregate(durations.duration_good, OTHER, numeric=False),
    "DurationBad": Aggregate(durations.duration_bad, OTHER, numeric=False),
    "PercentGood": Aggregate(durations.percent_good, OTHER, numeric=False),
    "PercentBad": Aggregate(durations.percent_bad, OTHER, numeric=False),
    "WorstQuality": Aggregate(qualities.worst_quality, OTHER, ("worst",), numeric=False),
    "WorstQuality2": Aggregate(
        qualities.worst_quality_2, OTHER, ("worst", "bounds", "edges"), numeric=False
    ),
    "StandardDeviationSample": Aggregate(
        spreads.standard_deviation_sample, DIFFERENCE, ("moments",)
    ),
    "StandardDeviationPopulation": Aggregate(
        spreads.standard_deviation_population, DIFFERENCE, ("moments",)
    ),
    "VarianceSample": Aggregate(spreads.variance_sample, SQUARE, ("moments",)),
    "VariancePopulation": Aggregate(spreads.variance_population, SQUARE, ("moments",)),
}

# What the standard lacks. Those with an argument are in ``query/aggregates/naming.py``.
BEYOND: dict[str, Aggregate] = {
    "Integral": Aggregate(averages.integral, INTEGRAL),
    "CounterIncrease": Aggregate(counters.counter_increase, DIFFERENCE, ("increase",)),
    "CounterRate": Aggregate(counters.counter_rate, RATE, ("increase",)),
    "RateOfChange": Aggregate(trends.rate_of_change, RATE, ("edges",)),
    "Slope": Aggregate(trends.slope, RATE, ("trend",)),
}

AGGREGATES = STANDARD | BEYOND
