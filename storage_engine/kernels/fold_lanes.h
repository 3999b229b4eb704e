/* The lanes of fold_vector.h, once per target. LH_TARGET is its attribute, LH_LANE(name) its names,
 * LH_WIDTH its doubles per vector, LH_MIN and LH_MAX give the second where one is NaN. No guard. */

typedef double LH_LANE(lh_v) __attribute__((vector_size(8 * LH_WIDTH)));
typedef double LH_LANE(lh_vu) __attribute__((vector_size(8 * LH_WIDTH), aligned(8), may_alias));
typedef int64_t LH_LANE(lh_i) __attribute__((vector_size(8 * LH_WIDTH)));
#define LH_V LH_LANE(lh_v)
#define LH_I LH_LANE(lh_i)
#define LH_AT(p) (*(const LH_LANE(lh_vu) *)(p))

LH_TARGET __attribute__((always_inline)) static inline int64_t LH_LANE(lh_lane_total)(
    const LH_V *lanes, double scale
) {
    int64_t total = 0;
    for (int j = 0; j < LH_WIDTH; j++) total += (int64_t)((*lanes)[j] * scale);
    return total;
}

LH_TARGET __attribute__((always_inline)) static inline int64_t LH_LANE(lh_lane_count)(
    const LH_I *lanes
) {
    int64_t total = 0;
    for (int j = 0; j < LH_WIDTH; j++) total -= (*lanes)[j];
    return total;
}

LH_TARGET static lh_range LH_LANE(lh_lane_range)(const double *v, int64_t n) {
    const LH_V start = (LH_V){0} + v[0];
    LH_V low[4] = {start, start, start, start}, high[4] = {start, start, start, start};
    LH_I odd[2] = {start != start, {0}};
    lh_range r = {v[0], v[0], 0};
    int64_t i = 0;
    for (; i + 4 * LH_WIDTH <= n; i += 4 * LH_WIDTH) {
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
            const LH_V x = LH_AT(v + i + k * LH_WIDTH);
            low[k] = LH_MIN(x, low[k]);
            high[k] = LH_MAX(x, high[k]);
            odd[k & 1] |= x != x;
        }
    }
    for (int k = 1; k < 4; k++) low[0] = LH_MIN(low[k], low[0]), high[0] = LH_MAX(high[k], high[0]);
    odd[0] |= odd[1];
    for (int j = 0; j < LH_WIDTH; j++) {
        r.minimum = low[0][j] < r.minimum ? low[0][j] : r.minimum;
        r.maximum = high[0][j] > r.maximum ? high[0][j] : r.maximum;
    }
    for (; i < n; i++) {
        r.minimum = v[i] < r.minimum ? v[i] : r.minimum;
        r.maximum = v[i] > r.maximum ? v[i] : r.maximum;
        r.nan |= v[i] != v[i];
    }
    r.nan |= LH_LANE(lh_lane_count)(&odd[0]) != 0;
    return r;
}

/* First place of a value that is there. */
LH_TARGET static int64_t LH_LANE(lh_lane_find)(const double *v, int64_t n, double x) {
    int64_t i = 0;
    for (; i + 8 * LH_WIDTH <= n; i += 8 * LH_WIDTH) {
        LH_I any = {0};
#pragma GCC unroll 8
        for (int k = 0; k < 8; k++) any |= LH_AT(v + i + k * LH_WIDTH) == x;
        if (LH_LANE(lh_lane_count)(&any)) break;
    }
    while (i < n - 1 && v[i] != x) i++;
    return i;
}

/* Spans less the period as doubles, in parts of 22 bits and the rest. Returns 1 when `more` is all
 * zero, 2 when it is not, 0 when times fall or spans differ too much. */
LH_TARGET static int LH_LANE(lh_lane_spans)(
    const int64_t *time, int64_t n, int64_t period, double *span, double *more
) {
    const int64_t half = INT64_C(1) << 21, magic = INT64_C(0x4338000000000000);
    const double number = 6755399441055744.0;
    int64_t falls = 0;
    uint64_t wide = 0, far = 0;
    for (int64_t i = 0; i + 1 < n; i++) {
        /* Unsigned: times of a damaged block may lie further apart than an int64 says. */
        const uint64_t d = (uint64_t)time[i + 1] - (uint64_t)time[i], u = d - (uint64_t)period;
        falls |= (int64_t)d;
        wide |= (u + (UINT64_C(1) << 23)) >> 24;
        far |= (u + (UINT64_C(1) << 43)) >> 44;
        const uint64_t bits = u + (uint64_t)magic;
        double x;
        memcpy(&x, &bits, 8);
        span[i] = x - number;
    }
    if (falls < 0 || far) return 0;
    if (!wide) return 1;
    for (int64_t i = 0; i + 1 < n; i++) {
        const int64_t u = time[i + 1] - time[i] - period;
        const int64_t low = ((u + half) & (2 * half - 1)) - half;
        span[i] = (double)low;
        more[i] = (double)((u - low) / (2 * half));
    }
    return 2;
}

/* The sum alone of n values, a multiple of 8 of at most 1,024: pieces of 44 bits. */
LH_TARGET static int LH_LANE(lh_lane_plain)(
    const double *v, int64_t n, double largest, lh_lane_sums *out
) {
    const int exponent = lh_lane_exponent(largest);
    if (exponent == LH_NO_EXPONENT) return 0;
    const int grid = exponent - 44, fine = grid - 44;
    const double first = ldexp(1.5, 52 + grid), second = ldexp(1.5, 52 + fine);
    LH_V high[2] = {{0}}, low[2] = {{0}};
    LH_I odd = {0};
    for (int64_t i = 0; i < n; i += LH_WIDTH) {
        const LH_V x = LH_AT(v + i), a = (x + first) - first, b = x - a;
        high[i / LH_WIDTH & 1] += a;
        low[i / LH_WIDTH & 1] += b;
        odd |= ((b + second) - second) != b;
    }
    high[0] += high[1];
    low[0] += low[1];
    if (LH_LANE(lh_lane_count)(&odd)) return 0;
    memset(out, 0, sizeof *out);
    out->bit[0] = LH_EXACT_BIAS + fine;
    out->part[0][0] = LH_LANE(lh_lane_total)(&low[0], ldexp(1.0, -fine));
    out->part[0][2] = LH_LANE(lh_lane_total)(&high[0], ldexp(1.0, -grid));
    return 1;
}

LH_TARGET __attribute__((always_inline)) static inline int LH_LANE(lh_lane_pass)(
    const lh_lane_rows *r, lh_lane_sums *out, const int pieces, const int spans, int exponent
) {
    LH_V sum[4] = {{0}}, squares[7] = {{0}}, stepped[5] = {{0}}, forward[5] = {{0}};
    LH_V increase[4] = {{0}}, q[4];
    LH_I ups = {0}, downs = {0}, odd = {0};
    double cut[4];
    const LH_V one = (LH_V){0} + 1.0;
    for (int k = 0; k < pieces; k++) cut[k] = ldexp(1.5, 52 + exponent - 21 - LH_LANE_BITS * k);
    const int64_t whole = (r->rows + LH_LANES - 1) & ~(int64_t)(LH_LANES - 1); /* on every target */
    for (int64_t i = 0; i < whole; i += LH_WIDTH) {
        const LH_V x = LH_AT(r->value + i);
        const LH_V before = LH_AT(r->value + i - 1);
        const LH_V behind = LH_AT(r->value + i + 1);
        const LH_I up = x > before, next_up = behind > x, down = x < before;
        const LH_V turn = (LH_V)(up & (LH_I)one) - (LH_V)(next_up & (LH_I)one);
        const LH_V span = LH_AT(r->span + i), past = LH_AT(r->span + i - 1);
        ups += up;
        downs += down;
        LH_V rest = x;
#pragma GCC unroll 4
        for (int k = 0; k < pieces; k++) {
            q[k] = (rest + cut[k]) - cut[k];
            rest -= q[k];
        }
        odd |= rest != (LH_V){0};
#pragma GCC unroll 4
        for (int k = 0; k < pieces; k++) {
            const int j = pieces - 1 - k;
            sum[j] += q[k];
            stepped[j] += q[k] * span;
            forward[j] += q[k] * past;
            increase[j] += q[k] * turn;
            squares[2 * j] += q[k] * q[k];
#pragma GCC unroll 4
            for (int m = k + 1; m < pieces; m++) {
                squares[j + pieces - 1 - m] += q[k] * (q[m] + q[m]);
            }
        }
        if (spans > 1) {
            const LH_V more = LH_AT(r->more + i);
            const LH_V past_more = LH_AT(r->more + i - 1);
#pragma GCC unroll 4
            for (int k = 0; k < pieces; k++) {
                stepped[pieces - k] += q[k] * more * (double)(1 << LH_LANE_BITS);
                forward[pieces - k] += q[k] * past_more * (double)(1 << LH_LANE_BITS);
            }
        }
    }
    if (LH_LANE(lh_lane_count)(&odd)) return 0;
    const int grid = exponent - 21 - LH_LANE_BITS * (pieces - 1);
    memset(out, 0, sizeof *out);
    for (int k = 0; k < LH_LANE_SUMS; k++) out->bit[k] = LH_EXACT_BIAS + (k == 1 ? 2 : 1) * grid;
    for (int j = 0; j < 2 * pieces - 1; j++) {
        const double scale = ldexp(1.0, -2 * grid - LH_LANE_BITS * j);
        out->part[1][j] = LH_LANE(lh_lane_total)(&squares[j], scale);
    }
    for (int j = 0; j <= pieces; j++) {
        const double scale = ldexp(1.0, -grid - LH_LANE_BITS * j);
        out->part[2][j] = LH_LANE(lh_lane_total)(&stepped[j], scale);
        out->part[3][j] = LH_LANE(lh_lane_total)(&forward[j], scale);
        if (j == pieces) break;
        out->part[0][j] = LH_LANE(lh_lane_total)(&sum[j], scale);
        out->part[4][j] = LH_LANE(lh_lane_total)(&increase[j], scale);
    }
    out->ups = LH_LANE(lh_lane_count)(&ups);
    out->downs = LH_LANE(lh_lane_count)(&downs);
    return 1;
}

LH_TARGET static int LH_LANE(lh_lane_sums)(const lh_lane_rows *r, lh_lane_sums *out) {
    const int exponent = lh_lane_exponent(r->largest);
    if (exponent == LH_NO_EXPONENT) return 0;
    if (!r->wide_spans && LH_LANE(lh_lane_pass)(r, out, 3, 1, exponent)) return 1;
    return LH_LANE(lh_lane_pass)(r, out, 4, 2, exponent);
}

#undef LH_V
#undef LH_I
#undef LH_AT
#undef LH_TARGET
#undef LH_LANE
#undef LH_WIDTH
#undef LH_MIN
#undef LH_MAX
