/* Template of one target: how few bits the residuals of a vector take, counted, not tried. */

/* The middle of nine residuals across the vector: near the bulk, whatever the outliers. */
static uint64_t LH_T(lh_middle)(const uint64_t *r, int64_t m)
{
    int64_t some[9];
    for (int k = 0; k < 9; k++) {
        int64_t x = (int64_t)r[(m - 1) * k / 8];
        int at = k;
        for (; at > 0 && some[at - 1] > x; at--)
            some[at] = some[at - 1];
        some[at] = x;
    }
    return (uint64_t)some[4];
}

/* Of the residuals less `ref`, as signed numbers: lowest and highest. */
static void LH_T(lh_extremes)(const uint64_t *r, int64_t m, uint64_t ref, int64_t *low,
                              int64_t *high)
{
    int64_t lo = INT64_MAX, hi = INT64_MIN;
#if LH_AVX512
    const __m512i less = _mm512_set1_epi64((int64_t)ref);
    __m512i los = _mm512_set1_epi64(lo), his = _mm512_set1_epi64(hi);
    for (int64_t i = 0; i < m; i += 8) {
        __mmask8 in = m - i >= 8 ? 0xFF : (__mmask8)((1u << (m - i)) - 1);
        __m512i s = _mm512_sub_epi64(_mm512_maskz_loadu_epi64(in, r + i), less);
        los = _mm512_mask_min_epi64(los, in, los, s);
        his = _mm512_mask_max_epi64(his, in, his, s);
    }
    lo = _mm512_reduce_min_epi64(los);
    hi = _mm512_reduce_max_epi64(his);
#else
    for (int64_t i = 0; i < m; i++) {
        int64_t s = (int64_t)(r[i] - ref);
        lo = s < lo ? s : lo;
        hi = s > hi ? s : hi;
    }
#endif
    *low = lo;
    *high = hi;
}

/* count[b] = residuals whose distance takes b bits: from `ref` up (sign 0), down (sign ~0), or both
 * ways with the sign in the lowest bit (fold 1). */
static void LH_T(lh_lengths)(const uint64_t *r, int64_t m, uint64_t ref, uint64_t sign, int fold,
                             uint16_t count[65])
{
    uint16_t parts[4][65] = {{0}};
    for (int64_t i = 0; i < m; i++) {
        uint64_t s = (r[i] - ref) ^ sign;
        if (fold)
            s = s << 1 ^ (uint64_t) - (int64_t)(s >> 63);
        parts[i & 3][lh_bits(s)]++;
    }
    for (int b = 0; b <= 64; b++)
        count[b] = (uint16_t)(parts[0][b] + parts[1][b] + parts[2][b] + parts[3][b]);
}

/* Exact patches and bytes of a chosen step and width. 0 where there are too many patches. */
static int LH_T(lh_settle)(const uint64_t *r, int64_t from, int64_t m, lh_fit *f)
{
    uint64_t most = 0;
    int64_t patches = 0;
    for (int64_t i = from; i < m; i++) {
        uint64_t high = lh_sar(r[i] - f->step, f->width);
        most |= high ^ (uint64_t) - (int64_t)(high >> 63);
        patches += high != 0;
    }
    if (patches > LH_PATCHES_MAX)
        return 0;
    f->patches = (unsigned)patches;
    f->high_width = patches ? lh_bits(most) + 1 : 0;
    f->bytes = lh_stream_bytes(m, f->width) + lh_patch_bytes(patches, f->high_width);
    return 1;
}

/* The best of plain offset and of windows in the middle, at the bottom, at the top of the residuals
 * r[from..m); those before `from` count as residuals of 0 bits. */
static void LH_T(lh_fit_of)(const uint64_t *r, int64_t from, int64_t m, lh_fit *best)
{
    memset(best, 0, sizeof *best);
    if (from >= m)
        return;
    const uint64_t ref = LH_T(lh_middle)(r + from, m - from);
    int64_t low, high;
    LH_T(lh_extremes)(r + from, m - from, ref, &low, &high);
    best->step = ref + (uint64_t)low;
    best->width = lh_bits((uint64_t)high - (uint64_t)low);
    best->bytes = lh_stream_bytes(m, best->width);
    if (best->width < 2 || m < 32)
        return;
    uint16_t count[65];
    lh_fit part = *best;
    LH_T(lh_lengths)(r + from, m - from, ref, 0, 1, count);

    int middle = lh_cheapest(count, m, &part);
    if (!middle)
        return;
    lh_fit tried[3];
    int n = 0;
    part.step = ref - ((uint64_t)1 << part.width >> 1);
    tried[n++] = part;
    const uint64_t bottom = best->step, top = ref + (uint64_t)high;
    for (int down = 0; down < 2; down++) {
        LH_T(lh_lengths)(r + from, m - from, down ? top + 1 : bottom, down ? ~(uint64_t)0 : 0, 0,
                         count);
        if (lh_cheapest(count, m, &part)) {
            part.step = down ? top + 1 - ((uint64_t)1 << part.width) : bottom;
            tried[n++] = part;
        }
    }
    while (n-- > 0)
        if (LH_T(lh_settle)(r, from, m, &tried[n]) && tried[n].bytes < best->bytes)
            *best = tried[n];
}
