/* An answer to a Publish request: from its bytes to the columns of its data changes.
 *
 * OPC 10000-6, 5.2 (binary encoding); OPC 10000-4, 5.13.5 (Publish), 7.25 (notifications).
 * Nothing in the bytes is trusted: every field is taken from what is left, every count is held
 * against the bytes that it would need. Two passes: the first walks the envelopes and says how many
 * rows there are at most, the second fills columns of that many rows.
 */
#ifndef LH_PUBLISH_H
#define LH_PUBLISH_H

#include <stdint.h>
#include <string.h>

#include "variant.h"

enum {
    LH_PUBLISH_RESPONSE = 829,
    LH_REPUBLISH_RESPONSE = 835,
    LH_DATA_CHANGE = 811,
    LH_STATUS_CHANGE = 820,
    LH_ITEM_BYTES_MIN = 5,
};

typedef struct {
    uint32_t subscription;
    uint32_t sequence;
    int64_t parts;
    int64_t parts_at; /* offset of the first part */
    int64_t rows;     /* of all parts; an upper bound before lh_publish_rows */
    int64_t statuses;
    int64_t objects;  /* rows whose cell is a place in the message */
    int64_t published_ns; /* the server's clock as it made the message */
    int has_published;
} lh_publish;

typedef struct {
    uint32_t *handle;
    uint8_t *type; /* of storage_engine.sample; 0: a null value */
    uint64_t *cell;
    uint32_t *status;
    int64_t *source_ns;
    int64_t *server_ns;
    uint8_t *present; /* which of the two times */
} lh_changes;

enum { LH_HAS_SOURCE = 1, LH_HAS_SERVER = 2 };

/* DiagnosticInfo array in which nothing is said; servers send one entry per item or none. */
static inline int lh_no_diagnostics(lh_bytes *in) {
    const int32_t count = lh_take_i32(in);
    for (int32_t k = 0; k < count && !in->failed; k++)
        if (lh_take_u8(in) != 0) return 0;
    return !in->failed;
}

/* An array of n fields of 4 bytes. */
static inline void lh_skip_words(lh_bytes *in) {
    const int32_t count = lh_take_i32(in);
    if (count > 0) lh_skip(in, 4 * (int64_t)count);
}

/* Envelope of one notification: its type, and its body as bytes of their own. */
static inline const char *lh_part(lh_bytes *in, int *kind, lh_bytes *body) {
    const uint16_t form = lh_take_u16(in);
    *kind = lh_take_u16(in);
    const uint8_t encoding = lh_take_u8(in);
    const int32_t length = lh_take_i32(in);
    if (in->failed) return "a notification beyond the message";
    if (form != 1 || encoding != 1) return "an extension object that is not plain binary";
    *body = (lh_bytes){in->at, in->at, 0};
    lh_skip(in, length);
    if (in->failed) return "a body beyond the message";
    body->end = in->at;
    return NULL;
}

static inline const char *lh_publish_parts(lh_bytes *in, lh_publish *out) {
    for (int64_t k = 0; k < out->parts; k++) {
        int kind;
        lh_bytes body;
        const char *reason = lh_part(in, &kind, &body);
        if (reason) return reason;
        if (kind == LH_STATUS_CHANGE) {
            out->statuses++;
        } else if (kind == LH_DATA_CHANGE) {
            const int64_t count = lh_take_i32(&body);
            if (body.failed || count > (body.end - body.at) / LH_ITEM_BYTES_MIN)
                return "more items than bytes";
            out->rows += count > 0 ? count : 0;
        } else {
            return "events";
        }
    }
    return NULL;
}

/* Header of every response; NULL when it says nothing but good. */
static inline const char *lh_response(lh_bytes *in) {
    lh_skip(in, 8 + 4); /* time, request handle */
    const uint32_t result = lh_take_u32(in);
    if (result & 0x80000000u || lh_take_u8(in) != 0) return "a bad result or diagnostics";
    if (lh_take_i32(in) > 0) return "strings in the header";
    if (lh_take_u16(in) != 0 || lh_take_u8(in) != 0) return "an additional header";
    return NULL;
}

static inline const char *lh_message(lh_bytes *in, const uint8_t *body, lh_publish *out) {
    out->sequence = lh_take_u32(in);
    lh_skip(in, 8);
    if (in->failed) return "a header beyond the message";
    out->has_published = lh_ticks_to_ns(lh_i64_at(in->at - 8), &out->published_ns);
    const int32_t parts = lh_take_i32(in);
    if (in->failed) return "a header beyond the message";
    out->parts = parts > 0 ? parts : 0;
    out->parts_at = in->at - body;
    return lh_publish_parts(in, out);
}

/* First pass over an answer to Publish, or to Republish, which names no subscription.
 * NULL, or why the message is left to the general decoder.
 */
static inline const char *lh_publish_open(const uint8_t *body, int64_t size, lh_publish *out) {
    lh_bytes in = {body, body + size, 0};
    memset(out, 0, sizeof *out);
    if (size > INT32_MAX) return "a message beyond 2 GiB";
    const int form = lh_take_u16(&in), kind = lh_take_u16(&in);
    if (form != 1 || (kind != LH_PUBLISH_RESPONSE && kind != LH_REPUBLISH_RESPONSE))
        return "no publish response";
    const char *reason = lh_response(&in);
    if (reason) return reason;
    if (kind == LH_PUBLISH_RESPONSE) {
        out->subscription = lh_take_u32(&in);
        lh_skip_words(&in); /* available sequence numbers */
        lh_skip(&in, 1);    /* more notifications */
    }
    reason = lh_message(&in, body, out);
    if (reason) return reason;
    if (kind == LH_PUBLISH_RESPONSE) {
        lh_skip_words(&in); /* results of acknowledgements */
        if (in.failed) return "results beyond the message";
        if (!lh_no_diagnostics(&in)) return "diagnostics";
    }
    return in.at == in.end ? NULL : "bytes behind the message";
}

/* Times of a data value; the picoseconds are below the nanosecond. */
static inline void lh_change_times(const uint8_t *p, int mask, lh_changes *out, int64_t row) {
    int64_t source = 0, server = 0;
    int present = 0;
    if (mask & 4) {
        present |= lh_ticks_to_ns(lh_i64_at(p), &source) ? LH_HAS_SOURCE : 0;
        p += 8;
    }
    if (mask & 16) p += 2;
    if (mask & 8) present |= lh_ticks_to_ns(lh_i64_at(p), &server) ? LH_HAS_SERVER : 0;
    out->source_ns[row] = source;
    out->server_ns[row] = server;
    out->present[row] = (uint8_t)present;
}

static inline const char *lh_change(lh_bytes *in, const uint8_t *message, lh_changes *out,
                                    int64_t row, int64_t *objects) {
    if (in->end - in->at < LH_ITEM_BYTES_MIN) return "an item beyond the body";
    const int mask = in->at[4];
    if (mask & 0xC0) return "a data value of unknown parts";
    out->handle[row] = lh_u32_at(in->at);
    in->at += LH_ITEM_BYTES_MIN;
    lh_value value = {0, 0, 0};
    if (mask & 1) {
        const char *reason = lh_variant(in, message, &value);
        if (reason) return reason;
    }
    out->type[row] = value.type;
    out->cell[row] = value.cell;
    *objects += value.is_place;
    const int64_t rest = (mask & 2 ? 4 : 0) + (mask & 4 ? 8 : 0) + (mask & 8 ? 8 : 0)
        + (mask & 16 ? 2 : 0) + (mask & 32 ? 2 : 0);
    if (in->end - in->at < rest) return "a data value beyond the body";
    out->status[row] = mask & 2 ? lh_u32_at(in->at) : 0;
    lh_change_times(in->at + (mask & 2 ? 4 : 0), mask, out, row);
    in->at += rest;
    return NULL;
}

/* Second pass over what lh_publish_open took: columns of out->rows rows, out->statuses codes. */
static inline const char *lh_publish_rows(const uint8_t *message, int64_t size, lh_publish *found,
                                          lh_changes *out, uint32_t *statuses) {
    lh_bytes in = {message + found->parts_at, message + size, 0};
    int64_t row = 0;
    for (int64_t k = 0; k < found->parts; k++) {
        int kind;
        lh_bytes body;
        const char *reason = lh_part(&in, &kind, &body);
        if (reason) return reason;
        if (kind == LH_STATUS_CHANGE) {
            *statuses++ = lh_take_u32(&body);
            if (lh_take_u8(&body) != 0) return "diagnostics";
        } else {
            const int32_t count = lh_take_i32(&body);
            for (int32_t n = 0; n < count; n++) {
                reason = lh_change(&body, message, out, row++, &found->objects);
                if (reason) return reason;
            }
            if (!lh_no_diagnostics(&body)) return "diagnostics";
        }
        if (body.failed || body.at != body.end) return "a body of another length";
    }
    return NULL;
}

#endif
