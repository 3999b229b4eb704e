/* Exact folds under sanitizers: rows allocated to the byte, cut anywhere, merged, written as words.
 *
 * Whatever the values, the state of all rows is that of its pieces merged. Words that nothing wrote
 * give some state, and no step out of bounds.
 */
#include <stdio.h>

#include "fold_result.h"
#include "fold_words.h"

enum { TIMES = 700, ROWS_MAX = 2600, PIECES = 6, FORGED = 4000 };

static uint64_t state = 88172645463325252u;
static long wide, words, told;

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

static uint64_t cell_of(int type, int wild, uint64_t *walk)
{
    static const double odd[] = {0.0, -0.0, 1e308, -1e308, 5e-324, 2.2e-308, 0.1, 3.0, 1e-300};
    double x = odd[any() % 9];
    uint64_t cell = any();
    float narrow;
    *walk += any() % 5 - 2;
    if (wild == 0 || wild == 2) x = (double)(int64_t)*walk * (wild ? 1e-3 : 1.0);
    if (wild == 3) x = (double)(any() % 3);
    if (wild == 4 && any() % 3) x = any() % 2 ? (double)INFINITY : (double)NAN;
    if (type == LH_FOLD_F64) {
        if (wild != 5) memcpy(&cell, &x, 8);
    } else if (type == LH_FOLD_F32) {
        narrow = (float)(x < -3e38 ? -3e38 : x > 3e38 ? 3e38 : x);
        cell = (uint32_t)cell;
        if (wild != 5) memcpy(&cell, &narrow, 4);
    } else if (type == LH_FOLD_BOOL) {
        cell = wild == 5 ? (cell & 255) : *walk >> 3 & 1;
    } else if (wild < 4) {
        cell = wild == 3 ? any() % 3 : *walk + 1000;
    }
    return cell;
}

/* Columns of n rows, each in memory of its own size. */
static lh_fold_columns made(int type, int64_t n)
{
    static const int width[] = {8, 4, 8, 8, 1, 8, 1};
    const int wild = (int)(any() % 6), graded = any() % 2, masked = any() % 2, far = any() % 8 == 0;
    int64_t *time = malloc((size_t)n * 8 + !n);
    uint8_t *value = malloc((size_t)(n * width[type]) + !n), *valid = malloc((size_t)n + !n);
    uint32_t *quality = malloc((size_t)n * 4 + !n);
    int64_t at = far ? INT64_MIN : (int64_t)(any() % 1000);
    uint64_t walk = any() % 100, step = far ? UINT64_C(1) << 52 : 1 + any() % 2000000000u;
    for (int64_t i = 0; i < n; i++) {
        const uint64_t cell = cell_of(type, wild, &walk);
        if (type != LH_FOLD_NONE) memcpy(value + i * width[type], &cell, (size_t)width[type]);
        quality[i] = any() % 50 ? 0 : (uint32_t)any();
        valid[i] = any() % 50 != 0;
        time[i] = at;
        at += (int64_t)(step + any() % (step / 16 + 2) * (any() % 2));
    }
    if (!graded) free(quality);
    if (!masked) free(valid);
    return (lh_fold_columns){time, value, graded ? quality : NULL, masked ? valid : NULL, type};
}

static void dropped(lh_fold_columns *c)
{
    free((void *)c->time);
    free((void *)c->value);
    free((void *)c->quality);
    free((void *)c->valid);
}

static void same(const char *what, const lh_fold_state *a, const lh_fold_state *b)
{
    lh_fold_state x = *a, y = *b;
    for (int k = 0; k < LH_SUMS; k++) {
        const lh_wide *p = a->wide[k], *q = b->wide[k];
        check(what, !p == !q);
        wide += p != NULL;
        if (p) {
            check(what, p->low == q->low && p->high == q->high);
            check(what, !memcmp(p->limb, q->limb, 8 * (size_t)(p->high - p->low)));
        }
        x.wide[k] = y.wide[k] = NULL;
        for (int j = 0; j < 3; j++) { /* a NaN has any bits */
            if (x.sum[k][j] != x.sum[k][j] && y.sum[k][j] != y.sum[k][j]) {
                x.sum[k][j] = y.sum[k][j] = 0.0;
            }
        }
    }
    check(what, !a->codes == !b->codes);
    if (a->codes) {
        told++;
        check(what, a->codes->count == b->codes->count);
        check(what, !memcmp(a->codes->held, b->codes->held,
                            sizeof(lh_held) * (size_t)a->codes->count));
    }
    x.codes = y.codes = NULL;
    check(what, !memcmp(&x, &y, offsetof(lh_fold_state, exact) + 1));
}

/* One state through words and back; it comes back whole where the words hold it. */
static void through_words(const lh_fold_state *s, int type)
{
    const uint64_t period = any() % 3 ? any() % 2000000000u : 0;
    lh_exact rest[LH_SUMS];
    lh_word_column columns[LH_SUMS];
    uint64_t *word[LH_SUMS];
    uint32_t known = lh_fold_rests(s, type, period, rest), kept = known;
    for (int k = 0; k < LH_SUMS; k++) {
        int32_t low = 0, high = -1;
        uint8_t fives = 0;
        word[k] = calloc(LH_WORDS_MAX, 8);
        columns[k] = (lh_word_column){0, 1, 0, word[k]};
        if (!(known >> k & 1u) || !lh_extent(&rest[k], &low, &high, &fives)) continue;
        if (high - low >= 64 * LH_WORDS_MAX - 2 || low > 3000) kept &= ~(1u << k);
        else {
            uint32_t by = 1;
            while (fives--) by *= 5;
            columns[k].bit = low, columns[k].by = by, columns[k].count = LH_WORDS_MAX;
            lh_to_words(&rest[k], low, by, LH_WORDS_MAX, word[k]);
        }
    }
    if (kept == known) {
        lh_fold_state back = *s;
        back.exact = 0, back.codes = NULL;
        memset(back.wide, 0, sizeof back.wide);
        memset(back.sum, 0, sizeof back.sum);
        check("memory", !lh_fold_unpack(&back, type, period, known, columns, 0, 1));
        for (int k = 0; k < LH_SUMS; k++) {
            if (!(known >> k & 1u)) continue;
            check("words", !memcmp(back.sum[k], s->sum[k], 24) && !back.wide[k] == !s->wide[k]);
            words++;
        }
        lh_fold_free(&back);
    }
    for (int k = 0; k < LH_SUMS; k++) free(word[k]);
}

static void whole_and_cut(int type, int64_t n)
{
    lh_fold_columns c = made(type, n);
    uint8_t wanted[PIECES];
    int64_t place[PIECES + 1] = {0}, start[1] = {0}, source[PIECES] = {0}, row[PIECES];
    lh_fold_state whole, merged, piece[PIECES];
    memset(wanted, LH_EVERY | LH_DURATIONS, sizeof wanted);
    for (int k = 1; k < PIECES; k++) place[k] = (int64_t)(any() % (uint64_t)(n + 1));
    for (int i = 1; i < PIECES; i++) {
        for (int k = i; k > 1 && place[k] < place[k - 1]; k--) {
            const int64_t other = place[k];
            place[k] = place[k - 1], place[k - 1] = other;
        }
    }
    place[PIECES] = n;
    const int64_t ends[2] = {0, n};
    const uint64_t base[1] = {(uint64_t)(uintptr_t)piece};
    for (int k = 0; k < PIECES; k++) row[k] = k;
    check("memory", !lh_fold_places(&c, ends, 1, wanted, &whole));
    check("memory", !lh_fold_places(&c, place, PIECES, wanted, piece));
    check("memory", !lh_fold_groups(type, base, source, row, PIECES, start, 1, &merged));
    if (type >= LH_FOLD_CODE) whole.exact &= LH_DURATIONS, merged.exact &= LH_DURATIONS;
    same("a cut changes the state", &whole, &merged);
    for (int64_t what = 0; what <= LH_RESULT_SLOPED_MEAN; what++) {
        const double a = lh_fold_result(&whole, what), b = lh_fold_result(&merged, what);
        check("a cut changes a result", a == b || (a != a && b != b));
    }
    if (type < LH_FOLD_CODE) through_words(&whole, type);
    for (int k = 0; k < PIECES; k++) lh_fold_free(&piece[k]);
    lh_fold_free(&whole);
    lh_fold_free(&merged);
    dropped(&c);
}

static void forged(void)
{
    lh_fold_state s, merged;
    lh_word_column columns[LH_SUMS];
    uint64_t word[LH_SUMS][LH_WORDS_MAX];
    static const uint32_t by[] = {1, 5, 1220703125};
    uint8_t *bytes = (uint8_t *)&s;
    const int type = (int)(any() % 5);
    for (size_t i = 0; i < sizeof s; i++) bytes[i] = (uint8_t)any();
    memset(s.wide, 0, sizeof s.wide);
    s.codes = NULL, s.exact = 0, s.rows = s.good = 1 + (int64_t)(any() % 1024);
    s.uncertain = s.bad = 0, s.resets = (int64_t)(any() % 2), s.transitions = 0;
    for (int k = 0; k < LH_SUMS; k++) {
        for (int w = 0; w < LH_WORDS_MAX; w++) word[k][w] = any() % 4 ? any() : 0 - any() % 2;
        columns[k] = (lh_word_column){
            (int32_t)(any() % 3001), by[any() % 3], (int32_t)(any() % 5), word[k]};
    }
    check("memory", !lh_fold_unpack(&s, type, any(), (uint32_t)any() & 31u, columns, 0, 1));
    const uint64_t base[1] = {(uint64_t)(uintptr_t)&s};
    const int64_t source[3] = {0}, row[3] = {0}, start[1] = {0};
    check("memory", !lh_fold_groups(type, base, source, row, 3, start, 1, &merged));
    for (int64_t what = 0; what <= LH_RESULT_SLOPED_MEAN; what++) lh_fold_result(&merged, what);
    lh_fold_free(&s);
    lh_fold_free(&merged);
}

int main(void)
{
    for (int i = 0; i < TIMES; i++) {
        const int64_t n = i % 10 ? (int64_t)(any() % 90) : (int64_t)(any() % ROWS_MAX);
        whole_and_cut((int)(any() % 7), n);
    }
    for (int i = 0; i < FORGED; i++) forged();
    check("nothing was wide", wide > 20);
    check("no words", words > 500);
    check("no durations", told > 50);
    return 0;
}
