/* Where a time lies in a vector of a packed time column, without decoding all of it.
 *
 * A line, and a vector of offsets from one or from a constant, tell the time of any row by itself;
 * other vectors are decoded.
 */
#ifndef LH_TIME_FIND_H
#define LH_TIME_FIND_H

#include "block.h"
#include "packed.h"

/* Times of rows that follow each other in one vector: those of `decoded`, or where that is NULL
 * start + gcd * (packed residual + floor(row * slope / 2^shift)), rows counted from `first`. */
typedef struct {
    const int64_t *decoded;
    const uint8_t *payload;
    uint64_t start, gcd, slope;
    unsigned shift, width;
    int64_t first;
} lh_times;

static inline int64_t lh_time_at(const lh_times *t, int64_t i) {
    if (t->decoded) return t->decoded[i];
    const uint64_t row = (uint64_t)(t->first + i);
    uint64_t residual = 0;
    if (t->width) {
        const unsigned lane = row % 16, bit = (unsigned)(row / 16) * t->width, off = bit % 64;
        const uint8_t *word = t->payload + 8 * (16 * (bit / 64) + lane);
        residual = lh_load(word, 8) >> off;
        if (off + t->width > 64) residual |= lh_load(word + 128, 8) << (64 - off);
        residual &= lh_mask(t->width);
    }
    return (int64_t)(t->start + t->gcd * (residual + lh_sar(row * t->slope, t->shift)));
}

/* Times of rows from `begin` on, all in one vector of a column of n rows; 0 when it must be
 * decoded for that. */
static inline int lh_times_open(lh_times *t, const lh_place *place, int64_t n, int64_t begin) {
    const int64_t vector = begin / LH_VECTOR;
    lh_packed_column c;
    lh_packed_vector v;
    if (place->codec != LH_PACKED || lh_packed_open(place->body, place->size, n, &c)) return 0;
    memset(t, 0, sizeof *t);
    if (c.form == LH_FORM_LINE) {
        t->start = c.anchor, t->gcd = c.gcd, t->slope = 1, t->first = begin;
        return 1;
    }
    if (n - vector * LH_VECTOR < LH_VECTOR) return 0; /* the last one is no lanes */
    const uint8_t *p = c.vectors;
    for (int64_t k = 0; k < vector; k++) p += lh_load(c.lengths + 2 * k, 2);
    const uint8_t *end = p + lh_load(c.lengths + 2 * vector, 2);
    if (lh_packed_fields(p, end, LH_VECTOR, &v) || v.patches || v.mode > LH_LINE) return 0;
    t->start = c.anchor + c.gcd * v.base;
    t->gcd = c.gcd, t->payload = v.payload, t->width = v.width;
    t->slope = v.mode == LH_LINE ? v.slope : 0;
    t->shift = v.shift, t->first = begin % LH_VECTOR;
    return 1;
}

/* First row in (low, high] at or after a time, where row `low` is before it and row `high`, which
 * is not looked at, is not. `guess` may be any. */
static inline int64_t lh_times_find(
    const lh_times *t, int64_t low, int64_t high, int64_t guess, int64_t at
) {
    for (int step = 0; step < 4 && guess > low && guess < high; step++) {
        if (lh_time_at(t, guess) < at) low = guess++;
        else high = guess--;
    }
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        if (lh_time_at(t, middle) < at) low = middle;
        else high = middle;
    }
    return high;
}

#endif
