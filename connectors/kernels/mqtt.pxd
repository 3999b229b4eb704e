from libc.stdint cimport int64_t, uint8_t

cdef extern from "mqtt.h" nogil:
    enum:
        LH_MQTT_PUBLISH, LH_MQTT_MORE, LH_MQTT_WHOLE

    ctypedef struct lh_mqtt_packet:
        uint8_t first
        int64_t body
        int64_t size

    ctypedef struct lh_mqtt_publish:
        int64_t topic
        int64_t topic_size
        int64_t payload
        int mid
        int qos
        int retained
        int alias

    int lh_mqtt_next(
        const uint8_t *data, int64_t at, int64_t end, lh_mqtt_packet *out) noexcept
    int lh_mqtt_parts(
        const uint8_t *data, uint8_t first, int64_t body, int64_t end, int five,
        lh_mqtt_publish *out) noexcept
