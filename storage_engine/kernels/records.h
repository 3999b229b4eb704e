/* Sound records of a log file, back to back: magic, the header's sum, the body's sum.
 *
 * A record is a header of 40 bytes (docs/format/wal.md) and its body, padded to a multiple of 8.
 * Reads [0, size) of the file only.
 */
#ifndef LH_RECORDS_H
#define LH_RECORDS_H

#include <stdint.h>
#include <string.h>

#include "crc32c.h"

#define LH_RECORD_HEADER_BYTES 40
#define LH_RECORD_HEADER_CRC_AT 32

typedef struct {
    int64_t *offset;
    uint32_t *body_bytes;
    uint64_t *lsn;
    int64_t *time_ns;
    uint8_t *kind;
} lh_records;

static inline uint32_t lh_u32_at(const uint8_t *p) {
    uint32_t value;
    memcpy(&value, p, 4);
    return value;
}

/* Note the sound records from byte *at on, at most `room`; *at is then behind the last of them.
 * Ends before the first one that is not sound, or whose body is more than what is left of *budget.
 */
static inline int64_t lh_sound_records(
    lh_crc32c_fn crc32c, const uint8_t *data, int64_t size, uint32_t seed, int64_t *at,
    int64_t *budget, lh_records *out, int64_t room
) {
    int64_t n = 0;
    while (n < room && size - *at >= LH_RECORD_HEADER_BYTES) {
        const uint8_t *head = data + *at;
        if (memcmp(head, "LHWR", 4) != 0) break;
        if (crc32c(seed, head, LH_RECORD_HEADER_CRC_AT) != lh_u32_at(head + 32)) break;
        const uint32_t body_bytes = lh_u32_at(head + 4);
        const int64_t padded = ((int64_t)body_bytes + 7) & ~(int64_t)7;
        if (padded > size - *at - LH_RECORD_HEADER_BYTES || padded > *budget) break;
        if (crc32c(seed, head + LH_RECORD_HEADER_BYTES, (size_t)padded) != lh_u32_at(head + 28)) {
            break;
        }
        out->offset[n] = *at;
        out->body_bytes[n] = body_bytes;
        memcpy(&out->lsn[n], head + 8, 8);
        memcpy(&out->time_ns[n], head + 16, 8);
        out->kind[n] = head[24];
        *at += LH_RECORD_HEADER_BYTES + padded;
        *budget -= padded;
        n++;
    }
    return n;
}

#endif
