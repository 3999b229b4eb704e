/* Every prefix and every single-bit flip of a Publish answer through kernels/publish.h and settle.h,
 * in memory that is allocated to the byte. */
#include <stdio.h>
#include <stdlib.h>

#include "settle.h"

enum { ITEMS = 20 };

static lh_changes columns(int64_t n) {
    return (lh_changes){
        malloc(n * 4), malloc(n), malloc(n * 8), malloc(n * 4), malloc(n * 8), malloc(n * 8),
        malloc(n),
    };
}

static void release(lh_changes *rows) {
    free(rows->handle), free(rows->type), free(rows->cell), free(rows->status);
    free(rows->source_ns), free(rows->server_ns), free(rows->present);
}

/* What the door does with places: every byte of them is read. */
static uint64_t places(const uint8_t *body, const lh_changes *rows, int64_t n) {
    uint64_t sum = 0;
    for (int64_t i = 0; i < n; i++) {
        if (rows->type[i] < LH_SYMBOL) continue;
        const uint64_t cell = rows->cell[i] & ~LH_PLACE_GUID;
        for (uint64_t k = 0; k < cell >> 32; k++) sum += body[(uint32_t)cell + k];
    }
    return sum;
}

static int taken(const uint8_t *bytes, int64_t size, uint64_t *sum) {
    uint8_t *body = malloc((size_t)size);
    memcpy(body, bytes, (size_t)size);
    lh_publish found;
    int good = 0;
    if (!lh_publish_open(body, size, &found)) {
        const int64_t n = found.rows;
        lh_changes rows = columns(n);
        uint32_t *statuses = malloc(found.statuses * 4);
        good = !lh_publish_rows(body, size, &found, &rows, statuses);
        if (good) {
            uint8_t *types = calloc(ITEMS, 1), *series = malloc(n), *valid = malloc(n);
            int64_t *time_ns = malloc(n * 8), *before_ns = malloc(n * 8);
            int64_t *last_ns = calloc(ITEMS, 8);
            lh_settled settled;
            *sum += places(body, &rows, n);
            lh_settle(&rows, n, types, last_ns, ITEMS, 5, series, valid, time_ns, before_ns,
                      &settled);
            for (int64_t i = 0; i < n; i++) *sum += series[i] + valid[i] + (uint64_t)time_ns[i];
            free(types), free(series), free(valid), free(time_ns), free(before_ns), free(last_ns);
        }
        free(statuses);
        release(&rows);
    }
    free(body);
    return good;
}

int main(int count, char **arguments) {
    static uint8_t bytes[1 << 16];
    uint64_t sum = 0;
    FILE *file = count == 2 ? fopen(arguments[1], "rb") : NULL;
    if (!file) return 2;
    const int64_t size = (int64_t)fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    if (!taken(bytes, size, &sum)) return 3;
    for (int64_t k = 1; k < size; k++)
        if (taken(bytes, k, &sum)) return 4;
    for (int64_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        taken(bytes, size, &sum);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    printf("%llu\n", (unsigned long long)sum);
    return 0;
}
