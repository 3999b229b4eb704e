/* Passes of brief.h over pieces of a vector, once per target. LH_TARGET is its attribute,
 * LH_LANE(name) its names, LH_WIDTH its doubles per vector, LH_MIN and LH_MAX give the second where
 * one is NaN, LH_LEAST, LH_MOST and LH_TOTAL join lanes, LH_ODD(all, x, y) is all | (x ^ y),
 * LH_MIX(a, b, ...) picks lanes of both. No guard. */

typedef double LH_LANE(lh_w) __attribute__((vector_size(8 * LH_WIDTH)));
typedef double LH_LANE(lh_wu) __attribute__((vector_size(8 * LH_WIDTH), aligned(8), may_alias));
typedef int64_t LH_LANE(lh_wi) __attribute__((vector_size(8 * LH_WIDTH)));
typedef int64_t LH_LANE(lh_wiu) __attribute__((vector_size(8 * LH_WIDTH), aligned(8), may_alias));
typedef uint64_t LH_LANE(lh_wn) __attribute__((vector_size(8 * LH_WIDTH)));
#define LH_V LH_LANE(lh_w)
#define LH_I LH_LANE(lh_wi)
#define LH_N LH_LANE(lh_wn)
#define LH_AT(p) (*(const LH_LANE(lh_wu) *)(p))
#define LH_PUT(p) (*(LH_LANE(lh_wu) *)(p))
#define LH_MASK(p) (*(const LH_LANE(lh_wiu) *)(p))
#define LH_ADD(a, b) ((a) + (b))
#define LH_ADD_BITS(a, b) ((LH_V)((LH_N)(a) + (LH_N)(b)))
#define LH_OR_BITS(a, b) ((LH_V)((LH_N)(a) | (LH_N)(b)))

/* Lane k is row p[k] with its lanes joined, those at distance 1 first. */
#if LH_WIDTH == 8
#define LH_TREE_BODY(op) \
    const LH_V a = LH_JOIN_1(op, p[0], p[1]), b = LH_JOIN_1(op, p[2], p[3]); \
    const LH_V c = LH_JOIN_1(op, p[4], p[5]), d = LH_JOIN_1(op, p[6], p[7]); \
    const LH_V e = LH_JOIN_2(op, a, b), f = LH_JOIN_2(op, c, d); \
    return LH_JOIN_4(op, e, f);
#define LH_JOIN_1(op, x, y) \
    op(LH_MIX(x, y, 0, 8, 2, 10, 4, 12, 6, 14), LH_MIX(x, y, 1, 9, 3, 11, 5, 13, 7, 15))
#define LH_JOIN_2(op, x, y) \
    op(LH_MIX(x, y, 0, 1, 8, 9, 4, 5, 12, 13), LH_MIX(x, y, 2, 3, 10, 11, 6, 7, 14, 15))
#define LH_JOIN_4(op, x, y) \
    op(LH_MIX(x, y, 0, 1, 2, 3, 8, 9, 10, 11), LH_MIX(x, y, 4, 5, 6, 7, 12, 13, 14, 15))
#elif LH_WIDTH == 4
#define LH_TREE_BODY(op) \
    const LH_V a = LH_JOIN_1(op, p[0], p[1]), b = LH_JOIN_1(op, p[2], p[3]); \
    return LH_JOIN_2(op, a, b);
#define LH_JOIN_1(op, x, y) op(LH_MIX(x, y, 0, 4, 2, 6), LH_MIX(x, y, 1, 5, 3, 7))
#define LH_JOIN_2(op, x, y) op(LH_MIX(x, y, 0, 1, 4, 5), LH_MIX(x, y, 2, 3, 6, 7))
#else
#define LH_TREE_BODY(op) return op(LH_MIX(p[0], p[1], 0, 2), LH_MIX(p[0], p[1], 1, 3));
#endif
#define LH_TREE(name, op) \
    LH_TARGET static inline LH_V LH_LANE(name)(const LH_V *p) { LH_TREE_BODY(op) }
LH_TREE(lh_tree_least, LH_MIN)
LH_TREE(lh_tree_most, LH_MAX)
LH_TREE(lh_tree_total, LH_ADD)
LH_TREE(lh_tree_bits, LH_ADD_BITS)
LH_TREE(lh_tree_any, LH_OR_BITS)

/* Pieces that follow each other, a row each. */
typedef struct {
    LH_V low[LH_WIDTH], high[LH_WIDTH], total[LH_WIDTH], rest[LH_WIDTH];
    int64_t count[LH_WIDTH];
} LH_LANE(lh_lane_rows);

/* Set all rows behind the first m. */
LH_TARGET static inline void LH_LANE(lh_lane_pad)(LH_LANE(lh_lane_rows) *r, int64_t m) {
    for (int64_t k = m; k < LH_WIDTH; k++) {
        r->low[k] = r->low[0], r->high[k] = r->high[0];
        r->total[k] = r->total[0], r->rest[k] = r->rest[0], r->count[k] = r->count[0];
    }
}

/* Fill m pieces from `at` on. */
LH_TARGET static inline void LH_LANE(lh_lane_put)(
    LH_V low, LH_V high, LH_V total, LH_V rest, int64_t at, int64_t m, lh_pieces *out
) {
    if (m == LH_WIDTH) {
        LH_PUT(out->minimum + at) = low, LH_PUT(out->maximum + at) = high;
        LH_PUT(out->high + at) = total, LH_PUT(out->low + at) = rest;
        return;
    }
    for (int64_t k = 0; k < m; k++) {
        out->minimum[at + k] = low[k], out->maximum[at + k] = high[k];
        out->high[at + k] = total[k], out->low[at + k] = rest[k];
    }
}

/* Fill m pieces from `at` on from as many rows. */
LH_TARGET static inline void LH_LANE(lh_lane_join)(
    LH_LANE(lh_lane_rows) *r, int64_t at, int64_t m, lh_pieces *out
) {
    LH_V low, high, total, rest;
    if (m == 1) {
        out->minimum[at] = LH_LEAST(r->low[0]), out->maximum[at] = LH_MOST(r->high[0]);
        out->high[at] = LH_TOTAL(r->total[0]), out->low[at] = LH_TOTAL(r->rest[0]);
        return;
    }
    LH_LANE(lh_lane_pad)(r, m);
    low = LH_LANE(lh_tree_least)(r->low), high = LH_LANE(lh_tree_most)(r->high);
    total = LH_LANE(lh_tree_total)(r->total), rest = LH_LANE(lh_tree_total)(r->rest);
    LH_LANE(lh_lane_put)(low, high, total, rest, at, m, out);
}

#define LH_STEP(k, x, extreme) \
    { \
        const LH_V s = total[k] + (x), b = (x) - (s - total[k]); \
        low[k] = LH_MIN(extreme, low[k]); \
        high[k] = LH_MAX(extreme, high[k]); \
        total[k] = s; \
        rest[k] += b; \
        if (checked) odd |= (LH_I)(b - ((b + second) - second)); \
    }

LH_TARGET __attribute__((always_inline)) static inline int LH_LANE(lh_lane_each)(
    const double *v, const int32_t *cut, int64_t m, double coarse, double fine, lh_pieces *out,
    int64_t at, const int checked
) {
    const LH_V first = (LH_V){0} + coarse, second = (LH_V){0} + fine;
    LH_LANE(lh_lane_rows) r;
    LH_I odd = {0};
    for (int64_t k = 0; k < m; k++) {
        const double *p = v + cut[k];
        const int64_t n = cut[k + 1] - cut[k], row = k % LH_WIDTH;
        const LH_V start = (LH_V){0} + p[0];
        /* A total that starts at 1.5 units of its top cuts each value on its own last place. */
        LH_V low[2] = {start, start}, high[2] = {start, start}, rest[2] = {{0}};
        LH_V total[2] = {first, first};
        int64_t i = 0;
        for (; i + 2 * LH_WIDTH <= n; i += 2 * LH_WIDTH) {
            const LH_V x = LH_AT(p + i), y = LH_AT(p + i + LH_WIDTH);
            LH_STEP(0, x, x)
            LH_STEP(1, y, y)
        }
        for (int j = 0; j < 2; j++, i += LH_WIDTH) {
            const LH_I mask = LH_MASK(lh_brief_masks + (16 - n + i));
            const LH_I have = (LH_I)LH_AT(p + i) & mask;
            const LH_V x = (LH_V)have, extreme = (LH_V)(have | ((LH_I)start & ~mask));
            LH_STEP(j, x, extreme)
        }
        r.low[row] = LH_MIN(low[0], low[1]), r.high[row] = LH_MAX(high[0], high[1]);
        r.total[row] = (total[0] - first) + (total[1] - first), r.rest[row] = rest[0] + rest[1];
        if (row == LH_WIDTH - 1 || k == m - 1) {
            LH_LANE(lh_lane_join)(&r, at + k - row, row + 1, out);
        }
    }
    int64_t any = 0;
    for (int j = 0; j < LH_WIDTH; j++) any |= odd[j];
    return any == 0;
}

/* Rows [cut[k], cut[k + 1]) as piece at + k for each k < m, none of them empty; behind the last can
 * LH_BRIEF_PAD doubles be read. Returns 0 when a value is none that the grids hold, and out means
 * nothing then. Whether an extreme is beyond the grid is for the caller to see; where `fine` is 0,
 * also whether a value is too small for it, or none. */
LH_TARGET static int LH_LANE(lh_lane_pieces)(
    const double *v, const int32_t *cut, int64_t m, double coarse, double fine, lh_pieces *out,
    int64_t at
) {
    if (fine == 0.0) return LH_LANE(lh_lane_each)(v, cut, m, coarse, fine, out, at, 0);
    return LH_LANE(lh_lane_each)(v, cut, m, coarse, fine, out, at, 1);
}

/* Fill pieces whose values have one sign and one exponent each, from as many rows of summed bits;
 * NaN for the sum of those that have not. */
LH_TARGET static inline void LH_LANE(lh_even_join)(
    LH_LANE(lh_lane_rows) *r, int64_t at, int64_t m, lh_pieces *out
) {
    const LH_V whole = (LH_V){0} + 0x1p52;
    LH_LANE(lh_lane_pad)(r, m);
    const LH_V low = LH_LANE(lh_tree_least)(r->low), high = LH_LANE(lh_tree_most)(r->high);
    const LH_N sum = (LH_N)LH_LANE(lh_tree_bits)(r->total);
    const LH_N odd = (LH_N)LH_LANE(lh_tree_any)(r->rest);
    const LH_N count = (LH_N)LH_MASK(r->count), top = (LH_N)low >> 52, exponent = top & 2047;
    const LH_I bad = ((odd >> 52) != 0) | (exponent < LH_EVEN_MIN) | (exponent > LH_EVEN_MAX);
    /* Without what their exponents add, and with the bit in front of each fraction. */
    const LH_N units = sum - ((count * (top - 1)) << 52), few = units & ((1 << 22) - 1);
    const LH_V many = (LH_V)(units >> 22 | (LH_N)whole) - whole;
    const LH_V rest = ((LH_V)(few | (LH_N)whole) - whole) * (LH_V)((top - 52) << 52);
    const LH_V total = (LH_V)((LH_I)(many * (LH_V)((top - 30) << 52)) | bad);
    LH_LANE(lh_lane_put)(low, high, total, rest, at, m, out);
}

#define LH_EVEN_STEP(k, x, extreme) \
    { \
        low[k] = LH_MIN(extreme, low[k]); \
        high[k] = LH_MAX(extreme, high[k]); \
        total[k] += (LH_N)(x); \
        odd[k] = LH_ODD(odd[k], (LH_I)(extreme), (LH_I)start); \
    }

/* The same rows without grids, where the values of a piece have one sign and one exponent: their
 * bits add up as integers. Returns the pieces of others, whose `high` is NaN. */
LH_TARGET static int64_t LH_LANE(lh_lane_even)(
    const double *v, const int32_t *cut, int64_t m, lh_pieces *out
) {
    LH_LANE(lh_lane_rows) r;
    int64_t others = 0;
    for (int64_t k = 0; k < m; k++) {
        const double *p = v + cut[k];
        const int64_t n = cut[k + 1] - cut[k], row = k % LH_WIDTH;
        const LH_V start = (LH_V){0} + p[0];
        LH_V low[2] = {start, start}, high[2] = {start, start};
        LH_N total[2] = {{0}};
        LH_I odd[2] = {{0}};
        int64_t i = 0;
        for (; i + 2 * LH_WIDTH <= n; i += 2 * LH_WIDTH) {
            const LH_V x = LH_AT(p + i), y = LH_AT(p + i + LH_WIDTH);
            LH_EVEN_STEP(0, x, x)
            LH_EVEN_STEP(1, y, y)
        }
        for (int j = 0; j < 2; j++, i += LH_WIDTH) {
            const LH_I mask = LH_MASK(lh_brief_masks + (16 - n + i));
            const LH_I have = (LH_I)LH_AT(p + i) & mask;
            const LH_V extreme = (LH_V)(have | ((LH_I)start & ~mask));
            LH_EVEN_STEP(j, have, extreme)
        }
        r.low[row] = LH_MIN(low[0], low[1]), r.high[row] = LH_MAX(high[0], high[1]);
        r.total[row] = (LH_V)(total[0] + total[1]), r.rest[row] = (LH_V)(odd[0] | odd[1]);
        r.count[row] = (double)n;
        if (row == LH_WIDTH - 1 || k == m - 1) {
            LH_LANE(lh_even_join)(&r, k - row, row + 1, out);
        }
    }
    for (int64_t k = 0; k < m; k++) others += out->high[k] != out->high[k];
    return others;
}

/* (s + e) / d, correctly rounded, for |e| at most half a unit of s and a whole number d; NaN when
 * that cannot be seen here, and the caller must divide otherwise. */
LH_TARGET static inline double LH_LANE(lh_lane_ratio)(double s, double e, double d) {
    const double q = s / d, size = fabs(q);
    const double r = __builtin_fma(-q, d, s); /* exact, far from either end of the doubles */
    const double more = (r + e) / d, slack = fabs(more) * 0x1p-50, found = q + (more + slack);
    const int sure = (size > 0x1p-800) & (size < 0x1p800) & (found == q + (more - slack));
    return sure ? found : (double)NAN;
}

LH_TARGET static double LH_LANE(lh_lane_quotient)(double s, double e, double d) {
    return LH_LANE(lh_lane_ratio)(s, e, d);
}

/* Sums and means of m pieces by themselves; NaN for the mean as above, and beside zeros, of which
 * there are two. */
LH_TARGET static void LH_LANE(lh_lane_means)(const int32_t *cut, int64_t m, lh_pieces *p) {
    for (int64_t k = 0; k < m; k++) {
        const double a = p->high[k], b = p->low[k], s = a + b, back = s - a;
        const double e = (a - (s - back)) + (b - back);
        p->sum[k] = s + 0.0;
        p->mean[k] = LH_LANE(lh_lane_ratio)(s, e, (double)(cut[k + 1] - cut[k]));
        if (p->minimum[k] == 0.0 || p->maximum[k] == 0.0) p->mean[k] = (double)NAN;
    }
}

#undef LH_STEP
#undef LH_EVEN_STEP
#undef LH_TREE
#undef LH_TREE_BODY
#undef LH_JOIN_1
#undef LH_JOIN_2
#undef LH_JOIN_4
#undef LH_ADD
#undef LH_ADD_BITS
#undef LH_OR_BITS
#undef LH_V
#undef LH_I
#undef LH_N
#undef LH_AT
#undef LH_PUT
#undef LH_MASK
#undef LH_TARGET
#undef LH_LANE
#undef LH_WIDTH
#undef LH_MIN
#undef LH_MAX
#undef LH_LEAST
#undef LH_MOST
#undef LH_TOTAL
#undef LH_ODD
