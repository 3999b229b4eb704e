/* The kernels of columns, compiled once per target from one source, and the choice among them.
 *
 * target.h is a template: it is included here once for every target with LH_T giving its names and
 * LH_BYTES the width of a vector register. Kernel 0, `scalar`, asks nothing of the processor and is
 * the one the others must equal, bit for bit, in what they decode and in what they encode.
 * Include this in one room only: the code of all targets is half a megabyte.
 */
#ifndef LH_TARGETS_H
#define LH_TARGETS_H

#include <stdlib.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define LH_X86 1
#else
#define LH_X86 0
#endif

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "cannot build kernels: got a big-endian target, want little-endian"
#endif

#include "column.h"
#include "composite.h"
#include "entries.h"
#include "packed.h"
#include "rows.h"
#include "trial.h"

/* Vectors wider than the registers of the baseline never cross a call that is not inlined. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

#define LH_T(name) name##_scalar
#define LH_BYTES 16
#define LH_AVX512 0
#include "target.h"
#undef LH_T
#undef LH_BYTES
#undef LH_AVX512

#if LH_X86
#define LH_AVX2_FEATURES "avx2,bmi,bmi2,fma,lzcnt,popcnt"
#define LH_AVX512_FEATURES \
    LH_AVX2_FEATURES ",avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vbmi,avx512vbmi2"
#define LH_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define LH_TARGET_PUSH(features) \
    LH_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define LH_TARGET_POP LH_PRAGMA(clang attribute pop)
#else
#define LH_TARGET_PUSH(features) LH_PRAGMA(GCC push_options) LH_PRAGMA(GCC target(features))
#define LH_TARGET_POP LH_PRAGMA(GCC pop_options)
#endif

LH_TARGET_PUSH(LH_AVX2_FEATURES)
#define LH_T(name) name##_avx2
#define LH_BYTES 32
#define LH_AVX512 0
#include "target.h"
#undef LH_T
#undef LH_BYTES
#undef LH_AVX512
LH_TARGET_POP

LH_TARGET_PUSH(LH_AVX512_FEATURES)
#define LH_T(name) name##_avx512
#define LH_BYTES 64
#define LH_AVX512 1
#include "target.h"
#undef LH_T
#undef LH_BYTES
#undef LH_AVX512
LH_TARGET_POP
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#if LH_X86
enum { LH_TARGETS = 3 };
static const lh_kernel_table *const lh_targets[LH_TARGETS] = {&lh_table_scalar, &lh_table_avx2,
                                                              &lh_table_avx512};
#else
enum { LH_TARGETS = 1 };
static const lh_kernel_table *const lh_targets[LH_TARGETS] = {&lh_table_scalar};
#endif

/* Does this processor (and system: registers saved) run target i? */
static inline int lh_target_runs(int i)
{
#if LH_X86
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi")
               && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma")
               && __builtin_cpu_supports("popcnt");
    if (i == 1)
        return avx2;
    if (i == 2)
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
               && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
               && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi")
               && __builtin_cpu_supports("avx512vbmi2");
#endif
    return i == 0;
}

/* The table of a name, or NULL: unknown, not built, or not for this processor. */
static inline const lh_kernel_table *lh_target_of(const char *name)
{
    for (int i = 0; i < LH_TARGETS; i++)
        if (strcmp(lh_targets[i]->name, name) == 0 && lh_target_runs(i))
            return lh_targets[i];
    return NULL;
}

/* HISTORIAN_KERNELS, or else the widest that runs here; NULL when what it names does not run. */
static inline const lh_kernel_table *lh_target_best(void)
{
    const char *forced = getenv("HISTORIAN_KERNELS");
    if (forced != NULL && *forced != 0)
        return lh_target_of(forced);
    int best = LH_TARGETS - 1;
    while (!lh_target_runs(best))
        best--;
    return lh_targets[best];
}

#endif
