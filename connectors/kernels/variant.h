/* One Variant that holds a scalar, from untrusted bytes to a cell of 64 bits.
 *
 * OPC 10000-6, 5.2.2: built-in types; 5.2.2.16: Variant. Types are those of storage_engine.sample.
 */
#ifndef LH_VARIANT_H
#define LH_VARIANT_H

#include <stdint.h>
#include <string.h>

/* What is left of some bytes. Past the end reads give 0 and `failed` stays set. */
typedef struct {
    const uint8_t *at;
    const uint8_t *end;
    int failed;
} lh_bytes;

enum {
    LH_FLOAT64 = 1,
    LH_FLOAT32 = 2,
    LH_INT64 = 3,
    LH_UINT64 = 4,
    LH_BOOL = 5,
    LH_SYMBOL = 6,
    LH_TEXT = 7,
    LH_BLOB = 8,
};

/* A cell is the value's bits (integers extended to 64), or a place in the message. */
typedef struct {
    uint64_t cell;
    uint8_t type; /* 0: null */
    uint8_t is_place;
} lh_value;

#define LH_PLACE_GUID ((uint64_t)1 << 63) /* 16 bytes to be written as a GUID is */
#define LH_BLOB_BYTES_MAX (1 << 24)
#define LH_EPOCH_TICKS 116444736000000000 /* 1601 to 1970 in 100 ns */

static inline uint16_t lh_u16_at(const uint8_t *p) {
    uint16_t value;
    memcpy(&value, p, 2);
    return value;
}

static inline uint32_t lh_u32_at(const uint8_t *p) {
    uint32_t value;
    memcpy(&value, p, 4);
    return value;
}

static inline int64_t lh_i64_at(const uint8_t *p) {
    int64_t value;
    memcpy(&value, p, 8);
    return value;
}

static inline void lh_skip(lh_bytes *in, int64_t size) {
    if (size < 0 || size > in->end - in->at) {
        in->failed = 1;
        in->at = in->end;
    } else {
        in->at += size;
    }
}

static inline uint8_t lh_take_u8(lh_bytes *in) {
    const uint8_t *p = in->at;
    lh_skip(in, 1);
    return in->failed ? 0 : *p;
}

static inline uint16_t lh_take_u16(lh_bytes *in) {
    const uint8_t *p = in->at;
    lh_skip(in, 2);
    return in->failed ? 0 : lh_u16_at(p);
}

static inline uint32_t lh_take_u32(lh_bytes *in) {
    const uint8_t *p = in->at;
    lh_skip(in, 4);
    return in->failed ? 0 : lh_u32_at(p);
}

static inline int32_t lh_take_i32(lh_bytes *in) { return (int32_t)lh_take_u32(in); }

/* Nanoseconds since 1970 of a DateTime; 0 when it is unset or out of int64. */
static inline int lh_ticks_to_ns(int64_t ticks, int64_t *ns) {
    const int64_t most = INT64_MAX / 100;
    if (ticks <= 0) return 0;
    const int64_t since = ticks - LH_EPOCH_TICKS;
    if (since < -most || since > most) return 0;
    *ns = since * 100;
    return 1;
}

/* Bytes of a scalar of fixed size, by its built-in type; 0 for every other. */
static inline int lh_scalar_bytes(int encoding) {
    static const uint8_t bytes[22] = {
        [1] = 1, [2] = 1, [3] = 1, [4] = 2, [5] = 2, [6] = 4, [7] = 4, [8] = 8, [9] = 8,
        [10] = 4, [11] = 8, [13] = 8, [19] = 4,
    };
    return encoding < 22 ? bytes[encoding] : 0;
}

static inline lh_value lh_scalar(const uint8_t *p, int encoding) {
    int64_t ns = 0;
    switch (encoding) {
    case 1: return (lh_value){p[0] != 0, LH_BOOL, 0};
    case 2: return (lh_value){(uint64_t)(int64_t)(int8_t)p[0], LH_INT64, 0};
    case 3: return (lh_value){p[0], LH_INT64, 0};
    case 4: return (lh_value){(uint64_t)(int64_t)(int16_t)lh_u16_at(p), LH_INT64, 0};
    case 5: return (lh_value){lh_u16_at(p), LH_INT64, 0};
    case 6: return (lh_value){(uint64_t)(int64_t)(int32_t)lh_u32_at(p), LH_INT64, 0};
    case 8: return (lh_value){(uint64_t)lh_i64_at(p), LH_INT64, 0};
    case 9: return (lh_value){(uint64_t)lh_i64_at(p), LH_UINT64, 0};
    case 10: return (lh_value){lh_u32_at(p), LH_FLOAT32, 0};
    case 11: return (lh_value){(uint64_t)lh_i64_at(p), LH_FLOAT64, 0};
    case 13:
        if (!lh_ticks_to_ns(lh_i64_at(p), &ns)) return (lh_value){0, 0, 0};
        return (lh_value){(uint64_t)ns, LH_INT64, 0};
    default: return (lh_value){lh_u32_at(p), LH_INT64, 0}; /* UInt32, StatusCode */
    }
}

/* A string or byte string of at most `most` bytes: its place, or type 0 when it is null. */
static inline const char *lh_string(lh_bytes *in, const uint8_t *message, int type, int64_t most,
                                    lh_value *out) {
    const int32_t length = lh_take_i32(in);
    if (in->failed) return "a length beyond the body";
    *out = (lh_value){0, 0, 0};
    if (length == -1) return NULL;
    const uint64_t offset = (uint64_t)(in->at - message);
    lh_skip(in, length);
    if (in->failed || length > most) return "text or bytes beyond the body";
    *out = (lh_value){offset | (uint64_t)length << 32, (uint8_t)type, 1};
    return NULL;
}

/* Locale, which is not kept, and text. */
static inline const char *lh_localized(lh_bytes *in, const uint8_t *message, lh_value *out) {
    const uint8_t mask = lh_take_u8(in);
    const char *reason = NULL;
    if (in->failed || mask & ~3) return "a localized text of unknown parts";
    if (mask & 1) reason = lh_string(in, message, LH_SYMBOL, INT32_MAX, out);
    *out = (lh_value){0, 0, 0};
    if (!reason && mask & 2) reason = lh_string(in, message, LH_SYMBOL, INT32_MAX, out);
    return reason;
}

/* NULL, or why the message is left to the general decoder. */
static inline const char *lh_variant(lh_bytes *in, const uint8_t *message, lh_value *out) {
    if (in->at == in->end) return "a variant beyond the body";
    const int encoding = *in->at++;
    const int bytes = lh_scalar_bytes(encoding);
    if (bytes) {
        if (in->end - in->at < bytes) return "a value beyond the body";
        *out = lh_scalar(in->at, encoding);
        in->at += bytes;
        return NULL;
    }
    switch (encoding) {
    case 0: return NULL;
    case 12: return lh_string(in, message, LH_SYMBOL, INT32_MAX, out);
    case 15: return lh_string(in, message, LH_BLOB, LH_BLOB_BYTES_MAX, out);
    case 16: return lh_string(in, message, LH_TEXT, INT32_MAX, out);
    case 21: return lh_localized(in, message, out);
    case 14: {
        const uint64_t offset = (uint64_t)(in->at - message);
        lh_skip(in, 16);
        if (in->failed) return "a value beyond the body";
        *out = (lh_value){offset | (uint64_t)16 << 32 | LH_PLACE_GUID, LH_SYMBOL, 1};
        return NULL;
    }
    default: return "an array, a structure or another type that is no sample";
    }
}

#endif
