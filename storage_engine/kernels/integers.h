/* Template of one target: codec 8 decoded. All arithmetic is modulo 2^64. */

/* x[i] = the sum of x[0..i]. */
static void LH_T(lh_prefix_sum)(uint64_t *x, int64_t m)
{
    uint64_t sum = 0;
    int64_t i = 0;
#if LH_AVX512
    /* Sums of 2, 4 and 8 that follow each other; none waits for another but by one addition. */
    __m512i ones = _mm512_setzero_si512(), twos = ones, fours = ones, sums = ones;
    for (; i + 8 <= m; i += 8) {
        const __m512i a = _mm512_loadu_si512(x + i);
        const __m512i b = _mm512_add_epi64(a, _mm512_alignr_epi64(a, ones, 7));
        const __m512i c = _mm512_add_epi64(b, _mm512_alignr_epi64(b, twos, 6));
        sums = _mm512_add_epi64(sums, _mm512_add_epi64(c, _mm512_alignr_epi64(c, fours, 4)));
        _mm512_storeu_si512(x + i, sums);
        ones = a, twos = b, fours = c;
    }
    if (i)
        sum = x[i - 1];
#endif
    for (; i < m; i++) {
        sum += x[i];
        x[i] = sum;
    }
}

static void LH_T(lh_unpack_some)(const uint8_t *in, int64_t m, unsigned width, uint64_t base,
                                 uint64_t *out)
{
    if (m == LH_VECTOR)
        LH_T(lh_unpack)[width](in, base, out);
    else
        LH_T(lh_stream_read)(in, m, width, base, out);
}

/* x = x * gcd + add + i * rise. Factors below 2^32 are one instruction of every target. */
static void LH_T(lh_affine)(uint64_t *x, int64_t m, unsigned width, uint64_t gcd, uint64_t add,
                            uint64_t rise)
{
    if (width <= 32 && gcd >> 32 == 0)
        for (int64_t i = 0; i < m; i++, add += rise)
            x[i] = (x[i] & 0xFFFFFFFF) * gcd + add;
    else
        for (int64_t i = 0; i < m; i++, add += rise)
            x[i] = x[i] * gcd + add;
}

/* The residuals of a vector, each times gcd, plus add + i * rise; rise is 0 where gcd is 1. */
static int LH_T(lh_residuals)(const lh_packed_vector *v, int64_t m, uint64_t gcd, uint64_t add,
                              uint64_t rise, uint64_t *out)
{
    LH_T(lh_unpack_some)(v->payload, m, v->width, gcd == 1 ? add : 0, out);
    if (gcd != 1)
        LH_T(lh_affine)(out, m, v->width, gcd, add, rise);
    if (v->patches == 0)
        return LH_OK;
    uint64_t places[LH_PATCHES_MAX], highs[LH_PATCHES_MAX];
    LH_T(lh_stream_read)(v->places, v->patches, LH_PLACE_BITS, 0, places);
    LH_T(lh_stream_read)(v->highs, v->patches, v->high_width, 0, highs);
    if (v->width >= 64)
        return LH_ECORRUPT;
    int64_t before = -1;
    for (unsigned i = 0; i < v->patches; i++) {
        int64_t place = (int64_t)places[i];
        if (place <= before || place >= m)
            return LH_ECORRUPT;
        out[place] += (lh_extend(highs[i], v->high_width) << v->width) * gcd;
        before = place;
    }
    return LH_OK;
}

/* x[i] = x[i] + line(i) * gcd, where line(i) = floor(i * slope / 2^shift), i * slope wrapped. */
static void LH_T(lh_add_line)(uint64_t *x, int64_t m, uint64_t slope, unsigned shift, uint64_t gcd)
{
    const uint64_t top = (uint64_t)1 << 63, less = top >> shift;
    if (shift == 0) {
        slope *= gcd;
        for (int64_t i = 0; i < m; i++)
            x[i] += (uint64_t)i * slope;
    } else if (gcd == 1) {
        for (int64_t i = 0; i < m; i++)
            x[i] += (((uint64_t)i * slope + top) >> shift) - less;
    } else {
        for (int64_t i = 0; i < m; i++)
            x[i] += ((((uint64_t)i * slope + top) >> shift) - less) * gcd;
    }
}

static int LH_T(lh_packed_vector)(const uint8_t *p, const uint8_t *end, int64_t m,
                                  const lh_packed_column *c, uint64_t *out)
{
    lh_packed_vector v;
    int error = lh_packed_fields(p, end, m, &v);
    if (error)
        return error;
    const uint64_t start = c->anchor + c->gcd * v.base;
    const int sums = v.mode == LH_DELTA || v.mode == LH_DELTA2;
    const uint64_t add = sums ? c->gcd * v.step : start;
    const int level = v.mode == LH_LINE && v.shift == 0 && c->gcd != 1;
    error = LH_T(lh_residuals)(&v, m, c->gcd, add, level ? v.slope * c->gcd : 0, out);
    if (error)
        return error;
    if (v.mode == LH_LINE && !level)
        LH_T(lh_add_line)(out, m, v.slope, v.shift, c->gcd);
    if (v.mode == LH_DELTA2) {
        out[0] = 0;
        if (m > 1)
            out[1] = c->gcd * v.first;
        LH_T(lh_prefix_sum)(out, m);
    }
    if (sums) {
        out[0] = start;
        LH_T(lh_prefix_sum)(out, m);
    }
    return LH_OK;
}

/* Values [first, first + count), a range that lh_range_holds has let pass. */
static int LH_T(lh_packed_range)(const uint8_t *body, int64_t size, int64_t n, int64_t first,
                                 int64_t count, uint64_t *out)
{
    lh_packed_column c;
    int error = lh_packed_open(body, size, n, &c);
    if (error || count == 0)
        return error;
    if (c.form == LH_FORM_LINE) {
        const uint64_t start = c.anchor + (uint64_t)first * c.gcd;
        for (int64_t i = 0; i < count; i++)
            out[i] = start + (uint64_t)i * c.gcd;
        return LH_OK;
    }
    const uint8_t *p = c.vectors;
    int64_t k = 0;
    for (; k < first / LH_VECTOR; k++)
        p += lh_load(c.lengths + 2 * k, 2);
    for (int64_t at = 0; at < count; at += LH_VECTOR, k++) {
        int64_t m = count - at < LH_VECTOR ? count - at : LH_VECTOR;
        const uint8_t *end = p + lh_load(c.lengths + 2 * k, 2);
        error = LH_T(lh_packed_vector)(p, end, m, &c, out + at);
        if (error)
            return error;
        p = end;
    }
    return LH_OK;
}
