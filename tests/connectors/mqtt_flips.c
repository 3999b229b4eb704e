/* Every prefix and every single-bit flip of packets through kernels/mqtt.h, allocated to the byte. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mqtt.h"

/* Messages understood in all of it, or -1 for an error. */
static int walk(const uint8_t *bytes, int64_t size, int five) {
    uint8_t *data = malloc((size_t)size + (size == 0));
    int64_t at = 0;
    int found = 0;
    memcpy(data, bytes, (size_t)size);
    while (found >= 0) {
        lh_mqtt_packet packet;
        lh_mqtt_publish parts;
        const int got = lh_mqtt_next(data, at, size, &packet);
        if (got == LH_MQTT_MORE) break;
        if (got < 0 || packet.body + packet.size > size) {
            found = got < 0 ? -1 : found;
            break;
        }
        at = packet.body + packet.size;
        if (packet.first >> 4 != LH_MQTT_PUBLISH) continue;
        if (lh_mqtt_parts(data, packet.first, packet.body, at, five, &parts) != LH_MQTT_WHOLE) {
            found = -1;
        } else if (parts.topic + parts.topic_size > at || parts.payload > at || parts.payload < 0) {
            exit(5);
        } else {
            found++;
        }
    }
    free(data);
    return found;
}

int main(int count, char **arguments) {
    static uint8_t bytes[1 << 16];
    FILE *file = count == 4 ? fopen(arguments[1], "rb") : NULL;
    if (!file) return 2;
    const int64_t size = (int64_t)fread(bytes, 1, sizeof bytes, file);
    const int five = atoi(arguments[2]), want = atoi(arguments[3]);
    fclose(file);
    if (walk(bytes, size, five) != want) return 3;
    for (int64_t k = 0; k < size; k++)
        if (walk(bytes, k, five) < 0) return 4;
    for (int64_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        walk(bytes, size, five);
        walk(bytes, size, !five);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    return 0;
}
