/* Template of one target: codec 8 encoded, by integers only: all targets write the same. */

#include "fit.h"

static int LH_T(lh_divides)(const lh_divisor *d, const int64_t *v, int64_t m, uint64_t anchor)
{
    const uint64_t low = lh_mask(d->shift);
    uint64_t bad = 0;
    for (int64_t i = 0; i < m; i++) {
        uint64_t x = (uint64_t)v[i] - anchor;
        bad |= (x & low) | (uint64_t)((x >> d->shift) * d->inverse > d->limit);
    }
    return bad == 0;
}

/* Greatest common divisor of all values less the anchor; not all are equal. A few values of each
 * vector give a divisor, multiplication proves it on the others. */
static void LH_T(lh_divisor_find)(const int64_t *v, int64_t n, uint64_t anchor, lh_divisor *d)
{
    uint64_t gcd = 0;
    for (int64_t at = 0; at < n && gcd != 1; at += LH_VECTOR) {
        const int64_t end = n - at < LH_VECTOR ? n : at + LH_VECTOR;
        for (int64_t i = at; i < end && gcd != 1; i++) {
            if (i == at + 16 && gcd) {
                lh_divisor_of(gcd, d);
                if (LH_T(lh_divides)(d, v + i, end - i, anchor))
                    break;
            }
            gcd = lh_euclid((uint64_t)v[i] - anchor, gcd);
        }
    }
    lh_divisor_of(gcd, d);
}

static void LH_T(lh_quotients)(const lh_divisor *d, const int64_t *v, int64_t m, uint64_t anchor,
                               uint64_t *q)
{
    if (d->gcd == 1)
        for (int64_t i = 0; i < m; i++)
            q[i] = (uint64_t)v[i] - anchor;
    else
        for (int64_t i = 0; i < m; i++)
            q[i] = (((uint64_t)v[i] - anchor) >> d->shift) * d->inverse;
}

/* What a mode leaves to be packed: r[from..m) as returned; with mode FOR that is q itself. */
static const uint64_t *LH_T(lh_remains)(const uint64_t *restrict q, int64_t m, const lh_trial *t,
                                        uint64_t *restrict r)
{
    if (t->mode == LH_FOR)
        return q;
    if (t->mode == LH_LINE) {
        memcpy(r, q, (size_t)m * 8);
        LH_T(lh_add_line)(r, m, t->slope, t->shift, ~(uint64_t)0);
    } else if (t->mode == LH_DELTA) {
        for (int64_t i = 1; i < m; i++)
            r[i] = q[i] - q[i - 1];
    } else {
        for (int64_t i = 2; i < m; i++)
            r[i] = q[i] - 2 * q[i - 1] + q[i - 2];
    }
    return r;
}

static int64_t LH_T(lh_remains_from)(unsigned mode)
{
    return mode == LH_DELTA ? 1 : mode == LH_DELTA2 ? 2 : 0;
}

/* Fills a trial of a mode, of which a line's slope and shift are given; r is overwritten. */
static void LH_T(lh_try)(const uint64_t *q, int64_t m, lh_trial *t, uint64_t *r)
{
    const uint64_t *rest = LH_T(lh_remains)(q, m, t, r);
    LH_T(lh_fit_of)(rest, LH_T(lh_remains_from)(t->mode), m, &t->fit);
    t->bytes = 2 + (t->mode != LH_FOR) + lh_signed_bytes(t->slope);
    if (t->mode == LH_FOR || t->mode == LH_LINE) {
        t->base = t->fit.step;
        t->fit.step = 0;
    } else {
        t->base = q[0];
        t->first = t->mode == LH_DELTA2 && m > 1 ? q[1] - q[0] : 0;
        t->bytes += lh_signed_bytes(t->fit.step) + lh_signed_bytes(t->first);
    }
    t->bytes += lh_signed_bytes(t->base) + t->fit.bytes;
}

/* Compares all modes; ties go to what decodes faster. */
static void LH_T(lh_compare)(const uint64_t *q, int64_t m, const lh_packed_hint *hint,
                             lh_trial *best, uint64_t *r)
{
    uint64_t slope[3], rise = 0;
    unsigned shift[3];
    *best = (lh_trial){.mode = LH_FOR};
    LH_T(lh_try)(q, m, best, r);
    if (best->fit.width == 0 && best->fit.patches == 0)
        return;
    for (int64_t i = 0; i < m / 2; i++)
        rise += q[m - m / 2 + i] - q[i];
    int lines = lh_slopes((int64_t)rise, m, slope, shift);
    if (hint->mode == LH_LINE) {
        slope[lines] = (uint64_t)hint->slope;
        shift[lines++] = hint->shift;
    }
    for (int i = 0; i < lines; i++) {
        lh_trial line = {.mode = LH_LINE, .slope = slope[i], .shift = shift[i]};
        LH_T(lh_try)(q, m, &line, r);
        if (line.bytes < best->bytes)
            *best = line;
    }
    for (unsigned mode = LH_DELTA; mode <= LH_DELTA2; mode++) {
        lh_trial sums = {.mode = mode};
        LH_T(lh_try)(q, m, &sums, r);
        if (sums.bytes + sums.bytes / 64 < best->bytes)
            *best = sums;
    }
}

/* The mode of the vector before where it does about as well as it did, else the best of all. */
static void LH_T(lh_choose)(const uint64_t *q, int64_t m, lh_packed_hint *hint, lh_trial *t,
                            uint64_t *r)
{
    int known = hint->mean != 0 && hint->since < LH_COMPARE_EVERY;
    if (known) {
        *t = (lh_trial){.mode = hint->mode};
        if (t->mode == LH_LINE) {
            t->slope = (uint64_t)hint->slope;
            t->shift = hint->shift;
        }
        LH_T(lh_try)(q, m, t, r);
        known = (t->bytes - 16) * 16 * LH_VECTOR * 10 <= (int64_t)hint->mean * m * 11;
    }
    hint->since = (uint16_t)(known ? hint->since + 1 : 0);
    if (!known) {
        LH_T(lh_compare)(q, m, hint, t, r);
        LH_T(lh_remains)(q, m, t, r);
    }
    const int32_t bytes = (int32_t)(t->bytes * 16 * LH_VECTOR / m);
    hint->mean = known ? hint->mean + (bytes - hint->mean) / 8 : bytes;
    hint->mode = (uint8_t)t->mode;
    if (t->mode == LH_LINE) {
        hint->slope = (int64_t)t->slope;
        hint->shift = (uint8_t)t->shift;
    }
}

static uint8_t *LH_T(lh_write_patches)(const lh_fit *f, const uint64_t *r, int64_t from,
                                       int64_t m, uint64_t less, uint8_t *out)
{
    uint64_t places[LH_PATCHES_MAX + 1], highs[LH_PATCHES_MAX + 1];
    unsigned count = 0;
    for (int64_t i = from; i < m; i++) {
        uint64_t high = lh_sar(r[i] - less, f->width);
        places[count] = (uint64_t)i;
        highs[count] = high;
        count += high != 0;
    }
    out = LH_T(lh_stream_write)(places, count, LH_PLACE_BITS, 0, out);
    return LH_T(lh_stream_write)(highs, count, f->high_width, 0, out);
}

/* r holds what lh_remains left there. */
static uint8_t *LH_T(lh_write_vector)(const uint64_t *q, int64_t m, const lh_trial *t,
                                      uint64_t *r, uint8_t *out)
{
    const int64_t from = LH_T(lh_remains_from)(t->mode);
    const uint64_t less = from ? t->fit.step : t->base;
    const uint64_t *rest = t->mode == LH_FOR ? q : r;
    for (int64_t i = 0; i < from && i < m; i++)
        r[i] = less; /* packed as 0 */
    out = lh_write_fields(t, out);
    if (m == LH_VECTOR) {
        LH_T(lh_pack)[t->fit.width](rest, less, out);
        out += 128 * t->fit.width;
    } else {
        out = LH_T(lh_stream_write)(rest, m, t->fit.width, less, out);
    }
    return t->fit.patches ? LH_T(lh_write_patches)(&t->fit, rest, from, m, less, out) : out;
}

static int LH_T(lh_is_line)(const int64_t *v, int64_t n, uint64_t step)
{
    for (int64_t at = 0; at < n - 1; at += LH_VECTOR) {
        int64_t m = n - 1 - at < LH_VECTOR ? n - 1 - at : LH_VECTOR;
        uint64_t other = 0;
        for (int64_t i = at; i < at + m; i++)
            other |= ((uint64_t)v[i + 1] - (uint64_t)v[i]) ^ step;
        if (other)
            return 0;
    }
    return 1;
}

static int64_t LH_T(lh_packed_write)(const int64_t *v, int64_t n, lh_packed_hint *hint,
                                     uint8_t *out)
{
    if (n <= 0)
        return 0;
    const uint64_t rise = n > 1 ? (uint64_t)v[1] - (uint64_t)v[0] : 0;
    if (LH_T(lh_is_line)(v, n, rise))
        return lh_write_head(LH_FORM_LINE, (uint64_t)v[0], rise, out) - out;
    int64_t low, high;
    lh_divisor d;
    LH_T(lh_extremes)((const uint64_t *)v, n, 0, &low, &high);
    LH_T(lh_divisor_find)(v, n, (uint64_t)low, &d);
    const uint64_t gcd = d.gcd == 1 ? 0 : d.gcd;
    uint8_t *lengths = lh_write_head(LH_FORM_VECTORS, (uint64_t)low, gcd, out);
    uint8_t *p = lengths + 2 * ((n + LH_VECTOR - 1) / LH_VECTOR);
    uint64_t q[LH_VECTOR], r[LH_VECTOR];
    for (int64_t at = 0; at < n; at += LH_VECTOR) {
        int64_t m = n - at < LH_VECTOR ? n - at : LH_VECTOR;
        lh_packed_hint fresh = {0};
        lh_trial t;
        LH_T(lh_quotients)(&d, v + at, m, (uint64_t)low, q);
        LH_T(lh_choose)(q, m, hint ? hint : &fresh, &t, r);
        uint8_t *end = LH_T(lh_write_vector)(q, m, &t, r, p);
        lengths = lh_store(lengths, (uint64_t)(end - p), 2);
        p = end;
    }
    return p - out;
}
