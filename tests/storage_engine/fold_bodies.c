/* Exact folds under sanitizers: rows allocated to the byte, cut anywhere, merged, written as words.
 *
 * Whatever the values, the state of all rows is that of its pieces merged. Words that nothing wrote
 * give some state, and no step out of bounds.
 */
#include <stdio.h>

#include "fold_result.h"
#include "fold_words.h"

#include "fold_rows_made.h"

enum { TIMES = 700, ROWS_MAX = 2600, PIECES = 6, FORGED = 4000 };

static long words;

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
    lh_fold_columns c = made(type, n, (int)(any() % WILD));
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
