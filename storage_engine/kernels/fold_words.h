/* Exact sums of many states as fixed-point columns of a few 64-bit words, and back.
 *
 * A sum is written as the rest that the other fields do not foretell: rows of good quality at a
 * steady period hold their integrals but for jitter, and a counter that never falls its increase.
 */
#ifndef LH_FOLD_WORDS_H
#define LH_FOLD_WORDS_H

#include "fold.h"

#define LH_WORDS_MAX 4
#define LH_FIVES_MAX 13
#define LH_FIVE_13 UINT64_C(1220703125)

static inline void lh_add_value(lh_exact *a, int kind, uint64_t cell, uint64_t by, int negative) {
    const lh_number n = lh_number_of(kind, cell);
    lh_exact_add_times(a, n.high, by, negative);
    lh_exact_add_times(a, n.low, by, negative);
}

/* Take from sum k, or give back to it, what is foretold of it: `sum` and `stepped` are exact. */
static inline void lh_foretell(
    lh_exact *a, const lh_fold_state *s, int kind, int k, uint64_t period, const lh_exact *sum,
    const lh_exact *stepped, int negative
) {
    if (k == LH_INCREASE && s->resets == 0 && s->good) {
        lh_add_value(a, kind, s->last_good, 1, negative);
        lh_add_value(a, kind, s->first_good, 1, !negative);
    }
    if (s->good != s->rows || s->good == 0) return;
    if (k == LH_STEPPED) {
        for (int32_t i = sum->low; i < sum->high; i++) {
            const int64_t m = sum->limb[i];
            const uint64_t size = m < 0 ? 0u - (uint64_t)m : (uint64_t)m;
            const lh_u128 share = (lh_u128)size * period;
            if (share) lh_exact_add_u128(a, share, 32 * i, (m < 0) ^ negative);
        }
        lh_add_value(a, kind, s->last_good, period, !negative);
    }
    if (k == LH_FORWARD) {
        lh_exact shifted = *stepped;
        if (negative) {
            for (int32_t i = shifted.low; i < shifted.high; i++) shifted.limb[i] = -shifted.limb[i];
        }
        lh_exact_add_exact(a, &shifted);
        lh_add_value(a, kind, s->last_good, period, negative);
        lh_add_value(a, kind, s->first_good, period, !negative);
    }
}

/* The rest of every known sum, carried; returns the bits of those that are known and finite. */
static inline uint32_t lh_fold_rests(
    const lh_fold_state *s, int kind, uint64_t period, lh_exact rest[LH_SUMS]
) {
    uint32_t known = lh_fold_known(s) & LH_EVERY;
    lh_exact sum[2];
    lh_exact_clear(&sum[0]);
    lh_exact_clear(&sum[1]);
    for (int k = 0; k < LH_SUMS; k++) {
        lh_exact_clear(&rest[k]);
        if (!(known >> k & 1u)) continue;
        lh_exact_add_sum(&rest[k], s, k);
        lh_exact_carry(&rest[k]);
        if (rest[k].special) known &= ~(1u << k);
        if (k == LH_SUM) sum[0] = rest[k];
        if (k == LH_STEPPED) sum[1] = rest[k];
    }
    if (!(known >> LH_SUM & 1u)) known &= ~(1u << LH_STEPPED);
    if (!(known >> LH_STEPPED & 1u)) known &= ~(1u << LH_FORWARD);
    for (int k = LH_STEPPED; k < LH_SUMS; k++) {
        if (known >> k & 1u) {
            lh_foretell(&rest[k], s, kind, k, period, &sum[0], &sum[1], 1);
            lh_exact_carry(&rest[k]);
            if (rest[k].special) known &= ~(1u << k);
        }
    }
    return known;
}

/* Lowest and highest bit of a carried sum, and how often 5 divides it; 0 for a sum of zero. */
static inline int lh_extent(const lh_exact *a, int32_t *low, int32_t *high, uint8_t *fives) {
    uint32_t digit[LH_EXACT_LIMBS];
    uint64_t rest = 0;
    if (a->low == a->high) return 0;
    lh_exact_digits(a, digit);
    int32_t first = a->low, end = a->high;
    while (digit[first] == 0) first++;
    while (digit[end - 1] == 0) end--;
    for (int32_t i = end - 1; i >= first; i--) rest = (rest << 32 | digit[i]) % LH_FIVE_13;
    for (*fives = 0; *fives < LH_FIVES_MAX && rest % 5 == 0; (*fives)++) {
        if (rest == 0) {
            *fives = LH_FIVES_MAX;
            break;
        }
        rest /= 5;
    }
    *low = 32 * first + __builtin_ctz(digit[first]);
    *high = 32 * end - 1 - __builtin_clz(digit[end - 1]);
    return 1;
}

/* A carried sum / (by x 2^bit), exact, as two's complement in `count` words. */
static inline void lh_to_words(
    const lh_exact *a, int32_t bit, uint32_t by, int count, uint64_t out[LH_WORDS_MAX]
) {
    uint32_t digit[LH_EXACT_LIMBS];
    memset(out, 0, 8 * LH_WORDS_MAX);
    if (a->low == a->high) return;
    const int negative = lh_exact_digits(a, digit);
    lh_divide_digits(digit, a->low, a->high, by);
    for (int32_t i = a->low; i < a->high; i++) {
        const int32_t place = 32 * i - bit;
        if (place <= -32 || place >= 64 * LH_WORDS_MAX) continue;
        const lh_u128 y = place < 0 ? (lh_u128)(digit[i] >> -place)
                                    : (lh_u128)digit[i] << (place & 63);
        const int w = place < 0 ? 0 : place >> 6;
        out[w] |= (uint64_t)y;
        if (w + 1 < LH_WORDS_MAX) out[w + 1] |= (uint64_t)(y >> 64);
    }
    uint64_t carry = (uint64_t)negative;
    for (int w = 0; w < count && negative; w++) {
        out[w] = ~out[w] + carry;
        carry = carry && out[w] == 0;
    }
}

/* Add `count` words x by x 2^bit. */
static inline void lh_add_words(
    lh_exact *a, const uint64_t *word, int count, int32_t bit, uint32_t by
) {
    uint64_t m[LH_WORDS_MAX];
    const int negative = count && word[count - 1] >> 63;
    uint64_t carry = 1;
    for (int w = 0; w < count; w++) {
        m[w] = negative ? ~word[w] + carry : word[w];
        carry = carry && m[w] == 0;
    }
    for (int w = 0; w < count; w++) {
        const lh_u128 y = (lh_u128)m[w] * by;
        if (y) lh_exact_add_u128(a, y, bit + 64 * w, negative);
    }
}

/* How one sum is written: words per state, what they are multiplied with. */
typedef struct {
    int32_t bit;
    uint32_t by;
    int32_t count;
    const uint64_t *word; /* word w of state i at [w * states + i] */
} lh_word_column;

/* Sums from words, into a state whose other fields are set; `known` says which. -1: no memory. */
static inline int lh_fold_unpack(
    lh_fold_state *s, int kind, uint64_t period, uint32_t known, const lh_word_column *columns,
    int64_t i, int64_t n
) {
    lh_folder f;
    lh_fold_begin(&f, kind, known);
    for (int k = 0; k < LH_SUMS; k++) {
        const lh_word_column *c = &columns[k];
        uint64_t word[LH_WORDS_MAX];
        if (!(f.known >> k & 1u)) continue;
        for (int w = 0; w < c->count; w++) word[w] = c->word[w * n + i];
        lh_add_words(&f.sum[k], word, c->count, c->bit, c->by);
        if (k >= LH_STEPPED) {
            lh_foretell(
                &f.sum[k], s, kind, k, period, &f.sum[LH_SUM], &f.sum[LH_STEPPED], 0);
        }
        lh_exact_carry(&f.sum[k]);
    }
    f.s = *s;
    return lh_fold_finish(&f, s);
}

#endif
