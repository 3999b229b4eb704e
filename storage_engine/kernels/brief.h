/* What a chart asks of a window: counts, extremes, first and last value, the sum and the mean.
 *
 * What fold.h says of good rows, of zeros and of exact sums holds. A sum is two doubles that are
 * together the exact one, or where two do not hold it, an accumulator.
 */
#ifndef LH_BRIEF_H
#define LH_BRIEF_H

#include "brief_vector.h"
#include "fold_result.h"

/* One entry per window; values are cells as in a lh_fold_state. */
typedef struct {
    int64_t *rows, *good;
    uint64_t *minimum, *maximum, *first, *last;
    double *sum, *mean;
} lh_brief_columns;

/* Rows of one window so far. */
typedef struct {
    int64_t rows, good;
    uint64_t minimum, maximum, first, last;
    double high, low; /* the sum, unless `wide` */
    int wide;
    lh_exact exact;
} lh_brief;

static inline void lh_brief_begin(lh_brief *b) {
    b->rows = b->good = 0;
    b->minimum = b->maximum = b->first = b->last = 0;
    b->high = b->low = 0.0;
    b->wide = 0;
}

static inline lh_exact *lh_brief_widen(lh_brief *b) {
    if (!b->wide) {
        b->wide = 1;
        lh_exact_clear(&b->exact);
        lh_exact_add(&b->exact, b->high);
        lh_exact_add(&b->exact, b->low);
    }
    return &b->exact;
}

/* a + b is s + e exactly, but for what is beyond the doubles. */
static inline double lh_two_sum(double a, double b, double *e) {
    const double s = a + b, back = s - a;
    *e = (a - (s - back)) + (b - back);
    return s;
}

static inline void lh_brief_add(lh_brief *b, double x) {
    double rest, more;
    const double high = lh_two_sum(b->high, x, &rest), low = lh_two_sum(b->low, rest, &more);
    if (!b->wide && more == 0.0 && high - high == 0.0) b->high = high, b->low = low;
    else lh_exact_add(lh_brief_widen(b), x);
}

/* x times n, 0 < n < 2^32. */
static inline void lh_brief_add_times(lh_brief *b, double x, int64_t n) {
    const double size = fabs(x), by = (double)n;
    if (x == 0.0) return;
    if (size > 0x1p-800 && size < 0x1p800) {
        uint64_t bits;
        double top;
        memcpy(&bits, &x, 8);
        bits &= ~((UINT64_C(1) << 32) - 1); /* 21 bits of it, times 32: exact, as is the rest */
        memcpy(&top, &bits, 8);
        lh_brief_add(b, top * by);
        if (top != x) lh_brief_add(b, (x - top) * by);
    } else lh_exact_add_times(lh_brief_widen(b), x, (uint64_t)n, 0);
}

static inline void lh_brief_extremes(lh_brief *b, int type, uint64_t low, uint64_t high) {
    if (b->good == 0 || lh_compare(type, low, b->minimum) < 0) b->minimum = low;
    if (b->good == 0 || lh_compare(type, high, b->maximum) > 0) b->maximum = high;
}

/* A state that knows its sum. */
static inline void lh_brief_join(lh_brief *b, int type, const lh_fold_state *s) {
    b->rows += s->rows;
    if (s->good == 0) return;
    lh_brief_extremes(b, type, s->minimum, s->maximum);
    if (b->good == 0) b->first = s->first_good;
    b->last = s->last_good;
    b->good += s->good;
    if (s->exact >> LH_SUM & 1u) {
        for (int j = 0; j < 3; j++) {
            if (s->sum[LH_SUM][j] != 0.0) lh_brief_add(b, s->sum[LH_SUM][j]);
        }
    } else lh_exact_add_sum(lh_brief_widen(b), s, LH_SUM);
}

/* Fill a window. */
static inline void lh_brief_end(lh_brief *b, const lh_brief_columns *out, int64_t k) {
    out->rows[k] = b->rows, out->good[k] = b->good;
    out->minimum[k] = b->minimum, out->maximum[k] = b->maximum;
    out->first[k] = b->first, out->last[k] = b->last;
    if (b->good == 0) {
        out->sum[k] = 0.0, out->mean[k] = (double)NAN;
        return;
    }
    if (!b->wide) {
        double e;
        const double s = lh_two_sum(b->high, b->low, &e);
        out->sum[k] = s + 0.0;
        if (s - s == 0.0) {
            const double mean = s == 0.0 ? 0.0 : lh_brief_lanes()->quotient(s, e, (double)b->good);
            if (mean == mean) out->mean[k] = mean;
            else out->mean[k] = lh_exact_divide(lh_brief_widen(b), (uint64_t)b->good);
            return;
        }
    }
    lh_exact *exact = lh_brief_widen(b);
    out->sum[k] = lh_exact_round(exact);
    out->mean[k] = lh_exact_divide(exact, (uint64_t)b->good);
}

/* The cell of a number of a type, exact as these are. */
static inline uint64_t lh_brief_cell(int type, double x) {
    uint64_t cell = 0;
    const float single = (float)x;
    switch (type) {
    case LH_FOLD_F64: memcpy(&cell, &x, 8); return cell;
    case LH_FOLD_F32: memcpy(&cell, &single, 4); return cell;
    case LH_FOLD_I64: return (uint64_t)(int64_t)x;
    default: return (uint64_t)x;
    }
}

/* A zero is the first of those in a piece, which may be of either sign. */
static inline double lh_brief_zero(double x, const double *v) {
    while (x == 0.0 && *v != 0.0) v++;
    return x == 0.0 ? *v : x;
}

#endif
