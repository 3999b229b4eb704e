/* Exception and swinging-door tests, sample by sample. docs/thinning.md has the rules.
 *
 * What is left out lies within the deviation of what is kept: of the value before it (exception),
 * of the line between its neighbours (swinging door). Slopes are rounded inwards, so that this
 * holds for real numbers and not nearly. */
#ifndef LH_THINNING_H
#define LH_THINNING_H

#include <float.h>
#include <math.h>
#include <stdint.h>

enum { LH_THIN_PASS = 0, LH_THIN_EXCEPTION = 1, LH_THIN_DOOR = 2 };

/* State of a series. EMPTY: the next sample passes. KEPT: the newest is kept. HELD: the newest is
 * held back. TWO: so is, or was left out, the one before it. */
enum { LH_THIN_EMPTY = 0, LH_THIN_KEPT = 1, LH_THIN_HELD = 2, LH_THIN_TWO = 3 };

typedef struct {
    int64_t kind, longest_ns, state, quality, newest_ns, since_ns;
    int64_t time_ns, held_ns, before_ns;
    double deviation, value, held, before, low, high;
} lh_thin_series;

typedef struct {
    int64_t count;
    int32_t *series, *row; /* row of the batch, or -1: one that was held back */
    int64_t *time_ns, *quality;
    double *value;
} lh_thin_kept;

#define LH_THIN_SLACK (8 * DBL_EPSILON)
#define LH_THIN_TINY 1e-290 /* slopes below lose digits to underflow */

static inline void lh_thin_put(lh_thin_kept *out, int32_t index, int32_t row, int64_t time_ns,
                               int64_t quality, double value) {
    int64_t at = out->count++;
    out->series[at] = index;
    out->row[at] = row;
    out->time_ns[at] = time_ns;
    out->quality[at] = quality;
    out->value[at] = value;
}

static inline int lh_thin_near(const lh_thin_series *one, int64_t time_ns) {
    return (uint64_t)time_ns - (uint64_t)one->time_ns < (uint64_t)one->longest_ns;
}

/* Whether |a - b| <= most, exactly: the rounded difference decides unless it is equal. */
static inline int lh_thin_within(double a, double b, double most) {
    double s = a - b, t = s - a, rest = (a - (s - t)) - (b + t);
    if (fabs(s) != most) return fabs(s) < most;
    return s < 0 ? rest >= 0 : rest <= 0;
}

/* Keep the sample that is held back. */
static inline void lh_thin_release(lh_thin_series *one, int32_t index, lh_thin_kept *out) {
    if (one->state < LH_THIN_HELD) return;
    lh_thin_put(out, index, -1, one->held_ns, one->quality, one->held);
    one->time_ns = one->held_ns;
    one->value = one->held;
    one->state = LH_THIN_KEPT;
}

/* Whether the line to a sample passes all that was left out; the door is narrowed by it. */
static inline int lh_thin_opens(lh_thin_series *one, int64_t time_ns, double value, int first) {
    double length = (double)((uint64_t)time_ns - (uint64_t)one->time_ns);
    double rise = value - one->value, slope = rise / length;
    double slack = LH_THIN_SLACK * (fabs(rise) + one->deviation) / length;
    double low = (rise - one->deviation) / length + slack;
    double high = (rise + one->deviation) / length - slack;
    if (!first) {
        if (!(one->low <= slope && slope <= one->high)) return 0;
        if (rise != 0 && fabs(slope) < LH_THIN_TINY) return 0;
        if (low < one->low) low = one->low;
        if (high > one->high) high = one->high;
    }
    if (low != low || high != high ||
        (one->deviation != 0 && one->deviation / length < LH_THIN_TINY) ||
        (one->deviation == 0 && rise != 0)) {
        low = 1; /* shut: no slope fits */
        high = 0;
    }
    one->low = low;
    one->high = high;
    return 1;
}

static inline void lh_thin_take(lh_thin_series *one, int32_t index, int32_t row, int64_t time_ns,
                                int64_t quality, double value, int plain, int64_t now_ns,
                                lh_thin_kept *out) {
    int fits;
    if (one->kind == LH_THIN_PASS) {
        lh_thin_put(out, index, row, time_ns, quality, value);
        return;
    }
    if (time_ns <= one->newest_ns) {
        if (time_ns == one->newest_ns) {
            /* It replaces the newest: what was left out before that needs an end of its own. */
            if (one->state == LH_THIN_TWO && one->kind == LH_THIN_DOOR)
                lh_thin_put(out, index, -1, one->before_ns, one->quality, one->before);
            lh_thin_release(one, index, out);
            one->state = LH_THIN_EMPTY;
        }
        lh_thin_put(out, index, row, time_ns, quality, value);
        return;
    }
    one->newest_ns = time_ns;
    fits = plain && one->state != LH_THIN_EMPTY && quality == one->quality;
    if (fits && one->kind == LH_THIN_EXCEPTION) {
        fits = lh_thin_near(one, time_ns) && lh_thin_within(value, one->value, one->deviation);
    } else if (fits) {
        fits = lh_thin_near(one, time_ns);
        if (fits && one->state >= LH_THIN_HELD && !lh_thin_opens(one, time_ns, value, 0)) {
            lh_thin_release(one, index, out);
            fits = lh_thin_near(one, time_ns);
        }
        if (fits && one->state == LH_THIN_KEPT) lh_thin_opens(one, time_ns, value, 1);
    }
    if (!fits) {
        lh_thin_release(one, index, out);
        lh_thin_put(out, index, row, time_ns, quality, value);
        one->time_ns = time_ns;
        one->value = value;
        one->quality = quality;
        one->state = plain ? LH_THIN_KEPT : LH_THIN_EMPTY;
        return;
    }
    if (one->state == LH_THIN_KEPT) {
        one->since_ns = now_ns;
        one->state = LH_THIN_HELD;
    } else {
        one->before_ns = one->held_ns;
        one->before = one->held;
        one->state = LH_THIN_TWO;
    }
    one->held_ns = time_ns;
    one->held = value;
}

#endif
