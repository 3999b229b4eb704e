/* Many series folded into columns by a few threads, which take one series after the other. */
#ifndef LH_BRIEF_MANY_H
#define LH_BRIEF_MANY_H

#include <pthread.h>

#include "brief_runs.h"

enum { LH_BRIEF_THREADS_MAX = 64, LH_BRIEF_SHARE = 4 };

/* Runs of a series in order of time, none of which overlaps another, and whether they did. */
typedef struct {
    const lh_run *runs;
    int64_t count;
    int32_t type, got;
} lh_brief_series;

/* Series s fills entries [s * m, (s + 1) * m) of the columns. */
typedef struct {
    lh_brief_series *series;
    int64_t count, next;
    const int64_t *edge;
    int64_t m;
    lh_brief_columns out;
    uint32_t flags;
    const volatile int *stop;
} lh_brief_work;

static inline lh_brief_columns lh_brief_part(const lh_brief_columns *c, int64_t at) {
    const lh_brief_columns part = {
        c->rows + at, c->good + at, c->minimum + at, c->maximum + at, c->first + at, c->last + at,
        c->sum + at, c->mean + at};
    return part;
}

static inline void lh_brief_go_on(lh_brief_work *work, lh_briefs *room, uint8_t *scratch) {
    int64_t i;
    while ((i = __atomic_fetch_add(&work->next, 1, __ATOMIC_RELAXED)) < work->count) {
        lh_brief_series *s = work->series + i;
        if (s->got != 0) continue; /* done before, or not to be done here */
        const lh_brief_columns out = lh_brief_part(&work->out, i * work->m);
        lh_briefs_begin(room, s->type, work->flags, work->edge, work->m, &out);
        s->got = lh_briefs_series(room, s->runs, s->count, scratch, work->stop);
    }
}

static inline void *lh_brief_thread(void *held) {
    lh_briefs *room = lh_briefs_room();
    uint8_t *scratch = lh_read_scratch();
    if (room && scratch) lh_brief_go_on(held, room, scratch);
    free(room);
    free(scratch);
    return NULL;
}

/* Fold every series. A thread that cannot be had leaves its share to the others. */
static inline void lh_brief_many(
    lh_brief_work *work, int64_t threads, lh_briefs *room, uint8_t *scratch
) {
    pthread_t other[LH_BRIEF_THREADS_MAX];
    int64_t others = 0;
    if (threads > work->count / LH_BRIEF_SHARE) threads = work->count / LH_BRIEF_SHARE;
    if (threads > LH_BRIEF_THREADS_MAX) threads = LH_BRIEF_THREADS_MAX;
    while (others + 1 < threads
           && pthread_create(other + others, NULL, lh_brief_thread, work) == 0) others++;
    lh_brief_go_on(work, room, scratch);
    while (others > 0) pthread_join(other[--others], NULL);
}

#endif
