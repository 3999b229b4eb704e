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

/* d[i] = distance of a residual from `ref`: up (sign 0), down (sign ~0), or both ways with the sign
 * in the lowest bit (fold 1). */
static void LH_T(lh_distances)(const uint64_t *restrict r, int64_t m, uint64_t ref, uint64_t sign,
                               int fold, uint64_t *restrict d)
{
    if (fold)
        for (int64_t i = 0; i < m; i++) {
            const uint64_t s = r[i] - ref;
            d[i] = s << 1 ^ (uint64_t) - (int64_t)(s >> 63);
        }
    else
        for (int64_t i = 0; i < m; i++)
            d[i] = (r[i] - ref) ^ sign;
}

/* Distances that take more bits than a width below 64. */
static int64_t LH_T(lh_longer)(const uint64_t *d, int64_t m, unsigned width)
{
    const uint64_t most = lh_mask(width);
    uint64_t count = 0;
    for (int64_t i = 0; i < m; i++)
        count += d[i] > most;
    return (int64_t)count;
}

/* The cheapest width for distances of at most `longest` bits: sets width, patches, bytes when below
 * f->bytes. */
static int LH_T(lh_cheapest)(const uint64_t *d, int64_t m, unsigned longest, lh_fit *f)
{
    int found = 0;
    for (unsigned width = longest; width-- > 0;) {
        const int64_t out = LH_T(lh_longer)(d, m, width);
        if (out > LH_PATCHES_MAX || out * 4 > m)
            break;
        const int64_t bytes = lh_stream_bytes(m, width) + lh_patch_bytes(out, longest - width + 1);
        if (bytes < f->bytes) {
            f->bytes = bytes;
            f->width = width;
            f->patches = (unsigned)out;
            found = 1;
        }
    }
    return found;
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
    uint64_t d[LH_VECTOR];
    lh_fit part = *best;
    memset(d, 0, (size_t)from * sizeof *d);
    LH_T(lh_distances)(r + from, m - from, ref, 0, 1, d + from);
    const unsigned below = low < 0 ? lh_bits(~(uint64_t)low) + 1 : 0;
    const unsigned above = high > 0 ? lh_bits((uint64_t)high) + 1 : 0;
    if (!LH_T(lh_cheapest)(d, m, below > above ? below : above, &part))
        return;
    lh_fit tried[3];
    int n = 0;
    part.step = ref - ((uint64_t)1 << part.width >> 1);
    tried[n++] = part;
    const uint64_t bottom = best->step, top = ref + (uint64_t)high;
    for (int down = 0; down < 2; down++) {
        LH_T(lh_distances)(r + from, m - from, down ? top + 1 : bottom,
                           down ? ~(uint64_t)0 : 0, 0, d + from);
        if (LH_T(lh_cheapest)(d, m, best->width, &part)) {
            part.step = down ? top + 1 - ((uint64_t)1 << part.width) : bottom;
            tried[n++] = part;
        }
    }
    while (n-- > 0)
        if (LH_T(lh_settle)(r, from, m, &tried[n]) && tried[n].bytes < best->bytes)
            *best = tried[n];
}
