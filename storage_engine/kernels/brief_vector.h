/* Extremes and exact sums of pieces of a vector of doubles, in one pass of plain arithmetic.
 *
 * A value is cut on a grid into a multiple of 2^(E-42), where all are below 2^E, and what is left,
 * which must be a multiple of 2^(E-84). So each of the two sums of up to 1,024 values stays within
 * 53 bits: they are exact on every processor, whatever order lanes add in. Where all values of a
 * piece have one sign and one exponent their bits are summed as integers, for less.
 */
#ifndef LH_BRIEF_VECTOR_H
#define LH_BRIEF_VECTOR_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "column.h"
#include "fold_vector.h"

enum { LH_BRIEF_BITS = 42, LH_BRIEF_PAD = 16 };
enum { LH_PIECES = LH_VECTOR + 8 }; /* entries k of two columns are not 4,096 bytes apart */
/* Exponents whose units, and sums of 1,024, are far from either end of the doubles. */
enum { LH_EVEN_MIN = 128, LH_EVEN_MAX = 1900 };

/* Of each piece; its sum is high + low, not rounded, and rounded where that was asked for. */
typedef struct {
    double minimum[LH_PIECES] __attribute__((aligned(64)));
    double maximum[LH_PIECES], high[LH_PIECES], low[LH_PIECES], sum[LH_PIECES], mean[LH_PIECES];
} lh_pieces;

/* From place 16 - n on: n lanes that count, then at least 16 - n that do not. */
static const int64_t lh_brief_masks[32] = {
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};

#if defined(__clang__)
#define LH_MIX(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define LH_MIX(a, b, ...) __builtin_shuffle(a, b, (LH_I){__VA_ARGS__})
#endif

#if defined(__x86_64__)
#define LH_TARGET __attribute__((target("avx512f,avx512dq,avx512vl,fma,prefer-vector-width=512")))
#define LH_LANE(name) name##_avx512
#define LH_WIDTH 8
#define LH_MIN(a, b) ((LH_LANE(lh_w))_mm512_min_pd((__m512d)(a), (__m512d)(b)))
#define LH_MAX(a, b) ((LH_LANE(lh_w))_mm512_max_pd((__m512d)(a), (__m512d)(b)))
#define LH_LEAST(a) _mm512_reduce_min_pd((__m512d)(a))
#define LH_MOST(a) _mm512_reduce_max_pd((__m512d)(a))
#define LH_TOTAL(a) _mm512_reduce_add_pd((__m512d)(a))
#define LH_ODD(all, x, y) \
    ((LH_I)_mm512_ternarylogic_epi64((__m512i)(all), (__m512i)(x), (__m512i)(y), 0xf6))
#include "brief_lanes.h"
#define LH_HALVES(fn, narrow, a) \
    ({ \
        const __m256d whole = (__m256d)(a); \
        __m128d half = fn(_mm256_castpd256_pd128(whole), _mm256_extractf128_pd(whole, 1)); \
        _mm_cvtsd_f64(narrow(half, _mm_unpackhi_pd(half, half))); \
    })
#define LH_TARGET __attribute__((target("avx2,fma")))
#define LH_LANE(name) name##_avx2
#define LH_WIDTH 4
#define LH_MIN(a, b) ((LH_LANE(lh_w))_mm256_min_pd((__m256d)(a), (__m256d)(b)))
#define LH_MAX(a, b) ((LH_LANE(lh_w))_mm256_max_pd((__m256d)(a), (__m256d)(b)))
#define LH_LEAST(a) LH_HALVES(_mm_min_pd, _mm_min_sd, a)
#define LH_MOST(a) LH_HALVES(_mm_max_pd, _mm_max_sd, a)
#define LH_TOTAL(a) LH_HALVES(_mm_add_pd, _mm_add_sd, a)
#define LH_ODD(all, x, y) ((all) | ((x) ^ (y)))
#include "brief_lanes.h"
#undef LH_HALVES
#endif
#define LH_TARGET
#define LH_LANE(name) name##_scalar
#define LH_WIDTH 2
#define LH_MIN(a, b) LH_CHOSEN((a) < (b), a, b)
#define LH_MAX(a, b) LH_CHOSEN((a) > (b), a, b)
#define LH_CHOSEN(m, a, b) \
    ((LH_LANE(lh_w))(((LH_LANE(lh_wi))(a) & (m)) | ((LH_LANE(lh_wi))(b) & ~(m))))
#define LH_LEAST(a) lh_pair_least(a)
#define LH_MOST(a) lh_pair_most(a)
#define LH_TOTAL(a) lh_pair_total(a)
#define LH_ODD(all, x, y) ((all) | ((x) ^ (y)))
typedef double lh_two __attribute__((vector_size(16)));
static inline double lh_pair_least(lh_two x) { return x[0] < x[1] ? x[0] : x[1]; }
static inline double lh_pair_most(lh_two x) { return x[0] > x[1] ? x[0] : x[1]; }
static inline double lh_pair_total(lh_two x) { return x[0] + x[1]; }
#include "brief_lanes.h"
#undef LH_CHOSEN
#undef LH_MIX

typedef struct {
    int (*pieces)(const double *, const int32_t *, int64_t, double, double, lh_pieces *, int64_t);
    int64_t (*even)(const double *, const int32_t *, int64_t, lh_pieces *);
    double (*quotient)(double, double, double);
    void (*means)(const int32_t *, int64_t, lh_pieces *);
} lh_brief_table;

/* Passes of this machine; HISTORIAN_KERNELS=scalar|avx2|avx512 forces one of those it has. */
static inline const lh_brief_table *lh_brief_lanes(void) {
    static const lh_brief_table scalar = {
        lh_lane_pieces_scalar, lh_lane_even_scalar, lh_lane_quotient_scalar,
        lh_lane_means_scalar};
    static const lh_brief_table *chosen;
    const lh_brief_table *found = __atomic_load_n(&chosen, __ATOMIC_ACQUIRE);
    if (found) return found;
    found = &scalar;
#if defined(__x86_64__)
    static const lh_brief_table avx2 = {
        lh_lane_pieces_avx2, lh_lane_even_avx2, lh_lane_quotient_avx2,
        lh_lane_means_avx2};
    static const lh_brief_table avx512 = {
        lh_lane_pieces_avx512, lh_lane_even_avx512, lh_lane_quotient_avx512,
        lh_lane_means_avx512};
    const char *forced = getenv("HISTORIAN_KERNELS");
    const int any = !forced || !*forced;
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
        && (any || strcmp(forced, "scalar"))) found = &avx2;
    if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("fma") && (any || !strcmp(forced, "avx512"))) found = &avx512;
#endif
    __atomic_store_n(&chosen, found, __ATOMIC_RELEASE);
    return found;
}

#endif
