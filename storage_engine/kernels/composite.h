/* Codecs 9 to 14: the fields of their bodies, read and checked. Layouts: docs/format/codecs.md. */
#ifndef LH_COMPOSITE_H
#define LH_COMPOSITE_H

#include <math.h>

#include "column.h"
#include "rows.h"

enum {
    LH_DECIMAL = 9,
    LH_SCALED = 10,
    LH_ORDERED = 11,
    LH_REAL = 12,
    LH_DISTINCT = 13,
    LH_RLE = 14,
};
enum { LH_CHILD_HEAD = 5, LH_ENTRIES_MAX = 4096, LH_PLACES_MAX = 22, LH_FRONTS_MAX = 8 };
enum { LH_HAS_MOVES = 1, LH_HAS_EXCEPTIONS = 2 };
/* Bytes of scratch of one level: a table of entries and a vector of codes. Three levels of
 * composites and a leaf fit what lh_column_scratch_bytes gives. */
enum { LH_SLOT = 8 * LH_ENTRIES_MAX + 8 * LH_VECTOR, LH_DEPTH_MAX = 3 };

enum { LH_POWER_NEAR = 15 }; /* up to this power a quotient takes no correction: floats.h */

/* Powers of ten that a double holds exactly. */
static const double lh_powers_of_ten[LH_PLACES_MAX + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

typedef struct {
    const uint8_t *body;
    int64_t size;
    int codec; /* 0: there is none */
} lh_child;

typedef struct {
    int64_t count;
    lh_child places, values;
} lh_exception_list;

/* Decimal and scaled: value = integer * a / b + c. */
typedef struct {
    double a, b, c;
    unsigned k;
    lh_child ints, moves;
    lh_exception_list exceptions;
} lh_grid;

typedef struct {
    uint64_t fronts[LH_FRONTS_MAX]; /* in place; unused ones are 0 */
    unsigned width;
    lh_child codes, rights;
    lh_exception_list exceptions;
} lh_real;

/* Distinct: entries and codes. Rle: values and lengths of runs. */
typedef struct {
    int64_t count;
    lh_child values, others;
} lh_pair;

/* The child that begins at p, and what follows it; NULL when it is not there, or p is NULL. */
static inline const uint8_t *lh_child_take(const uint8_t *p, const uint8_t *end, lh_child *child)
{
    if (p == NULL || end - p < LH_CHILD_HEAD)
        return NULL;
    child->codec = p[0];
    child->size = (int64_t)lh_load(p + 1, 4);
    child->body = p + LH_CHILD_HEAD;
    if (child->codec == 0 || end - child->body < child->size)
        return NULL;
    return child->body + child->size;
}

static inline const uint8_t *lh_exceptions_take(const uint8_t *p, const uint8_t *end, int64_t n,
                                                lh_exception_list *x)
{
    if (p == NULL || end - p < 4)
        return NULL;
    x->count = (int64_t)lh_load(p, 4);
    if (x->count == 0 || x->count > n)
        return NULL;
    return lh_child_take(lh_child_take(p + 4, end, &x->places), end, &x->values);
}

static inline int lh_grid_open(int codec, const uint8_t *body, int64_t size, int64_t n, lh_grid *g)
{
    const int head = codec == LH_DECIMAL ? 1 : 24;
    memset(g, 0, sizeof *g);
    if (size < head + 1)
        return LH_ECORRUPT;
    if (codec == LH_DECIMAL) {
        g->k = body[0];
        if (g->k > LH_PLACES_MAX)
            return LH_ECORRUPT;
    } else {
        memcpy(&g->a, body, 8);
        memcpy(&g->b, body + 8, 8);
        memcpy(&g->c, body + 16, 8);
        /* Without these bounds a NaN could come out, whose bits differ between processors. */
        if (!(g->a > 0 && g->a <= 1e150 && g->b > 1e-150 && g->b <= 1e150 && fabs(g->c) <= 1e300))
            return LH_ECORRUPT;
    }
    const unsigned flags = body[head];
    const uint8_t *end = body + size, *p = lh_child_take(body + head + 1, end, &g->ints);
    if (flags & LH_HAS_MOVES)
        p = lh_child_take(p, end, &g->moves);
    if (flags & LH_HAS_EXCEPTIONS)
        p = lh_exceptions_take(p, end, n, &g->exceptions);
    return p == end && flags <= (LH_HAS_MOVES | LH_HAS_EXCEPTIONS) ? LH_OK : LH_ECORRUPT;
}

static inline int lh_real_open(const uint8_t *body, int64_t size, int64_t n, int item, lh_real *r)
{
    memset(r, 0, sizeof *r);
    if ((item != 8 && item != 4) || size < 3)
        return LH_ECORRUPT;
    const unsigned fronts = body[1], flags = body[2];
    r->width = body[0];
    if (r->width == 0 || (int)r->width >= 8 * item || fronts == 0 || fronts > LH_FRONTS_MAX
        || size < 3 + 2 * (int64_t)fronts || flags > 1)
        return LH_ECORRUPT;
    for (unsigned i = 0; i < fronts; i++)
        r->fronts[i] = lh_load(body + 3 + 2 * i, 2) << r->width;
    const uint8_t *end = body + size, *p = body + 3 + 2 * fronts;
    p = lh_child_take(lh_child_take(p, end, &r->codes), end, &r->rights);
    if (flags)
        p = lh_exceptions_take(p, end, n, &r->exceptions);
    return p == end ? LH_OK : LH_ECORRUPT;
}

static inline int lh_pair_open(const uint8_t *body, int64_t size, int64_t count_max, lh_pair *d)
{
    memset(d, 0, sizeof *d);
    if (size < 4)
        return LH_ECORRUPT;
    d->count = (int64_t)lh_load(body, 4);
    if (d->count == 0 || d->count > count_max)
        return LH_ECORRUPT;
    const uint8_t *end = body + size;
    const uint8_t *p = lh_child_take(lh_child_take(body + 4, end, &d->values), end, &d->others);
    return p == end ? LH_OK : LH_ECORRUPT;
}

static inline uint8_t *lh_child_head(uint8_t *p, int codec, int64_t size)
{
    *p = (uint8_t)codec;
    return lh_store(p + 1, (uint64_t)size, 4);
}

/* What is decided before values are encoded; kept between blocks, so that it is tried first. */
typedef struct lh_plan {
    double a, b, c;          /* decimal: b = 10^k */
    int32_t codec;           /* 8 to 14, or 1 */
    int32_t inner;           /* distinct, rle: codec of the entries or run values */
    int32_t k;               /* decimal */
    int32_t moves;           /* bits may be this far from the grid, 0 = exactly on it */
    int32_t width;           /* real: bits right of the front */
    int32_t plain;           /* the integers stay raw, for a last stage outside */
    lh_packed_hint hints[2];
} lh_plan;

/* Values that do not fit a plan may be at most one in this many. */
enum { LH_MISFITS = 8 };

/* Half of it is where exceptions wait behind what is not written yet. */
static inline int64_t lh_encode_bound(int64_t n)
{
    return 4096 + 2 * lh_packed_bound(n) + 16 * n;
}

/* Bytes that number_encode may touch of its output, for n values. */
static inline int64_t lh_encode_room(int64_t n)
{
    return lh_encode_bound(n) + 8192;
}

/* Bytes of 64-byte aligned memory an encoder works in. */
static inline int64_t lh_encode_work_bytes(int64_t n)
{
    return 32 * n + 320 * 1024;
}

#endif
