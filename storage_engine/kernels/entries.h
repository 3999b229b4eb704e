/* Distinct values of a block: the table of entries of codec 13, the fronts of codec 12. */
#ifndef LH_ENTRIES_H
#define LH_ENTRIES_H

#include "composite.h"

enum { LH_BUCKETS = 16384 };

typedef struct {
    int64_t key;
    uint32_t index;
} lh_entry;

/* By key, rising; `spare` takes as many. A byte at a time, lowest first; bytes that all share are
 * passed over. */
static inline void lh_entries_sort(lh_entry *sorted, int64_t count, lh_entry *spare)
{
    uint16_t place[8][256];
    if (count < 64) {
        for (int64_t i = 1; i < count; i++) {
            const lh_entry one = sorted[i];
            int64_t at = i;
            for (; at > 0 && sorted[at - 1].key > one.key; at--)
                sorted[at] = sorted[at - 1];
            sorted[at] = one;
        }
        return;
    }
    memset(place, 0, sizeof place);
    for (int64_t i = 0; i < count; i++) {
        const uint64_t key = (uint64_t)sorted[i].key ^ (uint64_t)1 << 63;
        for (int byte = 0; byte < 8; byte++)
            place[byte][key >> 8 * byte & 255]++;
    }
    lh_entry *from = sorted, *to = spare;
    for (int byte = 0; byte < 8; byte++) {
        const uint64_t flip = byte == 7 ? 128 : 0;
        uint16_t *at = place[byte], sum = 0;
        if (at[((uint64_t)from[0].key >> 8 * byte & 255) ^ flip] == count)
            continue;
        for (int value = 0; value < 256; value++) {
            const uint16_t here = at[value];
            at[value] = sum;
            sum = (uint16_t)(sum + here);
        }
        for (int64_t i = 0; i < count; i++)
            to[at[((uint64_t)from[i].key >> 8 * byte & 255) ^ flip]++] = from[i];
        lh_entry *other = from;
        from = to;
        to = other;
    }
    if (from != sorted)
        memcpy(sorted, from, (size_t)count * sizeof *sorted);
}

/* Entries in rising order and the code of each value. Their count, or 0: more than the table holds.
 * `spare` takes 16 n bytes, `room` 112 KiB. Floats rise by number, integers as signed ones. */
static inline int64_t lh_entries_find(const uint8_t *values, int64_t n, int item, int floats,
                                      int64_t *codes, uint64_t *entries, void *spare, void *room)
{
    uint16_t *buckets = room;
    lh_entry *sorted = (lh_entry *)(void *)((uint8_t *)room + 2 * LH_BUCKETS);
    int64_t count = 0;
    memset(buckets, 0, 2 * LH_BUCKETS);
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits = lh_load(values + i * item, (unsigned)item);
        uint64_t at = (bits * 0x9E3779B97F4A7C15u) >> 50;
        while (buckets[at] && entries[buckets[at] - 1] != bits)
            at = (at + 1) % LH_BUCKETS;
        if (buckets[at] == 0) {
            if (count == LH_ENTRIES_MAX)
                return 0;
            entries[count++] = bits;
            buckets[at] = (uint16_t)count;
        }
        codes[i] = buckets[at] - 1;
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t key = (int64_t)lh_extend(entries[i], item == 1 ? 64 : 8 * (unsigned)item);
        sorted[i].key = floats ? key ^ (int64_t)((uint64_t)(key >> 63) >> 1) : key;
        sorted[i].index = (uint32_t)i;
    }
    lh_entries_sort(sorted, count, spare);
    for (int64_t i = 0; i < count; i++)
        buckets[sorted[i].index] = (uint16_t)i;
    for (int64_t i = 0; i < n; i++)
        codes[i] = buckets[codes[i]];
    for (int64_t i = 0; i < count; i++) {
        uint64_t key = (uint64_t)sorted[i].key;
        entries[i] = floats ? key ^ ((uint64_t)((int64_t)key >> 63) >> 1) : key;
    }
    return count;
}

/* The most frequent fronts of 16 bits, at most 8; their count. `counts` has room for 65,536. */
static inline int lh_fronts_find(const uint8_t *values, int64_t n, int item, unsigned width,
                                 uint32_t *counts, uint16_t *fronts)
{
    int used = 0;
    memset(counts, 0, 65536 * sizeof *counts);
    for (int64_t i = 0; i < n; i++)
        counts[(lh_load(values + i * item, (unsigned)item) >> width) & 65535]++;
    for (uint32_t front = 0; front < 65536; front++) {
        const int full = used == LH_FRONTS_MAX;
        if (counts[front] == 0 || (full && counts[front] <= counts[fronts[used - 1]]))
            continue;
        int at = used < LH_FRONTS_MAX ? used++ : used - 1;
        for (; at > 0 && counts[fronts[at - 1]] < counts[front]; at--)
            fronts[at] = fronts[at - 1];
        fronts[at] = (uint16_t)front;
    }
    return used;
}

#endif
