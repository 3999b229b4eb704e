/* Columns of fixed-size values, decoded a range at a time: what every reader of blocks calls.
 *
 * The work is done by a table of functions compiled once per target (targets.h) and chosen when the
 * room codec.kernels loads. That room alone holds the code; any other sets `lh_kernels`, once, at
 * import, to what it gets from there (`from storage_engine.codec.kernels cimport kernel_table`).
 * Body layouts: docs/format/codecs.md. Nothing is read or written out of bounds on any bytes.
 */
#ifndef LH_COLUMN_H
#define LH_COLUMN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { LH_VECTOR = 1024 }; /* values decoded together */

enum {
    LH_OK = 0,
    LH_ECORRUPT = -1, /* the bytes do not hold */
    LH_EUNKNOWN = -2, /* no kernel for this codec: ask the Python codec */
    LH_ERANGE = -3,   /* first and count do not name whole vectors of the column */
};

enum { LH_RAW = 1, LH_CONSTANT = 2, LH_PACKED = 8 };

/* What won before, tried first the next time. All zero: nothing known. Not part of any format. */
typedef struct {
    int64_t slope;  /* of the line before */
    int32_t mean;   /* bytes of a whole vector, running, times 16; 0 = no mode known */
    uint8_t mode;   /* of the vector before */
    uint8_t shift;  /* of the line before */
    uint16_t since; /* vectors since all modes were compared */
} lh_packed_hint;

struct lh_plan;

/* Every target's functions, in one order. `name` is what HISTORIAN_KERNELS takes. */
typedef struct {
    const char *name;
    int (*column_decode)(int codec, const uint8_t *body, int64_t size, int64_t n, int item,
                         int64_t first, int64_t count, void *out, void *scratch);
    int (*packed_decode)(const uint8_t *body, int64_t size, int64_t n, int64_t first,
                         int64_t count, int64_t *out);
    int64_t (*packed_encode)(const int64_t *v, int64_t n, lh_packed_hint *hint, uint8_t *out);
    /* Encode n values by a plan, see composite.h, and decode them again. Bytes; 0: no fit. */
    int64_t (*number_encode)(struct lh_plan *plan, const void *values, int64_t n, int item,
                             uint8_t *out, void *work);
} lh_kernel_table;

static const lh_kernel_table *lh_kernels;

/* Bytes of the buffer that lh_column_decode wants as scratch, 64-byte aligned. */
static inline size_t lh_column_scratch_bytes(void)
{
    return 128 * 1024;
}

/* Bytes that lh_packed_encode may touch of its output, for n values. */
static inline int64_t lh_packed_bound(int64_t n)
{
    return 64 + 8 * n + 64 * ((n + LH_VECTOR - 1) / LH_VECTOR);
}

/* Decode values [first, first + count) of a column of n values. `first` is a multiple of 1,024 and
 * first + count is one, too, or n. `out` holds count items of 1, 2, 4 or 8 bytes, one after the
 * other. 0, or a negative LH_E*, and then `out` holds anything. */
static inline int lh_column_decode(int codec, const uint8_t *body, int64_t size, int64_t n,
                                   int item, int64_t first, int64_t count, void *out,
                                   void *scratch)
{
    return lh_kernels->column_decode(codec, body, size, n, item, first, count, out, scratch);
}

/* The same for codec 8 as int64 (u64: its bits), without scratch; the child of other codecs. */
static inline int lh_packed_decode(const uint8_t *body, int64_t size, int64_t n, int64_t first,
                                   int64_t count, int64_t *out)
{
    return lh_kernels->packed_decode(body, size, n, first, count, out);
}

/* Encode n int64 (u64: their bits), n > 0. `hint` is updated; NULL compares all modes for every
 * vector. Bytes written; the same on every target. */
static inline int64_t lh_packed_encode(const int64_t *v, int64_t n, lh_packed_hint *hint,
                                       uint8_t *out)
{
    return lh_kernels->packed_encode(v, n, hint, out);
}

#endif
