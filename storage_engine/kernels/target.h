/* Template of one target, see targets.h: its parts, the choice of a codec, and its table. */

#include "pack.h"
#include "integers.h"
#include "integers_encode.h"
#include "floats.h"

static int LH_T(lh_narrow)(const uint64_t *in, int64_t count, int item, void *out)
{
    if (item == 4)
        for (int64_t i = 0; i < count; i++)
            ((uint32_t *)out)[i] = (uint32_t)in[i];
    else if (item == 2)
        for (int64_t i = 0; i < count; i++)
            ((uint16_t *)out)[i] = (uint16_t)in[i];
    else
        for (int64_t i = 0; i < count; i++)
            ((uint8_t *)out)[i] = (uint8_t)in[i];
    return LH_OK;
}

/* Items narrower than 8 bytes are the low bytes of the integers. */
static int LH_T(lh_packed_items)(const uint8_t *body, int64_t size, int64_t n, int item,
                                 int64_t first, int64_t count, void *out, uint64_t *scratch)
{
    if (item == 8)
        return LH_T(lh_packed_range)(body, size, n, first, count, out);
    for (int64_t at = 0; at < count; at += LH_VECTOR) {
        int64_t part = count - at < LH_VECTOR ? count - at : LH_VECTOR;
        int error = LH_T(lh_packed_range)(body, size, n, first + at, part, scratch);
        if (error)
            return error;
        LH_T(lh_narrow)(scratch, part, item, (uint8_t *)out + at * item);
    }
    return LH_OK;
}

static int LH_T(lh_constant)(const uint8_t *body, int64_t size, int item, int64_t count, void *out)
{
    if (size != item)
        return LH_ECORRUPT;
    uint64_t value = lh_load(body, (unsigned)item);
    if (item == 8)
        for (int64_t i = 0; i < count; i++)
            ((uint64_t *)out)[i] = value;
    else if (item == 4)
        for (int64_t i = 0; i < count; i++)
            ((uint32_t *)out)[i] = (uint32_t)value;
    else if (item == 2)
        for (int64_t i = 0; i < count; i++)
            ((uint16_t *)out)[i] = (uint16_t)value;
    else
        memset(out, (int)value, (size_t)count);
    return LH_OK;
}

static int LH_T(lh_column_at)(int depth, int codec, const uint8_t *body, int64_t size, int64_t n,
                              int item, int64_t first, int64_t count, void *out, void *scratch)
{
    if (item != 8 && item != 4 && item != 2 && item != 1)
        return LH_EUNKNOWN;
    if (!lh_range_holds(n, first, count))
        return LH_ERANGE;
    switch (codec) {
    case LH_RAW:
        if (size != n * item)
            return LH_ECORRUPT;
        if (count)
            memcpy(out, body + first * item, (size_t)(count * item));
        return LH_OK;
    case LH_CONSTANT:
        return LH_T(lh_constant)(body, size, item, count, out);
    case LH_PACKED:
        return LH_T(lh_packed_items)(body, size, n, item, first, count, out,
                                     (uint64_t *)((uint8_t *)scratch + depth * LH_SLOT));
    default:
        break;
    }
    if (codec < LH_DECIMAL || codec > LH_RLE)
        return LH_EUNKNOWN;
    if (depth == LH_DEPTH_MAX)
        return LH_ECORRUPT;
    switch (codec) {
    case LH_ORDERED:
        return LH_T(lh_ordered_column)(depth, body, size, n, item, first, count, out, scratch);
    case LH_REAL:
        return LH_T(lh_real_column)(depth, body, size, n, item, first, count, out, scratch);
    case LH_DISTINCT:
        return LH_T(lh_distinct_column)(depth, body, size, n, item, first, count, out, scratch);
    case LH_RLE:
        return LH_T(lh_rle_column)(depth, body, size, n, item, first, count, out, scratch);
    default:
        return LH_T(lh_grid_column)(depth, codec, body, size, n, item, first, count, out, scratch);
    }
}

static int LH_T(lh_column)(int codec, const uint8_t *body, int64_t size, int64_t n, int item,
                           int64_t first, int64_t count, void *out, void *scratch)
{
    return LH_T(lh_column_at)(0, codec, body, size, n, item, first, count, out, scratch);
}

#include "floats_encode.h"

static int LH_T(lh_packed_ints)(const uint8_t *body, int64_t size, int64_t n, int64_t first,
                                int64_t count, int64_t *out)
{
    if (!lh_range_holds(n, first, count))
        return LH_ERANGE;
    return LH_T(lh_packed_range)(body, size, n, first, count, (uint64_t *)out);
}

#define LH_NAME_OF(name) LH_NAME_TEXT(name)
#define LH_NAME_TEXT(name) #name
static const lh_kernel_table LH_T(lh_table) = {
    .name = &LH_NAME_OF(LH_T()) [1],
    .column_decode = LH_T(lh_column),
    .packed_decode = LH_T(lh_packed_ints),
    .packed_encode = LH_T(lh_packed_write),
    .number_encode = LH_T(lh_number_write),
};
#undef LH_NAME_OF
#undef LH_NAME_TEXT
