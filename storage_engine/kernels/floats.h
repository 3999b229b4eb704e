/* Template of one target: codecs 9 to 14 decoded. Layouts: docs/format/codecs.md.
 *
 * A composite decodes its children a vector at a time into its own slot of the scratch buffer, so
 * that depth bounds memory. All arithmetic on floats is single IEEE operations; the corrected
 * multiplication below gives the bits of the division.
 */

static int LH_T(lh_column_at)(int depth, int codec, const uint8_t *body, int64_t size, int64_t n,
                              int item, int64_t first, int64_t count, void *out, void *scratch);

#if LH_BYTES == 32
/* Correctly rounded, as a conversion is: high and low halves are exact, only their sum rounds. */
static inline __m256d LH_T(lh_doubles)(__m256i v)
{
    const __m256i low = _mm256_set1_epi64x(0x4330000000000000);   /* 2^52 */
    const __m256i high = _mm256_set1_epi64x(0x4530000080000000);  /* 2^84 + 2^63 */
    const __m256i both = _mm256_set1_epi64x(0x4530000080100000);  /* 2^84 + 2^63 + 2^52 */
    __m256i lows = _mm256_blend_epi32(low, v, 0x55);
    __m256i highs = _mm256_xor_si256(_mm256_srli_epi64(v, 32), high);
    __m256d sum = _mm256_sub_pd(_mm256_castsi256_pd(highs), _mm256_castsi256_pd(both));
    return _mm256_add_pd(sum, _mm256_castsi256_pd(lows));
}
#endif

/* out[i] = v[i] / 10^k, correctly rounded, 0 <= k <= 22. A double over 10^k lies nowhere halfway
 * between two doubles, but at least 1 / (2 * 10^k) of a unit beside it. The product with an inverse
 * of two doubles is, before its only rounding, less than 2^-51 of a unit off: near enough up to
 * 10^15. Beyond, after one correction the quotient is faithful and the remainder exact, and by
 * Markstein's theorem the next correction rounds correctly. Nothing here can overflow, or underflow
 * to any effect: |v| <= 2^63. */
static void LH_T(lh_decimals)(const int64_t *v, int64_t m, unsigned k, double *out)
{
    const double power = lh_powers_of_ten[k];
    int64_t i = 0;
#if LH_AVX512
    const double inverse = 1.0 / power, rest = __builtin_fma(-inverse, power, 1.0) / power;
    const __m512d p = _mm512_set1_pd(power), r = _mm512_set1_pd(inverse);
    const __m512d s = _mm512_set1_pd(rest);
    if (k <= LH_POWER_NEAR)
        for (; i + 8 <= m; i += 8) {
            const __m512d x = _mm512_cvtepi64_pd(_mm512_loadu_si512(v + i));
            _mm512_storeu_pd(out + i, _mm512_fmadd_pd(x, r, _mm512_mul_pd(x, s)));
        }
    for (; i + 8 <= m; i += 8) {
        __m512d x = _mm512_cvtepi64_pd(_mm512_loadu_si512(v + i));
        __m512d q = _mm512_mul_pd(x, r);
        q = _mm512_fmadd_pd(_mm512_fnmadd_pd(q, p, x), r, q);
        q = _mm512_fmadd_pd(_mm512_fnmadd_pd(q, p, x), r, q);
        _mm512_storeu_pd(out + i, q);
    }
#elif LH_BYTES == 32
    const double inverse = 1.0 / power, rest = __builtin_fma(-inverse, power, 1.0) / power;
    const __m256d p = _mm256_set1_pd(power), r = _mm256_set1_pd(inverse);
    const __m256d s = _mm256_set1_pd(rest);
    if (k <= LH_POWER_NEAR)
        for (; i + 4 <= m; i += 4) {
            const __m256d x = LH_T(lh_doubles)(_mm256_loadu_si256((const __m256i *)(v + i)));
            _mm256_storeu_pd(out + i, _mm256_fmadd_pd(x, r, _mm256_mul_pd(x, s)));
        }
    for (; i + 4 <= m; i += 4) {
        __m256d x = LH_T(lh_doubles)(_mm256_loadu_si256((const __m256i *)(v + i)));
        __m256d q = _mm256_mul_pd(x, r);
        q = _mm256_fmadd_pd(_mm256_fnmadd_pd(q, p, x), r, q);
        q = _mm256_fmadd_pd(_mm256_fnmadd_pd(q, p, x), r, q);
        _mm256_storeu_pd(out + i, q);
    }
#endif
    for (; i < m; i++)
        out[i] = (double)v[i] / power;
}

/* out[i] = v[i] * a / b + c; an operation that changes nothing is left out. */
static void LH_T(lh_scales)(const int64_t *v, int64_t m, const lh_grid *g, double *out)
{
    if (g->b == 1 && g->c == 0)
        for (int64_t i = 0; i < m; i++)
            out[i] = (double)v[i] * g->a;
    else
        for (int64_t i = 0; i < m; i++)
            out[i] = (double)v[i] * g->a / g->b + g->c;
}

/* Doubles, or floats rounded from them, with `moves` added to their bits where there are any. */
static void LH_T(lh_store_floats)(const double *in, const int64_t *moves, int64_t m, int item,
                                  uint8_t *out)
{
    if (item == 8) {
        if (moves == NULL) {
            memcpy(out, in, (size_t)m * 8);
            return;
        }
        for (int64_t i = 0; i < m; i++) {
            uint64_t bits;
            memcpy(&bits, in + i, 8);
            bits += (uint64_t)moves[i];
            memcpy(out + 8 * i, &bits, 8);
        }
    } else {
        for (int64_t i = 0; i < m; i++) {
            float narrow = (float)in[i];
            uint32_t bits;
            memcpy(&bits, &narrow, 4);
            bits += moves ? (uint32_t)moves[i] : 0;
            memcpy(out + 4 * i, &bits, 4);
        }
    }
}

/* Put the exceptions that lie in [first, first + count) over `out`. */
static int LH_T(lh_exceptions)(int depth, const lh_exception_list *x, int64_t n, int item,
                               int64_t first, int64_t count, uint8_t *out, uint8_t *slot,
                               void *scratch)
{
    int64_t *places = (int64_t *)slot, before = -1;
    uint8_t *values = slot + 8 * LH_VECTOR;
    for (int64_t at = 0; at < x->count; at += LH_VECTOR) {
        int64_t m = x->count - at < LH_VECTOR ? x->count - at : LH_VECTOR;
        int error = LH_T(lh_column_at)(depth + 1, x->places.codec, x->places.body, x->places.size,
                                       x->count, 8, at, m, places, scratch);
        if (error == LH_OK)
            error = LH_T(lh_column_at)(depth + 1, x->values.codec, x->values.body, x->values.size,
                                       x->count, item, at, m, values, scratch);
        if (error)
            return error;
        for (int64_t i = 0; i < m; i++) {
            if (places[i] <= before || places[i] >= n)
                return LH_ECORRUPT;
            before = places[i];
            if (before >= first && before - first < count)
                memcpy(out + (before - first) * item, values + i * item, (size_t)item);
        }
    }
    return LH_OK;
}

/* Codecs 9 and 10. */
static int LH_T(lh_grid_column)(int depth, int codec, const uint8_t *body, int64_t size, int64_t n,
                                int item, int64_t first, int64_t count, uint8_t *out,
                                void *scratch)
{
    lh_grid g;
    if (item != 8 && item != 4)
        return LH_ECORRUPT;
    int error = lh_grid_open(codec, body, size, n, &g);
    if (error)
        return error;
    uint8_t *slot = (uint8_t *)scratch + depth * LH_SLOT;
    int64_t *ints = (int64_t *)slot, *moves = NULL;
    double *values = (double *)(slot + 8 * LH_VECTOR);
    if (g.moves.codec)
        moves = (int64_t *)(slot + 16 * LH_VECTOR);
    for (int64_t at = 0; at < count; at += LH_VECTOR) {
        int64_t m = count - at < LH_VECTOR ? count - at : LH_VECTOR;
        error = LH_T(lh_column_at)(depth + 1, g.ints.codec, g.ints.body, g.ints.size, n, 8,
                                   first + at, m, ints, scratch);
        if (error == LH_OK && moves)
            error = LH_T(lh_column_at)(depth + 1, g.moves.codec, g.moves.body, g.moves.size, n, 8,
                                       first + at, m, moves, scratch);
        if (error)
            return error;
        if (codec == LH_DECIMAL && item == 8 && moves == NULL && ((uintptr_t)out & 7) == 0) {
            LH_T(lh_decimals)(ints, m, g.k, (double *)out + at);
            continue;
        }
        if (codec == LH_DECIMAL)
            LH_T(lh_decimals)(ints, m, g.k, values);
        else
            LH_T(lh_scales)(ints, m, &g, values);
        LH_T(lh_store_floats)(values, moves, m, item, out + at * item);
    }
    if (g.exceptions.count == 0)
        return LH_OK;
    return LH_T(lh_exceptions)(depth, &g.exceptions, n, item, first, count, out, slot, scratch);
}

/* Codec 11: the bits as integers in the order of the numbers. */
static int LH_T(lh_ordered_column)(int depth, const uint8_t *body, int64_t size, int64_t n,
                                   int item, int64_t first, int64_t count, uint8_t *out,
                                   void *scratch)
{
    lh_child child = {0};
    const uint8_t *end = body + size, *p = lh_child_take(body, end, &child);
    if ((item != 8 && item != 4) || p != end)
        return LH_ECORRUPT;
    int64_t *ints = (int64_t *)((uint8_t *)scratch + depth * LH_SLOT);
    for (int64_t at = 0; at < count; at += LH_VECTOR) {
        int64_t m = count - at < LH_VECTOR ? count - at : LH_VECTOR;
        int error = LH_T(lh_column_at)(depth + 1, child.codec, child.body, child.size, n, 8,
                                       first + at, m, ints, scratch);
        if (error)
            return error;
        if (item == 8)
            for (int64_t i = 0; i < m; i++) {
                uint64_t bits = (uint64_t)ints[i] ^ ((uint64_t)(ints[i] >> 63) >> 1);
                memcpy(out + (at + i) * 8, &bits, 8);
            }
        else
            for (int64_t i = 0; i < m; i++) {
                int32_t narrow = (int32_t)(uint32_t)(uint64_t)ints[i];
                uint32_t bits = (uint32_t)narrow ^ ((uint32_t)(narrow >> 31) >> 1);
                memcpy(out + (at + i) * 4, &bits, 4);
            }
    }
    return LH_OK;
}

/* Codec 12: front bits by a dictionary, the bits right of them packed. */
static int LH_T(lh_real_column)(int depth, const uint8_t *body, int64_t size, int64_t n, int item,
                                int64_t first, int64_t count, uint8_t *out, void *scratch)
{
    lh_real r;
    int error = lh_real_open(body, size, n, item, &r);
    if (error)
        return error;
    uint8_t *slot = (uint8_t *)scratch + depth * LH_SLOT;
    uint64_t *codes = (uint64_t *)slot, *rights = codes + LH_VECTOR;
    const uint64_t mask = lh_mask(r.width);
    for (int64_t at = 0; at < count; at += LH_VECTOR) {
        int64_t m = count - at < LH_VECTOR ? count - at : LH_VECTOR;
        error = LH_T(lh_column_at)(depth + 1, r.codes.codec, r.codes.body, r.codes.size, n, 8,
                                   first + at, m, codes, scratch);
        if (error == LH_OK)
            error = LH_T(lh_column_at)(depth + 1, r.rights.codec, r.rights.body, r.rights.size, n,
                                       8, first + at, m, rights, scratch);
        if (error)
            return error;
        for (int64_t i = 0; i < m; i++) {
            uint64_t bits = r.fronts[codes[i] & 7] | (rights[i] & mask);
            memcpy(out + (at + i) * item, &bits, (size_t)item);
        }
    }
    if (r.exceptions.count == 0)
        return LH_OK;
    return LH_T(lh_exceptions)(depth, &r.exceptions, n, item, first, count, out, slot, scratch);
}

/* Codec 13: codes into a table of entries. */
static int LH_T(lh_distinct_column)(int depth, const uint8_t *body, int64_t size, int64_t n,
                                    int item, int64_t first, int64_t count, uint8_t *out,
                                    void *scratch)
{
    lh_pair d;
    int error = lh_pair_open(body, size, LH_ENTRIES_MAX, &d);
    if (error)
        return error;
    uint8_t *table = (uint8_t *)scratch + depth * LH_SLOT;
    uint64_t *codes = (uint64_t *)(table + 8 * LH_ENTRIES_MAX), bad = 0;
    error = LH_T(lh_column_at)(depth + 1, d.values.codec, d.values.body, d.values.size, d.count,
                               item, 0, d.count, table, scratch);
    for (int64_t at = 0; at < count && error == LH_OK; at += LH_VECTOR) {
        int64_t m = count - at < LH_VECTOR ? count - at : LH_VECTOR;
        error = LH_T(lh_column_at)(depth + 1, d.others.codec, d.others.body, d.others.size, n, 8,
                                   first + at, m, codes, scratch);
        if (error)
            return error;
        for (int64_t i = 0; i < m; i++)
            bad |= codes[i] >= (uint64_t)d.count;
        if (bad)
            return LH_ECORRUPT;
        if (item == 8)
            for (int64_t i = 0; i < m; i++)
                memcpy(out + (at + i) * 8, table + codes[i] * 8, 8);
        else if (item == 4)
            for (int64_t i = 0; i < m; i++)
                memcpy(out + (at + i) * 4, table + codes[i] * 4, 4);
        else
            for (int64_t i = 0; i < m; i++)
                memcpy(out + (at + i) * item, table + codes[i] * (size_t)item, (size_t)item);
    }
    return error;
}

static void LH_T(lh_repeat)(const uint8_t *value, int item, int64_t count, uint8_t *out)
{
    uint64_t bits = lh_load(value, (unsigned)item);
    if (item == 8)
        for (int64_t i = 0; i < count; i++)
            memcpy(out + 8 * i, &bits, 8);
    else
        for (int64_t i = 0; i < count; i++)
            memcpy(out + item * i, &bits, (size_t)item);
}

/* Codec 14: run values and run lengths, which add up to n. */
static int LH_T(lh_rle_column)(int depth, const uint8_t *body, int64_t size, int64_t n, int item,
                               int64_t first, int64_t count, uint8_t *out, void *scratch)
{
    lh_pair r;
    int error = lh_pair_open(body, size, n, &r);
    if (error)
        return error;
    uint8_t *values = (uint8_t *)scratch + depth * LH_SLOT;
    uint64_t *lengths = (uint64_t *)(values + 8 * LH_VECTOR);
    int64_t row = 0;
    const int64_t stop = first + count;
    for (int64_t at = 0; at < r.count && row < stop; at += LH_VECTOR) {
        int64_t m = r.count - at < LH_VECTOR ? r.count - at : LH_VECTOR;
        error = LH_T(lh_column_at)(depth + 1, r.others.codec, r.others.body, r.others.size,
                                   r.count, 8, at, m, lengths, scratch);
        if (error == LH_OK)
            error = LH_T(lh_column_at)(depth + 1, r.values.codec, r.values.body, r.values.size,
                                       r.count, item, at, m, values, scratch);
        if (error)
            return error;
        for (int64_t i = 0; i < m && row < stop; i++) {
            if (lengths[i] == 0 || lengths[i] > (uint64_t)(n - row))
                return LH_ECORRUPT;
            int64_t from = row < first ? first : row, to = row + (int64_t)lengths[i];
            row = to;
            if (to > stop)
                to = stop;
            if (to > from)
                LH_T(lh_repeat)(values + i * item, item, to - from, out + (from - first) * item);
        }
    }
    return row >= stop ? LH_OK : LH_ECORRUPT;
}
