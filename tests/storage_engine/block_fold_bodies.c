/* Full folds of packed blocks under sanitizers: whole ones, prefixes of them, and bits turned.
 *
 * A block is allocated to the byte. A whole one gives the states of its rows one by one, with and
 * without summaries; any other an error or an answer. A line per block tells every answer's bits:
 * the kernel that HISTORIAN_KERNELS names must print what the others do. Asked for `more`, all
 * blocks are spoiled, at more places.
 */
#include "plans.h"
#include "targets.h"

#include "block_fold.h"

#include "fold_rows_made.h"

enum { ROWS_MAX = 2 * LH_VECTOR + 77, WINDOWS = 9, FORMS = 3 };
enum { DENSE = 150, PLACES = 12, MORE = 60 };

static const int stop = 0;
static int fill, more;
static long asked, refused, joined;
static uint64_t digest;
static uint8_t *scratch;
static uint8_t work[32 * ROWS_MAX + 320 * 1024] __attribute__((aligned(64)));

/* A block and how it is asked for. */
typedef struct {
    int64_t size, edge[WINDOWS + 1], start, end;
    uint32_t wanted;
    int type;
    lh_run run;
} asked_block;

static void tell(const void *bytes, size_t size)
{
    for (size_t at = 0; at < size; at += 8) {
        const unsigned part = size - at < 8 ? (unsigned)(size - at) : 8;
        const uint64_t word = lh_load((const uint8_t *)bytes + at, part);
        digest = (digest ^ word) * 1099511628211u;
        digest ^= digest >> 29;
    }
}

static void tell_state(const lh_fold_state *s)
{
    lh_fold_state bare = *s;
    memset(bare.wide, 0, sizeof bare.wide);
    bare.codes = NULL;
    tell(&bare, offsetof(lh_fold_state, exact) + 1);
    for (int k = 0; k < LH_SUMS; k++) {
        const lh_wide *w = s->wide[k];
        if (w) tell(&w->low, 8), tell(w->limb, 8 * (size_t)(w->high - w->low));
    }
    if (s->codes) tell(s->codes->held, sizeof(lh_held) * (size_t)s->codes->count);
}

/* One column as a body: raw, packed, or as plans find; its codec. */
static int body_of(
    int form, const uint8_t *values, int64_t n, int item, uint8_t *out, int64_t *size
)
{
    static uint8_t room[1 << 17];
    lh_plan plans[LH_PLANS_MAX];
    int64_t wide[ROWS_MAX], same_rows = 1;
    while (same_rows < n && !memcmp(values, values + same_rows * item, (size_t)item)) same_rows++;
    if (form && n && same_rows == n) {
        *size = item;
        memcpy(out, values, (size_t)item);
        return LH_CONSTANT;
    }
    if (form == 2 && n && item >= 4) {
        const int count = lh_plans_find(values, n, item, plans);
        lh_plan plan = plans[any() % (uint64_t)count];
        if (any() % 2) plan.inner = plan.codec, plan.codec = any() % 2 ? LH_DISTINCT : LH_RLE;
        check("room", lh_encode_room(n) <= (int64_t)sizeof room);
        check("work", lh_encode_work_bytes(n) <= (int64_t)sizeof work);
        *size = lh_kernels->number_encode(&plan, values, n, item, room, work);
        if (*size) memcpy(out, room, (size_t)*size);
        if (*size) return plan.codec;
    }
    if (form && n) {
        const unsigned bytes = (unsigned)item;
        for (int64_t i = 0; i < n; i++) wide[i] = (int64_t)lh_load(values + i * item, bytes);
        *size = lh_packed_encode(wide, n, NULL, out);
        return LH_PACKED;
    }
    *size = n * item;
    if (n) memcpy(out, values, (size_t)*size);
    return LH_RAW;
}

/* Columns as the bytes of a block, laid out as docs/format/segment.md says; its size. */
static int64_t block_of(const lh_fold_columns *c, int64_t n, int form, uint8_t *out)
{
    static uint32_t good[ROWS_MAX];
    const void *values[] = {c->time, c->quality ? c->quality : good, c->value};
    const int role[] = {LH_ROLE_TIME, LH_ROLE_QUALITY, LH_ROLE_DATA};
    const int items[] = {8, 4, item_of[c->type]};
    uint8_t *at = out + LH_BLOCK_HEAD + 3 * LH_BLOCK_ENTRY;
    memset(out, 0, (size_t)(at - out));
    lh_store(out + 4, (uint64_t)n, 4);
    out[8] = 3;
    for (int k = 0; k < 3; k++) {
        uint8_t *entry = out + LH_BLOCK_HEAD + k * LH_BLOCK_ENTRY;
        int64_t size = 0, mask = 0;
        entry[0] = (uint8_t)role[k];
        entry[2] = (uint8_t)body_of(form, values[k], n, items[k], at, &size);
        at += size;
        if (k == 2 && c->valid) entry[3] = (uint8_t)body_of(form, c->valid, n, 1, at, &mask);
        at += mask;
        lh_store(entry + 8, (uint64_t)size, 4);
        lh_store(entry + 12, (uint64_t)mask, 4);
    }
    return at - out;
}

/* Fold a block of `size` bytes into windows; 0, and `out` must be freed whatever it is. */
static int fold(const asked_block *a, const uint8_t *block, int64_t size, lh_fold_state *out)
{
    static lh_windows windows __attribute__((aligned(64)));
    uint8_t *exact = malloc((size_t)size + !size);
    lh_run run = a->run;
    memcpy(exact, block, (size_t)size);
    memset(&windows, fill, sizeof windows); /* each kernel's own: what reads it unset, shows */
    memset(out, 0, WINDOWS * sizeof *out);
    int got = lh_run_load(&run, exact, size, 0, item_of[a->type]);
    if (got == 0) {
        run.flags |= LH_RUN_LOADED;
        if (lh_place_good(&run.quality)) run.flags |= LH_RUN_GOOD;
        if (run.valid.codec == 0) run.flags |= LH_RUN_WHOLE;
        got = lh_windows_begin(&windows, a->type, a->wanted, a->edge, WINDOWS, out);
        check("no memory", got == 0);
        got = lh_windows_runs(&windows, &run, 1, a->start, a->end, scratch, &stop);
        check("an answer of no kind", got == 0 || got == LH_ECORRUPT || got == LH_EUNKNOWN);
        if (got == 0) check("no memory", lh_windows_end(&windows) == 0);
    }
    tell(&got, sizeof got);
    for (int k = 0; k < WINDOWS && got == 0; k++) tell_state(&out[k]);
    asked++;
    refused += got != 0;
    free(exact);
    return got;
}

static void released(lh_fold_state *s, int64_t count)
{
    for (int64_t k = 0; k < count; k++) lh_fold_free(&s[k]);
}

/* Rows one by one, without lanes. */
static void plainly(const asked_block *a, const lh_fold_columns *c, lh_fold_state *out)
{
    const int64_t first = a->run.start, last = first + a->run.rows;
    static lh_folder f;
    for (int k = 0; k < WINDOWS; k++) {
        lh_fold_begin(&f, c->type, a->wanted);
        for (int64_t i = first; i < last; i++) {
            const int64_t at = c->time[i];
            if (at < a->start || at >= a->end || at < a->edge[k] || at >= a->edge[k + 1]) continue;
            lh_fold_row(&f, c, i);
        }
        check("no memory", lh_fold_finish(&f, &out[k]) == 0);
    }
}

/* A whole block: without summaries, with its vectors', with its own, with both. */
static void whole(asked_block *a, const lh_fold_columns *c, const uint8_t *block)
{
    const int64_t first = a->run.start, last = first + a->run.rows;
    int64_t place[ROWS_MAX / LH_VECTOR + 3] = {first}, m = 0;
    uint8_t wanted[ROWS_MAX / LH_VECTOR + 2];
    lh_fold_state out[WINDOWS], plain[WINDOWS], state[1];
    while (place[m] < last) {
        const int64_t next = (place[m] / LH_VECTOR + 1) * LH_VECTOR;
        place[++m] = next < last ? next : last;
    }
    lh_fold_state *vectors = calloc((size_t)m + !m, sizeof *vectors);
    memset(wanted, LH_EVERY | (any() % 2 ? LH_DURATIONS : 0), sizeof wanted);
    const int64_t ends[2] = {first, last};
    check("no memory", !lh_fold_places(c, place, m, wanted, vectors));
    check("no memory", !lh_fold_places(c, ends, 1, wanted, state));
    plainly(a, c, plain);
    for (int k = 0; k < 4; k++) {
        a->run.vectors = k & 1 ? vectors : NULL;
        a->run.state = k & 2 ? state : NULL;
        check("no answer", fold(a, block, a->size, out) == 0);
        for (int w = 0; w < WINDOWS; w++) {
            same("a block's windows are not those of its rows", &out[w], &plain[w]);
            joined += k > 0 && out[w].rows > 0;
        }
        released(out, WINDOWS);
    }
    a->run.vectors = a->run.state = NULL;
    released(plain, WINDOWS), released(vectors, m), released(state, 1);
    free(vectors);
}

/* Prefixes, and bits turned: densely where fields are, at both ends, else here and there. */
static void spoil(const asked_block *a, uint8_t *block)
{
    lh_fold_state out[WINDOWS];
    const int64_t step = 1 + a->size / (more ? MORE : PLACES);
    for (int64_t at = 0; at < a->size;) {
        fold(a, block, at, out);
        released(out, WINDOWS);
        for (int bit = 0; bit < 8; bit++) {
            block[at] ^= (uint8_t)(1 << bit);
            fold(a, block, a->size, out);
            released(out, WINDOWS);
            block[at] ^= (uint8_t)(1 << bit);
        }
        at += at < DENSE || at > a->size - DENSE / 2 ? 1 : step;
    }
}

/* Windows over the rows of a run: at times that are there, between them, empty, of all times. */
static void ask_for(asked_block *a, const lh_fold_columns *c, int64_t n)
{
    static const uint32_t wanted[] = {LH_EVERY, LH_BRIEF, LH_EVERY | LH_DURATIONS, LH_DURATIONS, 0};
    a->type = c->type, a->wanted = wanted[any() % 5];
    a->run.start = any() % 2 && n ? (uint32_t)(any() % (uint64_t)n) : 0;
    a->run.rows = (uint32_t)(n - a->run.start);
    if (any() % 4 == 0 && a->run.rows) a->run.rows = 1 + (uint32_t)(any() % a->run.rows);
    a->run.first = n ? c->time[a->run.start] : 0;
    a->run.last = n ? c->time[a->run.start + a->run.rows - 1] : 0;
    for (int k = 0; k <= WINDOWS; k++) {
        const int64_t i = n ? (int64_t)(any() % (uint64_t)n) : 0;
        int64_t at = n ? c->time[i] : k;
        if (k == 0 && any() % 2) at = INT64_MIN;
        if (k == WINDOWS && any() % 2) at = INT64_MAX;
        int j = k;
        for (; j > 0 && a->edge[j - 1] > at; j--) a->edge[j] = a->edge[j - 1];
        a->edge[j] = at;
    }
    a->start = any() % 2 ? INT64_MIN : a->edge[0] / 2 + a->edge[WINDOWS / 2] / 2;
    a->end = any() % 2 ? INT64_MAX : a->edge[WINDOWS] - (a->edge[WINDOWS] > INT64_MIN);
}

int main(int count, char **argument)
{
    static const int64_t rows[] = {
        0, 1, 2, 15, 16, 17, 70, LH_VECTOR - 1, LH_VECTOR, LH_VECTOR + 1, ROWS_MAX};
    static uint8_t block[32 * ROWS_MAX + 4096];
    more = count > 1 && !strcmp(argument[1], "more");
    lh_kernels = lh_target_best();
    scratch = lh_read_scratch();
    check("no such kernel", lh_kernels && scratch);
    for (int t = 0; t < LH_TARGETS; t++) fill += lh_kernels == lh_targets[t] ? 60 * t + 17 : 0;
    for (int type = LH_FOLD_F64; type <= LH_FOLD_NONE; type++) {
        for (int wild = 0; wild < WILD; wild++) {
            for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
                const int form = (int)(any() % FORMS);
                lh_fold_columns c = made(type, rows[k], wild);
                asked_block a = {0};
                ask_for(&a, &c, rows[k]);
                a.size = block_of(&c, rows[k], form, block);
                digest = 14695981039346656037u;
                tell(block, (size_t)a.size);
                whole(&a, &c, block);
                if (more || (k + (size_t)wild) % 5 == 0) spoil(&a, block);
                printf("type %d, values %d, rows %d, form %d: %016llx\n", type, wild, (int)rows[k],
                       form, (unsigned long long)digest);
                dropped(&c);
            }
        }
    }
    check("too little", asked > 50000 && refused > 5000 && refused < asked && joined > 100);
    check("nothing was wide", wide > 20);
    check("no durations", told > 50);
    free(scratch);
    return 0;
}
