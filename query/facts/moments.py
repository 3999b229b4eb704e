"""Sums and spreads of the good samples."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from query.facts.joining import Firsts
from query.facts.ranges import fold_ranges, rows_of, spread
from query.facts.rules import Rules, Windows
from query.series import Signal
from storage_engine.sample import Int64Array

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SumFacts:
    """Sum of the good samples; float64, shape (windows,)."""

    total: Float64Array


@dataclass(frozen=True, slots=True)
class MomentFacts:
    """Count and mean of the good samples, and the sum of squares of their distances from it."""

    count: Int64Array
    mean: Float64Array
    squares: Float64Array


def sum_facts(signal: Signal, windows: Windows, _rules: Rules) -> SumFacts:
    """Add the good samples of each window."""
    good = np.flatnonzero(signal.severity == 0)
    rows = rows_of(signal.timestamp_ns[good], windows)
    return SumFacts(fold_ranges(np.add, signal.number[good], *rows))


def moment_facts(signal: Signal, windows: Windows, _rules: Rules) -> MomentFacts:
    """Mean and squares of each window, in two passes."""
    good = np.flatnonzero(signal.severity == 0)
    values = signal.number[good]
    first, behind = rows_of(signal.timestamp_ns[good], windows)
    count = behind - first
    mean = fold_ranges(np.add, values, first, behind) / np.maximum(count, 1)
    window, rows = spread(first, behind)
    distance = values[rows] - mean[window]
    squares = np.bincount(window, distance * distance, minlength=len(first))
    return MomentFacts(count, mean, squares.astype(np.float64))


def join_moments(facts: MomentFacts, firsts: Firsts) -> MomentFacts:
    """Merge means and squares of pieces.

    References
    ----------
    Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for computing sample
    variances, 1979.
    """
    count = np.add.reduceat(facts.count, firsts)
    sizes = np.diff(np.append(firsts, len(facts.count)))
    mean = np.add.reduceat(facts.mean * facts.count, firsts) / np.maximum(count, 1)
    distance = facts.mean - np.repeat(mean, sizes)
    squares = np.add.reduceat(facts.squares + facts.count * distance * distance, firsts)
    return MomentFacts(count, mean, squares)
