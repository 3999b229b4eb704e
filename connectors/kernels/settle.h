/* Changes to rows of series: whose type a null value has, which time counts, what a status says.
 *
 * OPC 10000-4, 7.38 and 7.39: limit and overflow bits of a status code.
 */
#ifndef LH_SETTLE_H
#define LH_SETTLE_H

#include <stdint.h>
#include <string.h>

#include "publish.h"

enum {
    LH_TYPES = 9, /* of storage_engine.sample, 1 to 8; 0: of no series */
    LH_OVERFLOW_MASK = 0x0C80,
    LH_OVERFLOW = 0x0480, /* info type data value, overflow bit */
};

#define LH_BAD_NODE_ID_INVALID 0x80330000u
#define LH_BAD_NODE_ID_UNKNOWN 0x80340000u

typedef struct {
    int64_t rows[LH_TYPES];  /* by type; [0] are of handles that nobody knows */
    int64_t nulls[LH_TYPES]; /* those without a value */
    int64_t overflows;
    int64_t gone;            /* rows whose status says that there is no such node */
    int64_t newest_ns;
} lh_settled;

/* Source time, else server time, else the time of receipt. */
static inline int64_t lh_time_of(const lh_changes *in, int64_t row, int64_t received_ns) {
    if (in->present[row] & LH_HAS_SOURCE) return in->source_ns[row];
    return in->present[row] & LH_HAS_SERVER ? in->server_ns[row] : received_ns;
}

/* `types` holds the type each item had last, 0 for none, `last_ns` its latest time; both learn, and
 * handles are places in them. `before_ns` is written for rows with the overflow bit alone: the
 * item's latest time before the row. `series` is each row's type, 0 for a handle beyond `items`;
 * `valid` says which rows have a value.
 */
static inline void lh_settle(const lh_changes *in, int64_t rows, uint8_t *types, int64_t *last_ns,
                             int64_t items, int64_t received_ns, uint8_t *series, uint8_t *valid,
                             int64_t *time_ns, int64_t *before_ns, lh_settled *out) {
    memset(out, 0, sizeof *out);
    out->newest_ns = INT64_MIN;
    for (int64_t row = 0; row < rows; row++) {
        const int64_t handle = in->handle[row];
        const uint32_t status = in->status[row];
        const uint8_t type = in->type[row];
        const int64_t time = lh_time_of(in, row, received_ns);
        time_ns[row] = time;
        valid[row] = type != 0;
        series[row] = 0;
        if (handle >= items) {
            out->rows[0]++;
            continue;
        }
        if (type) types[handle] = type;
        const uint8_t settled = types[handle] ? types[handle] : LH_FLOAT64;
        series[row] = settled;
        out->rows[settled]++;
        out->nulls[settled] += !type;
        if ((status & LH_OVERFLOW_MASK) == LH_OVERFLOW) {
            out->overflows++;
            before_ns[row] = last_ns[handle];
        }
        if (time > last_ns[handle]) last_ns[handle] = time;
        out->gone += status == LH_BAD_NODE_ID_INVALID || status == LH_BAD_NODE_ID_UNKNOWN;
        if (time > out->newest_ns) out->newest_ns = time;
    }
}

#endif
