/* Template of one target: codecs 9 to 14 encoded by a plan, and decoded again to be believed. */

/* A child behind its head, which is written once the size is known. */
static uint8_t *LH_T(lh_put_ints)(uint8_t *p, const int64_t *v, int64_t n, lh_packed_hint *hint)
{
    int64_t size = LH_T(lh_packed_write)(v, n, hint, p + LH_CHILD_HEAD);
    return lh_child_head(p, LH_PACKED, size) + size;
}

static uint8_t *LH_T(lh_put_raw)(uint8_t *p, const void *values, int64_t size)
{
    p = lh_child_head(p, LH_RAW, size);
    memcpy(p, values, (size_t)size);
    return p + size;
}

/* Integers of the grid and how far the bits are from it; bad[i] where a value does not fit. The
 * count of those. Sums and shifts of bits instead of conversions, so that loops become vectors. */
static int64_t LH_T(lh_grid_doubles)(const lh_plan *plan, const double *x, int64_t n, int64_t *ints,
                                     int64_t *moves, uint64_t *bad)
{
    const double a = plan->a, b = plan->b, c = plan->c, inverse = b / a, magic = 0x1.8p52;
    const uint64_t reach = (uint64_t)plan->moves, half = (uint64_t)1 << 51;
    const int simple = a == 1 && c == 0;
    uint64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        union { double x; uint64_t bits; } t, base = {magic}, from = {x[i]}, made;
        t.x = (simple ? x[i] * b : (x[i] - c) * inverse) + magic;
        const double whole = t.x - magic;
        made.x = simple ? whole / b : whole * a / b + c;
        const uint64_t integer = t.bits - base.bits, move = from.bits - made.bits;
        const uint64_t wrong = (integer + half > 2 * half) | (move + reach > 2 * reach);
        ints[i] = (int64_t)integer;
        moves[i] = (int64_t)move;
        bad[i] = wrong;
        count += wrong;
    }
    return (int64_t)count;
}

static int64_t LH_T(lh_grid_singles)(const lh_plan *plan, const float *x, int64_t n, int64_t *ints,
                                     int64_t *moves, uint64_t *bad)
{
    const double a = plan->a, b = plan->b, c = plan->c, inverse = b / a, magic = 0x1.8p52;
    const int64_t reach = plan->moves;
    const uint64_t half = (uint64_t)1 << 51;
    uint64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        union { double x; uint64_t bits; } t, base = {magic};
        union { float x; int32_t bits; } from = {x[i]}, made;
        t.x = ((double)x[i] - c) * inverse + magic;
        made.x = (float)((t.x - magic) * a / b + c);
        const uint64_t integer = t.bits - base.bits;
        const int64_t move = (int64_t)from.bits - made.bits;
        const uint64_t wrong = (integer + half > 2 * half) | (move > reach) | (move < -reach);
        ints[i] = (int64_t)integer;
        moves[i] = move;
        bad[i] = wrong;
        count += wrong;
    }
    return (int64_t)count;
}

/* What did not fit: its places and bits; under it the integer before goes on. */
static uint8_t *LH_T(lh_put_exceptions)(uint8_t *p, const uint8_t *values, int64_t n, int item,
                                        const uint64_t *bad, int64_t count, int64_t *ints,
                                        int64_t *moves, int64_t *places)
{
    int64_t found = 0, before = 0;
    for (int64_t i = 0; i < n && before == 0 && found == 0; i++)
        if (!bad[i]) {
            before = ints[i];
            found = 1;
        }
    found = 0;
    for (int64_t i = 0; i < n; i++) {
        if (bad[i]) {
            places[found++] = i;
            ints[i] = before;
            moves[i] = 0;
        }
        before = ints[i];
    }
    p = lh_store(p, (uint64_t)count, 4);
    p = LH_T(lh_put_ints)(p, places, count, NULL);
    int same = 1;
    for (int64_t i = 1; i < count && same; i++)
        same = memcmp(values + places[i] * item, values + places[0] * item, (size_t)item) == 0;
    const int64_t kept = same ? 1 : count;
    p = lh_child_head(p, same ? LH_CONSTANT : LH_RAW, kept * item);
    for (int64_t i = 0; i < kept; i++, p += item)
        memcpy(p, values + places[i] * item, (size_t)item);
    return p;
}

/* Codecs 9 and 10; `work` holds 32 n bytes. NULL when too much does not fit. */
static uint8_t *LH_T(lh_write_grid)(lh_plan *plan, const uint8_t *values, int64_t n, int item,
                                    uint8_t *p, uint8_t *work)
{
    int64_t *ints = (int64_t *)work, *moves = ints + n, *places = moves + n;
    uint64_t *bad = (uint64_t *)(places + n);
    int64_t count = item == 8
        ? LH_T(lh_grid_doubles)(plan, (const double *)(const void *)values, n, ints, moves, bad)
        : LH_T(lh_grid_singles)(plan, (const float *)(const void *)values, n, ints, moves, bad);
    if (count * LH_MISFITS > n)
        return NULL;
    uint8_t *tail = p + lh_encode_bound(n) / 2, *end = tail;
    if (count)
        end = LH_T(lh_put_exceptions)(tail, values, n, item, bad, count, ints, moves, places);
    uint64_t moved = 0;
    for (int64_t i = 0; i < n; i++)
        moved |= (uint64_t)moves[i];
    if (plan->codec == LH_DECIMAL) {
        *p++ = (uint8_t)plan->k;
    } else {
        memcpy(p, &plan->a, 8);
        memcpy(p + 8, &plan->b, 8);
        memcpy(p + 16, &plan->c, 8);
        p += 24;
    }
    *p++ = (uint8_t)((moved ? LH_HAS_MOVES : 0) | (count ? LH_HAS_EXCEPTIONS : 0));
    p = plan->plain ? LH_T(lh_put_raw)(p, ints, 8 * n)
                    : LH_T(lh_put_ints)(p, ints, n, &plan->hints[0]);
    if (moved)
        p = LH_T(lh_put_ints)(p, moves, n, &plan->hints[1]);
    memmove(p, tail, (size_t)(end - tail));
    return p + (end - tail);
}

static uint8_t *LH_T(lh_write_ordered)(lh_plan *plan, const uint8_t *values, int64_t n, int item,
                                       uint8_t *p, uint8_t *work)
{
    int64_t *ints = (int64_t *)work;
    for (int64_t i = 0; i < n; i++)
        if (item == 8) {
            int64_t bits;
            memcpy(&bits, values + 8 * i, 8);
            ints[i] = bits ^ (int64_t)((uint64_t)(bits >> 63) >> 1);
        } else {
            int32_t bits;
            memcpy(&bits, values + 4 * i, 4);
            ints[i] = bits ^ (int32_t)((uint32_t)(bits >> 31) >> 1);
        }
    return plan->plain ? LH_T(lh_put_raw)(p, ints, 8 * n)
                       : LH_T(lh_put_ints)(p, ints, n, &plan->hints[0]);
}

/* Codec 12; `work` holds 32 n bytes, then the counts of fronts. */
static uint8_t *LH_T(lh_write_real)(lh_plan *plan, const uint8_t *values, int64_t n, int item,
                                    uint8_t *p, uint8_t *work)
{
    int64_t *codes = (int64_t *)work, *rights = codes + n, *places = rights + n;
    uint64_t *bad = (uint64_t *)(places + n);
    uint16_t fronts[LH_FRONTS_MAX];
    const unsigned width = (unsigned)plan->width;
    int used = lh_fronts_find(values, n, item, width, (uint32_t *)(void *)(bad + n), fronts);
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits = lh_load(values + i * item, (unsigned)item), front = bits >> width;
        int code = 0;
        while (code < used && fronts[code] != front)
            code++;
        bad[i] = code == used;
        count += code == used;
        codes[i] = bad[i] ? 0 : code;
        rights[i] = (int64_t)(bits & lh_mask(width));
    }
    if (count * LH_MISFITS > n)
        return NULL;
    uint8_t *tail = p + lh_encode_bound(n) / 2, *end = tail;
    if (count)
        end = LH_T(lh_put_exceptions)(tail, values, n, item, bad, count, codes, rights, places);
    *p++ = (uint8_t)width;
    *p++ = (uint8_t)used;
    *p++ = count > 0;
    for (int i = 0; i < used; i++)
        p = lh_store(p, fronts[i], 2);
    p = LH_T(lh_put_ints)(p, codes, n, &plan->hints[0]);
    p = LH_T(lh_put_ints)(p, rights, n, &plan->hints[1]);
    memmove(p, tail, (size_t)(end - tail));
    return p + (end - tail);
}

static uint8_t *LH_T(lh_write_plain)(lh_plan *plan, const uint8_t *values, int64_t n, int item,
                                     uint8_t *p, uint8_t *work, lh_packed_hint *hint)
{
    int64_t *ints = (int64_t *)work;
    if (plan->plain) { /* narrow integers widen here, so that a last stage sees int64 */
        memcpy(p, values, (size_t)(n * item));
        return p + n * item;
    }
    for (int64_t i = 0; i < n; i++)
        ints[i] = (int64_t)lh_load(values + i * item, (unsigned)item);
    return p + LH_T(lh_packed_write)(ints, n, hint, p);
}

/* Entries or run values as a child, by the inner codec of the plan; raw where that does not fit. */
static uint8_t *LH_T(lh_put_inner)(const lh_plan *plan, const uint8_t *values, int64_t n, int item,
                                   uint8_t *p, uint8_t *work)
{
    lh_plan inner = *plan;
    uint8_t *end = NULL;
    inner.codec = plan->inner;
    inner.plain = 0;
    memset(inner.hints, 0, sizeof inner.hints);
    if (inner.codec == LH_DECIMAL || inner.codec == LH_SCALED)
        end = LH_T(lh_write_grid)(&inner, values, n, item, p + LH_CHILD_HEAD, work);
    if (end == NULL && inner.codec >= LH_DECIMAL) {
        inner.codec = LH_ORDERED;
        end = LH_T(lh_write_ordered)(&inner, values, n, item, p + LH_CHILD_HEAD, work);
    }
    if (inner.codec == LH_PACKED)
        end = LH_T(lh_write_plain)(&inner, values, n, item, p + LH_CHILD_HEAD, work, NULL);
    if (end == NULL || end - p - LH_CHILD_HEAD >= n * item)
        return LH_T(lh_put_raw)(p, values, n * item);
    return lh_child_head(p, inner.codec, end - p - LH_CHILD_HEAD) + (end - p - LH_CHILD_HEAD);
}

static uint8_t *LH_T(lh_write_rle)(lh_plan *plan, const uint8_t *values, int64_t n, int item,
                                   uint8_t *p, uint8_t *work)
{
    uint8_t *kept = work;
    int64_t *lengths = (int64_t *)(work + 8 * n), runs = 0, start = 0;
    for (int64_t i = 1; i <= n; i++) {
        if (i < n && memcmp(values + i * item, values + start * item, (size_t)item) == 0)
            continue;
        if (2 * runs >= n)
            return NULL;
        memcpy(kept + runs * item, values + start * item, (size_t)item);
        lengths[runs++] = i - start;
        start = i;
    }
    p = lh_store(p, (uint64_t)runs, 4);
    p = LH_T(lh_put_inner)(plan, kept, runs, item, p, work + 16 * n);
    return LH_T(lh_put_ints)(p, lengths, runs, &plan->hints[0]);
}

static uint8_t *LH_T(lh_write_distinct)(lh_plan *plan, const uint8_t *values, int64_t n, int item,
                                        uint8_t *p, uint8_t *work)
{
    int64_t *codes = (int64_t *)work;
    uint64_t *entries = (uint64_t *)(codes + n), *room = (uint64_t *)(work + 32 * n);
    int64_t count = lh_entries_find(values, n, item, plan->inner != LH_PACKED, codes,
                                    entries, entries + n, room);
    if (count == 0 || 8 * count > 7 * n)
        return NULL;
    uint8_t *kept = (uint8_t *)room;
    for (int64_t i = 0; i < count; i++)
        memcpy(kept + i * item, entries + i, (size_t)item);
    p = lh_store(p, (uint64_t)count, 4);
    p = LH_T(lh_put_inner)(plan, kept, count, item, p, kept + 8 * LH_ENTRIES_MAX);
    return plan->plain ? LH_T(lh_put_raw)(p, codes, 8 * n)
                       : LH_T(lh_put_ints)(p, codes, n, &plan->hints[0]);
}

static int64_t LH_T(lh_number_write)(lh_plan *plan, const void *input, int64_t n, int item,
                                     uint8_t *out, void *work)
{
    const uint8_t *values = input;
    uint8_t *end = NULL;
    if (n <= 0 || (item != 8 && item != 4 && item != 1))
        return 0;
    if (plan->codec == LH_PACKED)
        end = LH_T(lh_write_plain)(plan, values, n, item, out, work, &plan->hints[0]);
    else if (plan->codec == LH_RLE)
        end = LH_T(lh_write_rle)(plan, values, n, item, out, work);
    else if (plan->codec == LH_DISTINCT)
        end = LH_T(lh_write_distinct)(plan, values, n, item, out, work);
    else if (item != 1 && (plan->codec == LH_DECIMAL || plan->codec == LH_SCALED))
        end = LH_T(lh_write_grid)(plan, values, n, item, out, work);
    else if (item != 1 && plan->codec == LH_ORDERED)
        end = LH_T(lh_write_ordered)(plan, values, n, item, out, work);
    else if (item != 1 && plan->codec == LH_REAL)
        end = LH_T(lh_write_real)(plan, values, n, item, out, work);
    if (end == NULL)
        return 0;
    uint8_t *back = (uint8_t *)work, *scratch = back + ((8 * n + 63) & ~(int64_t)63);
    if (LH_T(lh_column)(plan->codec, out, end - out, n, item, 0, n, back, scratch) != LH_OK
        || memcmp(back, values, (size_t)(n * item)) != 0)
        return 0;
    return end - out;
}
