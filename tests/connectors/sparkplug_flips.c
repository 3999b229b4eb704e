/* Every prefix and every single-bit flip of a payload through kernels/sparkplug.h, to the byte. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sparkplug.h"

static int64_t bound;

/* Metrics understood, or -1 for an error; what is told to lie in the payload is looked at. */
static int64_t walk(const uint8_t *bytes, int64_t size, int template) {
    static const uint64_t aliases[4] = {1, 2, 3, 1000};
    static const uint8_t datatypes[4] = {1, 7, 10, 9};
    static const int32_t series[4] = {0, 1, 2, -1};
    uint8_t *data = malloc((size_t)size + (size == 0));
    lh_sp_head head;
    int64_t found = -1;
    memcpy(data, bytes, (size_t)size);
    if (lh_sp_read_head(data, size, template, &head) == 0) {
        const int64_t n = head.count;
        int64_t *rows = malloc((size_t)(n + 1) * 8 * LH_SP_COLUMNS);
        int64_t *out = malloc((size_t)(n + 1) * 8 * 5);
        if (lh_sp_metrics(data, size, rows, n, &head.wrong) == 0) {
            found = n;
            for (int64_t k = 0; k < n; k++) {
                const int64_t kind = rows[LH_SP_INFO * n + k] >> 8 & 255;
                const int64_t name = rows[LH_SP_NAME * n + k];
                const int64_t begin = kind >= 15 ? rows[LH_SP_BITS * n + k] : 0;
                if (begin < 0 || begin + rows[LH_SP_SIZE * n + k] > size) exit(5);
                if ((name >> 32) + (name & 0xFFFFFFFF) > size) exit(6);
                if (rows[LH_SP_AT * n + k] < 0 || rows[LH_SP_END * n + k] > size) exit(7);
                out[4 * n + k] = -1;
            }
            bound += n - lh_sp_bind(rows, n, aliases, 4, datatypes, series, 5, out);
        }
        if (found < 0 && (head.wrong < 0 || head.wrong > size)) exit(8);
        free(rows), free(out);
    } else if (head.wrong < 0 || head.wrong > size) {
        exit(9);
    }
    free(data);
    return found;
}

int main(int count, char **arguments) {
    static uint8_t bytes[1 << 16];
    FILE *file = count == 4 ? fopen(arguments[1], "rb") : NULL;
    if (!file) return 2;
    const int64_t size = (int64_t)fread(bytes, 1, sizeof bytes, file);
    const int64_t want = atoi(arguments[2]), want_bound = atoi(arguments[3]);
    fclose(file);
    if (walk(bytes, size, 0) != want || bound != want_bound) return 3;
    for (int64_t k = 0; k < size; k++) walk(bytes, k, 0), walk(bytes, k, 1);
    for (int64_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        walk(bytes, size, 0), walk(bytes, size, 1);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    return 0;
}
