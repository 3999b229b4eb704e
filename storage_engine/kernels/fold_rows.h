/* Stretches of rows and whole states into a state: the passes of fold.h. */
#ifndef LH_FOLD_ROWS_H
#define LH_FOLD_ROWS_H

#define LH_LANE_ROOM (LH_LANE_ROWS + 3 * LH_LANES)
#define LH_LANE_ROWS_MIN 16

typedef struct {
    double value[LH_LANE_ROOM], span[LH_LANE_ROOM], more[LH_LANE_ROOM];
} lh_lane_room;

static inline void lh_add_parts(lh_exact *a, const int64_t *part, int bit, uint64_t by) {
    for (int j = 0; j < LH_LANE_PARTS; j++) {
        const uint64_t size = part[j] < 0 ? 0u - (uint64_t)part[j] : (uint64_t)part[j];
        const lh_u128 m = (lh_u128)size * by;
        if (m) lh_exact_add_u128(a, m, bit + LH_LANE_BITS * j, part[j] < 0);
    }
}

/* All sums within good rows from lanes; 0, and nothing added, when lanes cannot hold them. */
static inline int lh_fold_lanes(
    lh_folder *f, lh_lane_room *room, const int64_t *time, const double *v, int64_t n,
    double largest
) {
    const uint64_t length = (uint64_t)time[n - 1] - (uint64_t)time[0];
    const int64_t period = (int64_t)(length / (uint64_t)(n - 1));
    const uint64_t pads = (uint64_t)(-n & (LH_LANES - 1));
    double *value = room->value + LH_LANES, *span = room->span + LH_LANES;
    double *more = room->more + LH_LANES;
    const lh_lane_table *lanes = lh_lanes();
    lh_lane_rows r = {value, span, more, n, period, largest, 0};
    lh_lane_sums out;
    if (length >= UINT64_C(1) << 58) return 0;
    const int spans = lanes->spans(time, n, period, span, more);
    if (spans == 0) return 0;
    r.wide_spans = spans > 1;
    if (v != value) memcpy(value, v, 8 * (size_t)n);
    value[-1] = v[0];
    span[-1] = more[-1] = 0.0;
    for (int64_t i = n - 1; i < n + LH_LANES; i++) value[i] = v[n - 1], span[i] = 0.0;
    if (spans > 1) memset(more + n - 1, 0, 8 * LH_LANES);
    else memset(more - 1, 0, 8 * (size_t)(n + LH_LANES));
    if (!lanes->sums(&r, &out)) return 0;
    for (int k = 0; k < LH_SUMS; k++) lh_add_parts(&f->sum[k], out.part[k], out.bit[k], 1);
    lh_exact_add_times(&f->sum[LH_SUM], v[n - 1], pads, 1);
    lh_exact_add_square(&f->sum[LH_SQUARES], v[n - 1], pads, 1);
    /* Lanes hold value x (span - period): the period's share is that of all values but one. */
    const uint64_t p = (uint64_t)period;
    lh_add_parts(&f->sum[LH_STEPPED], out.part[LH_SUM], out.bit[LH_SUM], p);
    lh_add_parts(&f->sum[LH_FORWARD], out.part[LH_SUM], out.bit[LH_SUM], p);
    lh_exact_add_times(&f->sum[LH_STEPPED], v[n - 1], p * (pads + 1), 1);
    lh_exact_add_times(&f->sum[LH_FORWARD], v[n - 1], p * pads, 1);
    lh_exact_add_times(&f->sum[LH_FORWARD], v[0], p, 1);
    f->s.resets += out.downs;
    f->s.transitions += out.downs + out.ups;
    return 1;
}

/* Rows that all have one value. */
static inline int lh_fold_constant(lh_folder *f, const int64_t *time, double v, int64_t n) {
    const uint64_t span = (uint64_t)time[n - 1] - (uint64_t)time[0];
    int64_t falls = 0;
    for (int64_t i = 0; i + 1 < n; i++) falls |= -(int64_t)(time[i + 1] < time[i]);
    if (falls || v - v != 0.0) return 0;
    lh_exact_add_times(&f->sum[LH_SUM], v, (uint64_t)n, 0);
    if (f->known & 1u << LH_SQUARES) lh_exact_add_square(&f->sum[LH_SQUARES], v, (uint64_t)n, 0);
    if (f->known & 1u << LH_STEPPED) {
        lh_exact_add_times(&f->sum[LH_STEPPED], v, span, 0);
        lh_exact_add_times(&f->sum[LH_FORWARD], v, span, 0);
    }
    return 1;
}

/* The sum alone. */
static inline int lh_fold_plain(lh_folder *f, const double *v, int64_t n, double largest) {
    const int64_t whole = n & ~(int64_t)(LH_LANES - 1);
    lh_lane_sums out;
    if (!lh_lanes()->plain(v, whole, largest, &out)) return 0;
    lh_add_parts(&f->sum[LH_SUM], out.part[LH_SUM], out.bit[LH_SUM], 1);
    for (int64_t i = whole; i < n; i++) lh_exact_add(&f->sum[LH_SUM], v[i]);
    return 1;
}

/* Values of a stretch as doubles; NULL when one is an integer that a double does not hold. */
static inline const double *lh_fold_doubles(
    const lh_fold_columns *c, int64_t first, int64_t n, double *room
) {
    const int64_t limit = INT64_C(1) << 53;
    int far = 0;
    switch (c->type) {
    case LH_FOLD_F64: return (const double *)c->value + first;
    case LH_FOLD_F32:
        for (int64_t i = 0; i < n; i++) room[i] = (double)((const float *)c->value)[first + i];
        return room;
    case LH_FOLD_I64:
        for (int64_t i = 0; i < n; i++) {
            const int64_t x = ((const int64_t *)c->value)[first + i];
            far |= x > limit || x < -limit;
            room[i] = (double)x;
        }
        break;
    case LH_FOLD_U64:
        for (int64_t i = 0; i < n; i++) {
            const uint64_t x = ((const uint64_t *)c->value)[first + i];
            far |= x > (uint64_t)limit;
            room[i] = (double)x;
        }
        break;
    default:
        for (int64_t i = 0; i < n; i++) {
            room[i] = ((const uint8_t *)c->value)[first + i] ? 1.0 : 0.0;
        }
    }
    return far ? NULL : room;
}

/* First row from i + 1 on, before `end`, whose bits are not those of row i. */
static inline int64_t lh_fold_same(const lh_fold_columns *c, int64_t i, int64_t end) {
    const uint8_t *byte = c->value;
    if (c->type == LH_FOLD_BOOL) {
        const int on = byte[i] != 0;
        while (++i < end && (byte[i] != 0) == on) {}
    } else if (c->type == LH_FOLD_F32) {
        uint32_t x, y;
        memcpy(&x, byte + 4 * i, 4);
        while (++i < end && (memcpy(&y, byte + 4 * i, 4), y == x)) {}
    } else {
        uint64_t x, y;
        memcpy(&x, byte + 8 * i, 8);
        while (++i < end && (memcpy(&y, byte + 8 * i, 8), y == x)) {}
    }
    return i;
}

/* How long good rows [first, first + n) held their values; times do not fall. */
static inline void lh_fold_held(lh_folder *f, const lh_fold_columns *c, int64_t first, int64_t n) {
    const int64_t last = first + n - 1;
    for (int64_t i = first; i < last && f->known & LH_DURATIONS;) {
        const int64_t next = lh_fold_same(c, i, last);
        lh_fold_hold(f, lh_cell(c, i), (uint64_t)c->time[next] - (uint64_t)c->time[i]);
        i = next;
    }
}

/* Good rows [first, first + n) but for NaN among them. Returns the rows that were folded. */
static inline int64_t lh_fold_stretch(
    lh_folder *f, const lh_fold_columns *c, int64_t first, int64_t n, lh_lane_room *room
) {
    lh_fold_state *s = &f->s;
    const int64_t *time = c->time + first;
    const double *v = lh_fold_doubles(c, first, n, room->value + LH_LANES);
    int done = 0;
    if (v) {
        const lh_range range = lh_lanes()->range(v, n);
        if (range.nan) {
            for (n = 0; v[n] == v[n]; n++) {}
            if (n >= LH_LANE_ROWS_MIN) return lh_fold_stretch(f, c, first, n, room);
        } else {
            const double largest = fmax(-range.minimum, range.maximum);
            const uint32_t sums = f->known & LH_EVERY;
            if (sums == 0) {
                done = 1;
            } else if (range.minimum == range.maximum) {
                done = lh_fold_constant(f, time, range.minimum, n);
            } else if (sums == LH_BRIEF) {
                done = lh_fold_plain(f, v, n, largest);
            } else {
                done = lh_fold_lanes(f, room, time, v, n, largest);
            }
            if (done) {
                const int64_t low = lh_lanes()->find(v, n, range.minimum);
                const int64_t high = lh_lanes()->find(v, n, range.maximum);
                const uint64_t cell = lh_cell(c, first);
                if (s->good) lh_fold_step(f, s->last_good, cell);
                if (s->flags & LH_LAST_GOOD) {
                    lh_fold_pair(f, s->last_good, cell, s->last_time, time[0]);
                }
                lh_fold_extremes(
                    f, lh_cell(c, first + low), time[low], lh_cell(c, first + high), time[high]);
            }
        }
    }
    if (!done) {
        n += n == 0; /* the NaN itself */
        for (int64_t i = first; i < first + n; i++) lh_fold_row(f, c, i);
        return n;
    }
    const uint64_t begin = lh_cell(c, first), end = lh_cell(c, first + n - 1);
    const uint8_t both = LH_FIRST_VALID | LH_FIRST_GOOD;
    if (f->known & LH_DURATIONS) lh_fold_held(f, c, first, n);
    s->covered_ns += (uint64_t)time[n - 1] - (uint64_t)time[0];
    if (s->good == 0) s->first_good = begin, s->first_good_time = time[0];
    if (s->rows == 0) {
        s->first = begin, s->first_time = time[0], s->flags = both;
        s->first_quality = c->quality ? c->quality[first] : 0u;
    }
    s->good += n, s->rows += n;
    s->last = s->last_good = end, s->last_time = s->last_good_time = time[n - 1];
    s->last_quality = c->quality ? c->quality[first + n - 1] : 0u;
    s->flags = (uint8_t)((s->flags & both) | LH_LAST_VALID | LH_LAST_GOOD);
    return n;
}

/* Rows from `first` on, before `last`, whose severity is good and that have a value. */
static inline int64_t lh_fold_sound(const lh_fold_columns *c, int64_t first, int64_t last) {
    int64_t i = first;
    if (!c->quality && !c->valid) return last - first;
    for (; i + 16 <= last; i += 16) {
        uint32_t any = 0;
        if (c->quality) {
            for (int j = 0; j < 16; j++) any |= c->quality[i + j] >> 30;
        }
        if (c->valid) {
            for (int j = 0; j < 16; j++) any |= !c->valid[i + j];
        }
        if (any) break;
    }
    while (i < last && !(c->quality && c->quality[i] >> 30) && !(c->valid && !c->valid[i])) i++;
    return i - first;
}

/* Rows [first, last) behind those that the folder has. */
static inline void lh_fold_rows(
    lh_folder *f, const lh_fold_columns *c, int64_t first, int64_t last
) {
    lh_lane_room room;
    while (first < last) {
        const int64_t n = last - first < LH_LANE_ROWS ? last - first : LH_LANE_ROWS;
        const int64_t sound = c->type < LH_FOLD_CODE ? lh_fold_sound(c, first, first + n) : 0;
        if (sound >= LH_LANE_ROWS_MIN) {
            first += lh_fold_stretch(f, c, first, sound, &room);
        } else {
            for (int64_t end = first + sound + (sound < n); first < end; first++) {
                lh_fold_row(f, c, first);
            }
        }
    }
}

/* What a state knows, as bits of sums. */
static inline uint32_t lh_fold_known(const lh_fold_state *s) {
    uint32_t known = s->exact;
    for (int k = 0; k < LH_SUMS; k++) known |= s->wide[k] ? 1u << k : 0u;
    return known;
}

static inline void lh_exact_add_sum(lh_exact *a, const lh_fold_state *s, int k) {
    if (s->exact >> k & 1u) {
        for (int j = 0; j < 3; j++) lh_exact_add(a, s->sum[k][j]);
    } else if (s->wide[k]) {
        lh_exact b;
        lh_exact_clear(&b);
        b.low = s->wide[k]->low, b.high = s->wide[k]->high;
        memcpy(b.limb + b.low, s->wide[k]->limb, 8 * (size_t)(b.high - b.low));
        lh_exact_add_exact(a, &b);
    }
}

/* A state of rows behind those that the folder has. */
static inline void lh_fold_join(lh_folder *f, const lh_fold_state *r) {
    lh_fold_state *s = &f->s;
    if (r->rows == 0) return;
    f->known &= lh_fold_known(r);
    for (int64_t i = 0; r->codes && i < r->codes->count; i++) {
        lh_fold_hold(f, r->codes->held[i].code, r->codes->held[i].ns);
    }
    if (s->good && r->good) lh_fold_step(f, s->last_good, r->first_good);
    if (s->flags & LH_LAST_GOOD && r->flags & LH_FIRST_GOOD) {
        lh_fold_pair(f, s->last_good, r->first_good, s->last_time, r->first_time);
    }
    if (r->good) {
        lh_fold_extremes(f, r->minimum, r->minimum_time, r->maximum, r->maximum_time);
        if (s->good == 0) s->first_good = r->first_good, s->first_good_time = r->first_good_time;
        s->last_good = r->last_good, s->last_good_time = r->last_good_time;
    }
    for (int k = 0; k < LH_SUMS; k++) {
        if (f->known >> k & 1u) lh_exact_add_sum(&f->sum[k], r, k);
    }
    s->good += r->good, s->uncertain += r->uncertain, s->bad += r->bad;
    s->covered_ns += r->covered_ns, s->resets += r->resets, s->transitions += r->transitions;
    const uint8_t first = LH_FIRST_VALID | LH_FIRST_GOOD, last = LH_LAST_VALID | LH_LAST_GOOD;
    if (s->rows == 0) {
        s->first = r->first, s->first_time = r->first_time, s->first_quality = r->first_quality;
        s->flags = r->flags & first;
    }
    s->rows += r->rows;
    s->last = r->last, s->last_time = r->last_time, s->last_quality = r->last_quality;
    s->flags = (uint8_t)((s->flags & first) | (r->flags & last));
}

static inline void lh_fold_free(lh_fold_state *s) {
    for (int k = 0; k < LH_SUMS; k++) {
        free(s->wide[k]);
        s->wide[k] = NULL;
    }
    free(s->codes);
    s->codes = NULL;
}

/* The state of all that the folder has. Its old wide sums are not freed. -1: no memory. */
static inline int lh_fold_finish(lh_folder *f, lh_fold_state *out) {
    *out = f->s;
    for (int k = 0; k < LH_SUMS; k++) {
        if (!(f->known >> k & 1u)) continue;
        lh_exact *a = &f->sum[k];
        if (lh_exact_expand(a, out->sum[k])) {
            out->exact |= (uint8_t)(1u << k);
            continue;
        }
        const size_t size = 8 * (size_t)(a->high - a->low);
        lh_wide *wide = malloc(sizeof(lh_wide) + size);
        if (!wide) {
            lh_fold_free(out);
            return -1;
        }
        wide->low = a->low, wide->high = a->high;
        memcpy(wide->limb, a->limb + a->low, size);
        out->wide[k] = wide;
    }
    if (!(f->known >> LH_INCREASE & 1u) && f->type != LH_FOLD_CODE) {
        out->resets = out->transitions = 0;
    }
    if (f->known & LH_DURATIONS) {
        out->exact |= LH_DURATIONS;
        if (f->holding.count) {
            out->codes = lh_codes_new(f->holding.held, f->holding.count);
            if (!out->codes) {
                lh_fold_free(out);
                return -1;
            }
        }
    }
    return 0;
}

/* First row at or after a time. */
static inline int64_t lh_fold_find(const int64_t *time, int64_t low, int64_t high, int64_t at) {
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (time[middle] < at) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* States of the rows [place_k, place_k+1), m of them; wanted_k are the sums. -1: no memory. */
static inline int lh_fold_places(
    const lh_fold_columns *c, const int64_t *place, int64_t m, const uint8_t *wanted,
    lh_fold_state *out
) {
    lh_folder f;
    for (int64_t k = 0; k < m; k++) {
        lh_fold_begin(&f, c->type, wanted[k]);
        lh_fold_rows(&f, c, place[k], place[k + 1]);
        if (lh_fold_finish(&f, &out[k])) return -1;
    }
    return 0;
}

/* A group of one state without memory of its own: the same state. Returns whether it was that. */
static inline int lh_fold_alone(int type, const lh_fold_state *s, lh_fold_state *out) {
    const uint32_t known = lh_fold_known(s);
    if (s->rows == 0 || s->codes) return 0;
    for (int k = 0; k < LH_SUMS; k++) {
        if (s->wide[k]) return 0;
    }
    *out = *s;
    out->exact = (uint8_t)(known & (LH_EVERY | (s->exact & LH_DURATIONS)));
    if (!(known >> LH_INCREASE & 1u) && type != LH_FOLD_CODE) out->resets = out->transitions = 0;
    return 1;
}

/* Groups of states in order of time: group k is places start_k to start_k+1, the last one to n; the
 * state of a place is row_i of those at base[source_i]. Durations are known where the first of a
 * group knows them, and all others. -1: no memory. */
static inline int lh_fold_groups(
    int type, const uint64_t *base, const int64_t *source, const int64_t *row, int64_t n,
    const int64_t *start, int64_t m, lh_fold_state *out
) {
    lh_folder f;
    for (int64_t k = 0; k < m; k++) {
        const int64_t end = k + 1 < m ? start[k + 1] : n;
        if (end - start[k] == 1) {
            const int64_t i = start[k];
            const lh_fold_state *s = (const lh_fold_state *)(uintptr_t)base[source[i]] + row[i];
            if (lh_fold_alone(type, s, &out[k])) continue;
        }
        for (int64_t i = start[k]; i < end; i++) {
            const lh_fold_state *s = (const lh_fold_state *)(uintptr_t)base[source[i]] + row[i];
            if (i == start[k]) lh_fold_begin(&f, type, LH_EVERY | (s->exact & LH_DURATIONS));
            lh_fold_join(&f, s);
        }
        if (start[k] >= end) lh_fold_begin(&f, type, LH_EVERY);
        if (lh_fold_finish(&f, &out[k])) return -1;
    }
    return 0;
}

#endif
