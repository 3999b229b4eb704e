/* Codec 8, packed: the fields of its body, read and checked. Layout: docs/format/codecs.md. */
#ifndef LH_PACKED_H
#define LH_PACKED_H

#include "column.h"
#include "rows.h"

enum { LH_FORM_LINE = 0, LH_FORM_VECTORS = 1 };
enum { LH_FOR = 0, LH_LINE = 1, LH_DELTA = 2, LH_DELTA2 = 3, LH_MODES = 4 };
enum { LH_PATCHED = 8, LH_PATCHES_MAX = 256, LH_PLACE_BITS = 10 };

/* What stands in front of the vectors: value = anchor + gcd * integer. */
typedef struct {
    uint64_t anchor;
    uint64_t gcd; /* form line: the step */
    const uint8_t *lengths;
    const uint8_t *vectors;
    int form;
} lh_packed_column;

/* One vector's fields; residual i is the packed u_i, or with a patch u_i + high << width. */
typedef struct {
    unsigned mode;
    unsigned width;
    unsigned shift;      /* line */
    unsigned patches;
    unsigned high_width;
    uint64_t base;
    uint64_t slope;      /* line */
    uint64_t first;      /* delta of delta: the first difference */
    uint64_t step;       /* added to each residual */
    const uint8_t *payload;
    const uint8_t *places;
    const uint8_t *highs;
} lh_packed_vector;

static inline int lh_range_holds(int64_t n, int64_t first, int64_t count)
{
    return n >= 0 && first >= 0 && count >= 0 && count <= n && first <= n - count
           && first % LH_VECTOR == 0 && (count % LH_VECTOR == 0 || first + count == n);
}

static inline int lh_packed_open(const uint8_t *body, int64_t size, int64_t n,
                                 lh_packed_column *c)
{
    if (size < 2 || body[0] > LH_FORM_VECTORS)
        return LH_ECORRUPT;
    const unsigned anchor = body[1] & 15, step = body[1] >> 4;
    int64_t left = size - 2 - (int64_t)anchor - step;
    if (anchor > 8 || step > 8 || left < 0)
        return LH_ECORRUPT;
    c->form = body[0];
    c->anchor = lh_load_signed(body + 2, anchor);
    c->gcd = lh_load_signed(body + 2 + anchor, step);
    c->lengths = body + 2 + anchor + step;
    if (c->form == LH_FORM_LINE)
        return left == 0 ? LH_OK : LH_ECORRUPT;
    if (step == 0)
        c->gcd = 1;
    const int64_t vectors = (n + LH_VECTOR - 1) / LH_VECTOR;
    if (vectors > left / 2)
        return LH_ECORRUPT;
    c->vectors = c->lengths + 2 * vectors;
    left -= 2 * vectors;
    for (int64_t k = 0; k < vectors; k++)
        left -= (int64_t)lh_load(c->lengths + 2 * k, 2);
    return left == 0 ? LH_OK : LH_ECORRUPT;
}

/* Reads `bytes` bytes as a signed number, or sets *p to NULL where they are not there. */
static inline uint64_t lh_take(const uint8_t **p, const uint8_t *end, unsigned bytes)
{
    if (*p == NULL || bytes > 8 || end - *p < (ptrdiff_t)bytes) {
        *p = NULL;
        return 0;
    }
    uint64_t x = lh_load_signed(*p, bytes);
    *p += bytes;
    return x;
}

/* Reads the fields of a vector of m values, 0 < m <= 1,024, in exactly [p, end). */
static inline int lh_packed_fields(const uint8_t *p, const uint8_t *end, int64_t m,
                                   lh_packed_vector *v)
{
    if (end - p < 2)
        return LH_ECORRUPT;
    const unsigned head = p[0], mode = head & 7;
    memset(v, 0, sizeof *v);
    v->mode = mode;
    v->width = p[1];
    if (mode >= LH_MODES || v->width > 64)
        return LH_ECORRUPT;
    p += 2;
    v->base = lh_take(&p, end, head >> 4);
    if (mode != LH_FOR) {
        if (p == NULL || p == end)
            return LH_ECORRUPT;
        const unsigned low = *p & 15, high = *p >> 4;
        p++;
        if (mode == LH_LINE) {
            v->shift = high;
            v->slope = lh_take(&p, end, low);
        } else {
            v->step = lh_take(&p, end, low);
            v->first = lh_take(&p, end, high);
            if (mode == LH_DELTA && high)
                return LH_ECORRUPT;
        }
    }
    if (head & LH_PATCHED && p != NULL) {
        if (end - p < 2)
            return LH_ECORRUPT;
        v->patches = p[0] + 1u;
        v->high_width = p[1];
        p += 2;
        if (v->high_width == 0 || v->high_width > 64 || v->patches > m)
            return LH_ECORRUPT;
    }
    if (p == NULL)
        return LH_ECORRUPT;
    const int64_t payload = lh_stream_bytes(m, v->width);
    const int64_t places = lh_stream_bytes(v->patches, LH_PLACE_BITS);
    const int64_t highs = lh_stream_bytes(v->patches, v->high_width);
    if (end - p != payload + places + highs)
        return LH_ECORRUPT;
    v->payload = p;
    v->places = p + payload;
    v->highs = v->places + places;
    return LH_OK;
}

#endif
