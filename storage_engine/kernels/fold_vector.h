/* Exact sums of up to 1,024 doubles in lanes of plain double arithmetic.
 *
 * Every value is cut into pieces of 22 bits on a common grid, the highest by the largest value. A
 * piece times a piece, or times a span of 23 bits, summed over the 512 rows of a lane stays within
 * 2^53: so each product and each sum below is exact, on every processor, fused or not, and what
 * order the lanes add in does not matter. What does not fit (values further apart than 2^35, tiny,
 * huge or not finite ones; spans that differ by more than 4 h) is refused before anything is added.
 */
#ifndef LH_FOLD_VECTOR_H
#define LH_FOLD_VECTOR_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"

#define LH_LANES 8
#define LH_LANE_ROWS 1024
#define LH_LANE_PARTS 7
#define LH_LANE_BITS 22
#define LH_LANE_SUMS 5

/* Good rows. `value` has value[-1] = value[0] before it and 8 times its last value behind it;
 * `span` and `more` hold the time to the next row less `period`, in two parts, and zero at -1 and
 * from rows - 1 on. */
typedef struct {
    const double *value;
    const double *span, *more;
    int64_t rows, period;
    double largest;
    int wide_spans;
} lh_lane_rows;

/* Part j of sum k weighs 2^(bit[k] + LH_LANE_BITS * j - LH_EXACT_BIAS). */
typedef struct {
    int64_t part[LH_LANE_SUMS][LH_LANE_PARTS];
    int32_t bit[LH_LANE_SUMS];
    int64_t ups, downs;
} lh_lane_sums;

/* Exponent E with |x| < 2^E; LH_NO_EXPONENT when lanes are not for values like these. */
#define LH_NO_EXPONENT 10000
static inline int lh_lane_exponent(double largest) {
    int exponent = 0;
    if (!(largest - largest == 0.0)) return LH_NO_EXPONENT;
    if (largest == 0.0) return 0;
    frexp(largest, &exponent);
    return exponent > 400 || exponent < -400 ? LH_NO_EXPONENT : exponent;
}

typedef struct {
    double minimum, maximum;
    int nan;
} lh_range;

#if defined(__x86_64__)
#include <immintrin.h>
#define LH_TARGET __attribute__((target("avx512f,avx512dq,avx512vl,prefer-vector-width=512")))
#define LH_LANE(name) name##_avx512
#define LH_WIDTH 8
#define LH_MIN(a, b) ((LH_LANE(lh_v))_mm512_min_pd((__m512d)(a), (__m512d)(b)))
#define LH_MAX(a, b) ((LH_LANE(lh_v))_mm512_max_pd((__m512d)(a), (__m512d)(b)))
#include "fold_lanes.h"
#define LH_TARGET __attribute__((target("avx2")))
#define LH_LANE(name) name##_avx2
#define LH_WIDTH 4
#define LH_MIN(a, b) ((LH_LANE(lh_v))_mm256_min_pd((__m256d)(a), (__m256d)(b)))
#define LH_MAX(a, b) ((LH_LANE(lh_v))_mm256_max_pd((__m256d)(a), (__m256d)(b)))
#include "fold_lanes.h"
#endif
#define LH_TARGET
#define LH_LANE(name) name##_scalar
#define LH_WIDTH 2
#define LH_MIN(a, b) LH_CHOSEN((a) < (b), a, b)
#define LH_MAX(a, b) LH_CHOSEN((a) > (b), a, b)
#define LH_CHOSEN(m, a, b) \
    ((LH_LANE(lh_v))(((LH_LANE(lh_i))(a) & (m)) | ((LH_LANE(lh_i))(b) & ~(m))))
#include "fold_lanes.h"
#undef LH_CHOSEN

typedef struct {
    int (*sums)(const lh_lane_rows *, lh_lane_sums *);
    int (*plain)(const double *, int64_t, double, lh_lane_sums *);
    lh_range (*range)(const double *, int64_t);
    int64_t (*find)(const double *, int64_t, double);
    int (*spans)(const int64_t *, int64_t, int64_t, double *, double *);
} lh_lane_table;

/* Lanes of this machine; HISTORIAN_KERNELS=scalar|avx2|avx512 forces one of those it has. */
static inline const lh_lane_table *lh_lanes(void) {
    static const lh_lane_table scalar = {
        lh_lane_sums_scalar, lh_lane_plain_scalar, lh_lane_range_scalar, lh_lane_find_scalar,
        lh_lane_spans_scalar};
    static const lh_lane_table *chosen;
    const lh_lane_table *found = __atomic_load_n(&chosen, __ATOMIC_ACQUIRE);
    if (found) return found;
    found = &scalar;
#if defined(__x86_64__)
    static const lh_lane_table avx2 = {
        lh_lane_sums_avx2, lh_lane_plain_avx2, lh_lane_range_avx2, lh_lane_find_avx2,
        lh_lane_spans_avx2};
    static const lh_lane_table avx512 = {
        lh_lane_sums_avx512, lh_lane_plain_avx512, lh_lane_range_avx512, lh_lane_find_avx512,
        lh_lane_spans_avx512};
    const char *forced = getenv("HISTORIAN_KERNELS");
    const int any = !forced || !*forced;
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && (any || strcmp(forced, "scalar"))) found = &avx2;
    if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
        && (any || !strcmp(forced, "avx512"))) found = &avx512;
#endif
    __atomic_store_n(&chosen, found, __ATOMIC_RELEASE);
    return found;
}

#endif
