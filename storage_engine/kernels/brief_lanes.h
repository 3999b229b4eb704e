/* Passes of brief.h over pieces of a vector, once per target. LH_TARGET is its attribute,
 * LH_LANE(name) its names, LH_WIDTH its doubles per vector, LH_MIN and LH_MAX give the second where
 * one is NaN, LH_LEAST, LH_MOST and LH_TOTAL join lanes. No guard. */

typedef double LH_LANE(lh_w) __attribute__((vector_size(8 * LH_WIDTH)));
typedef double LH_LANE(lh_wu) __attribute__((vector_size(8 * LH_WIDTH), aligned(8), may_alias));
typedef int64_t LH_LANE(lh_wi) __attribute__((vector_size(8 * LH_WIDTH)));
typedef int64_t LH_LANE(lh_wiu) __attribute__((vector_size(8 * LH_WIDTH), aligned(8), may_alias));
#define LH_V LH_LANE(lh_w)
#define LH_I LH_LANE(lh_wi)
#define LH_AT(p) (*(const LH_LANE(lh_wu) *)(p))
#define LH_MASK(p) (*(const LH_LANE(lh_wiu) *)(p))

#define LH_STEP(k, x, extreme) \
    { \
        const LH_V a = ((x) + first) - first, b = (x) - a; \
        low[k] = LH_MIN(extreme, low[k]); \
        high[k] = LH_MAX(extreme, high[k]); \
        total[k] += a; \
        rest[k] += b; \
        if (checked) odd |= (LH_I)(b - ((b + second) - second)); \
    }

LH_TARGET __attribute__((always_inline)) static inline int LH_LANE(lh_lane_each)(
    const double *v, const int32_t *cut, int64_t m, double coarse, double fine, lh_piece *out,
    const int checked
) {
    const LH_V first = (LH_V){0} + coarse, second = (LH_V){0} + fine;
    LH_I odd = {0};
    for (int64_t k = 0; k < m; k++) {
        const double *p = v + cut[k];
        const int64_t n = cut[k + 1] - cut[k];
        const LH_V start = (LH_V){0} + p[0];
        LH_V low[2] = {start, start}, high[2] = {start, start}, total[2] = {{0}}, rest[2] = {{0}};
        int64_t i = 0;
        for (; i + 2 * LH_WIDTH <= n; i += 2 * LH_WIDTH) {
            const LH_V x = LH_AT(p + i), y = LH_AT(p + i + LH_WIDTH);
            LH_STEP(0, x, x)
            LH_STEP(1, y, y)
        }
        for (; i < n; i += LH_WIDTH) {
            const int64_t left = n - i < LH_WIDTH ? n - i : LH_WIDTH;
            const LH_I mask = LH_MASK(lh_brief_masks + 8 - left), have = (LH_I)LH_AT(p + i) & mask;
            const LH_V x = (LH_V)have, extreme = (LH_V)(have | ((LH_I)start & ~mask));
            LH_STEP(0, x, extreme)
        }
        out[k].minimum = LH_LEAST(LH_MIN(low[0], low[1]));
        out[k].maximum = LH_MOST(LH_MAX(high[0], high[1]));
        out[k].high = LH_TOTAL(total[0] + total[1]);
        out[k].low = LH_TOTAL(rest[0] + rest[1]);
    }
    int64_t any = 0;
    for (int j = 0; j < LH_WIDTH; j++) any |= odd[j];
    return any == 0;
}

/* Rows [cut[k], cut[k + 1]) for each k < m, none of them empty; LH_WIDTH doubles behind the last
 * can be read. Returns 0 when a value is none that the grids hold, and out means nothing then.
 * Whether an extreme is beyond the grid is for the caller to see; where `fine` is 0, also whether
 * a value is too small for it, or none. */
LH_TARGET static int LH_LANE(lh_lane_pieces)(
    const double *v, const int32_t *cut, int64_t m, double coarse, double fine, lh_piece *out
) {
    if (fine == 0.0) return LH_LANE(lh_lane_each)(v, cut, m, coarse, fine, out, 0);
    return LH_LANE(lh_lane_each)(v, cut, m, coarse, fine, out, 1);
}

/* (s + e) / d, correctly rounded, for |e| at most half a unit of s and a whole number d. Returns 0
 * when that cannot be seen here, and the caller must divide otherwise. */
LH_TARGET static int LH_LANE(lh_lane_quotient)(double s, double e, double d, double *out) {
    const double q = s / d, size = q < 0.0 ? -q : q;
    const double r = __builtin_fma(-q, d, s); /* exact, far from either end of the doubles */
    const double more = (r + e) / d, slack = (more < 0.0 ? -more : more) * 0x1p-50;
    *out = q + (more + slack);
    return size > 0x1p-800 && size < 0x1p800 && *out == q + (more - slack);
}

#undef LH_STEP
#undef LH_V
#undef LH_I
#undef LH_AT
#undef LH_MASK
#undef LH_TARGET
#undef LH_LANE
#undef LH_WIDTH
#undef LH_MIN
#undef LH_MAX
#undef LH_LEAST
#undef LH_MOST
#undef LH_TOTAL
