/* Runs of packed blocks folded into the columns of brief.h, one series at a time.
 *
 * A piece is the rows that a window has in one vector. Only vectors in which a window ends are
 * decoded where summaries are used, and of their times no more than it takes to find where.
 */
#ifndef LH_BRIEF_RUNS_H
#define LH_BRIEF_RUNS_H

#include "block_fold.h"
#include "brief.h"
#include "repeats.h"
#include "time_find.h"

enum { LH_BRIEF_DECODE = 1 }; /* summaries are not used */
enum { LH_EROWS = -23 };      /* only the ordinary read can tell */
enum { LH_UNEVEN = 4 };

/* One series in the making, and room. */
typedef struct {
    lh_brief_columns out;
    const int64_t *edge;
    int64_t windows, at;
    uint32_t flags;
    int type, open, exponent, checked, uneven;
    lh_repeats repeats;
    lh_brief now;
    lh_folder folder;
    lh_pieces pieces;
    int32_t cut[LH_VECTOR + 1], window[LH_VECTOR];
    int64_t time[LH_VECTOR] __attribute__((aligned(64)));
    uint64_t value[LH_VECTOR + LH_BRIEF_PAD] __attribute__((aligned(64)));
    double number[LH_VECTOR + LH_BRIEF_PAD] __attribute__((aligned(64)));
    uint32_t quality[LH_VECTOR];
    uint8_t valid[LH_VECTOR];
} lh_briefs;

/* Room for one thread, or NULL. Free it with free(). */
static inline lh_briefs *lh_briefs_room(void) {
    void *room = NULL;
    if (posix_memalign(&room, 64, sizeof(lh_briefs))) return NULL;
    lh_briefs *w = memset(room, 0, sizeof(lh_briefs));
    w->exponent = 8;
    return w;
}

static inline void lh_briefs_begin(
    lh_briefs *w, int type, uint32_t flags, const int64_t *edge, int64_t m,
    const lh_brief_columns *out
) {
    w->out = *out, w->edge = edge, w->windows = m, w->at = 0;
    w->flags = flags, w->type = type, w->open = 0;
    w->checked = w->uneven = 0, w->repeats.body = NULL;
}

/* Fill windows before window k, and begin that one. */
static inline void lh_briefs_open(lh_briefs *w, int64_t k) {
    if (w->open && w->at == k) return;
    if (w->open) lh_brief_end(&w->now, &w->out, w->at++);
    lh_brief_begin(&w->now);
    while (w->at < k) lh_brief_end(&w->now, &w->out, w->at++);
    w->open = k < w->windows;
}

/* Window of a time at or after the first edge; none goes back. */
static inline int64_t lh_briefs_window(const lh_briefs *w, int64_t k, int64_t time) {
    while (k < w->windows && time >= w->edge[k + 1]) k++;
    return k;
}

/* Add a summary of times first to last when one window holds them all. 1: it did. */
static inline int lh_briefs_state(
    lh_briefs *w, const lh_fold_state *s, int64_t first, int64_t last, int64_t start, int64_t end
) {
    if (!s || w->flags & LH_BRIEF_DECODE || first < start || last >= end) return 0;
    if (!(lh_fold_known(s) >> LH_SUM & 1u)) return 0;
    const int64_t k = lh_briefs_window(w, w->at, first);
    if (k == w->windows || last >= w->edge[k + 1]) return 0;
    lh_briefs_open(w, k);
    lh_brief_join(&w->now, w->type, s);
    return 1;
}

/* Whether the grid of an exponent holds all values of pieces [k, stop); -1: a check can tell. */
static inline int lh_briefs_held(
    const lh_pieces *p, int64_t k, int64_t stop, int exponent, int checked
) {
    const double limit = ldexp(1.0, exponent), tiny = ldexp(limit, -31);
    double low = p->minimum[k], high = p->maximum[k], all = 0.0;
    int small = 0;
    for (; k < stop; k++) {
        low = p->minimum[k] < low ? p->minimum[k] : low;
        high = p->maximum[k] > high ? p->maximum[k] : high;
        small |= !(p->minimum[k] >= tiny || p->maximum[k] <= -tiny);
        all += p->high[k];
    }
    if (!(-low < limit && high < limit && all - all == 0.0)) return 0;
    return checked || !small ? 1 : -1;
}

/* Sums and extremes of pieces [first, stop) by grids; 0 when they must be folded row by row. The
 * first try takes the exponent of the vector before, and no check where that needed none. */
static inline int lh_briefs_grids(lh_briefs *w, const double *v, int64_t first, int64_t stop) {
    const lh_brief_table *lanes = lh_brief_lanes();
    const int32_t *cut = w->cut + first;
    const int64_t begin = cut[0], m = stop - first, n = cut[m] - begin;
    for (int attempt = 0; attempt < 3; attempt++) {
        const double coarse = ldexp(1.5, 52 + w->exponent - LH_BRIEF_BITS);
        const double fine = ldexp(1.5, 52 + w->exponent - 2 * LH_BRIEF_BITS);
        int held = lanes->pieces(v, cut, m, coarse, w->checked ? fine : 0.0, &w->pieces, first);
        if (held) held = lh_briefs_held(&w->pieces, first, stop, w->exponent, w->checked);
        if (held > 0) return 1;
        w->checked = 1;
        if (held < 0) continue;
        const lh_range range = lh_lanes()->range(v + begin, n);
        const double largest = -range.minimum > range.maximum ? -range.minimum : range.maximum;
        const int exponent = lh_lane_exponent(largest);
        if (range.nan || exponent == LH_NO_EXPONENT || (attempt && exponent == w->exponent)) break;
        w->exponent = exponent;
    }
    return 0;
}

/* Sums and extremes of m pieces; 0 when they must be folded row by row. Where no piece had one sign
 * and one exponent, the vectors that follow are not asked for it. */
static inline int lh_briefs_pieces(lh_briefs *w, const double *v, int64_t m) {
    if (w->uneven > 0) {
        w->uneven--;
        return lh_briefs_grids(w, v, 0, m);
    }
    const int64_t others = lh_brief_lanes()->even(v, w->cut, m, &w->pieces);
    if (others == m) w->uneven = LH_UNEVEN;
    for (int64_t k = 0, left = others; left > 0; k++) {
        int64_t stop = k;
        while (stop < m && w->pieces.high[stop] != w->pieces.high[stop]) stop++;
        if (stop == k) continue;
        if (!lh_briefs_grids(w, v, k, stop)) return 0;
        left -= stop - k, k = stop;
    }
    return 1;
}

/* Fill the windows of pieces from k on that follow each other and hold no other rows; before `stop`
 * all are complete. Returns how many; the next one takes more than its piece. */
static inline int64_t lh_briefs_alone(
    lh_briefs *w, const lh_fold_columns *c, int64_t k, int64_t stop
) {
    const lh_pieces *p = &w->pieces;
    const lh_brief_columns *out = &w->out;
    const int64_t at = w->at, begin = k, apart = at - k;
    if (w->now.rows || w->window[k] != at) return 0;
    while (k < stop && w->window[k] == k + apart && p->mean[k] == p->mean[k]) k++;
    const int64_t n = k - begin;
    const int32_t *cut = w->cut + begin;
    for (int64_t i = 0; i < n; i++) {
        out->rows[at + i] = out->good[at + i] = cut[i + 1] - cut[i];
        out->minimum[at + i] = lh_brief_cell(w->type, p->minimum[begin + i]);
        out->maximum[at + i] = lh_brief_cell(w->type, p->maximum[begin + i]);
        out->first[at + i] = lh_cell(c, cut[i]), out->last[at + i] = lh_cell(c, cut[i + 1] - 1);
    }
    memcpy(out->sum + at, p->sum + begin, 8 * (size_t)n);
    memcpy(out->mean + at, p->mean + begin, 8 * (size_t)n);
    w->at += n; /* and what is in the making is empty yet */
    w->open = w->at < w->windows;
    return n;
}

/* Piece k, of these numbers, in its window. */
static inline void lh_briefs_piece(
    lh_briefs *w, const lh_fold_columns *c, const double *v, int64_t k
) {
    const lh_pieces *p = &w->pieces;
    const int64_t low = w->cut[k], high = w->cut[k + 1];
    const double least = lh_brief_zero(p->minimum[k], v + low);
    const double most = lh_brief_zero(p->maximum[k], v + low);
    lh_brief_extremes(
        &w->now, w->type, lh_brief_cell(w->type, least), lh_brief_cell(w->type, most));
    if (w->now.good == 0) w->now.first = lh_cell(c, low);
    w->now.last = lh_cell(c, high - 1);
    w->now.rows += high - low, w->now.good += high - low;
    lh_brief_add(&w->now, p->high[k]);
    lh_brief_add(&w->now, p->low[k]);
}

/* Rows of a vector cut into m pieces, each in its window. -1: no memory. */
static inline int lh_briefs_rows(lh_briefs *w, const lh_fold_columns *c, int64_t m) {
    const int64_t begin = w->cut[0], n = w->cut[m] - begin;
    const double *v = NULL;
    if (!c->quality && !c->valid) v = lh_fold_doubles(c, begin, n, w->number + begin);
    if (v && !lh_briefs_pieces(w, v -= begin, m)) v = NULL;
    if (v && m > 2) lh_brief_lanes()->means(w->cut, m, &w->pieces);
    for (int64_t k = 0; k < m; k++) {
        lh_briefs_open(w, w->window[k]);
        if (v) {
            const int64_t filled = m > 2 ? lh_briefs_alone(w, c, k, m - 1) : 0;
            if (filled) k += filled - 1;
            else lh_briefs_piece(w, c, v, k);
        } else {
            lh_fold_state s;
            lh_fold_begin(&w->folder, w->type, LH_BRIEF);
            lh_fold_rows(&w->folder, c, w->cut[k], w->cut[k + 1]);
            if (lh_fold_finish(&w->folder, &s)) return LH_ENOMEMORY;
            lh_brief_join(&w->now, w->type, &s);
            lh_fold_free(&s);
        }
    }
    return 0;
}

/* The same, of a column of repeated values. Cuts count from row `begin` of the block. */
static inline void lh_briefs_repeats(lh_briefs *w, int64_t begin, int64_t m) {
    lh_repeats *r = &w->repeats;
    for (int64_t k = 0; k < m; k++) {
        int64_t row = begin + w->cut[k];
        const int64_t stop = begin + w->cut[k + 1];
        lh_brief *b = &w->now;
        lh_briefs_open(w, w->window[k]);
        b->rows += stop - row;
        for (int64_t j = lh_repeats_seek(r, row); row < stop; j++) {
            const int64_t end = r->end[j] < stop ? r->end[j] : stop, n = end - row;
            const uint64_t cell = r->value[j];
            const lh_number x = lh_number_of(w->type, cell);
            row = end;
            if (x.high != x.high) continue;
            lh_brief_extremes(b, w->type, cell, cell);
            if (b->good == 0) b->first = cell;
            b->last = cell, b->good += n;
            lh_brief_add_times(b, x.high, n);
            lh_brief_add_times(b, x.low, n);
        }
    }
}

/* Cut rows [low, high), whose times these are, where windows end. Returns the pieces. */
static inline int64_t lh_briefs_cut(lh_briefs *w, const lh_times *t, int64_t low, int64_t high) {
    const int64_t first = lh_time_at(t, low), last = lh_time_at(t, high - 1);
    const double length = (double)((uint64_t)last - (uint64_t)first);
    const double pace = (double)(high - 1 - low) / (length + 1.0);
    const int64_t begin = low;
    int64_t m = 0, k = lh_briefs_window(w, w->at, first);
    while (low < high && k < w->windows) {
        const int64_t edge = w->edge[k + 1];
        w->cut[m] = (int32_t)low, w->window[m++] = (int32_t)k;
        if (last < edge) low = high;
        else if (t->pace > 0.0) {
            low = lh_times_cross(t, low, high - 1, edge);
            if (++k == w->windows || lh_times_before(t, low, w->edge[k + 1])) continue;
            k = lh_briefs_window(w, k, lh_time_at(t, low));
        } else {
            const double passed = (double)((uint64_t)edge - (uint64_t)first);
            const double at = passed < length ? passed : length; /* times that fall are wrong */
            const int64_t guess = begin + (int64_t)(at * pace) + 1;
            low = lh_times_find(t, low, high - 1, guess, edge);
            k = lh_briefs_window(w, k, lh_time_at(t, low));
        }
    }
    w->cut[m] = (int32_t)low;
    return m;
}

/* Cut rows [begin, begin + count) of a block, all in one vector, by their times. Returns the pieces
 * with start <= time < end, or a negative LH_E*. */
static inline int64_t lh_briefs_divide(
    lh_briefs *w, const lh_run *run, int64_t begin, int64_t count, int64_t start, int64_t end,
    uint8_t *scratch
) {
    const int64_t n = run->block_rows;
    int64_t low = 0, high = count;
    lh_times times = {0};
    int many = !lh_times_open(&times, &run->time, n, begin);
    if (!many && times.payload && times.pace == 0.0) { /* six edges cost as much as all times */
        const int64_t k = lh_briefs_window(w, w->at, lh_time_at(&times, 0));
        many = k + 6 < w->windows && w->edge[k + 6] <= lh_time_at(&times, count - 1);
    }
    if (many) {
        const int got = lh_place_rows(&run->time, n, begin, count, w->time, scratch);
        if (got < 0) return got;
        times.decoded = w->time;
    }
    const int64_t first = lh_time_at(&times, 0), last = lh_time_at(&times, count - 1);
    if (last < start || first >= end) return 0;
    if (first < start) low = lh_times_find(&times, 0, count - 1, 0, start);
    if (lh_time_at(&times, low) >= end) return 0;
    if (last >= end) high = lh_times_find(&times, low, count - 1, 0, end);
    return lh_briefs_cut(w, &times, low, high);
}

/* Rows [begin, begin + count) of a block, all in one vector. `inside`: all in the window of the
 * first time. */
static inline int lh_briefs_vector(
    lh_briefs *w, const lh_run *run, int64_t begin, int64_t count, int64_t start, int64_t end,
    uint8_t *scratch, int64_t inside
) {
    const int64_t n = run->block_rows;
    const int graded = !(run->flags & LH_RUN_GOOD), masked = !(run->flags & LH_RUN_WHOLE);
    /* Where times are not decoded they are any: no count, extreme or sum asks for them. */
    const lh_fold_columns rows = {
        w->time, w->value, graded ? w->quality : NULL, masked ? w->valid : NULL, w->type};
    int64_t m = 1;
    int got = 0;
    if (inside >= 0) {
        w->cut[0] = 0, w->cut[1] = (int32_t)count, w->window[0] = (int32_t)inside;
    } else {
        m = lh_briefs_divide(w, run, begin, count, start, end, scratch);
        if (m <= 0) return (int)m;
    }
    if (!graded && !masked && lh_repeats_open(&w->repeats, &run->value, n, scratch)) {
        lh_briefs_repeats(w, begin, m);
        return 0;
    }
    got = lh_place_rows(&run->value, n, begin, count, w->value, scratch);
    if (got >= 0 && graded) {
        got = lh_place_rows(&run->quality, n, begin, count, w->quality, scratch);
    }
    if (got >= 0 && masked) got = lh_place_rows(&run->valid, n, begin, count, w->valid, scratch);
    return got < 0 ? got : lh_briefs_rows(w, &rows, m);
}

/* The window that holds all times first to last, or -1. */
static inline int64_t lh_briefs_inside(
    const lh_briefs *w, int64_t first, int64_t last, int64_t start, int64_t end
) {
    if (first < start || last >= end) return -1;
    const int64_t k = lh_briefs_window(w, w->at, first);
    return k < w->windows && last < w->edge[k + 1] ? k : -1;
}

/* Rows of one run with start <= time < end. 0, or a negative LH_E*. */
static inline int lh_briefs_run(
    lh_briefs *w, const lh_run *run, int64_t start, int64_t end, uint8_t *scratch
) {
    if (lh_briefs_state(w, run->state, run->first, run->last, start, end)) return 0;
    if (!(run->flags & LH_RUN_LOADED)) return LH_ENOTLOADED;
    const int64_t stop_row = (int64_t)run->start + run->rows;
    const int64_t inside = lh_briefs_inside(w, run->first, run->last, start, end);
    const lh_fold_state *vector = run->vectors;
    for (int64_t row = run->start; row < stop_row;) {
        int64_t next = (row / LH_VECTOR + 1) * LH_VECTOR, mine = inside;
        if (next > stop_row) next = stop_row;
        const lh_fold_state *s = vector ? vector++ : NULL;
        int got = 0;
        if (s && (s->last_time < start || s->first_time >= end)) got = 1;
        else if (s) got = lh_briefs_state(w, s, s->first_time, s->last_time, start, end);
        if (s && mine < 0 && !got) {
            mine = lh_briefs_inside(w, s->first_time, s->last_time, start, end);
        }
        if (!got) got = lh_briefs_vector(w, run, row, next - row, start, end, scratch, mine);
        if (got < 0) return got;
        row = next;
    }
    return 0;
}

/* All windows of a series whose runs are in order of time. 0, or a negative LH_E*. */
static inline int lh_briefs_series(
    lh_briefs *w, const lh_run *runs, int64_t count, uint8_t *scratch, const volatile int *stop
) {
    const int64_t start = w->edge[0], end = w->edge[w->windows];
    int64_t i = 0;
    for (int64_t left = count; left > 0;) { /* the first that may touch the windows */
        const int64_t half = left / 2;
        const int before = runs[i + half].last < start;
        i += before ? half + 1 : 0;
        left = before ? left - half - 1 : half;
    }
    for (; i < count && runs[i].first < end; i++) {
        if (*stop) return LH_ESTOPPED;
        const int got = lh_briefs_run(w, runs + i, start, end, scratch);
        if (got < 0) return got;
    }
    lh_briefs_open(w, w->windows);
    return 0;
}

#endif
