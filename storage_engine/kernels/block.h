/* Runs of packed blocks into arrays: which bytes hold a column, and rows of a window of time.
 *
 * A run is rows start .. start + rows of a block, ordered by time. Its columns point into bytes
 * whose checksum was compared before (or into values that were decoded elsewhere, as codec 1);
 * whoever made the run keeps them alive. Layout of a block: docs/format/segment.md.
 */
#ifndef LH_BLOCK_H
#define LH_BLOCK_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "column.h"

#define LH_RUN_RISING 1u  /* times rise strictly */
#define LH_RUN_ALONE 2u   /* no other run of the stream overlaps it in time */
#define LH_RUN_LOADED 4u  /* its columns are set */
#define LH_RUN_GOOD 8u    /* loaded, and every quality is 0 */
#define LH_RUN_WHOLE 16u  /* loaded, and every row has a value */

enum { LH_BLOCK_HEAD = 12, LH_BLOCK_ENTRY = 20 };
enum { LH_ESTOPPED = -20 };
enum { LH_ROLE_TIME = 0, LH_ROLE_STAMP = 1, LH_ROLE_QUALITY = 2, LH_ROLE_DATA = 4 };

typedef struct {
    const uint8_t *body;
    uint32_t size;
    uint16_t codec; /* 0: there is no such column */
    uint16_t item;  /* bytes of a value */
} lh_place;

typedef struct {
    int64_t first, last; /* times, inclusive */
    uint32_t start, rows, block_rows, flags;
    lh_place time, value, quality, valid;
    const void *state, *vectors; /* lh_fold_state of kernels/fold.h; NULL: not known */
} lh_run;

typedef struct {
    int64_t *time;
    void *value;       /* NULL: not wanted */
    uint32_t *quality; /* NULL: not wanted, as is the next */
    uint8_t *valid;
} lh_arrays;

static inline uint32_t lh_get32(const uint8_t *p)
{
    uint32_t word;
    memcpy(&word, p, 4);
    return word;
}

/* Set the columns of a run of a series from its block. 0, or LH_ECORRUPT when the table does not
 * describe `size` bytes of rows of this type, whose values have `item` bytes. */
static inline int lh_run_load(
    lh_run *run, const uint8_t *data, int64_t size, int value_type, int item
) {
    if (size < LH_BLOCK_HEAD) return LH_ECORRUPT;
    const int64_t columns = data[8] | data[9] << 8;
    int64_t at = LH_BLOCK_HEAD + columns * LH_BLOCK_ENTRY;
    run->block_rows = lh_get32(data + 4);
    if (at > size || (int64_t)run->start + run->rows > run->block_rows) return LH_ECORRUPT;
    memset(&run->time, 0, 4 * sizeof(lh_place));
    for (int64_t i = 0; i < columns; i++) {
        const uint8_t *entry = data + LH_BLOCK_HEAD + i * LH_BLOCK_ENTRY;
        const uint32_t length = lh_get32(entry + 8), mask_length = lh_get32(entry + 12);
        if ((int64_t)length + mask_length > size - at) return LH_ECORRUPT;
        const lh_place found = {data + at, length, entry[2], 0};
        const lh_place mask = {data + at + length, mask_length, entry[3], 1};
        at += (int64_t)length + mask_length;
        if (entry[0] == LH_ROLE_TIME) {
            run->time = found;
            run->time.item = 8;
        } else if (entry[0] == LH_ROLE_QUALITY) {
            run->quality = found;
            run->quality.item = 4;
        } else if (entry[0] == LH_ROLE_DATA && (entry[4] | entry[5] << 8) == 0) {
            if (entry[1] != value_type) return LH_ECORRUPT;
            run->value = found;
            run->value.item = (uint16_t)item;
            run->valid = mask;
        }
    }
    return run->time.codec && run->quality.codec && run->value.codec ? 0 : LH_ECORRUPT;
}

/* Whether a quality column is the constant 0. */
static inline int lh_place_good(const lh_place *place)
{
    return place->codec == 2 && place->size == 4 && lh_get32(place->body) == 0;
}

/* Scratch of one call: a vector, then what decoders want. Free it with free(). */
static inline uint8_t *lh_read_scratch(void)
{
    const size_t want = LH_VECTOR * 8 + lh_column_scratch_bytes();
    return aligned_alloc(64, (want + 63) / 64 * 64);
}

/* Values [begin, begin + count) of a column of n values into `out`. */
static inline int lh_place_rows(
    const lh_place *place, int64_t n, int64_t begin, int64_t count, void *out, uint8_t *scratch
) {
    uint8_t *to = out, *rest = scratch + LH_VECTOR * 8;
    const int item = place->item;
    const int64_t end = begin + count;
    if (begin < 0 || count < 0 || end > n) return LH_ECORRUPT;
    while (begin < end) {
        const int64_t vector = begin / LH_VECTOR * LH_VECTOR;
        int64_t stop = end == n ? n : end / LH_VECTOR * LH_VECTOR;
        int got;
        if (vector == begin && stop > begin) { /* whole vectors go where they belong */
            got = lh_column_decode(
                place->codec, place->body, place->size, n, item, begin, stop - begin, to, rest);
            if (got < 0) return got;
        } else {
            const int64_t have = n - vector < LH_VECTOR ? n - vector : LH_VECTOR;
            stop = vector + have < end ? vector + have : end;
            got = lh_column_decode(
                place->codec, place->body, place->size, n, item, vector, have, scratch, rest);
            if (got < 0) return got;
            memcpy(to, scratch + (begin - vector) * item, (size_t)((stop - begin) * item));
        }
        to += (stop - begin) * item;
        begin = stop;
    }
    return 0;
}

/* First of n rising times at or after a time. */
static inline int64_t lh_lower_bound(const int64_t *time, int64_t n, int64_t at)
{
    int64_t low = 0;
    while (n > 0) {
        const int64_t half = n / 2;
        const int right = time[low + half] < at;
        low += right ? half + 1 : 0;
        n = right ? n - half - 1 : half;
    }
    return low;
}

/* Rows [begin, begin + count) of a loaded run's columns behind the times, into out at row `at`. */
static inline int lh_run_values(
    const lh_run *run, int64_t begin, int64_t count, const lh_arrays *out, int64_t at,
    uint8_t *scratch
) {
    const int64_t n = run->block_rows, first = (int64_t)run->start + begin;
    int got = 0;
    if (out->value) {
        uint8_t *value = (uint8_t *)out->value + at * run->value.item;
        got = lh_place_rows(&run->value, n, first, count, value, scratch);
    }
    if (out->quality && got >= 0) {
        if (run->flags & LH_RUN_GOOD) memset(out->quality + at, 0, (size_t)count * 4);
        else got = lh_place_rows(&run->quality, n, first, count, out->quality + at, scratch);
    }
    if (out->valid && got >= 0) {
        if (run->flags & LH_RUN_WHOLE) memset(out->valid + at, 1, (size_t)count);
        else got = lh_place_rows(&run->valid, n, first, count, out->valid + at, scratch);
    }
    return got;
}

/* Rows with start <= time < end of runs in order of time, from row `at` of `out` on, which holds
 * `room` rows behind it: all rows of the runs that touch the window. Returns the rows written, or a
 * negative LH_E*. `*stop` is looked at before every run; when it is set, LH_ESTOPPED. */
static inline int64_t lh_runs_read(
    const lh_run *runs, int64_t count, int64_t start, int64_t end, const lh_arrays *out,
    int64_t at, int64_t room, uint8_t *scratch, const volatile int *stop
) {
    const int64_t from = at;
    int got = 0;
    for (int64_t i = 0; i < count && got >= 0; i++) {
        const lh_run *run = runs + i;
        if (run->last < start || run->first >= end) continue;
        int64_t low = 0, rows = run->rows;
        if (*stop) got = LH_ESTOPPED;
        else if (!(run->flags & LH_RUN_LOADED) || at - from + rows > room) got = LH_ECORRUPT;
        else
            got = lh_place_rows(
                &run->time, run->block_rows, run->start, rows, out->time + at, scratch);
        if (got < 0) break;
        if (run->first < start || run->last >= end) {
            low = lh_lower_bound(out->time + at, rows, start);
            rows = lh_lower_bound(out->time + at, rows, end) - low;
            memmove(out->time + at, out->time + at + low, (size_t)rows * 8);
        }
        got = lh_run_values(run, low, rows, out, at, scratch);
        at += rows;
    }
    return got < 0 ? got : at - from;
}

#endif
