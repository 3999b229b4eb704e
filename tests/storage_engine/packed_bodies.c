/* Codec 8 under sanitizers: bodies as they are, cut, and with bits turned, on every target.
 *
 * Body and output are allocated to the byte, so that one step too far is seen. Every answer must be
 * that of kernel 0: the same error, or the same values.
 */
#include <stdio.h>

#include "targets.h"

enum { ROWS = 2 * LH_VECTOR + 77, KINDS = 12 };

static uint64_t state = 88172645463325252u;
static long asked, refused;

static uint64_t any(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static int64_t value(int kind, int64_t i, uint64_t *walk)
{
    const uint64_t r = any();
    switch (kind) {
    case 0:
        return (int64_t)r;
    case 1:
        return INT64_MIN + (int64_t)(r & 7);
    case 2: /* a jittered grid whose step is no integer */
        return i * 1000003 / 7 + (int64_t)(r & 31);
    case 3: /* in milliseconds, falling */
        return -i * 1000000000 + (int64_t)(r & 3) * 1000000;
    case 4:
        return (int64_t)(*walk += r % 9 - 4);
    case 5: /* a smooth curve */
        return i * i * 3 + (int64_t)(r & 1);
    case 6:
        return i % 200 == 7 ? (int64_t)r : (int64_t)(r & 15);
    case 7:
        return i % 300 == 7 ? INT64_MIN : INT64_MAX;
    case 8: /* gaps in a grid */
        return (int64_t)(*walk += r % 90 ? 60 : 60 * (r >> 40));
    case 9: /* across the sign, wrapping */
        return (int64_t)(*walk += (uint64_t)1 << 62 | (r & 63));
    case 10:
        return i == 1500;
    default:
        return i;
    }
}

static void check(const char *what, int kind, int holds)
{
    if (!holds) {
        printf("%s, kind %d\n", what, kind);
        exit(1);
    }
}

/* The answers of all targets to one body, asked for all rows and for one vector. */
static void ask(const uint8_t *body, int64_t size, int64_t rows, int kind)
{
    uint8_t *exact = malloc((size_t)size + !size);
    int64_t *out = malloc((size_t)rows * 8), *same = malloc((size_t)rows * 8);
    memcpy(exact, body, (size_t)size);
    int first = 0;
    for (int t = 0; t < LH_TARGETS; t++) {
        if (!lh_target_runs(t))
            continue;
        lh_kernels = lh_targets[t];
        int64_t *into = t ? same : out;
        int answer = lh_packed_decode(exact, size, rows, 0, rows, into);
        check("neither values nor an error", kind, answer == LH_OK || answer == LH_ECORRUPT);
        if (t == 0)
            first = answer;
        check("targets disagree", kind, answer == first);
        check("targets differ", kind, answer || memcmp(out, into, (size_t)rows * 8) == 0);
        if (rows > LH_VECTOR && !answer) {
            int64_t *part = malloc(LH_VECTOR * 8);
            check("no vector alone", kind,
                  lh_packed_decode(exact, size, rows, LH_VECTOR,
                                   rows - LH_VECTOR < LH_VECTOR ? rows - LH_VECTOR : LH_VECTOR,
                                   part) == LH_OK);
            check("another vector alone", kind, part[0] == into[LH_VECTOR]);
            free(part);
        }
    }
    asked++;
    refused += first != LH_OK;
    free(exact), free(out), free(same);
}

static void spoil(const uint8_t *body, int64_t size, int64_t rows, int kind)
{
    uint8_t *other = malloc((size_t)size);
    /* Fields are dense at the front and patches at the end; between them lie packed numbers. */
    const int64_t step = size > 600 ? size / 60 : 1;
    for (int64_t cut = 0; cut < size; cut += cut < 100 || cut > size - 60 ? 1 : step)
        ask(body, cut, rows, kind);
    for (int64_t at = 0; at < size; at += at < 100 || at > size - 60 ? 1 : step)
        for (int bit = 0; bit < 8; bit++) {
            memcpy(other, body, (size_t)size);
            other[at] ^= (uint8_t)(1 << bit);
            ask(other, size, rows, kind);
        }
    free(other);
}

int main(void)
{
    const int64_t rows[] = {1, 2, 3, 70, LH_VECTOR, LH_VECTOR + 1, ROWS};
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
            const int64_t n = rows[k];
            int64_t *v = malloc((size_t)n * 8), *out = malloc((size_t)n * 8);
            uint8_t *body = malloc((size_t)lh_packed_bound(n)), *more = NULL;
            uint64_t walk = 0;
            int64_t size = 0;
            for (int64_t i = 0; i < n; i++)
                v[i] = value(kind, i, &walk);
            for (int t = 0; t < LH_TARGETS; t++) {
                if (!lh_target_runs(t))
                    continue;
                lh_kernels = lh_targets[t];
                more = malloc((size_t)lh_packed_bound(n));
                int64_t got = lh_packed_encode(v, n, NULL, more);
                check("too long", kind, got <= lh_packed_bound(n));
                check("other bytes", kind,
                      t == 0 || (got == size && memcmp(more, body, (size_t)size) == 0));
                size = got;
                memcpy(body, more, (size_t)size);
                free(more);
                check("no answer", kind, lh_packed_decode(body, size, n, 0, n, out) == LH_OK);
                check("other values", kind, memcmp(out, v, (size_t)n * 8) == 0);
            }
            spoil(body, size, n, kind);
            free(v), free(out), free(body);
        }
    printf("asked %ld, refused %ld\n", asked, refused);
    return asked > 1000 && refused > 100 && refused < asked ? 0 : 1;
}
