"""A fold state as a row of a numpy table: the layout of ``lh_fold_state`` in kernels/fold.h.

First, last, extremes and first and last good value are cells: the bits of the type, widened with
zeros; ``minimum_time`` and ``maximum_time`` are those of the first occurrence. The five sums are
expansions of three doubles (in value, value^2 and value x ns), to be believed where their bit of
``exact`` is set. A stretch without rows is zero but for ``exact``. Beyond 292 years ``covered_ns``
goes on as uint64. Resets and transitions are known where the increase is. ``wide`` and ``codes``
are memory of the kernels; what ``codes`` holds is read by fold_codes.
"""

from typing import Any

import numpy as np

from storage_engine.sample import ValueType

# Codes of value types; a symbol is folded as a code, which only changes.
FOLD_TYPES = {
    ValueType.FLOAT64: 0,
    ValueType.FLOAT32: 1,
    ValueType.INT64: 2,
    ValueType.UINT64: 3,
    ValueType.BOOL: 4,
    ValueType.SYMBOL: 5,
    ValueType.TEXT: 6,
    ValueType.BYTES: 6,
}
CODE = 5
NOTHING = 6

COUNTS = ("rows", "good", "uncertain", "bad")
TIMES = ("first", "last", "first_good", "last_good", "minimum", "maximum")
SUMS = ("sum", "squares", "stepped", "forward", "increase")
# Bits of the fields ``exact`` and of what :attr:`FoldColumns.known` gives.
EVERY_SUM = (1 << len(SUMS)) - 1
# Durations by value, where ``exact`` and ``known`` have this bit too; FEW: when asked for, those of
# 16 values at most, or none.
DURATIONS, FEW = 1 << len(SUMS), 2 << len(SUMS)
# Bits of ``flags``.
FIRST_VALID, LAST_VALID, FIRST_GOOD, LAST_GOOD = 1, 2, 4, 8
RESULTS = (
    *SUMS,
    "sloped",
    "mean",
    "variance",
    "sample_variance",
    "stepped_mean",
    "sloped_mean",
)

STATE: np.dtype[Any] = np.dtype(
    [
        *((name, "<i8") for name in COUNTS),
        *((f"{name}_time", "<i8") for name in TIMES),
        *((name, "<u8") for name in TIMES),
        ("covered_ns", "<u8"),
        ("resets", "<i8"),
        ("transitions", "<i8"),
        *((name, "<f8", 3) for name in SUMS),
        ("wide", "<u8", len(SUMS)),
        ("codes", "<u8"),
        ("first_quality", "<u4"),
        ("last_quality", "<u4"),
        ("flags", "u1"),
        ("exact", "u1"),
        ("rest", "V6"),
    ]
)
