/* Head: scatter a batch of samples of many streams into one growing log of rows.
 *
 * Rows lie in order of arrival, and each names the row before it of the same stream (plus one; zero
 * ends the chain). So memory grows with rows, never with streams, and an append touches one row and
 * two words of its stream. The table of newest samples is kept in the same pass.
 *
 * Flags of a newest sample: bit 0 = present, bit 1 = it has a value, bit 2 = its time was
 * rewritten, bit 3 = an observed row came that may be a redelivery of an older revision, so that
 * only a read can tell, bit 4 = rows went or came past the head, so that only a read can tell,
 * bit 5 = of several values of one time the first counts.
 *
 * Quality and missing start as zeros and are written only where they are not: of rows that are all
 * good and all there, no page of them is ever taken. Stamps are kept by batch, not by row.
 *
 * Stamps are lsn * 2 + observed. The caller sizes every array: row arrays hold base + rows entries,
 * stream arrays one entry per stream id that occurs.
 */
#ifndef LH_HEAD_H
#define LH_HEAD_H

#include <stdint.h>
#include <string.h>

#define LH_HEAD_PRESENT 1u
#define LH_HEAD_VALID 2u
#define LH_HEAD_REWRITTEN 4u
#define LH_HEAD_DOUBTFUL 8u
#define LH_HEAD_STALE 16u
#define LH_HEAD_FIRST 32u

typedef struct {
    int64_t *time;
    uint64_t *cell;
    uint32_t *before;
    uint32_t *stream;
    uint32_t *quality;
    uint8_t *missing; /* 1 = the row has no value */
    uint32_t *last;
    uint32_t *count;
} lh_head_rows;

typedef struct {
    int64_t *time;
    uint64_t *cell;
    uint64_t *stamp;
    uint32_t *quality;
    uint8_t *flags;
} lh_head_newest;

typedef struct {
    const uint32_t *stream;
    const int64_t *time;
    const uint64_t *cell;
    const uint32_t *quality;
    const uint8_t *valid;
    uint64_t stamp;
} lh_head_batch;

static inline void lh_head_update(
    lh_head_newest *newest, const lh_head_rows *head, uint64_t stamp, int64_t r
) {
    const uint32_t s = head->stream[r];
    const uint8_t valid = head->missing[r] ? 0u : LH_HEAD_VALID;
    uint8_t flags = newest->flags[s];
    const uint8_t first = flags & LH_HEAD_FIRST;
    if (flags & LH_HEAD_STALE) return;
    if (flags & LH_HEAD_PRESENT) {
        if (head->time[r] < newest->time[s]) return;
        if (head->time[r] == newest->time[s]) {
            const int same_value = !valid || head->cell[r] == newest->cell[s];
            const int same = (flags & LH_HEAD_VALID) == valid && same_value
                && head->quality[r] == newest->quality[s];
            const int observed = (int)(stamp & 1u);
            if (flags & LH_HEAD_DOUBTFUL || first) return;
            if (same) {
                /* An authoritative row behind an equal one changes nothing that is kept. */
                return;
            }
            if (observed && (flags & LH_HEAD_REWRITTEN)) {
                newest->flags[s] = (uint8_t)(flags | LH_HEAD_DOUBTFUL);
                return;
            }
            flags = LH_HEAD_REWRITTEN;
        } else {
            flags = 0u;
        }
    }
    newest->time[s] = head->time[r];
    newest->cell[s] = head->cell[r];
    newest->stamp[s] = stamp;
    newest->quality[s] = head->quality[r];
    newest->flags[s] = (uint8_t)((flags & LH_HEAD_REWRITTEN) | LH_HEAD_PRESENT | valid | first);
}

#define LH_HEAD_AHEAD 8

/* Chain rows [base, base + rows), whose columns are written, and keep the newest samples. */
static inline void lh_head_link(
    lh_head_rows *head, lh_head_newest *newest, uint64_t stamp, int64_t base, int64_t rows
) {
    for (int64_t r = base; r < base + rows; r++) {
        if (r + LH_HEAD_AHEAD < base + rows) {
            const uint32_t ahead = head->stream[r + LH_HEAD_AHEAD];
            __builtin_prefetch(&head->last[ahead], 1);
            __builtin_prefetch(&newest->time[ahead], 1);
            __builtin_prefetch(&newest->flags[ahead], 1);
        }
        const uint32_t s = head->stream[r];
        head->before[r] = head->last[s];
        head->last[s] = (uint32_t)(r + 1);
        head->count[s] += 1u;
        lh_head_update(newest, head, stamp, r);
    }
}

/* Append rows [0, rows) of the batch behind row `base`. */
static inline void lh_head_scatter(
    lh_head_rows *head, lh_head_newest *newest, const lh_head_batch *batch, int64_t base,
    int64_t rows
) {
    const size_t n = (size_t)rows;
    memcpy(head->stream + base, batch->stream, 4 * n);
    memcpy(head->time + base, batch->time, 8 * n);
    memcpy(head->cell + base, batch->cell, 8 * n);
    for (int64_t i = 0; i < rows; i++)
        if (batch->quality[i]) head->quality[base + i] = batch->quality[i];
    for (int64_t i = 0; i < rows; i++)
        if (!batch->valid[i]) head->missing[base + i] = 1;
    lh_head_link(head, newest, batch->stamp, base, rows);
}

/* Row numbers of a chain in order of arrival: from row last - 1 back, `count` of them.
 * Returns the rows written, or -1 when the chain is shorter or leaves [0, rows). */
static inline int64_t lh_head_walk(
    const uint32_t *before, int64_t rows, uint32_t last, int64_t count, uint32_t *out
) {
    for (int64_t k = count - 1; k >= 0; k--) {
        if (last == 0 || (int64_t)last > rows) return -1;
        out[k] = last - 1;
        last = before[last - 1];
    }
    return count;
}

/* Row numbers of many chains, one behind the other. `out` holds the sum of their counts. */
static inline int64_t lh_head_gather(
    const uint32_t *before, int64_t rows, const uint32_t *last, const uint32_t *count,
    const uint32_t *stream, int64_t streams, uint32_t *out
) {
    int64_t done = 0;
    for (int64_t j = 0; j < streams; j++) {
        const uint32_t s = stream[j];
        const int64_t got = lh_head_walk(before, rows, last[s], (int64_t)count[s], out + done);
        if (got < 0) return -1;
        done += got;
    }
    return done;
}

#define LH_HEAD_NOWHERE UINT32_MAX

typedef struct {
    int64_t *time;
    uint64_t *cell;
    uint64_t *stamp;
    uint32_t *quality; /* zeros before, as are those of missing */
    uint8_t *missing;
} lh_head_spread_rows;

/* Copy the rows of chosen streams so that each stream's lie together, in order of arrival.
 * `place` says where a stream's next row goes, NOWHERE for streams that are not chosen, and is
 * advanced. Batch b has the rows from first[b] on, up to those of the next. Reads in order and
 * writes to as many places as there are streams, which caches like far better than following
 * chains. Returns the rows copied, or -1 when `out` would overflow. */
static inline int64_t lh_head_spread(
    const lh_head_rows *head, int64_t rows, const uint32_t *first, const uint64_t *stamp,
    int64_t batches, uint32_t *place, lh_head_spread_rows *out, int64_t capacity
) {
    int64_t done = 0;
    for (int64_t b = 0; b < batches; b++) {
        const int64_t end = b + 1 < batches && first[b + 1] < rows ? first[b + 1] : rows;
        for (int64_t r = first[b]; r < end; r++) {
            const uint32_t s = head->stream[r], p = place[s];
            if (p == LH_HEAD_NOWHERE) continue;
            if ((int64_t)p >= capacity) return -1;
            place[s] = p + 1;
            out->time[p] = head->time[r];
            out->cell[p] = head->cell[r];
            out->stamp[p] = stamp[b];
            if (head->quality[r]) out->quality[p] = head->quality[r];
            if (head->missing[r]) out->missing[p] = head->missing[r];
            done++;
        }
    }
    return done;
}

#endif
