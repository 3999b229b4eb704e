/* A column of few values that repeat, as its runs of equal values: codecs 2 and 14. */
#ifndef LH_REPEATS_H
#define LH_REPEATS_H

#include "block.h"
#include "composite.h"

enum { LH_REPEATS_MAX = 512 };

/* Value j stands in the rows before end[j] that the values before it have not. */
typedef struct {
    const uint8_t *body; /* of the column, NULL: of none */
    int64_t count, at;
    uint64_t value[LH_REPEATS_MAX]; /* narrower ones widened with zeros */
    int64_t end[LH_REPEATS_MAX];
} lh_repeats;

/* Runs of a column of n values; 0 when it is another column, or has many, or does not hold. */
static inline int lh_repeats_open(
    lh_repeats *r, const lh_place *place, int64_t n, uint8_t *scratch
) {
    if (r->body == place->body && r->body) return r->count > 0;
    r->body = place->body, r->count = r->at = 0;
    if (place->codec == LH_CONSTANT && place->size == place->item) {
        r->value[0] = lh_load(place->body, place->item);
        r->end[0] = n, r->count = 1;
        return 1;
    }
    lh_pair pair;
    uint8_t *rest = scratch + LH_VECTOR * 8;
    int64_t row = 0;
    if (place->codec != LH_RLE
        || lh_pair_open(place->body, place->size, n, &pair)
        || pair.count > LH_REPEATS_MAX || pair.count * 8 > n) return 0;
    const lh_child *values = &pair.values, *lengths = &pair.others;
    const int64_t count = pair.count;
    if (lh_column_decode(lengths->codec, lengths->body, lengths->size, count, 8, 0, count, r->end,
                         rest)
        || lh_column_decode(values->codec, values->body, values->size, count, place->item, 0,
                            count, scratch, rest)) return 0;
    for (int64_t j = 0; j < count; j++) {
        const int64_t length = r->end[j];
        if (length <= 0 || length > n - row) return 0;
        r->value[j] = lh_load(scratch + j * place->item, place->item);
        r->end[j] = row += length;
    }
    if (row != n) return 0;
    r->count = count;
    return 1;
}

/* The run of a row; asked for rows that follow each other it takes no time. */
static inline int64_t lh_repeats_seek(lh_repeats *r, int64_t row) {
    if (r->at >= r->count || (r->at > 0 && r->end[r->at - 1] > row)) r->at = 0;
    while (r->end[r->at] <= row) r->at++;
    return r->at;
}

#endif
