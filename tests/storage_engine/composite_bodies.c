/* Codecs 9 to 14 under sanitizers: bodies as they are, cut, and with bits turned, on every target.
 *
 * Body, output and scratch are allocated to the byte. Every answer must be that of kernel 0.
 */
#include <stdio.h>

#include "plans.h"
#include "targets.h"

enum { ROWS = LH_VECTOR + 77, KINDS = 8, PLANS = LH_PLANS_MAX + 4 };

static uint64_t state = 88172645463325252u;
static long asked, refused, written[LH_RLE + 1];

static uint64_t any(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double value(int kind, int64_t i, double before)
{
    const double step = (double)(any() % 9) - 4;
    switch (kind) {
    case 0:
        return nearbyint(before * 100 + step) / 100;
    case 1:
        return (double)(any() % 4096) * (16.0 / 4095.0);
    case 2:
        return before + step * 0.0123456789 + 1e-9;
    case 3:
        return any() % 50 ? before : nearbyint(step * 3) / 10;
    case 4:
        return any() % 20 ? nearbyint(before * 10 + step) / 10 : NAN;
    case 5:
        return sqrt((double)(any() % 9));
    case 6:
        return (nearbyint(before * 1000 + step) / 1000) * 1.1 / 1.1;
    default:
        return i % 2 ? -1.5 * (double)(any() >> 12) : 1e-300 * (double)(any() >> 12);
    }
}

static void check(const char *what, int kind, int codec, int holds)
{
    if (!holds) {
        printf("%s, kind %d, codec %d\n", what, kind, codec);
        exit(1);
    }
}

static void ask(int codec, const uint8_t *body, int64_t size, int64_t rows, int item, int kind)
{
    uint8_t *exact = malloc((size_t)size + !size);
    uint8_t *out = malloc((size_t)(rows * item)), *same = malloc((size_t)(rows * item));
    uint8_t *scratch = aligned_alloc(64, lh_column_scratch_bytes());
    int first = 0;
    memcpy(exact, body, (size_t)size);
    for (int t = 0; t < LH_TARGETS; t++) {
        if (!lh_target_runs(t))
            continue;
        uint8_t *into = t ? same : out;
        int answer = lh_targets[t]->column_decode(codec, exact, size, rows, item, 0, rows, into,
                                                  scratch);
        if (t == 0)
            first = answer;
        check("an answer of no kind", kind, codec,
              answer == LH_OK || answer == LH_ECORRUPT || answer == LH_EUNKNOWN);
        check("targets disagree", kind, codec, answer == first);
        check("targets differ", kind, codec,
              answer || memcmp(out, into, (size_t)(rows * item)) == 0);
        if (rows > LH_VECTOR && !answer) {
            int64_t count = rows - LH_VECTOR;
            uint8_t *part = malloc((size_t)(count * item));
            answer = lh_targets[t]->column_decode(codec, exact, size, rows, item, LH_VECTOR, count,
                                                  part, scratch);
            check("another vector alone", kind, codec,
                  !answer && !memcmp(part, out + LH_VECTOR * item, (size_t)(count * item)));
            free(part);
        }
    }
    asked++;
    refused += first != LH_OK;
    free(exact), free(out), free(same), free(scratch);
}

static void spoil(int codec, const uint8_t *body, int64_t size, int64_t rows, int item, int kind)
{
    uint8_t *other = malloc((size_t)size);
    const int64_t step = size > 300 ? size / 40 : 1;
    for (int64_t cut = 0; cut < size; cut += cut < 80 || cut > size - 40 ? 1 : step)
        ask(codec, body, cut, rows, item, kind);
    for (int64_t at = 0; at < size; at += at < 80 || at > size - 40 ? 1 : step)
        for (int bit = 0; bit < 8; bit++) {
            memcpy(other, body, (size_t)size);
            other[at] ^= (uint8_t)(1 << bit);
            ask(codec, other, size, rows, item, kind);
        }
    free(other);
}

/* One plan on all targets: one body, which gives back the values; then that body spoiled. */
static void attempt(const lh_plan *plan, const uint8_t *values, int64_t rows, int item, int kind)
{
    const size_t room = (size_t)lh_encode_room(rows);
    uint8_t *body = malloc(room), *more = malloc(room);
    uint8_t *work = aligned_alloc(64, ((size_t)lh_encode_work_bytes(rows) + 63) / 64 * 64);
    int64_t size = 0;
    for (int t = 0; t < LH_TARGETS; t++) {
        if (!lh_target_runs(t))
            continue;
        lh_plan mine = *plan;
        int64_t got = lh_targets[t]->number_encode(&mine, values, rows, item, more, work);
        check("other bytes", kind, plan->codec,
              t == 0 || (got == size && !memcmp(more, body, (size_t)size)));
        size = got;
        memcpy(body, more, (size_t)size);
    }
    if (size) {
        written[plan->codec]++;
        spoil(plan->codec, body, size, rows, item, kind);
    }
    free(body), free(more), free(work);
}

int main(void)
{
    const int64_t rows[] = {1, 3, 70, ROWS};
    for (int kind = 0; kind < KINDS; kind++)
        for (int turn = 0; turn < 8; turn++) {
            const int64_t n = rows[turn / 2];
            const int item = turn % 2 ? 8 : 4;
            uint8_t *values = malloc((size_t)(n * item));
            double before = 70;
            for (int64_t i = 0; i < n; i++) {
                double x = value(kind, i, before);
                float narrow = (float)x;
                before = isfinite(x) && fabs(x) < 1e6 ? x : before;
                memcpy(values + i * item, item == 8 ? (void *)&x : (void *)&narrow, (size_t)item);
            }
            lh_plan plans[PLANS];
            int count = lh_plans_find(values, n, item, plans);
            for (int codec = LH_DISTINCT; codec <= LH_RLE; codec++) {
                plans[count] = plans[0];
                plans[count].inner = plans[0].codec;
                plans[count++].codec = codec;
            }
            for (int i = 0; i < count; i++)
                attempt(plans + i, values, n, item, kind);
            free(values);
        }
    for (int codec = LH_DECIMAL; codec <= LH_RLE; codec++)
        check("never written", 0, codec, written[codec] > 0);
    printf("asked %ld, refused %ld\n", asked, refused);
    return asked > 1000 && refused > 100 && refused < asked ? 0 : 1;
}
