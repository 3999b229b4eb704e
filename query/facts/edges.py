"""The first and the last samples inside, and the changes from sample to sample."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from query.facts.joining import Firsts, first_where, last_where, picked
from query.facts.ranges import rows_of, sum_ranges
from query.facts.rules import Rules, Windows, usable
from query.series import Signal
from storage_engine.sample import AnyArray, BoolArray, Int64Array, UInt32Array


@dataclass(frozen=True, slots=True)
class EdgeFacts:
    """First and last sample inside of any status, and of Good ones; one row per window.

    ``held`` says whether there is a sample, ``good`` whether there is a Good one; without it the
    others mean nothing. Values have the samples' own dtype; a null has a Bad code.
    """

    held: BoolArray
    first: AnyArray
    first_ns: Int64Array
    first_code: UInt32Array
    last: AnyArray
    last_ns: Int64Array
    last_code: UInt32Array
    good: BoolArray
    first_good: AnyArray
    first_good_ns: Int64Array
    last_good: AnyArray
    last_good_ns: Int64Array


@dataclass(frozen=True, slots=True)
class TransitionFacts:
    """Usable samples inside whose value differs from the usable one before them."""

    transitions: Int64Array


def edge_facts(signal: Signal, windows: Windows, _rules: Rules) -> EdgeFacts:
    """First and last samples per window."""
    found: list[Any] = []
    for kept in (np.arange(len(signal)), np.flatnonzero(signal.severity == 0)):
        columns: list[Any] = [signal.native[kept], signal.timestamp_ns[kept], signal.code[kept]]
        first, behind = rows_of(signal.timestamp_ns[kept], windows)
        held = behind > first
        found.append(held)
        for place in (first[held], behind[held] - 1):
            for column in columns:
                side = np.zeros(len(first), column.dtype)
                side[held] = column[place]
                found.append(side)
    del found[13], found[10]  # the codes of Good samples
    return EdgeFacts(*found)


def join_edges(facts: EdgeFacts, firsts: Firsts) -> EdgeFacts:
    """Edges of all pieces."""
    old, new = first_where(facts.held, firsts), last_where(facts.held, firsts)
    good_old, good_new = first_where(facts.good, firsts), last_where(facts.good, firsts)
    columns: list[Any] = [np.logical_or.reduceat(facts.held, firsts)]
    columns += picked(facts, old, "first", "first_ns", "first_code")
    columns += picked(facts, new, "last", "last_ns", "last_code")
    columns.append(np.logical_or.reduceat(facts.good, firsts))
    columns += picked(facts, good_old, "first_good", "first_good_ns")
    columns += picked(facts, good_new, "last_good", "last_good_ns")
    return EdgeFacts(*columns)


def transition_facts(signal: Signal, windows: Windows, rules: Rules) -> TransitionFacts:
    """Changes per window; the first usable sample of all is one."""
    kept = np.flatnonzero(usable(signal, rules))
    values = signal.native[kept]
    changed = np.ones(len(kept), dtype=np.bool_)
    changed[1:] = values[1:] != values[:-1]
    return TransitionFacts(sum_ranges(changed, *rows_of(signal.timestamp_ns[kept], windows)))
