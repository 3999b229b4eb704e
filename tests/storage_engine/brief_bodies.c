/* Folds of packed runs under sanitizers: columns as they are, cut, and with bits turned.
 *
 * Bodies are allocated to the byte, so that one step too far is seen. A whole one must give every
 * row, and the extremes of a plain loop; any other an error or an answer.
 */
#include <stdio.h>

#include "targets.h"

#include "brief_many.h"

enum { ROWS = 3 * LH_VECTOR + 77, TIMES = 5, VALUES = 4, MANY = 150, WINDOWS = 40 };

static uint64_t state = 88172645463325252u;
static long asked, refused;

static uint64_t any(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void check(const char *what, int holds)
{
    if (!holds) {
        printf("%s\n", what);
        exit(1);
    }
}

static lh_place place_of(int codec, const uint8_t *body, int64_t size)
{
    uint8_t *exact = malloc((size_t)size + !size);
    memcpy(exact, body, (size_t)size);
    return (lh_place){exact, (uint32_t)size, (uint16_t)codec, 8};
}

static uint8_t *child(uint8_t *p, const int64_t *v, int64_t n)
{
    const int64_t size = lh_packed_encode(v, n, NULL, p + 5);
    lh_child_head(p, LH_PACKED, size);
    return p + 5 + size;
}

static lh_place times(int kind, int64_t *time, uint8_t *room)
{
    int64_t at = 0;
    for (int64_t i = 0; i < ROWS; i++) {
        if (kind == 0) at = i * 1000;                                  /* a line */
        else if (kind == 1) at = i * 1000 + (int64_t)(any() % 9);      /* offsets from one */
        else if (kind == 2) at += 1 + (int64_t)(any() % 5 ? 1 : any() % 99999); /* gaps */
        else at = i * 1000 + (i % 300 == 7 ? 900 : (int64_t)(any() % 4)); /* patches; raw */
        time[i] = at;
    }
    if (kind == 4) return place_of(LH_RAW, (const uint8_t *)time, ROWS * 8);
    return place_of(LH_PACKED, room, lh_packed_encode(time, ROWS, NULL, room));
}

static lh_place values(int kind, double *value, uint8_t *room)
{
    int64_t v[ROWS], lengths[ROWS], runs = 0;
    for (int64_t i = 0; i < ROWS; i++) {
        v[i] = kind == 1 ? (int64_t)(any() % 3) - 1 : 7000 + (int64_t)(any() % 99);
        value[i] = (double)v[i] / 100;
    }
    if (kind < 2) { /* decimals */
        room[0] = 2, room[1] = 0;
        return place_of(LH_DECIMAL, room, child(room + 2, v, ROWS) - room);
    }
    if (kind == 2) return place_of(LH_RAW, (const uint8_t *)value, ROWS * 8);
    for (int64_t i = 0; i < ROWS; runs++) {
        lengths[runs] = 1 + (int64_t)(any() % 300);
        if (lengths[runs] > ROWS - i) lengths[runs] = ROWS - i;
        for (int64_t j = 1; j < lengths[runs]; j++) value[i + j] = value[i];
        memcpy(v + runs, value + i, 8);
        i += lengths[runs];
    }
    lh_store(room, (uint64_t)runs, 4);
    return place_of(LH_RLE, room, child(child(room + 4, v, runs), lengths, runs) - room);
}

static int64_t edge[WINDOWS + 1], counts[2][MANY * WINDOWS];
static uint64_t cells[4][MANY * WINDOWS];
static double sums[2][MANY * WINDOWS];

static void fold(const lh_run *run, lh_brief_series *series, int64_t many, uint32_t flags)
{
    static const int stop = 0;
    lh_briefs *room = lh_briefs_room();
    uint8_t *scratch = lh_read_scratch();
    const lh_brief_work work = {
        series, many, 0, edge, WINDOWS,
        {counts[0], counts[1], cells[0], cells[1], cells[2], cells[3], sums[0], sums[1]},
        flags, &stop};
    for (int64_t i = 0; i < many; i++) series[i] = (lh_brief_series){run, 1, LH_FOLD_F64, 0};
    check("no memory", lh_brief_many(&work, 3, room, scratch) == 0);
    free(room), free(scratch);
    asked++;
    refused += series[0].got < 0;
}

static void spoil(lh_run *run, lh_place *place)
{
    lh_brief_series one[1];
    const lh_place whole = *place;
    const int64_t size = whole.size, step = size > 400 ? size / 40 : 1;
    for (int64_t at = 0; at < size; at += at < 60 || at > size - 30 ? 1 : step) {
        *place = place_of(whole.codec, whole.body, at);
        fold(run, one, 1, 0);
        free((void *)place->body);
        for (int bit = 0; bit < 8; bit++) {
            *place = place_of(whole.codec, whole.body, size);
            ((uint8_t *)place->body)[at] ^= (uint8_t)(1 << bit);
            fold(run, one, 1, 0);
            free((void *)place->body);
        }
    }
    *place = whole;
}

static void whole(const lh_run *run, const int64_t *time, const double *value)
{
    static lh_brief_series series[MANY];
    fold(run, series, MANY, LH_BRIEF_DECODE);
    for (int64_t s = 0; s < MANY; s++) {
        check("no answer", series[s].got == 0);
        for (int64_t k = 0, i = 0; k < WINDOWS; k++) {
            const int64_t at = s * WINDOWS + k;
            int64_t rows = 0;
            double low = INFINITY, high = -INFINITY, least, most;
            while (i < ROWS && time[i] < edge[k]) i++;
            for (; i < ROWS && time[i] < edge[k + 1]; i++, rows++) {
                low = value[i] < low ? value[i] : low;
                high = value[i] > high ? value[i] : high;
            }
            memcpy(&least, &cells[0][at], 8);
            memcpy(&most, &cells[1][at], 8);
            check("other rows", counts[0][at] == rows && counts[1][at] == rows);
            check("other extremes", rows == 0 || (least == low && most == high));
            check("other mean", rows == 0 || (sums[1][at] >= low && sums[1][at] <= high));
        }
    }
}

int main(void)
{
    static int64_t time[ROWS];
    static double value[ROWS];
    static uint8_t room[ROWS * 20];
    for (int t = 0; t < LH_TARGETS; t++)
        if (lh_target_runs(t)) lh_kernels = lh_targets[t];
    for (int kind = 0; kind < TIMES * VALUES; kind++) {
        lh_run run = {0};
        run.time = times(kind % TIMES, time, room);
        run.value = values(kind / TIMES, value, room);
        run.first = time[0], run.last = time[ROWS - 1];
        run.rows = run.block_rows = ROWS;
        run.flags = LH_RUN_RISING | LH_RUN_ALONE | LH_RUN_LOADED | LH_RUN_GOOD | LH_RUN_WHOLE;
        const int64_t begin = time[ROWS / 9], span = time[ROWS - 1] - begin;
        for (int64_t k = 0; k <= WINDOWS; k++) edge[k] = begin + span * k / (kind % 2 ? 35 : 80);
        whole(&run, time, value);
        spoil(&run, &run.time);
        spoil(&run, &run.value);
        free((void *)run.time.body), free((void *)run.value.body);
    }
    printf("asked %ld, refused %ld\n", asked, refused);
    return asked > 1000 && refused > 100 && refused < asked ? 0 : 1;
}
