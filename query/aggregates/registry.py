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

_BOTH = ("usable_extremes", "bounds")

# Name -> rule; one line each. Names are those of OPC 10000-13.
STANDARD: dict[str, Aggregate] = {
    "Interpolative": Aggregate(bounds.interpolative, ("interpolated",), numeric=False),
    "Average": Aggregate(averages.average, ("sums",)),
    "TimeAverage": Aggregate(averages.time_average, ("area",)),
    "TimeAverage2": Aggregate(averages.time_average_2),
    "Total": Aggregate(averages.total, ("area",)),
    "Total2": Aggregate(averages.total_2),
    "Minimum": Aggregate(extremes.minimum, ("extremes",)),
    "Maximum": Aggregate(extremes.maximum, ("extremes",)),
    "MinimumActualTime": Aggregate(extremes.minimum_actual_time, ("extremes",)),
    "MaximumActualTime": Aggregate(extremes.maximum_actual_time, ("extremes",)),
    "Range": Aggregate(extremes.range_, ("extremes",)),
    "Minimum2": Aggregate(extremes.minimum_2, _BOTH),
    "Maximum2": Aggregate(extremes.maximum_2, _BOTH),
    "MinimumActualTime2": Aggregate(extremes.minimum_actual_time_2, _BOTH),
    "MaximumActualTime2": Aggregate(extremes.maximum_actual_time_2, _BOTH),
    "Range2": Aggregate(extremes.range_2, _BOTH),
    "AnnotationCount": Aggregate(counts.annotation_count, numeric=False, annotations=True),
    "Count": Aggregate(counts.count, numeric=False),
    "DurationInStateZero": Aggregate(durations.duration_in_state_zero, ("states",)),
    "DurationInStateNonZero": Aggregate(durations.duration_in_state_non_zero, ("states",)),
    "NumberOfTransitions": Aggregate(counts.number_of_transitions, ("transitions",), numeric=False),
    "Start": Aggregate(edges.start, ("edges",), numeric=False),
    "End": Aggregate(edges.end, ("edges",), numeric=False),
    "Delta": Aggregate(edges.delta, ("edges",)),
    "StartBound": Aggregate(bounds.start_bound, ("bounds",), numeric=False),
    "EndBound": Aggregate(bounds.end_bound, ("bounds",), numeric=False),
    "DeltaBounds": Aggregate(bounds.delta_bounds, ("bounds",)),
    "DurationGood": Aggregate(durations.duration_good, numeric=False),
    "DurationBad": Aggregate(durations.duration_bad, numeric=False),
    "PercentGood": Aggregate(durations.percent_good, numeric=False),
    "PercentBad": Aggregate(durations.percent_bad, numeric=False),
    "WorstQuality": Aggregate(qualities.worst_quality, ("worst",), numeric=False),
    "WorstQuality2": Aggregate(
        qualities.worst_quality_2, ("worst", "bounds", "edges"), numeric=False
    ),
    "StandardDeviationSample": Aggregate(spreads.standard_deviation_sample, ("moments",)),
    "StandardDeviationPopulation": Aggregate(spreads.standard_deviation_population, ("moments",)),
    "VarianceSample": Aggregate(spreads.variance_sample, ("moments",)),
    "VariancePopulation": Aggregate(spreads.variance_population, ("moments",)),
}

# What the standard lacks. Those with an argument are in ``query/aggregates/naming.py``.
BEYOND: dict[str, Aggregate] = {
    "Integral": Aggregate(averages.integral),
    "CounterIncrease": Aggregate(counters.counter_increase, ("increase",)),
    "CounterRate": Aggregate(counters.counter_rate, ("increase",)),
    "RateOfChange": Aggregate(trends.rate_of_change, ("edges",)),
    "Slope": Aggregate(trends.slope, ("trend",)),
}

AGGREGATES = STANDARD | BEYOND
