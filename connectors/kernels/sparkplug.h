/* Sparkplug B payloads (protobuf, proto2) into columns: 8 numbers a metric.
 *
 * Source: Eclipse Sparkplug 3.0.0, section 6.4.1, and the protobuf encoding guide. Nothing outside
 * [data, data + size) is read, whatever the bytes say. Unlike protobuf, a known field of another
 * wire type is an error and not an unknown field: it would lose its value without a word.
 */
#ifndef LH_SPARKPLUG_H
#define LH_SPARKPLUG_H

#include <stdint.h>
#include <string.h>

enum {
    LH_SP_LENGTH = -1, /* a varint of more than 10 bytes, or a cut one */
    LH_SP_BOUNDS = -2, /* a field longer than what holds it */
    LH_SP_WIRE = -3,   /* a known field of another wire type, or a group, or field 0 */
    LH_SP_ROOM = -4,   /* more metrics than were counted: the payload changed meanwhile */
};

/* Columns; column c of metric k is out[c * n + k]. */
enum {
    LH_SP_ALIAS = 0,
    LH_SP_TIME = 1, /* milliseconds, or LH_SP_NO_TIME */
    LH_SP_BITS = 2, /* of a number; of a text, bytes, data set or template: where it begins */
    LH_SP_SIZE = 3, /* of such a value */
    LH_SP_AT = 4,   /* the metric as a whole */
    LH_SP_END = 5,
    LH_SP_NAME = 6, /* where the name begins << 32 | its bytes */
    LH_SP_INFO = 7, /* datatype << 16 | field number of the value << 8 | flags */
    LH_SP_COLUMNS = 8,
};

enum {
    LH_SP_NULL = 1, LH_SP_HISTORICAL = 2, LH_SP_TRANSIENT = 4, LH_SP_PROPERTIES = 8,
    LH_SP_HAS_ALIAS = 16, LH_SP_HAS_NAME = 32, LH_SP_METADATA = 64,
};

#define LH_SP_NO_TIME INT64_MIN

typedef struct {
    int64_t time; /* LH_SP_NO_TIME: none */
    int64_t seq;  /* -1: none */
    int64_t count;
    int64_t wrong; /* where an error was met */
} lh_sp_head;

typedef struct {
    uint32_t number;
    int wire;
    uint64_t value;    /* of a varint, of 4 or 8 bytes; of a length-delimited field its size */
    int64_t at, end;   /* of a length-delimited field; end: where the next field begins */
} lh_sp_field;

static inline int64_t lh_sp_varint(
    const uint8_t *data, int64_t at, int64_t end, uint64_t *value
) {
    uint64_t sum = 0;
    if (at < end && data[at] < 128) {
        *value = data[at];
        return at + 1;
    }
    for (int k = 0; k < 10; k++) {
        if (at + k >= end) return LH_SP_LENGTH;
        sum |= (uint64_t)(data[at + k] & 127) << 7 * k;
        if (data[at + k] < 128) {
            *value = sum;
            return at + k + 1;
        }
    }
    return LH_SP_LENGTH;
}

/* The field at `at`; returns where the next begins, or an error. */
static inline int64_t lh_sp_next(
    const uint8_t *data, int64_t at, int64_t end, lh_sp_field *out
) {
    uint64_t key = 0;
    out->value = 0, out->at = 0, out->end = 0;
    if ((at = lh_sp_varint(data, at, end, &key)) < 0) return at;
    out->number = key >> 3 > UINT32_MAX ? 0 : (uint32_t)(key >> 3), out->wire = (int)(key & 7);
    if (out->number == 0) return LH_SP_WIRE;
    switch (out->wire) {
    case 0:
        return out->end = lh_sp_varint(data, at, end, &out->value);
    case 1:
        if (end - at < 8) return LH_SP_BOUNDS;
        memcpy(&out->value, data + at, 8);
        return out->end = at + 8;
    case 2:
        if ((at = lh_sp_varint(data, at, end, &out->value)) < 0) return at;
        if (out->value > (uint64_t)(end - at)) return LH_SP_BOUNDS;
        out->at = at;
        return out->end = at + (int64_t)out->value;
    case 5: {
        uint32_t half;
        if (end - at < 4) return LH_SP_BOUNDS;
        memcpy(&half, data + at, 4);
        out->value = half;
        return out->end = at + 4;
    }
    default:
        return LH_SP_WIRE;
    }
}

/* Time, sequence number and number of metrics; 0 or an error. A template has its metrics in the
 * same field as a payload, and neither time nor sequence number. */
static inline int lh_sp_read_head(
    const uint8_t *data, int64_t size, int template, lh_sp_head *out
) {
    static const int8_t payload[6] = {-1, 0, 2, 0, 2, 2}, inner[6] = {-1, 2, 2, 2, 2, 0};
    const int8_t *wires = template ? inner : payload;
    out->time = LH_SP_NO_TIME, out->seq = -1, out->count = 0, out->wrong = 0;
    for (int64_t at = 0, next; at < size; at = next) {
        lh_sp_field field;
        next = lh_sp_next(data, at, size, &field);
        if (next > 0 && field.number < 6 && wires[field.number] != field.wire) next = LH_SP_WIRE;
        if (next < 0) {
            out->wrong = at;
            return (int)next;
        }
        if (field.number == 2) out->count++;
        if (template) continue;
        if (field.number == 1) out->time = (int64_t)field.value;
        if (field.number == 3) out->seq = (int64_t)(field.value & INT64_MAX);
    }
    return 0;
}

/* One metric, data[at .. end), as row k of n; 0 or an error. */
static inline int lh_sp_metric(
    const uint8_t *data, int64_t at, int64_t end, int64_t *out, int64_t n, int64_t k,
    int64_t *wrong
) {
    /* Wire types by field number: 1 name .. 9 properties, 10 int .. 19 extension of the value. */
    static const int8_t wires[20] = {-1, 2, 0, 0, 0, 0, 0, 0, 2, 2, 0, 0, 5, 1, 0, 2, 2, 2, 2, 2};
    uint64_t alias = 0, bits = 0, datatype = 0;
    int64_t time = LH_SP_NO_TIME, size = 0, name = 0, flags = 0, kind = 0;
    out[LH_SP_AT * n + k] = at, out[LH_SP_END * n + k] = end;
    while (at < end) {
        lh_sp_field field;
        int64_t next = lh_sp_next(data, at, end, &field);
        if (next > 0 && field.number < 20 && wires[field.number] != field.wire) next = LH_SP_WIRE;
        if (next < 0) {
            *wrong = at;
            return (int)next;
        }
        at = next;
        switch (field.number) {
        case 1: name = field.at << 32 | (int64_t)field.value, flags |= LH_SP_HAS_NAME; break;
        case 2: alias = field.value, flags |= LH_SP_HAS_ALIAS; break;
        case 3: time = (int64_t)field.value; break;
        case 4: datatype = field.value; break;
        case 5: flags = (flags & ~LH_SP_HISTORICAL) | (field.value ? LH_SP_HISTORICAL : 0); break;
        case 6: flags = (flags & ~LH_SP_TRANSIENT) | (field.value ? LH_SP_TRANSIENT : 0); break;
        case 7: flags = (flags & ~LH_SP_NULL) | (field.value ? LH_SP_NULL : 0); break;
        case 8: flags |= LH_SP_METADATA; break;
        case 9: flags |= LH_SP_PROPERTIES; break;
        case 10: case 11: case 12: case 13: case 14:
            kind = field.number;
            bits = kind == 10 ? (uint32_t)field.value : kind == 14 ? field.value != 0 : field.value;
            break;
        case 15: case 16: case 17: case 18: case 19:
            kind = field.number, bits = (uint64_t)field.at, size = (int64_t)field.value;
            break;
        default: break;
        }
    }
    out[LH_SP_ALIAS * n + k] = (int64_t)alias;
    out[LH_SP_TIME * n + k] = time;
    out[LH_SP_BITS * n + k] = (int64_t)bits;
    out[LH_SP_SIZE * n + k] = kind >= 15 ? size : 0;
    out[LH_SP_NAME * n + k] = name;
    if (datatype > 255) datatype = 255; /* none that anybody knows */
    out[LH_SP_INFO * n + k] = (int64_t)datatype << 16 | kind << 8 | flags;
    return 0;
}

/* All metrics of a payload that lh_sp_read_head accepted; 0 or an error. `size` < 2^31. */
static inline int lh_sp_metrics(
    const uint8_t *data, int64_t size, int64_t *out, int64_t n, int64_t *wrong
) {
    int64_t k = 0;
    for (int64_t at = 0, next; at < size; at = next) {
        lh_sp_field field;
        next = lh_sp_next(data, at, size, &field);
        if (next > 0 && field.number == 2 && k == n) next = LH_SP_ROOM;
        if (next < 0) {
            *wrong = at;
            return (int)next;
        }
        if (field.number != 2) continue;
        const int got = lh_sp_metric(data, field.at, field.end, out, n, k++, wrong);
        if (got < 0) return got;
    }
    return 0;
}

/* Datatypes of numbers -> value type of the column (storage_engine/sample.py), field of the value,
 * and bits of an integer; 0: not a number. */
typedef struct { uint8_t type, kind, bits; } lh_sp_type;

static inline lh_sp_type lh_sp_type_of(uint8_t datatype) {
    static const lh_sp_type types[14] = {
        {0}, {3, 10, 8}, {3, 10, 16}, {3, 10, 32}, {3, 11, 64}, {3, 10, 8}, {3, 10, 16},
        {3, 10, 32}, {4, 11, 64}, {2, 12, 32}, {1, 13, 64}, {5, 14, 1}, {0}, {3, 11, 64},
    };
    static const lh_sp_type none = {0};
    return datatype < 14 ? types[datatype] : none;
}

/* The number as its datatype has it, 64 bits of it; 0 where it does not fit. Signed integers come
 * as two's complement of their own width or of 32 bits: encoders differ. */
static inline int lh_sp_number(uint8_t datatype, uint8_t kind, int64_t bits, int64_t *out) {
    const lh_sp_type type = lh_sp_type_of(datatype);
    if (type.type == 0) return 0;
    /* UInt32 is in long_value with the older libraries of Tahu, and int_value with others. */
    if (kind != type.kind && !(datatype == 7 && kind == 11)) return 0;
    *out = bits;
    if (type.bits == 64 || kind >= 12) return 1;
    if (datatype >= 5) return (uint64_t)bits < (uint64_t)1 << type.bits;
    const int64_t full = (int32_t)(uint32_t)bits, most = (int64_t)1 << (type.bits - 1);
    *out = full >= most && full < 2 * most ? full - 2 * most : full;
    return *out >= -most && *out < most;
}

/* Position of an alias among sorted ones, tried at `guess` first; -1 where there is none. */
static inline int64_t lh_sp_find(
    const uint64_t *aliases, int64_t known, uint64_t alias, int64_t guess
) {
    int64_t low = 0, high = known;
    if (guess < known && aliases[guess] == alias) return guess;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (aliases[middle] < alias) low = middle + 1; else high = middle;
    }
    return low < known && aliases[low] == alias ? low : -1;
}

/* Bind metrics to the rows of a node's table, whose first `known` rows have `aliases`, sorted.
 *
 * out: 5 columns of n: index of the series (-1: left to the caller), ns, bits, value type, and row
 * of the table (-1: unknown). Where a metric has no alias, the caller has put the row there. Plain
 * numbers in range of a series are bound, all else is left. `early` is the time in ms of metrics
 * without one. Returns how many are left. */
static inline int64_t lh_sp_bind(
    const int64_t *in, int64_t n, const uint64_t *aliases, int64_t known,
    const uint8_t *datatypes, const int32_t *series, int64_t early, int64_t *out
) {
    int64_t left = 0, row = -1;
    for (int64_t k = 0; k < n; k++) {
        const int64_t info = in[LH_SP_INFO * n + k];
        int64_t time = in[LH_SP_TIME * n + k], number = 0;
        if (time == LH_SP_NO_TIME) time = early;
        /* A node reports in the order of its table more often than not. */
        row = info & LH_SP_HAS_ALIAS
            ? lh_sp_find(aliases, known, (uint64_t)in[LH_SP_ALIAS * n + k], row + 1)
            : out[4 * n + k];
        out[4 * n + k] = row, out[k] = -1;
        if (row < 0 || info & (LH_SP_NULL | LH_SP_TRANSIENT | LH_SP_PROPERTIES) || series[row] < 0
            || time < 0 || time > INT64_MAX / 1000000
            || !lh_sp_number(
                datatypes[row], (uint8_t)(info >> 8), in[LH_SP_BITS * n + k], &number)) {
            left++;
            continue;
        }
        out[k] = series[row];
        out[n + k] = time * 1000000;
        out[2 * n + k] = number;
        out[3 * n + k] = lh_sp_type_of(datatypes[row]).type;
    }
    return left;
}

#endif
