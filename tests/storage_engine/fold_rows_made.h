/* Rows of every type at random, their states compared: what drivers of folds share. */
#ifndef FOLD_ROWS_MADE_H
#define FOLD_ROWS_MADE_H

#include <stdio.h>

#include "fold.h"

enum { WILD = 8 }; /* kinds of values */

static uint64_t state = 88172645463325252u;
static long wide, told;

static uint64_t any(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void check(const char *what, int holds)
{
    if (!holds) {
        printf("%s\n", what);
        exit(1);
    }
}

/* Cells that are nobody's favourite: of doubles, of floats and of integers. */
static const uint64_t odd_cells[][8] = {
    {UINT64_C(0x7ff8000000001234), UINT64_C(0xfff0000000000001), UINT64_C(1) << 63, 0,
     UINT64_C(0x7ff0000000000000), UINT64_C(0xfff0000000000000), 1, UINT64_C(0x800fffffffffffff)},
    {0x7fc01234, 0xff800001, 0x80000000, 0, 0x7f800000, 0xff800000, 1, 0x807fffff},
    {UINT64_C(1) << 63, UINT64_MAX >> 1, UINT64_MAX, 0, (UINT64_C(1) << 53) + 1,
     UINT64_C(1) << 53, 0 - (UINT64_C(1) << 53) - 1, 1},
};

static uint64_t cell_of(int type, int wild, uint64_t *walk)
{
    static const double odd[] = {0.0, -0.0, 1e308, -1e308, 5e-324, 2.2e-308, 0.1, 3.0, 1e-300};
    double x = odd[any() % 9];
    uint64_t cell = any();
    float narrow;
    *walk += any() % 5 - 2;
    if (wild == 0 || wild == 2) x = (double)(int64_t)*walk * (wild ? 1e-3 : 1.0);
    if (wild == 3) x = (double)(any() % 3);
    if (wild == 4 && any() % 3) x = any() % 2 ? (double)INFINITY : (double)NAN;
    if (wild == 6 && type != LH_FOLD_BOOL) return odd_cells[type < 2 ? type : 2][cell % 8];
    if (wild == 7) x = 0.25;
    if (type == LH_FOLD_F64) {
        if (wild != 5) memcpy(&cell, &x, 8);
    } else if (type == LH_FOLD_F32) {
        narrow = (float)(x < -3e38 ? -3e38 : x > 3e38 ? 3e38 : x);
        cell = (uint32_t)cell;
        if (wild != 5) memcpy(&cell, &narrow, 4);
    } else if (type == LH_FOLD_BOOL) {
        cell = wild == 5 ? (cell & 255) : *walk >> 3 & 1;
    } else if (wild < 4 || wild == 7) {
        cell = wild == 7 ? 1u << 20 : wild == 3 ? any() % 3 : *walk + 1000;
    }
    return cell;
}

static const int item_of[] = {8, 4, 8, 8, 1, 8, 8};

/* Columns of n rows, each in memory of its own size. */
static lh_fold_columns made(int type, int64_t n, int wild)
{
    const int graded = any() % 2, masked = any() % 2, far = any() % 8 == 0;
    int64_t *time = malloc((size_t)n * 8 + !n);
    uint8_t *value = calloc((size_t)(n * item_of[type]) + !n, 1), *valid = malloc((size_t)n + !n);
    uint32_t *quality = malloc((size_t)n * 4 + !n);
    int64_t at = far ? INT64_MIN : (int64_t)(any() % 1000);
    uint64_t walk = any() % 100, step = far ? UINT64_C(1) << 52 : 1 + any() % 2000000000u;
    for (int64_t i = 0; i < n; i++) {
        const uint64_t cell = cell_of(type, wild, &walk);
        if (type != LH_FOLD_NONE) memcpy(value + i * item_of[type], &cell, (size_t)item_of[type]);
        quality[i] = any() % 50 ? 0 : (uint32_t)any();
        valid[i] = any() % 50 != 0;
        time[i] = at;
        at += (int64_t)(step + any() % (step / 16 + 2) * (any() % 2));
    }
    if (!graded) free(quality);
    if (!masked) free(valid);
    return (lh_fold_columns){time, value, graded ? quality : NULL, masked ? valid : NULL, type};
}

static void dropped(lh_fold_columns *c)
{
    free((void *)c->time);
    free((void *)c->value);
    free((void *)c->quality);
    free((void *)c->valid);
}

static void same(const char *what, const lh_fold_state *a, const lh_fold_state *b)
{
    lh_fold_state x = *a, y = *b;
    for (int k = 0; k < LH_SUMS; k++) {
        const lh_wide *p = a->wide[k], *q = b->wide[k];
        check(what, !p == !q);
        wide += p != NULL;
        if (p) {
            check(what, p->low == q->low && p->high == q->high);
            check(what, !memcmp(p->limb, q->limb, 8 * (size_t)(p->high - p->low)));
        }
        x.wide[k] = y.wide[k] = NULL;
        for (int j = 0; j < 3; j++) { /* a NaN has any bits */
            if (x.sum[k][j] != x.sum[k][j] && y.sum[k][j] != y.sum[k][j]) {
                x.sum[k][j] = y.sum[k][j] = 0.0;
            }
        }
    }
    check(what, !a->codes == !b->codes);
    if (a->codes) {
        told++;
        check(what, a->codes->count == b->codes->count);
        check(what, !memcmp(a->codes->held, b->codes->held,
                            sizeof(lh_held) * (size_t)a->codes->count));
    }
    x.codes = y.codes = NULL;
    check(what, !memcmp(&x, &y, offsetof(lh_fold_state, exact) + 1));
}

#endif
