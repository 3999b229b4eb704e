/* Windows joined with the samples of one tag: what a window holds, and what held during it.
 *
 * A usable sample tells the value until the next sample, of any quality, until it has told it for
 * hold_max, or until the data ends; of a sloped tag it is a line to the next sample where that one
 * is usable and near enough. Moments are kept about a value of the window itself.
 */
#ifndef LH_WINDOWS_H
#define LH_WINDOWS_H

#include <math.h>
#include <stdint.h>

typedef struct {
    int64_t start, end;
    int64_t rows, count, covered_ns, band_ns;
    int64_t first_time, last_time, minimum_time, maximum_time;
    double minimum, maximum, first, last, held, origin, sum, squares;
    int64_t flags;
} lh_window;

enum { LH_WINDOW_HELD = 1 };

/* Samples in order of time; quality NULL: all good; valid NULL: all have a value; made NULL: all
 * were written, else a mask of those that only say what held. */
typedef struct {
    const int64_t *time;
    const double *value;
    const uint32_t *quality;
    const uint8_t *valid;
    const uint8_t *made;
    int64_t n;
    int64_t data_end, hold_max;
    double low, high;
    int worst, stepped;
    int plain; /* every row is usable and was written, holds for ever, and there is no band */
} lh_samples;

static inline int lh_window_usable(const lh_samples *s, int64_t i) {
    if (s->quality && (int)(s->quality[i] >> 30) > s->worst) return 0;
    return (!s->valid || s->valid[i]) && s->value[i] == s->value[i];
}

/* Part of a line from a to b that lies in the band, of so many nanoseconds. */
static inline int64_t lh_window_band(const lh_samples *s, double a, double b, int64_t ns) {
    const double least = a < b ? a : b, most = a < b ? b : a;
    if (least >= s->low && most <= s->high) return ns;
    if (most < s->low || least > s->high || a == b) return 0;
    const double p = (s->low - a) / (b - a), q = (s->high - a) / (b - a);
    const double from = fmax(fmin(p, q), 0.0), to = fmin(fmax(p, q), 1.0);
    return to > from ? (int64_t)llround((to - from) * (double)ns) : 0;
}

/* The line from a to b, for so many nanoseconds. */
static inline void lh_window_add(
    lh_window *w, const lh_samples *s, int64_t ns, double a, double b
) {
    const double weight = (double)ns, middle = 0.5 * a + 0.5 * b, rise = b - a;
    if (w->covered_ns == 0) w->origin = middle;
    const double away = middle - w->origin;
    w->sum += weight * away;
    w->squares += weight * (away * away + rise * rise * (1.0 / 12.0));
    w->covered_ns += ns;
    w->band_ns += lh_window_band(s, a, b, ns);
}

static inline void lh_window_count(lh_window *w, const lh_samples *s, int64_t i, int usable) {
    const double value = s->value[i];
    if (s->made && s->made[i]) return;
    w->rows++;
    if (!usable) return;
    if (w->count++ == 0) {
        w->first = w->minimum = w->maximum = value;
        w->first_time = w->minimum_time = w->maximum_time = s->time[i];
    }
    if (value < w->minimum) w->minimum = value, w->minimum_time = s->time[i];
    if (value > w->maximum) w->maximum = value, w->maximum_time = s->time[i];
    w->last = value, w->last_time = s->time[i];
}

/* The line that usable row i opens, as far as it lies between from and to. */
static inline void lh_window_line(
    lh_window *w, const lh_samples *s, int64_t i, int64_t from, int64_t to, int usable_next
) {
    const int64_t t = s->time[i], next = i + 1 < s->n ? s->time[i + 1] : INT64_MAX;
    const int near = i + 1 < s->n && next - t <= s->hold_max;
    const int line = !s->stepped && near && usable_next;
    double a = s->value[i], b = a;
    if (t >= from && near && next <= to) {
        if (t == w->start) w->held = a, w->flags |= LH_WINDOW_HELD;
        lh_window_add(w, s, next - t, a, line ? s->value[i + 1] : a);
        return;
    }
    const int64_t begin = t > from ? t : from;
    int64_t end = to < s->data_end ? to : s->data_end;
    if (next < end) end = next;
    if (end > t && end - t > s->hold_max) end = t + s->hold_max;
    if (line) {
        const double whole = (double)(next - t), rise = s->value[i + 1] - a;
        b = a + rise * ((double)(end - t) / whole);
        a += rise * ((double)(begin - t) / whole);
    }
    if (begin == w->start && (end > begin || t == begin)) w->held = a, w->flags |= LH_WINDOW_HELD;
    if (end > begin) lh_window_add(w, s, end - begin, a, b);
}

/* Rows first..last - 1 of plain samples, each with its whole line to the next row. */
static inline void lh_window_rows(lh_window *w, const lh_samples *s, int64_t first, int64_t last) {
    if (first >= last) return;
    lh_window_count(w, s, first, 1);
    lh_window_line(w, s, first, INT64_MIN, INT64_MAX, 1);
    double low = w->minimum, high = w->maximum, sum = 0.0, squares = 0.0;
    int64_t low_at = -1, high_at = -1;
    const double flat = s->stepped ? 0.0 : 1.0, origin = w->origin;
    for (int64_t i = first + 1; i < last; i++) {
        const double a = s->value[i], rise = flat * (s->value[i + 1] - a);
        const double weight = (double)(s->time[i + 1] - s->time[i]), away = a + 0.5 * rise - origin;
        if (a < low) low = a, low_at = i;
        if (a > high) high = a, high_at = i;
        sum += weight * away;
        squares += weight * (away * away + rise * rise * (1.0 / 12.0));
    }
    if (low_at >= 0) w->minimum = low, w->minimum_time = s->time[low_at];
    if (high_at >= 0) w->maximum = high, w->maximum_time = s->time[high_at];
    const int64_t rows = last - first - 1, ns = s->time[last] - s->time[first + 1];
    w->sum += sum, w->squares += squares;
    w->rows += rows, w->count += rows;
    if (rows) w->last = s->value[last - 1], w->last_time = s->time[last - 1];
    if (rows) w->covered_ns += ns, w->band_ns += ns;
}

/* One window over the samples from row i on, the last one at or before its start; times from..to
 * are the part of it that these samples tell of. */
static inline void lh_window_walk(
    lh_window *w, const lh_samples *s, int64_t i, int64_t from, int64_t to
) {
    lh_window own = *w;
    if (s->plain && i < s->n && s->time[i] < from && s->time[i] < to) {
        lh_window_line(&own, s, i++, from, to, 1);
    }
    if (s->plain && i < s->n && s->time[i] >= from) {
        const int64_t first = i;
        while (i + 1 < s->n && s->time[i + 1] < to) i++;
        lh_window_rows(&own, s, first, i);
    }
    int usable = i < s->n && lh_window_usable(s, i);
    while (i < s->n && s->time[i] < to) {
        const int next = i + 1 < s->n && lh_window_usable(s, i + 1);
        if (s->time[i] >= from) lh_window_count(&own, s, i, usable);
        if (usable) lh_window_line(&own, s, i, from, to, next);
        usable = next;
        i++;
    }
    *w = own;
}

static inline int lh_windows_plain(const lh_samples *s) {
    int sound = !s->quality && !s->valid && !s->made && s->hold_max >= INT64_C(1) << 62;
    sound &= s->low == -INFINITY && s->high == INFINITY;
    for (int64_t i = 0; sound && i < s->n; i++) sound = fabs(s->value[i]) < INFINITY;
    return sound;
}

/* Windows ascend by start; samples tell of the times from low to high. */
static inline void lh_windows_join(
    lh_window *w, int64_t windows, const lh_samples *s, int64_t low, int64_t high
) {
    lh_samples own = *s;
    own.plain = lh_windows_plain(s);
    s = &own;
    int64_t i = 0;
    for (int64_t k = 0; k < windows && w[k].start < high; k++) {
        const int64_t from = w[k].start > low ? w[k].start : low;
        const int64_t to = w[k].end < high ? w[k].end : high;
        if (from >= to) continue;
        while (i + 1 < s->n && s->time[i + 1] <= from) i++;
        lh_window_walk(&w[k], s, i, from, to);
    }
}

#endif
