/* Many series folded into columns by a few threads, which take one series after the other. */
#ifndef LH_BRIEF_MANY_H
#define LH_BRIEF_MANY_H

#include <pthread.h>

#include "brief_runs.h"

enum { LH_BRIEF_THREADS_MAX = 64, LH_BRIEF_SHARE = 400 };

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

/* A call and the threads that help it. One that comes late finds nothing left, touches no memory
 * but this, and is not waited for; the last to leave frees it. */
typedef struct {
    lh_brief_work work;
    int64_t done;
    int32_t users;
    pthread_mutex_t lock;
    pthread_cond_t all;
} lh_brief_crew;

static inline void lh_brief_go_on(lh_brief_crew *crew, lh_briefs *room, uint8_t *scratch) {
    lh_brief_work *work = &crew->work;
    int64_t i;
    while ((i = __atomic_fetch_add(&work->next, 1, __ATOMIC_RELAXED)) < work->count) {
        lh_brief_series *s = work->series + i;
        if (s->got == 0) { /* else done before, or not to be done here */
            const lh_brief_columns out = lh_brief_part(&work->out, i * work->m);
            lh_briefs_begin(room, s->type, work->flags, work->edge, work->m, &out);
            s->got = lh_briefs_series(room, s->runs, s->count, scratch, work->stop);
        }
        if (__atomic_add_fetch(&crew->done, 1, __ATOMIC_ACQ_REL) == work->count) {
            pthread_mutex_lock(&crew->lock);
            pthread_cond_signal(&crew->all);
            pthread_mutex_unlock(&crew->lock);
        }
    }
}

static inline void lh_brief_leave(lh_brief_crew *crew) {
    if (__atomic_sub_fetch(&crew->users, 1, __ATOMIC_ACQ_REL) > 0) return;
    pthread_cond_destroy(&crew->all);
    pthread_mutex_destroy(&crew->lock);
    free(crew);
}

static inline void *lh_brief_thread(void *held) {
    lh_brief_crew *crew = held;
    if (__atomic_load_n(&crew->work.next, __ATOMIC_RELAXED) < crew->work.count) {
        lh_briefs *room = lh_briefs_room();
        uint8_t *scratch = lh_read_scratch();
        if (room && scratch) lh_brief_go_on(crew, room, scratch);
        free(room);
        free(scratch);
    }
    lh_brief_leave(crew);
    return NULL;
}

/* How many threads the work is worth: vectors that will be decoded, some 1 us each. */
static inline int64_t lh_brief_worth(const lh_brief_work *work, int64_t threads) {
    int64_t vectors = 0;
    for (int64_t i = 0; i < work->count; i++) {
        const int64_t all = 8 * work->series[i].count, edges = work->m + 1;
        if (work->series[i].got == 0) {
            vectors += work->flags & LH_BRIEF_DECODE || all < edges ? all : edges;
        }
    }
    if (threads > vectors / LH_BRIEF_SHARE) threads = vectors / LH_BRIEF_SHARE;
    if (threads > work->count) threads = work->count;
    return threads < LH_BRIEF_THREADS_MAX ? threads : LH_BRIEF_THREADS_MAX;
}

/* Fold every series, with up to `threads` threads, this one included. One that cannot be had leaves
 * its share to the others. 0, or LH_ENOMEMORY. */
static inline int lh_brief_many(
    const lh_brief_work *work, int64_t threads, lh_briefs *room, uint8_t *scratch
) {
    lh_brief_crew *crew = malloc(sizeof *crew);
    pthread_attr_t detached;
    if (!crew) return LH_ENOMEMORY;
    crew->work = *work, crew->done = 0, crew->users = 1;
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->all, NULL);
    threads = lh_brief_worth(work, threads);
    if (threads > 1 && pthread_attr_init(&detached) == 0) {
        pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
        while (--threads > 0) {
            pthread_t other;
            __atomic_add_fetch(&crew->users, 1, __ATOMIC_RELAXED);
            if (pthread_create(&other, &detached, lh_brief_thread, crew)) {
                __atomic_sub_fetch(&crew->users, 1, __ATOMIC_RELAXED);
                break;
            }
        }
        pthread_attr_destroy(&detached);
    }
    lh_brief_go_on(crew, room, scratch);
    pthread_mutex_lock(&crew->lock);
    while (__atomic_load_n(&crew->done, __ATOMIC_ACQUIRE) < work->count) {
        pthread_cond_wait(&crew->all, &crew->lock);
    }
    pthread_mutex_unlock(&crew->lock);
    lh_brief_leave(crew);
    return 0;
}

#endif
