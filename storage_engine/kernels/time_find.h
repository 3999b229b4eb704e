/* Where a time lies in a vector of a packed time column, without decoding all of it.
 *
 * A line, and a vector of offsets from one or from a constant, tell the time of any row by itself;
 * other vectors are decoded. Where the offsets are small, the line tells the row of a time, too.
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
    double pace;   /* rows per nanosecond of a line that lh_times_cross may ask; else 0 */
    uint64_t tall; /* the most that a residual adds */
} lh_times;

/* The line of row i, in nanoseconds behind `start`. */
static inline uint64_t lh_time_line(const lh_times *t, int64_t i) {
    return t->gcd * lh_sar((uint64_t)(t->first + i) * t->slope, t->shift);
}

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
    return (int64_t)(t->start + t->gcd * residual + lh_time_line(t, i));
}

/* Set the pace of a line where its residuals are at most two rows tall, and no sum wraps. */
static inline void lh_times_pace(lh_times *t) {
    const double step = (double)t->gcd, slope = (double)t->slope, most = 0x1p62;
    const double period = step * slope / (double)(UINT64_C(1) << t->shift);
    const double rows = (double)t->first + LH_VECTOR;
    if (!(step >= 1.0 && period >= step && slope * rows < most && period * rows < most)) return;
    if (step * (double)lh_mask(t->width) > 2.0 * period) return;
    t->pace = 1.0 / period, t->tall = t->gcd * lh_mask(t->width);
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
        lh_times_pace(t);
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
    lh_times_pace(t);
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

/* The same by a line with a pace. From where the line crosses the time no row is before it, and of
 * those in front only the ones that a residual lifts are not. */
static inline int64_t lh_times_cross(const lh_times *t, int64_t low, int64_t high, int64_t at) {
    const uint64_t passed = (uint64_t)at - t->start;
    const double rows = (double)(int64_t)passed * t->pace - (double)t->first;
    int64_t i = rows >= (double)high ? high : rows > (double)low ? (int64_t)rows : low + 1;
    i += i == low;
    while (i < high && lh_time_line(t, i) < passed) i++;
    while (i - 1 > low && lh_time_line(t, i - 1) + t->tall >= passed
           && lh_time_at(t, i - 1) >= at) i--;
    return i;
}

/* Whether the line tells that a row is before a time at or after its start. */
static inline int lh_times_before(const lh_times *t, int64_t i, int64_t at) {
    return lh_time_line(t, i) + t->tall < (uint64_t)at - t->start;
}

#endif
