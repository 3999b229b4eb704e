"""How many samples of which severity, and what their codes are."""

from dataclasses import dataclass

import numpy as np

from query.facts.joining import Firsts, first_where
from query.facts.ranges import first_of_each, fold_ranges, rows_of, spread, sum_ranges
from query.facts.rules import Rules, Windows
from query.series import Signal
from storage_engine.sample import Int64Array, UInt32Array


@dataclass(frozen=True, slots=True)
class CountFacts:
    """Samples inside, by severity; int64, shape (windows,)."""

    good: Int64Array
    uncertain: Int64Array
    bad: Int64Array


@dataclass(frozen=True, slots=True)
class WorstFacts:
    """The worst severity among the samples inside: -1 none, 0 good, 1 uncertain, 2 bad.

    ``code`` is the status code of the first sample that has it, ``ties`` how many have it.
    """

    severity: Int64Array
    code: UInt32Array
    ties: Int64Array


def count_facts(signal: Signal, windows: Windows, _rules: Rules) -> CountFacts:
    """Count samples per window."""
    first, behind = rows_of(signal.timestamp_ns, windows)
    counts = [sum_ranges(signal.severity == level, first, behind) for level in (0, 1, 2)]
    return CountFacts(*counts)


def worst_facts(signal: Signal, windows: Windows, _rules: Rules) -> WorstFacts:
    """Find the worst sample per window."""
    first, behind = rows_of(signal.timestamp_ns, windows)
    worst = fold_ranges(np.maximum, signal.severity.astype(np.int64) + 1, first, behind) - 1
    window, rows = spread(first, behind)
    same = signal.severity[rows] == worst[window]
    place = first_of_each(window, same, len(first))
    code = np.zeros(len(first), dtype=np.uint32)
    held = place >= 0
    code[held] = signal.code[rows[place[held]]]
    return WorstFacts(worst, code, np.bincount(window[same], minlength=len(first)))


def join_worst(facts: WorstFacts, firsts: Firsts) -> WorstFacts:
    """Worst of all pieces."""
    worst = np.maximum.reduceat(facts.severity, firsts)
    same = facts.severity == np.repeat(worst, np.diff(np.append(firsts, len(facts.severity))))
    ties = np.add.reduceat(np.where(same, facts.ties, 0), firsts)
    return WorstFacts(worst, facts.code[first_where(same, firsts)], ties)
