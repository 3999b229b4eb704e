/* Runs of packed blocks folded into windows: by their summaries where these lie whole inside one
 * window, by the summaries of their vectors where those do, else a vector at a time from the bytes.
 *
 * Windows [edge_k, edge_k+1) follow each other, and what is added comes in order of time. A sum is
 * exact however it is grouped, so the states are those of a fold over the rows one by one.
 */
#ifndef LH_BLOCK_FOLD_H
#define LH_BLOCK_FOLD_H

#include "block.h"
#include "fold.h"

enum { LH_ENOTLOADED = -21, LH_ENOMEMORY = -22 };

typedef struct {
    lh_folder folder;
    lh_fold_state empty;
    lh_fold_state *out;
    const int64_t *edge;
    int64_t windows, at;
    uint32_t wanted;
    int type, item, open;
    int64_t time[LH_VECTOR] __attribute__((aligned(64)));
    uint64_t value[LH_VECTOR] __attribute__((aligned(64)));
    uint32_t quality[LH_VECTOR];
    uint8_t valid[LH_VECTOR];
} lh_windows;

/* `out` holds m states without memory of their own; edge has m + 1 times that do not fall. */
static inline int lh_windows_begin(
    lh_windows *w, int type, uint32_t wanted, const int64_t *edge, int64_t m, lh_fold_state *out
) {
    w->type = type, w->wanted = lh_fold_has(type, wanted);
    w->edge = edge, w->windows = m, w->out = out;
    w->at = 0, w->open = 0;
    lh_fold_begin(&w->folder, type, wanted);
    return lh_fold_finish(&w->folder, &w->empty) ? LH_ENOMEMORY : 0;
}

/* Go on to the window of a time not before its start; 0, or LH_ENOMEMORY. */
static inline int lh_windows_seek(lh_windows *w, int64_t time) {
    while (w->at < w->windows && time >= w->edge[w->at + 1]) {
        if (!w->open) w->out[w->at] = w->empty;
        else if (lh_fold_finish(&w->folder, &w->out[w->at])) return LH_ENOMEMORY;
        w->open = 0;
        w->at++;
    }
    return 0;
}

static inline int lh_windows_end(lh_windows *w) {
    if (w->at < w->windows && w->open) {
        w->open = 0;
        if (lh_fold_finish(&w->folder, &w->out[w->at++])) return LH_ENOMEMORY;
    }
    while (w->at < w->windows) w->out[w->at++] = w->empty;
    return 0;
}

static inline void lh_windows_open(lh_windows *w) {
    if (!w->open) lh_fold_begin(&w->folder, w->type, w->wanted);
    w->open = 1;
}

/* Rows [first, n) in order of time, none before the first edge; those behind the last one are left
 * out. */
static inline int lh_windows_rows(
    lh_windows *w, const lh_fold_columns *c, int64_t first, int64_t n
) {
    while (first < n) {
        const int got = lh_windows_seek(w, c->time[first]);
        if (got < 0 || w->at == w->windows) return got;
        const int64_t end = w->edge[w->at + 1];
        const int64_t last = c->time[n - 1] < end ? n : lh_fold_find(c->time, first, n, end);
        lh_windows_open(w);
        lh_fold_rows(&w->folder, c, first, last);
        first = last;
    }
    return 0;
}

/* Add a summary of times first to last when one window holds them all. 1: it did. */
static inline int lh_windows_state(
    lh_windows *w, const lh_fold_state *s, int64_t first, int64_t last, int64_t start, int64_t end
) {
    if (!s || first < start || last >= end || first < w->edge[0]) return 0;
    if ((lh_fold_known(s) & w->wanted) != w->wanted) return 0;
    if (lh_windows_seek(w, first) < 0) return LH_ENOMEMORY;
    if (w->at == w->windows || last >= w->edge[w->at + 1]) return 0;
    lh_windows_open(w);
    lh_fold_join(&w->folder, s);
    return 1;
}

/* Rows [begin, begin + count) of a block, all in one vector. */
static inline int lh_windows_vector(
    lh_windows *w, const lh_run *run, int64_t begin, int64_t count, int64_t start, int64_t end,
    uint8_t *scratch
) {
    const int64_t n = run->block_rows;
    const int graded = !(run->flags & LH_RUN_GOOD), masked = !(run->flags & LH_RUN_WHOLE);
    const lh_fold_columns rows = {
        w->time, w->value, graded ? w->quality : NULL, masked ? w->valid : NULL, w->type};
    int got = lh_place_rows(&run->time, n, begin, count, w->time, scratch);
    if (got < 0) return got;
    int64_t low = 0, high = count;
    if (w->time[0] < start) low = lh_lower_bound(w->time, count, start);
    if (w->time[count - 1] >= end) high = lh_lower_bound(w->time, count, end);
    if (low >= high) return 0;
    got = lh_place_rows(&run->value, n, begin, count, w->value, scratch);
    if (got >= 0 && graded) {
        got = lh_place_rows(&run->quality, n, begin, count, w->quality, scratch);
    }
    if (got >= 0 && masked) got = lh_place_rows(&run->valid, n, begin, count, w->valid, scratch);
    return got < 0 ? got : lh_windows_rows(w, &rows, low, high);
}

/* Rows of runs with start <= time < end; runs in order of time. 0, or a negative LH_E*. */
static inline int lh_windows_runs(
    lh_windows *w, const lh_run *runs, int64_t count, int64_t start, int64_t end, uint8_t *scratch,
    const volatile int *stop
) {
    if (start < w->edge[0]) start = w->edge[0];
    if (end > w->edge[w->windows]) end = w->edge[w->windows];
    for (int64_t i = 0; i < count; i++) {
        const lh_run *run = runs + i;
        if (run->last < start || run->first >= end) continue;
        if (*stop) return LH_ESTOPPED;
        int got = lh_windows_state(w, run->state, run->first, run->last, start, end);
        if (got < 0) return got;
        if (got) continue;
        if (!(run->flags & LH_RUN_LOADED)) return LH_ENOTLOADED;
        const int64_t stop_row = (int64_t)run->start + run->rows;
        const lh_fold_state *vector = run->vectors;
        for (int64_t row = run->start; row < stop_row;) {
            int64_t next = (row / LH_VECTOR + 1) * LH_VECTOR;
            if (next > stop_row) next = stop_row;
            const lh_fold_state *s = vector ? vector++ : NULL;
            got = 0;
            if (s && (s->last_time < start || s->first_time >= end)) got = 1;
            else if (s) got = lh_windows_state(w, s, s->first_time, s->last_time, start, end);
            if (got == 0) got = lh_windows_vector(w, run, row, next - row, start, end, scratch);
            if (got < 0) return got;
            row = next;
        }
    }
    return 0;
}

/* Mark runs that touch the windows and are not loaded, but must be to be folded. */
static inline int64_t lh_runs_needed(
    const lh_run *runs, int64_t count, const int64_t *edge, int64_t m, uint32_t wanted, int type,
    uint8_t *marks
) {
    int64_t k = 0, found = 0;
    wanted = lh_fold_has(type, wanted);
    for (int64_t i = 0; i < count; i++) {
        const lh_run *run = runs + i;
        marks[i] = 0;
        if (run->flags & LH_RUN_LOADED || run->last < edge[0] || run->first >= edge[m]) continue;
        while (k > 0 && run->first < edge[k]) k--;
        while (k < m && run->first >= edge[k + 1]) k++;
        const lh_fold_state *s = run->state;
        const int known = s && (lh_fold_known(s) & wanted) == wanted;
        marks[i] = !(known && run->first >= edge[0] && k < m && run->last < edge[k + 1]);
        found += marks[i];
    }
    return found;
}

#endif
