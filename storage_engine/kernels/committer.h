/* Group commit: appenders copy records into a buffer; one thread writes and syncs all that waits.
 *
 * The thread never touches Python. Two buffers of `capacity` bytes belong to the caller. While one
 * is written the other fills; the first LH_RECORD bytes of each are room for a DURABLE mark. A
 * failed write or sync ends the thread; nothing is tried again. Layout: docs/format/wal.md.
 */
#ifndef LH_COMMITTER_H
#define LH_COMMITTER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "crc32c.h"

enum {
    LH_RECORD = 40,
    LH_KIND_DURABLE = 255,
    LH_WARM_BYTES = 4 << 20, /* what a buffer keeps resident between batches */
    LH_FULL = -1,
    LH_FAILED = -2,
    LH_STOPPED = -3,
    LH_CALL_WRITE = 1,
    LH_CALL_SYNC = 2,
};

typedef struct {
    const void *data;
    size_t size;
} lh_part;

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t work;
    pthread_cond_t done;
    pthread_t thread;
    uint8_t *filling, *writing;
    size_t capacity;      /* of each buffer */
    size_t filled;        /* bytes of records in `filling`, without the room for a mark */
    size_t in_flight;     /* bytes of records in `writing` */
    size_t pending_max;
    uint64_t next_lsn;
    uint64_t durable_lsn;
    uint64_t marked_lsn;  /* newest lsn that a mark in this file vouches for */
    uint64_t offset;      /* where the next batch goes */
    uint64_t batches;
    uint32_t seed;
    int fd;
    int notify_fd;
    int busy, stop, running;
    int failed_errno, failed_call;
} lh_committer;

static inline size_t lh_padded(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

/* Header without its sums, which the committer's thread adds. */
static inline void lh_record_head(uint8_t *at, uint64_t lsn, int64_t time_ns, uint8_t kind,
                                  uint32_t body)
{
    memset(at, 0, LH_RECORD);
    memcpy(at, "LHWR", 4);
    memcpy(at + 4, &body, 4);
    memcpy(at + 8, &lsn, 8);
    memcpy(at + 16, &time_ns, 8);
    at[24] = kind;
}

static inline void lh_record_seal(uint8_t *at, uint32_t seed, lh_crc32c_fn crc32c)
{
    uint32_t body, crc;
    memcpy(&body, at + 4, 4);
    crc = crc32c(seed, at + LH_RECORD, lh_padded(body));
    memcpy(at + 28, &crc, 4);
    crc = crc32c(seed, at, 32);
    memcpy(at + 32, &crc, 4);
}

static inline int lh_write_all(int fd, const uint8_t *data, size_t size, uint64_t offset)
{
    while (size > 0) {
        ssize_t written = pwrite(fd, data, size, (off_t)offset);
        if (written < 0) {
            if (errno == EINTR)
                continue;
            return errno;
        }
        if (written == 0)
            return EIO;
        data += written;
        size -= (size_t)written;
        offset += (uint64_t)written;
    }
    return 0;
}

static inline void lh_notify(lh_committer *c)
{
    uint64_t one = 1;
    if (c->notify_fd >= 0)
        (void)!write(c->notify_fd, &one, 8); /* a full counter is readable already */
}

/* One batch: mark of the sync before, records, sync. Without the mutex; 0 or an errno. */
static inline int lh_commit(lh_committer *c, size_t size, uint64_t durable, lh_crc32c_fn crc32c,
                            int *call)
{
    uint8_t *records = c->writing + LH_RECORD, *start = records;
    for (size_t at = 0; at < size;) {
        uint32_t body;
        memcpy(&body, records + at + 4, 4);
        lh_record_seal(records + at, c->seed, crc32c);
        at += LH_RECORD + lh_padded(body);
    }
    if (durable > c->marked_lsn) {
        start = c->writing;
        lh_record_head(start, durable, 0, LH_KIND_DURABLE, 0);
        lh_record_seal(start, c->seed, crc32c);
        c->marked_lsn = durable;
    }
    size_t total = size + (size_t)(records - start);
    *call = LH_CALL_WRITE;
    int error = lh_write_all(c->fd, start, total, c->offset);
    if (error)
        return error;
    *call = LH_CALL_SYNC;
    if (fdatasync(c->fd) != 0)
        return errno;
    c->offset += total;
    if (size > LH_WARM_BYTES)
        (void)madvise(c->writing + LH_WARM_BYTES, c->capacity - LH_WARM_BYTES, MADV_DONTNEED);
    return 0;
}

/* Nothing waits: leave the mark unsynced behind the batch, so that a quiet log proves its tail. */
static inline int lh_mark(lh_committer *c, uint64_t durable, lh_crc32c_fn crc32c)
{
    uint8_t mark[LH_RECORD];
    lh_record_head(mark, durable, 0, LH_KIND_DURABLE, 0);
    lh_record_seal(mark, c->seed, crc32c);
    int error = lh_write_all(c->fd, mark, LH_RECORD, c->offset);
    c->offset += LH_RECORD;
    c->marked_lsn = durable;
    return error;
}

static inline void lh_fail(lh_committer *c, int error, int call)
{
    c->failed_errno = error;
    c->failed_call = call;
}

static void *lh_committer_main(void *argument)
{
    lh_committer *c = argument;
    lh_crc32c_fn crc32c = lh_crc32c_best();
    pthread_mutex_lock(&c->mutex);
    while (!c->failed_errno) {
        while (!c->filled && !c->stop)
            pthread_cond_wait(&c->work, &c->mutex);
        if (!c->filled)
            break;
        uint8_t *batch = c->filling;
        c->filling = c->writing;
        c->writing = batch;
        c->in_flight = c->filled;
        c->filled = 0;
        c->busy = 1;
        uint64_t last = c->next_lsn - 1, durable = c->durable_lsn;
        size_t size = c->in_flight;
        pthread_mutex_unlock(&c->mutex);
        int call = 0;
        int error = lh_commit(c, size, durable, crc32c, &call);
        pthread_mutex_lock(&c->mutex);
        if (!error) {
            __atomic_store_n(&c->durable_lsn, last, __ATOMIC_RELEASE);
            c->in_flight = 0;
            c->batches++;
            pthread_cond_broadcast(&c->done);
            lh_notify(c);
            if (!c->filled) {
                pthread_mutex_unlock(&c->mutex);
                call = LH_CALL_WRITE;
                error = lh_mark(c, last, crc32c);
                pthread_mutex_lock(&c->mutex);
            }
        }
        if (error)
            lh_fail(c, error, call);
        c->busy = 0;
        pthread_cond_broadcast(&c->done);
    }
    c->running = 0;
    pthread_cond_broadcast(&c->done);
    pthread_mutex_unlock(&c->mutex);
    lh_notify(c);
    return NULL;
}

/* Starts the thread with every signal blocked; the fields but the buffers' content must be set. */
static inline int lh_committer_start(lh_committer *c)
{
    pthread_condattr_t monotonic;
    sigset_t all, before;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->work, NULL);
    pthread_cond_init(&c->done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    c->running = 1;
    int error = pthread_create(&c->thread, NULL, lh_committer_main, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        c->running = 0;
    return error;
}

/* Copies one record; 0 and its lsn, or LH_FULL, LH_FAILED, LH_STOPPED with nothing taken. */
static inline int lh_committer_append(lh_committer *c, uint8_t kind, int64_t time_ns,
                                      const lh_part *parts, int count, uint64_t *lsn)
{
    size_t body = 0;
    for (int i = 0; i < count; i++)
        body += parts[i].size;
    size_t size = LH_RECORD + lh_padded(body);
    if (body > UINT32_MAX || size > c->pending_max)
        return LH_FULL;
    pthread_mutex_lock(&c->mutex);
    int refused = c->failed_errno ? LH_FAILED : c->stop ? LH_STOPPED : 0;
    if (!refused && c->filled + c->in_flight + size > c->pending_max)
        refused = LH_FULL;
    if (refused) {
        pthread_mutex_unlock(&c->mutex);
        return refused;
    }
    uint8_t *at = c->filling + LH_RECORD + c->filled;
    *lsn = c->next_lsn++;
    lh_record_head(at, *lsn, time_ns, kind, (uint32_t)body);
    at += LH_RECORD;
    for (int i = 0; i < count; i++) {
        memcpy(at, parts[i].data, parts[i].size);
        at += parts[i].size;
    }
    memset(at, 0, lh_padded(body) - body);
    c->filled += size;
    pthread_cond_signal(&c->work);
    pthread_mutex_unlock(&c->mutex);
    return 0;
}

/* 1 when `lsn` is durable, 0 when the time is over; LH_FAILED or LH_STOPPED: it never will be. */
static inline int lh_committer_wait(lh_committer *c, uint64_t lsn, int64_t timeout_ns)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    timeout_ns += until.tv_nsec;
    until.tv_sec += timeout_ns / 1000000000;
    until.tv_nsec = timeout_ns % 1000000000;
    int answer = 0;
    pthread_mutex_lock(&c->mutex);
    for (;;) {
        if (c->durable_lsn >= lsn)
            answer = 1;
        else if (c->failed_errno)
            answer = LH_FAILED;
        else if (!c->running)
            answer = LH_STOPPED;
        else if (!pthread_cond_timedwait(&c->done, &c->mutex, &until))
            continue;
        break;
    }
    pthread_mutex_unlock(&c->mutex);
    return answer;
}

/* Goes on in another file once all records are durable in this one; 0 or LH_FAILED. */
static inline int lh_committer_switch(lh_committer *c, int fd, uint64_t offset, uint32_t seed)
{
    pthread_mutex_lock(&c->mutex);
    while (c->running && !c->failed_errno && (c->filled || c->busy))
        pthread_cond_wait(&c->done, &c->mutex);
    int answer = c->failed_errno || !c->running ? LH_FAILED : 0;
    if (!answer) {
        c->fd = fd;
        c->offset = offset;
        c->seed = seed;
        c->marked_lsn = c->durable_lsn; /* the new file's header says as much */
    }
    pthread_mutex_unlock(&c->mutex);
    return answer;
}

/* Commits what waits, then ends the thread. Once only. */
static inline void lh_committer_stop(lh_committer *c)
{
    pthread_mutex_lock(&c->mutex);
    c->stop = 1;
    pthread_cond_signal(&c->work);
    pthread_mutex_unlock(&c->mutex);
    pthread_join(c->thread, NULL);
}

#endif
