/* Plain frames: samples of numbers and nothing else, straight from a record of the log to the head.
 *
 * docs/format/frame.md. The record's sum has vouched for the bytes, and a frame is only logged when
 * it was sound; what is checked here again is all that memory rests on. Whatever is not plain (a
 * mask, other sections, strings, a producer of one frame, an unbound slot) is left to the decoder.
 */
#ifndef LH_PLAIN_FRAME_H
#define LH_PLAIN_FRAME_H

#include <stdint.h>
#include <string.h>

#include "head.h"
#include "records.h"

#define LH_PLAIN_SECTIONS 16
#define LH_FRAME_HEADER_BYTES 96
#define LH_FRAME_ROWS_MAX 1000000

typedef struct {
    const uint8_t *time;
    const uint8_t *slot;
    const uint8_t *quality; /* NULL: all good */
    const uint8_t *valid;   /* bits; NULL: all have a value */
    const uint8_t *value;
    int64_t rows;
    int type;
} lh_plain_section;

typedef struct {
    lh_plain_section section[LH_PLAIN_SECTIONS];
    int sections;
    int64_t rows;
    const uint8_t *producer;
    uint64_t epoch;
    uint64_t sequence;
    uint32_t flags;
    uint32_t crc;
} lh_plain_frame;

/* Bytes of a value in a frame, 0 for types that are not plain. FLOAT64, FLOAT32, INT64, UINT64 and
 * BOOL are 1 to 5. */
static inline int64_t lh_plain_width(int type) {
    static const uint8_t width[6] = {0, 8, 4, 8, 8, 1};
    return type >= 1 && type <= 5 ? width[type] : 0;
}

static inline int64_t lh_pad8(int64_t size) { return (size + 7) & ~(int64_t)7; }

/* One samples section of at most `room` bytes. Returns its bytes, 0 when it is not plain. */
static inline int64_t lh_plain_section_at(const uint8_t *p, int64_t room, lh_plain_section *out) {
    if (room < 16 || p[0] != 2 || p[1] > 1 || p[2] != 1 || p[3] != 0) return 0;
    const int64_t n = lh_u32_at(p + 4), size = lh_u32_at(p + 8);
    if (n < 1 || n > LH_FRAME_ROWS_MAX || size > room || size % 8) return 0;
    int64_t at = 16;
    out->rows = n;
    out->time = p + at;
    at += 8 * n;
    out->slot = p + at;
    at += lh_pad8(4 * n);
    out->quality = p[1] ? p + at : NULL;
    at += p[1] ? lh_pad8(4 * n) : 0;
    if (at + 8 > size) return 0;
    const uint8_t *column = p + at;
    const int64_t width = lh_plain_width(column[0]);
    if (!width || column[1] > 1 || column[2] || column[3]) return 0;
    if (at + (int64_t)lh_u32_at(column + 4) != size) return 0;
    at += 8;
    out->type = column[0];
    out->valid = column[1] ? p + at : NULL;
    at += column[1] ? lh_pad8((n + 7) / 8) : 0;
    out->value = p + at;
    at += lh_pad8(width * n);
    if (at != size) return 0;
    if (out->type == 5)
        for (int64_t i = 0; i < n; i++)
            if (out->value[i] > 1) return 0;
    return size;
}

/* Header and sections of a plain frame: 1, or 0 when it is none. The sum is not looked at. */
static inline int lh_plain_sections(const uint8_t *frame, int64_t size, lh_plain_frame *out) {
    if (size < LH_FRAME_HEADER_BYTES) return 0;
    out->flags = lh_u32_at(frame + 12);
    if (memcmp(frame, "LHF1\x01\x00\x60\x00", 8) != 0 || lh_u32_at(frame + 8) != size) return 0;
    if (out->flags & 0xFFFF0000u) return 0;
    out->producer = frame + 32;
    memcpy(&out->epoch, frame + 48, 8);
    memcpy(&out->sequence, frame + 56, 8);
    out->crc = lh_u32_at(frame + 92);
    const uint32_t sections = lh_u32_at(frame + 84);
    if (sections < 1 || sections > LH_PLAIN_SECTIONS) return 0;
    out->sections = (int)sections;
    out->rows = 0;
    int64_t at = LH_FRAME_HEADER_BYTES;
    for (int k = 0; k < out->sections; k++) {
        const int64_t got = lh_plain_section_at(frame + at, size - at, &out->section[k]);
        if (!got) return 0;
        at += got;
        out->rows += out->section[k].rows;
    }
    return at == size && out->rows == (int64_t)lh_u32_at(frame + 80)
        && out->rows <= LH_FRAME_ROWS_MAX;
}

/* A record's body as a plain frame of a producer with more than one: 1, or 0 when it is none. */
static inline int lh_plain_frame_at(const uint8_t *body, int64_t size, lh_plain_frame *out) {
    if (size < 8 || lh_u32_at(body) || lh_u32_at(body + 4)) return 0;
    return lh_plain_sections(body + 8, size - 8, out) && !(out->flags & 2u);
}

/* Whether the times of a frame's rows are within its header's bounds, and reach them. */
static inline int lh_plain_in_bounds(const uint8_t *bytes, const lh_plain_frame *frame) {
    int64_t low = INT64_MAX, high = INT64_MIN, want[2];
    memcpy(want, bytes + 64, 16);
    for (int k = 0; k < frame->sections; k++) {
        const lh_plain_section *s = &frame->section[k];
        for (int64_t i = 0; i < s->rows; i++) {
            int64_t time;
            memcpy(&time, s->time + 8 * i, 8);
            low = time < low ? time : low;
            high = time > high ? time : high;
        }
    }
    return low == want[0] && high == want[1];
}

/* Whether a frame's sum holds. */
static inline int lh_plain_sound(lh_crc32c_fn crc32c, const uint8_t *bytes, int64_t size) {
    const uint32_t head = crc32c(0, bytes, LH_FRAME_HEADER_BYTES - 4);
    const size_t rest = (size_t)(size - LH_FRAME_HEADER_BYTES);
    return crc32c(head, bytes + LH_FRAME_HEADER_BYTES, rest)
        == lh_u32_at(bytes + LH_FRAME_HEADER_BYTES - 4);
}

/* Streams of a frame's slots into `out`: 1, or 0 when one is unbound or of another type. */
static inline int lh_plain_bind(
    const lh_plain_frame *frame, const uint32_t *table, int64_t slots, const uint8_t *types,
    int64_t streams, uint32_t *out
) {
    for (int k = 0; k < frame->sections; k++) {
        const lh_plain_section *s = &frame->section[k];
        for (int64_t i = 0; i < s->rows; i++) {
            const uint32_t slot = lh_u32_at(s->slot + 4 * i);
            if ((int64_t)slot >= slots) return 0;
            const uint32_t stream = table[slot];
            if ((int64_t)stream >= streams || types[stream] != s->type) return 0;
            out[i] = stream;
        }
        out += s->rows;
    }
    return 1;
}

static inline void lh_plain_cells(const lh_plain_section *s, uint64_t *out) {
    if (lh_plain_width(s->type) == 8) {
        memcpy(out, s->value, (size_t)(8 * s->rows));
    } else if (s->type == 2) {
        for (int64_t i = 0; i < s->rows; i++) out[i] = lh_u32_at(s->value + 4 * i);
    } else {
        for (int64_t i = 0; i < s->rows; i++) out[i] = s->value[i];
    }
}

/* Append a frame whose streams stand in head->stream from row `base` on. */
static inline void lh_plain_append(
    lh_head_rows *head, lh_head_newest *newest, const lh_plain_frame *frame, uint64_t stamp,
    int64_t base
) {
    for (int k = 0; k < frame->sections; k++) {
        const lh_plain_section *s = &frame->section[k];
        memcpy(head->time + base, s->time, (size_t)(8 * s->rows));
        lh_plain_cells(s, head->cell + base);
        for (int64_t i = 0; s->quality && i < s->rows; i++) {
            const uint32_t quality = lh_u32_at(s->quality + 4 * i);
            if (quality) head->quality[base + i] = quality;
        }
        for (int64_t i = 0; s->valid && i < s->rows; i++)
            if (!(s->valid[i >> 3] >> (i & 7) & 1)) head->missing[base + i] = 1;
        lh_head_link(head, newest, stamp, base, s->rows);
        base += s->rows;
    }
}

#endif
