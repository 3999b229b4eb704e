"""Door to kernels/fold_words.h: exact sums as fixed-point columns of 64-bit words."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from storage_engine.fold cimport FoldColumns
from storage_engine.kernels.fold cimport LH_SUMS
from storage_engine.kernels.fold_words cimport (
    LH_WORDS_MAX,
    lh_exact,
    lh_extent,
    lh_fold_rests,
    lh_fold_unpack,
    lh_to_words,
    lh_word_column,
)

import numpy as np

from storage_engine.errors import CorruptData

WORDS_MAX = LH_WORDS_MAX
NOTHING = 1 << 20  # low bit of a sum of zero, which fits anywhere


def extents(FoldColumns columns not None, uint64_t period):
    """Where the bits of the rests lie; arrays (5, n) low, high, fives, and known (n,)."""
    cdef int64_t n = columns.n, i
    cdef int k
    cdef lh_exact rest[5]
    low, high = np.full((LH_SUMS, n), NOTHING, np.int32), np.full((LH_SUMS, n), -1, np.int32)
    fives, known = np.full((LH_SUMS, n), 255, np.uint8), np.zeros(n, np.uint8)
    cdef int32_t[:, ::1] lows = low, highs = high
    cdef uint8_t[:, ::1] fives_view = fives
    cdef uint8_t[::1] knows = known
    cdef uint32_t bits
    for i in range(n):
        bits = lh_fold_rests(&columns.states[i], columns.kind, period, rest)
        knows[i] = <uint8_t> bits
        for k in range(LH_SUMS):
            if bits >> k & 1:
                lh_extent(&rest[k], &lows[k, i], &highs[k, i], &fives_view[k, i])
    return low, high, fives, known


def to_words(
    FoldColumns columns not None, uint64_t period, const uint8_t[::1] known not None,
    const int32_t[::1] bit not None, const uint32_t[::1] by not None,
    const int32_t[::1] count not None,
):
    """Words of the rests, one array uint64 (count[k], n) per sum; zero where not known."""
    cdef int64_t n = columns.n, i
    cdef int k, w
    cdef lh_exact rest[5]
    cdef uint64_t word[4]
    cdef uint64_t[:, :, ::1] out = np.zeros((LH_SUMS, LH_WORDS_MAX, n), np.uint64)
    for i in range(n):
        lh_fold_rests(&columns.states[i], columns.kind, period, rest)
        for k in range(LH_SUMS):
            if known[i] >> k & 1 and count[k]:
                lh_to_words(&rest[k], bit[k], by[k], count[k], word)
                for w in range(count[k]):
                    out[k, w, i] = word[w]
    return [np.asarray(out)[k, :count[k]] for k in range(LH_SUMS)]


def from_words(int kind, table, uint64_t period, const uint8_t[::1] known not None, specs):
    """States from a table without sums; specs has (bit, by, words (count, n)) for each sum."""
    cdef FoldColumns columns = FoldColumns(kind, table)
    cdef int64_t n = columns.n, i
    cdef lh_word_column sums[5]
    cdef const uint64_t[:, ::1] words
    held = []
    for k, (bit, by, given) in enumerate(specs):
        words = np.ascontiguousarray(given)
        held.append(words)
        count = words.shape[0]
        if count > LH_WORDS_MAX or words.shape[1] != n or not 0 <= bit <= 4000:
            raise CorruptData(f"cannot read sums: got {count} words at bit {bit}")
        sums[k].bit, sums[k].by, sums[k].count = bit, by, count
        sums[k].word = &words[0, 0] if count and n else NULL
    for i in range(n):
        if lh_fold_unpack(&columns.states[i], kind, period, known[i], sums, i, n):
            raise MemoryError
    return columns
