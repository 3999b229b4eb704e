/* Every prefix and every single-bit flip of a record's body through kernels/plain_frame.h. */
#include <stdio.h>
#include <stdlib.h>

#include "plain_frame.h"

enum { STREAMS = 8, ROWS = 15 };

static int taken(const uint8_t *bytes, int64_t size) {
    static const uint32_t table[5] = {1, 2, 3, 4, 5};
    static const uint8_t types[STREAMS] = {0, 1, 2, 3, 4, 5, 0, 0};
    uint8_t *body = malloc((size_t)size);
    lh_head_rows head = {
        malloc(ROWS * 8), malloc(ROWS * 8), malloc(ROWS * 4), malloc(ROWS * 4),
        calloc(ROWS, 4), calloc(ROWS, 1), calloc(STREAMS, 4), calloc(STREAMS, 4),
    };
    lh_head_newest newest = {
        calloc(STREAMS, 8), calloc(STREAMS, 8), calloc(STREAMS, 8), calloc(STREAMS, 4),
        calloc(STREAMS, 1),
    };
    lh_plain_frame frame;
    memcpy(body, bytes, (size_t)size);
    const int good = lh_plain_frame_at(body, size, &frame) && frame.rows <= ROWS
        && lh_plain_bind(&frame, table, 5, types, STREAMS, head.stream);
    if (good) lh_plain_append(&head, &newest, &frame, 10, 0);
    free(body), free(head.time), free(head.cell), free(head.before), free(head.stream);
    free(head.quality), free(head.missing), free(head.last), free(head.count);
    free(newest.time), free(newest.cell), free(newest.stamp), free(newest.quality);
    free(newest.flags);
    return good;
}

int main(int count, char **arguments) {
    static uint8_t bytes[1 << 16];
    FILE *file = count == 2 ? fopen(arguments[1], "rb") : NULL;
    if (!file) return 2;
    const int64_t size = (int64_t)fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    if (!taken(bytes, size)) return 3;
    for (int64_t k = 1; k < size; k++)
        if (taken(bytes, k)) return 4;
    for (int64_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        taken(bytes, size);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    return 0;
}
