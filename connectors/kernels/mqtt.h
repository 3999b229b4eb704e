/* MQTT packets in a buffer: where each ends, and the parts of a PUBLISH.
 *
 * Source: MQTT 3.1.1 and 5.0 (OASIS), sections 1.5, 2 and 3.3. Nothing outside [data, data + size)
 * is read, whatever the bytes say.
 */
#ifndef LH_MQTT_H
#define LH_MQTT_H

#include <stdint.h>

#define LH_MQTT_PUBLISH 3

enum {
    LH_MQTT_MORE = 0, /* not all there */
    LH_MQTT_WHOLE = 1,
    LH_MQTT_LENGTH = -1, /* a length of more than 4 bytes, or a cut one */
    LH_MQTT_TOPIC = -2,  /* a topic longer than its packet */
    LH_MQTT_SHORT = -3,  /* a number or a string cut short */
    LH_MQTT_QOS = -4,    /* not 0 or 1, or 1 without an identifier */
    LH_MQTT_PROPERTY = -5, /* one that nobody knows, or out of its bounds */
    LH_MQTT_ALIAS = -6,  /* topic alias 0, or none in place of a topic */
};

typedef struct {
    uint8_t first;   /* type and flags */
    int64_t body;    /* where the body begins */
    int64_t size;    /* bytes of the body, which may not be all there */
} lh_mqtt_packet;

typedef struct {
    int64_t topic, topic_size, payload; /* payload: where it begins; it goes on to the end */
    int mid, qos, retained, alias;
} lh_mqtt_publish;

/* Bytes of a property's value; 5: a varint, 6: a string or bytes, 7: a pair of strings, 0: none. */
static inline int lh_mqtt_kind(uint8_t number) {
    static const uint8_t kinds[0x2B] = {
        0, 1, 4, 6, 0, 0, 0, 0, 6, 6, 0, 5, 0, 0, 0, 0, /* 0x00 */
        0, 4, 6, 2, 0, 6, 6, 1, 4, 1, 6, 0, 6, 0, 0, 6, /* 0x10 */
        0, 2, 2, 2, 1, 1, 7, 4, 1, 1, 1,                /* 0x20 */
    };
    return number < sizeof kinds ? kinds[number] : 0;
}

/* A number of 7 bits a byte; returns where it ends, 0 when `end` comes first, or LENGTH. */
static inline int64_t lh_mqtt_varint(
    const uint8_t *data, int64_t at, int64_t end, int64_t *value
) {
    int64_t sum = 0;
    for (int k = 0; k < 4; k++) {
        if (at + k >= end) return 0;
        sum |= (int64_t)(data[at + k] & 127) << 7 * k;
        if (data[at + k] < 128) {
            *value = sum;
            return at + k + 1;
        }
    }
    return LH_MQTT_LENGTH;
}

static inline int64_t lh_mqtt_word(const uint8_t *data, int64_t at) {
    return (int64_t)data[at] << 8 | data[at + 1];
}

/* First byte and length of the packet at `at`: WHOLE when these are there, MORE, or LENGTH. */
static inline int lh_mqtt_next(
    const uint8_t *data, int64_t at, int64_t end, lh_mqtt_packet *out
) {
    if (at >= end) return LH_MQTT_MORE;
    const int64_t body = lh_mqtt_varint(data, at + 1, end, &out->size);
    if (body <= 0) return body ? LH_MQTT_LENGTH : LH_MQTT_MORE;
    out->first = data[at], out->body = body;
    return LH_MQTT_WHOLE;
}

/* Walk the properties at `at`; returns where they end, or an error. */
static inline int64_t lh_mqtt_properties(
    const uint8_t *data, int64_t at, int64_t end, int *alias
) {
    int64_t size = 0, number = 0;
    at = lh_mqtt_varint(data, at, end, &size);
    if (at <= 0) return LH_MQTT_LENGTH;
    if (size > end - at) return LH_MQTT_PROPERTY;
    end = at + size;
    while (at < end) {
        const int kind = lh_mqtt_kind(data[at]);
        const int is_alias = data[at++] == 0x23;
        if (kind == 0) return LH_MQTT_PROPERTY;
        if (kind == 5) {
            at = lh_mqtt_varint(data, at, end, &number);
            if (at <= 0) return LH_MQTT_LENGTH;
        } else if (kind < 5) {
            if (end - at < kind) return LH_MQTT_PROPERTY;
            if (is_alias) {
                *alias = (int)lh_mqtt_word(data, at);
                if (*alias == 0) return LH_MQTT_ALIAS;
            }
            at += kind;
        } else {
            for (int k = 5; k < kind; k++) {
                if (end - at < 2 || end - at - 2 < lh_mqtt_word(data, at)) return LH_MQTT_PROPERTY;
                at += 2 + lh_mqtt_word(data, at);
            }
        }
    }
    return at;
}

/* Parts of a PUBLISH whose body, or as much of it as is there, is [body, end). */
static inline int lh_mqtt_parts(
    const uint8_t *data, uint8_t first, int64_t body, int64_t end, int five, lh_mqtt_publish *out
) {
    int64_t at = body;
    out->qos = first >> 1 & 3, out->retained = first & 1, out->mid = 0, out->alias = 0;
    if (end - at < 2) return LH_MQTT_SHORT;
    out->topic_size = lh_mqtt_word(data, at);
    out->topic = at += 2;
    if (out->topic_size > end - at) return LH_MQTT_TOPIC;
    at += out->topic_size;
    if (out->qos) {
        if (end - at < 2) return LH_MQTT_SHORT;
        out->mid = (int)lh_mqtt_word(data, at);
        at += 2;
    }
    if (out->qos > 1 || (out->qos == 1 && out->mid == 0)) return LH_MQTT_QOS;
    if (five) {
        at = lh_mqtt_properties(data, at, end, &out->alias);
        if (at < 0) return (int)at;
    }
    if (out->topic_size == 0 && out->alias == 0) return LH_MQTT_ALIAS;
    out->payload = at;
    return LH_MQTT_WHOLE;
}

#endif
