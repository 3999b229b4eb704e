/* One state that tells of any stretch of rows what an aggregate may ask, exactly.
 *
 * A good row has severity 0, a value, and no NaN; an uncertain one severity 1, a value, and no NaN;
 * all others are bad. Extremes, sums and counters go over good rows, a counter from one good row to
 * the next good one. Integrals go over pairs of rows that follow each other and are both good;
 * times must not fall, and a pair of equal times adds nothing.
 *
 * Values are kept as 64-bit cells: the bits of the type, narrower ones widened with zeros. Of zeros
 * that compare equal the first one stands. Sums are in value, value^2 and value x ns.
 *
 * States of stretches that follow each other merge into the state of both, to the bit the one that
 * a single pass would give.
 */
#ifndef LH_FOLD_H
#define LH_FOLD_H

#include <stdlib.h>

#include "exact.h"
#include "fold_codes.h"
#include "fold_vector.h"

enum {
    LH_FOLD_F64, LH_FOLD_F32, LH_FOLD_I64, LH_FOLD_U64, LH_FOLD_BOOL, LH_FOLD_CODE, LH_FOLD_NONE
};
enum { LH_SUM, LH_SQUARES, LH_STEPPED, LH_FORWARD, LH_INCREASE, LH_SUMS };
enum { LH_FIRST_VALID = 1, LH_LAST_VALID = 2, LH_FIRST_GOOD = 4, LH_LAST_GOOD = 8 };
enum { LH_BRIEF = 1u << LH_SUM, LH_EVERY = (1u << LH_SUMS) - 1u };
/* Beside the bits of sums: durations by value; FEW: of LH_CODES_FEW values at most, or none. */
enum { LH_DURATIONS = 1u << LH_SUMS, LH_FEW = LH_DURATIONS << 1 };

/* An exact sum that three doubles do not hold: carried limbs [low, high). */
typedef struct {
    int32_t low, high;
    int64_t limb[];
} lh_wide;

/* `exact` has a bit per sum that its expansion holds; `wide` has those that it does not. A sum with
 * neither is not known; where the increase is not known, resets and transitions are not either. The
 * bit of durations says that `codes` tells them, NULL: that there are none. */
typedef struct {
    int64_t rows, good, uncertain, bad;
    int64_t first_time, last_time, first_good_time, last_good_time, minimum_time, maximum_time;
    uint64_t first, last, first_good, last_good, minimum, maximum;
    uint64_t covered_ns;
    int64_t resets, transitions;
    double sum[LH_SUMS][3];
    lh_wide *wide[LH_SUMS];
    lh_codes *codes;
    uint32_t first_quality, last_quality;
    uint8_t flags, exact;
} lh_fold_state;

/* Rows as columns; quality NULL: all good; valid NULL: all have a value. */
typedef struct {
    const int64_t *time;
    const void *value;
    const uint32_t *quality;
    const uint8_t *valid;
    int type;
} lh_fold_columns;

/* A state in the making. */
typedef struct {
    lh_fold_state s;
    lh_exact sum[LH_SUMS];
    lh_holding holding;
    uint32_t known;
    int type;
} lh_folder;

/* What of `wanted` a type has. */
static inline uint32_t lh_fold_has(int type, uint32_t wanted) {
    if (type == LH_FOLD_NONE) return 0;
    return wanted & (type == LH_FOLD_CODE ? LH_DURATIONS : LH_EVERY | LH_DURATIONS);
}

static inline void lh_fold_begin(lh_folder *f, int type, uint32_t wanted) {
    memset(&f->s, 0, sizeof f->s);
    for (int k = 0; k < LH_SUMS; k++) lh_exact_clear(&f->sum[k]);
    lh_holding_begin(&f->holding, wanted & LH_FEW ? LH_CODES_FEW : LH_CODES_MAX);
    f->known = lh_fold_has(type, wanted);
    f->type = type;
}

static inline uint64_t lh_cell(const lh_fold_columns *c, int64_t i) {
    uint64_t cell = 0;
    switch (c->type) {
    case LH_FOLD_NONE: return 0;
    case LH_FOLD_F32: memcpy(&cell, (const char *)c->value + 4 * i, 4); return cell;
    case LH_FOLD_BOOL: return ((const uint8_t *)c->value)[i] != 0;
    default: memcpy(&cell, (const char *)c->value + 8 * i, 8); return cell;
    }
}

/* A number as a double and, where that cannot be all of it, a second double to add. */
typedef struct {
    double high, low;
} lh_number;

static inline lh_number lh_number_of(int type, uint64_t cell) {
    lh_number n = {0.0, 0.0};
    uint32_t narrow = (uint32_t)cell;
    float single;
    switch (type) {
    case LH_FOLD_F64: memcpy(&n.high, &cell, 8); break;
    case LH_FOLD_F32: memcpy(&single, &narrow, 4); n.high = (double)single; break;
    case LH_FOLD_I64:
        n.high = (double)((int64_t)cell >> 32) * 4294967296.0, n.low = (double)narrow;
        break;
    case LH_FOLD_U64: n.high = (double)(cell >> 32) * 4294967296.0, n.low = (double)narrow; break;
    default: n.high = (double)cell; break;
    }
    return n;
}

/* -1, 0, 1 as left is less than, equal to or greater than right; codes are equal or not. */
static inline int lh_compare(int type, uint64_t left, uint64_t right) {
    if (type == LH_FOLD_I64) {
        const int64_t a = (int64_t)left, b = (int64_t)right;
        return (a > b) - (a < b);
    }
    if (type >= LH_FOLD_I64) return (left > right) - (left < right);
    const double a = lh_number_of(type, left).high, b = lh_number_of(type, right).high;
    return (a > b) - (a < b);
}

static inline void lh_fold_square(lh_exact *a, lh_number n) {
    lh_exact_add_square(a, n.high, 1, 0);
    if (n.low != 0.0) {
        lh_exact_add_square(a, n.low, 1, 0);
        lh_exact_add_times(a, n.high, 2 * (uint64_t)n.low, 0);
    }
}

static inline void lh_fold_times(lh_exact *a, lh_number n, uint64_t by) {
    lh_exact_add_times(a, n.high, by, 0);
    if (n.low != 0.0) lh_exact_add_times(a, n.low, by, 0);
}

/* The step from one good row to the next good one. */
static inline void lh_fold_step(lh_folder *f, uint64_t from, uint64_t to) {
    if (f->type == LH_FOLD_NONE) return;
    if (f->type != LH_FOLD_CODE && !(f->known & 1u << LH_INCREASE)) return;
    const int way = lh_compare(f->type, to, from);
    f->s.transitions += way != 0;
    if (f->type == LH_FOLD_CODE) return;
    f->s.resets += way < 0;
    if (way <= 0) return;
    const lh_number a = lh_number_of(f->type, to), b = lh_number_of(f->type, from);
    lh_exact *sum = &f->sum[LH_INCREASE];
    lh_exact_add(sum, a.high);
    lh_exact_add(sum, a.low);
    lh_exact_add(sum, -b.high);
    lh_exact_add(sum, -b.low);
}

/* A value held for some time. */
static inline void lh_fold_hold(lh_folder *f, uint64_t cell, uint64_t ns) {
    const uint64_t minus = f->type == LH_FOLD_F64   ? UINT64_C(1) << 63
                           : f->type == LH_FOLD_F32 ? UINT64_C(1) << 31
                                                    : 0;
    if (!(f->known & LH_DURATIONS)) return;
    if (!lh_holding_add(&f->holding, cell == minus ? 0 : cell, ns)) f->known &= ~LH_DURATIONS;
}

/* The time between two good rows that follow each other. */
static inline void lh_fold_pair(lh_folder *f, uint64_t from, uint64_t to, int64_t t0, int64_t t1) {
    const uint64_t span = (uint64_t)t1 - (uint64_t)t0;
    if (t1 <= t0) return;
    f->s.covered_ns += span;
    lh_fold_hold(f, from, span);
    if (f->known & 1u << LH_STEPPED) {
        lh_fold_times(&f->sum[LH_STEPPED], lh_number_of(f->type, from), span);
        lh_fold_times(&f->sum[LH_FORWARD], lh_number_of(f->type, to), span);
    }
}

/* What a good row or stretch does to the extremes; ties stay with the first. */
static inline void lh_fold_extremes(
    lh_folder *f, uint64_t low, int64_t low_time, uint64_t high, int64_t high_time
) {
    lh_fold_state *s = &f->s;
    if (f->type >= LH_FOLD_CODE) return;
    if (s->good == 0 || lh_compare(f->type, low, s->minimum) < 0) {
        s->minimum = low, s->minimum_time = low_time;
    }
    if (s->good == 0 || lh_compare(f->type, high, s->maximum) > 0) {
        s->maximum = high, s->maximum_time = high_time;
    }
}

static inline int lh_is_good(const lh_fold_columns *c, int64_t i, uint64_t cell, int *level) {
    const uint32_t severity = c->quality ? c->quality[i] >> 30 : 0u;
    int sound = !c->valid || c->valid[i];
    if (c->type <= LH_FOLD_F32) {
        const double x = lh_number_of(c->type, cell).high;
        sound &= x == x;
    }
    *level = sound ? (severity > 2 ? 2 : (int)severity) : 2;
    return *level == 0;
}

/* One row, whatever it is. */
static inline void lh_fold_row(lh_folder *f, const lh_fold_columns *c, int64_t i) {
    lh_fold_state *s = &f->s;
    const int has = !c->valid || c->valid[i];
    const uint64_t cell = has ? lh_cell(c, i) : 0;
    const int64_t time = c->time[i];
    int level;
    const int good = lh_is_good(c, i, cell, &level);
    if (good) {
        if (s->good) lh_fold_step(f, s->last_good, cell);
        if (s->flags & LH_LAST_GOOD) lh_fold_pair(f, s->last_good, cell, s->last_time, time);
        lh_fold_extremes(f, cell, time, cell, time);
        const lh_number n = lh_number_of(c->type, cell);
        if (f->known & 1u << LH_SUM) {
            lh_exact_add(&f->sum[LH_SUM], n.high);
            lh_exact_add(&f->sum[LH_SUM], n.low);
        }
        if (f->known & 1u << LH_SQUARES) lh_fold_square(&f->sum[LH_SQUARES], n);
        if (s->good++ == 0) s->first_good = cell, s->first_good_time = time;
        s->last_good = cell, s->last_good_time = time;
    }
    s->uncertain += level == 1;
    s->bad += level == 2;
    const uint32_t quality = c->quality ? c->quality[i] : 0u;
    if (s->rows++ == 0) {
        s->first = cell, s->first_time = time, s->first_quality = quality;
        s->flags = (uint8_t)((has ? LH_FIRST_VALID : 0) | (good ? LH_FIRST_GOOD : 0));
    }
    s->last = cell, s->last_time = time, s->last_quality = quality;
    s->flags &= LH_FIRST_VALID | LH_FIRST_GOOD;
    s->flags |= (uint8_t)((has ? LH_LAST_VALID : 0) | (good ? LH_LAST_GOOD : 0));
}

#include "fold_rows.h"

#endif
