/* Plans for a column from a sample of it: which grid its floats lie on. Layouts: composite.h. */
#ifndef LH_PLANS_H
#define LH_PLANS_H

#include <stdio.h>
#include <stdlib.h>

#include "composite.h"

enum { LH_SAMPLE = 256, LH_PLANS_MAX = 6, LH_NEAR_DOUBLE = 64, LH_NEAR_SINGLE = 4 };

typedef struct {
    double x[LH_SAMPLE];      /* finite ones only, as they come */
    double rising[LH_SAMPLE]; /* distinct ones, sorted */
    int count, distinct, item;
} lh_sample;

/* How a grid fits the sample: values on it, and values a few units in the last place from it. */
typedef struct {
    int exact, near;
} lh_grid_fit;

static inline int64_t lh_distance(double x, double y, int item)
{
    int64_t a, b;
    if (item == 4) {
        float p = (float)x, q = (float)y;
        int32_t c, d;
        memcpy(&c, &p, 4);
        memcpy(&d, &q, 4);
        return llabs((int64_t)c - d);
    }
    memcpy(&a, &x, 8);
    memcpy(&b, &y, 8);
    if ((a ^ b) < 0)
        return INT64_MAX;
    return llabs(a - b);
}

static inline lh_grid_fit lh_grid_fit_of(const lh_sample *s, double a, double b, double c)
{
    const double inverse = b / a, magic = 0x1.8p52;
    const int64_t close = s->item == 8 ? LH_NEAR_DOUBLE : LH_NEAR_SINGLE;
    lh_grid_fit fit = {0, 0};
    for (int i = 0; i < s->count; i++) {
        double steps = (s->x[i] - c) * inverse;
        if (!(steps < 0x1p51 && steps > -0x1p51))
            continue;
        double whole = steps + magic - magic;
        int64_t far = lh_distance(whole * a / b + c, s->x[i], s->item);
        fit.exact += far == 0;
        fit.near += far <= close;
    }
    return fit;
}

static inline int lh_double_order(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* 32 values each of 8 places across the column. */
static inline void lh_sample_take(const uint8_t *values, int64_t n, int item, lh_sample *s)
{
    s->count = s->distinct = 0;
    s->item = item;
    for (int64_t i = 0; i < (n < LH_SAMPLE ? n : LH_SAMPLE); i++) {
        int64_t at = n <= LH_SAMPLE ? i : (n - 32) * (i / 32) / 7 + i % 32;
        double x;
        float narrow;
        memcpy(&narrow, values + at * item, 4);
        x = narrow;
        if (item == 8)
            memcpy(&x, values + at * 8, 8);
        if (isfinite(x))
            s->x[s->count++] = x;
    }
    memcpy(s->rising, s->x, sizeof s->x);
    qsort(s->rising, (size_t)s->count, sizeof(double), lh_double_order);
    for (int i = 0; i < s->count; i++)
        if (i == 0 || s->rising[i] != s->rising[i - 1])
            s->rising[s->distinct++] = s->rising[i];
}

static inline lh_plan *lh_plan_put(lh_plan *plan, int codec, double a, double b, double c,
                                   int moves)
{
    memset(plan, 0, sizeof *plan);
    plan->codec = codec;
    plan->a = a;
    plan->b = b;
    plan->c = c;
    plan->moves = moves;
    return plan + 1;
}

/* Fewest places that pay: a decade costs all values 3.3 bits, a value off the grid about 100. */
static inline lh_plan *lh_decimal_plans(const lh_sample *s, lh_plan *p)
{
    double best[2] = {1e9, 1e9};
    int places[2] = {-1, -1};
    const int close = s->item == 8 ? LH_NEAR_DOUBLE : LH_NEAR_SINGLE;
    for (int k = 0; k <= (s->item == 8 ? 18 : 9); k++) {
        lh_grid_fit fit = lh_grid_fit_of(s, 1, lh_powers_of_ten[k], 0);
        const int found[2] = {fit.exact, k <= 12 ? fit.near : 0};
        for (int j = 0; j < 2; j++) {
            double bits = 3.32 * k + 100.0 * (s->count - found[j]) / s->count + 4 * j;
            if (found[j] * 10 >= s->count * 9 && bits < best[j]) {
                best[j] = bits;
                places[j] = k;
            }
        }
    }
    for (int j = 0; j < 2; j++)
        if (places[j] >= 0 && (j == 0 || best[1] < best[0])) {
            p = lh_plan_put(p, LH_DECIMAL, 1, lh_powers_of_ten[places[j]], 0, j ? close : 0);
            p[-1].k = places[j];
        }
    return p;
}

/* Greatest step that all differences are nearly multiples of; 0 when there is none. */
static inline double lh_step_find(const lh_sample *s)
{
    const double top = fmax(fabs(s->rising[0]), fabs(s->rising[s->distinct - 1]));
    const double noise = top * (s->item == 8 ? 0x1p-50 : 0x1p-22);
    double step = 0;
    for (int i = 1; i < s->distinct; i++) {
        double a = s->rising[i] - s->rising[i - 1], b = step;
        if (a <= 8 * noise)
            continue;
        for (int turn = 0; turn < 64 && b > 64 * noise; turn++) {
            double rest = fabs(a - nearbyint(a / b) * b);
            a = b;
            b = rest;
        }
        step = a;
        if (step < 256 * noise)
            return 0;
    }
    return step;
}

/* The step again, from ever farther values: their error is divided by the number of steps. */
static inline double lh_step_refine(const lh_sample *s, double step, double from)
{
    for (int turn = 0; turn < 3; turn++) {
        double up = 0, down = 0;
        for (int i = 0; i < s->distinct; i++) {
            double steps = nearbyint((s->rising[i] - from) / step);
            up += (s->rising[i] - from) * steps;
            down += steps * steps;
        }
        if (down > 0)
            step = up / down;
    }
    return step;
}

/* x with its digits after the tenth cut: what a person would have configured. */
static inline double lh_short_number(double x)
{
    char text[32];
    snprintf(text, sizeof text, "%.10g", x);
    return strtod(text, NULL);
}

static inline void lh_grid_try(const lh_sample *s, double a, double b, double c, lh_grid_fit *best,
                               lh_plan *plan)
{
    if (!(a > 0 && a <= 1e150 && b > 1e-150 && b <= 1e150 && fabs(c) <= 1e300))
        return;
    lh_grid_fit fit = lh_grid_fit_of(s, a, b, c);
    if (fit.exact > best->exact || (fit.exact == best->exact && fit.near > best->near)) {
        *best = fit;
        lh_plan_put(plan, LH_SCALED, a, b, c, 0);
    }
}

/* The step as it is, as 1 / d, as a / b with b the count of a converter; each with neighbours. */
static inline void lh_grids_try(const lh_sample *s, double step, double c, lh_grid_fit *best,
                                lh_plan *plan)
{
    static const double counts[] = {4095, 4096, 27648, 32767, 65535, 1023, 255, 16383, 32000, 3};
    double other = 1 / step, less = step, more = step;
    lh_grid_try(s, lh_short_number(step), 1, c, best, plan);
    lh_grid_try(s, 1, lh_short_number(other), c, best, plan);
    for (unsigned i = 0; i < sizeof counts / sizeof *counts; i++) {
        double a = lh_short_number(step * counts[i]);
        lh_grid_try(s, a, counts[i], c, best, plan);
        lh_grid_try(s, a / counts[i], 1, c, best, plan);
    }
    lh_grid_try(s, 1, other, c, best, plan);
    for (int i = 0; i < 16 && best->exact < s->count; i++) {
        lh_grid_try(s, less, 1, c, best, plan);
        lh_grid_try(s, more, 1, c, best, plan);
        less = nextafter(less, 0);
        more = nextafter(more, INFINITY);
    }
}

static inline lh_plan *lh_scaled_plan(const lh_sample *s, lh_plan *p)
{
    lh_grid_fit best = {0, 0};
    double step = s->distinct < 3 ? 0 : lh_step_find(s);
    if (step == 0)
        return p;
    lh_grids_try(s, lh_step_refine(s, step, 0), 0, &best, p);
    if (best.exact * 10 < s->count * 9) {
        double low = s->rising[0], offset = low - nearbyint(low / step) * step;
        lh_grids_try(s, lh_step_refine(s, step, low), lh_short_number(low), &best, p);
        lh_grids_try(s, lh_step_refine(s, step, offset), lh_short_number(offset), &best, p);
    }
    if (best.exact * 10 >= s->count * 9)
        return p + 1;
    p->moves = s->item == 8 ? LH_NEAR_DOUBLE : LH_NEAR_SINGLE;
    return best.near * 10 >= s->count * 9 ? p + 1 : p;
}

/* Fewest bits right of fronts of at most 16 bits, of which the sample has no more than 8. */
static inline int lh_width_find(const lh_sample *s)
{
    const int bits = 8 * s->item;
    for (int width = bits - 16; width < bits; width++) {
        uint64_t fronts[LH_FRONTS_MAX];
        int used = 0, i = 0;
        for (; i < s->count && used <= LH_FRONTS_MAX; i++) {
            uint64_t word = 0;
            float narrow = (float)s->x[i];
            memcpy(&word, s->item == 8 ? (const void *)(s->x + i) : &narrow, (size_t)s->item);
            int at = 0;
            while (at < used && fronts[at] != word >> width)
                at++;
            if (at == used && used++ < LH_FRONTS_MAX)
                fronts[at] = word >> width;
        }
        if (used <= LH_FRONTS_MAX)
            return width;
    }
    return bits - 1;
}

/* Plans that may fit floats of 4 or 8 bytes, the likeliest first; their count, at most 6. */
static inline int lh_plans_find(const uint8_t *values, int64_t n, int item, lh_plan *plans)
{
    lh_sample s;
    lh_plan *p = plans;
    lh_sample_take(values, n, item, &s);
    if (s.count > 0) {
        p = lh_decimal_plans(&s, p);
        if (p == plans || plans->moves || plans->k > 9)
            p = lh_scaled_plan(&s, p);
    }
    p = lh_plan_put(p, LH_ORDERED, 1, 1, 0, 0);
    p = lh_plan_put(p, LH_REAL, 1, 1, 0, 0);
    p[-1].width = lh_width_find(&s);
    return (int)(p - plans);
}

#endif
