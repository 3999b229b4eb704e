/* How long each value was held: times from a good row to the next row, where that is good too, by
 * value. A stretch in which more than LH_CODES_MAX values are held for some time does not tell, and
 * so no stretch that it is part of does: what is told does not depend on how rows are grouped.
 *
 * A code is the cell of a value; both zeros of a float are the code 0.
 */
#ifndef LH_FOLD_CODES_H
#define LH_FOLD_CODES_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LH_CODES_MAX 256
#define LH_CODES_FEW 16

typedef struct {
    uint64_t code, ns;
} lh_held;

/* Ascending by code; every ns > 0. */
typedef struct {
    int64_t count;
    lh_held held[];
} lh_codes;

/* In the making, in any order; `at` is where the last one was found. */
typedef struct {
    int32_t count, at, max;
    lh_held held[LH_CODES_MAX];
} lh_holding;

static inline void lh_holding_begin(lh_holding *h, int32_t max) {
    h->count = h->at = 0;
    h->max = max;
}

/* 0: that would be a code too many. */
static inline int lh_holding_add(lh_holding *h, uint64_t code, uint64_t ns) {
    if (ns == 0) return 1;
    if (h->at >= h->count || h->held[h->at].code != code) {
        int32_t i = 0;
        while (i < h->count && h->held[i].code != code) i++;
        if (i == h->max) return 0;
        if (i == h->count) h->held[h->count++] = (lh_held){code, 0};
        h->at = i;
    }
    h->held[h->at].ns += ns;
    return 1;
}

static inline int lh_held_order(const void *left, const void *right) {
    const uint64_t a = ((const lh_held *)left)->code, b = ((const lh_held *)right)->code;
    return (a > b) - (a < b);
}

/* `count` of them in memory of their own, ordered; NULL without memory. */
static inline lh_codes *lh_codes_new(const lh_held *held, int64_t count) {
    const size_t size = (size_t)count * sizeof(lh_held);
    lh_codes *out = malloc(sizeof(lh_codes) + size);
    if (!out) return NULL;
    out->count = count;
    memcpy(out->held, held, size);
    qsort(out->held, (size_t)count, sizeof(lh_held), lh_held_order);
    return out;
}

#endif
