/* Codec 8, packed: what the encoder weighs, and arithmetic that is no loop over values. */
#ifndef LH_TRIAL_H
#define LH_TRIAL_H

#include "packed.h"

enum { LH_SLOPE_SHIFT = 15, LH_COMPARE_EVERY = 32 };

/* Residuals as u = r - step in `width` bits, those outside patched; bytes of payload and patches */
typedef struct {
    uint64_t step;
    unsigned width;
    unsigned patches;
    unsigned high_width;
    int64_t bytes;
} lh_fit;

/* A vector in one mode: what its header says and what it takes. */
typedef struct {
    lh_fit fit;
    unsigned mode;
    unsigned shift;
    uint64_t base;
    uint64_t slope;
    uint64_t first;
    int64_t bytes;
} lh_trial;

/* gcd = odd << shift; division by odd is multiplication by its inverse modulo 2^64. */
typedef struct {
    uint64_t gcd;
    uint64_t inverse;
    uint64_t limit; /* quotients by odd are at most this, and nothing else is */
    unsigned shift;
} lh_divisor;

static inline int64_t lh_patch_bytes(int64_t patches, unsigned high_width)
{
    return patches ? 2 + lh_stream_bytes(patches, LH_PLACE_BITS)
                     + lh_stream_bytes(patches, high_width)
                   : 0;
}

static inline void lh_divisor_of(uint64_t gcd, lh_divisor *d)
{
    d->gcd = gcd;
    d->shift = (unsigned)__builtin_ctzll(gcd);
    const uint64_t odd = gcd >> d->shift;
    uint64_t inverse = odd; /* right in 3 bits; each round doubles them */
    for (int i = 0; i < 5; i++)
        inverse *= 2 - odd * inverse;
    d->inverse = inverse;
    d->limit = ~(uint64_t)0 / odd;
}

static inline uint64_t lh_euclid(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* An integer slope and a finer one from how far the second half's sum lies above the first's. */
static inline int lh_slopes(int64_t rise, int64_t m, uint64_t slope[2], unsigned shift[2])
{
    const int64_t half = m / 2, run = half * (m - half);
    if (half < 2)
        return 0;
    int count = 0;
    const int64_t rest = rise % run;
    const int64_t whole = rise / run + (2 * rest >= run) - (2 * rest <= -run);
    if (whole != 0) {
        slope[count] = (uint64_t)whole;
        shift[count++] = 0;
    }
    if (rise < (int64_t)1 << 46 && rise > -((int64_t)1 << 46)) {
        const int64_t one = 1 << LH_SLOPE_SHIFT, fine = rise * one / run;
        const int64_t drift = (fine - whole * one) * m;
        if (drift >= one || drift <= -one) {
            slope[count] = (uint64_t)fine;
            shift[count++] = LH_SLOPE_SHIFT;
        }
    }
    return count;
}

static inline uint8_t *lh_write_head(unsigned form, uint64_t anchor, uint64_t step, uint8_t *out)
{
    const unsigned a = lh_signed_bytes(anchor), s = lh_signed_bytes(step);
    *out++ = (uint8_t)form;
    *out++ = (uint8_t)(a | s << 4);
    out = lh_store(out, anchor, a);
    return lh_store(out, step, s);
}

/* The fields in front of a vector's payload. */
static inline uint8_t *lh_write_fields(const lh_trial *t, uint8_t *out)
{
    const unsigned base = lh_signed_bytes(t->base), slope = lh_signed_bytes(t->slope);
    const unsigned step = lh_signed_bytes(t->fit.step), first = lh_signed_bytes(t->first);
    *out++ = (uint8_t)(t->mode | (t->fit.patches ? LH_PATCHED : 0) | base << 4);
    *out++ = (uint8_t)t->fit.width;
    out = lh_store(out, t->base, base);
    if (t->mode == LH_LINE) {
        *out++ = (uint8_t)(slope | t->shift << 4);
        out = lh_store(out, t->slope, slope);
    } else if (t->mode != LH_FOR) {
        *out++ = (uint8_t)(step | first << 4);
        out = lh_store(out, t->fit.step, step);
        out = lh_store(out, t->first, first);
    }
    if (t->fit.patches) {
        *out++ = (uint8_t)(t->fit.patches - 1);
        *out++ = (uint8_t)t->fit.high_width;
    }
    return out;
}

#endif
