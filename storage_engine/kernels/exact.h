/* Exact sums of doubles and integers, rounded once.
 *
 * An accumulator is one long fixed-point number: digits of 32 bits in int64 limbs, so that carries
 * may wait; bit 0 of limb 0 weighs 2^-LH_EXACT_BIAS. It holds any sum of doubles, of their squares,
 * and of doubles times 64-bit integers, of up to 2^63 terms. Only limbs in [low, high) are in use.
 *
 * Infinities and NaN are sticky as IEEE 754 would have it: +inf and -inf make NaN, NaN stays. A sum
 * of zero is +0. A finite sum beyond the range of doubles rounds to an infinity at the very end.
 *
 * An expansion is three doubles, each the correctly rounded rest that the ones before it leave;
 * when they leave nothing it is the sum itself, and the same three doubles whatever was added in
 * what order.
 */
#ifndef LH_EXACT_H
#define LH_EXACT_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define LH_EXACT_LIMBS 136
#define LH_EXACT_BIAS 2176
#define LH_EXACT_ADDS (1 << 28)
#define LH_EXACT_UP 1u
#define LH_EXACT_DOWN 2u
#define LH_EXACT_NAN 4u

typedef unsigned __int128 lh_u128;

typedef struct {
    int64_t limb[LH_EXACT_LIMBS];
    int32_t low, high;
    uint32_t adds;
    uint32_t special;
} lh_exact;

static inline void lh_exact_clear(lh_exact *a) {
    a->low = a->high = 0;
    a->adds = a->special = 0;
}

static inline void lh_exact_reach(lh_exact *a, int32_t low, int32_t high) {
    if (a->low == a->high) a->low = a->high = low;
    while (a->low > low) a->limb[--a->low] = 0;
    while (a->high < high) a->limb[a->high++] = 0;
}

/* Carry: limbs in [0, 2^32) but for the highest, which bears the sign; none is zero at an end, and
 * no limb is there only to bear the sign: a number has one form. */
static inline void lh_exact_carry(lh_exact *a) {
    int64_t carry = 0;
    a->adds = 0;
    for (int32_t i = a->low; i < a->high; i++) {
        const int64_t t = a->limb[i] + carry;
        const int top = i == a->high - 1 && t > -(INT64_C(1) << 32) && t < INT64_C(1) << 32;
        a->limb[i] = top ? t : (t & INT64_C(0xffffffff));
        carry = top ? 0 : t >> 32;
    }
    if (carry && a->high < LH_EXACT_LIMBS) a->limb[a->high++] = carry;
    while (a->low < a->high && a->limb[a->high - 1] == 0) a->high--;
    while (a->high - a->low > 1 && a->limb[a->high - 1] == -1 && a->limb[a->high - 2] > 0) {
        a->limb[--a->high - 1] -= INT64_C(1) << 32;
    }
    while (a->low < a->high && a->limb[a->low] == 0) a->low++;
    if (a->low == a->high) a->low = a->high = 0;
}

/* Add (-1)^negative x m x 2^(bit - LH_EXACT_BIAS), for 0 <= bit < LH_EXACT_BIAS + 1152. */
static inline void lh_exact_add_u64(lh_exact *a, uint64_t m, int bit, int negative) {
    const int32_t i = bit >> 5;
    const lh_u128 y = (lh_u128)m << (bit & 31);
    const int64_t sign = -(int64_t)(negative != 0);
    lh_exact_reach(a, i, i + 3);
    a->limb[i] += ((int64_t)((uint64_t)y & 0xffffffffu) ^ sign) - sign;
    a->limb[i + 1] += ((int64_t)((uint64_t)y >> 32) ^ sign) - sign;
    a->limb[i + 2] += ((int64_t)(uint64_t)(y >> 64) ^ sign) - sign;
    if (++a->adds >= LH_EXACT_ADDS) lh_exact_carry(a);
}

static inline void lh_exact_add_u128(lh_exact *a, lh_u128 m, int bit, int negative) {
    lh_exact_add_u64(a, (uint64_t)m, bit, negative);
    if (m >> 64) lh_exact_add_u64(a, (uint64_t)(m >> 64), bit + 64, negative);
}

static inline void lh_exact_add_i64(lh_exact *a, int64_t m, int bit) {
    const uint64_t size = m < 0 ? 0u - (uint64_t)m : (uint64_t)m;
    if (size) lh_exact_add_u64(a, size, bit, m < 0);
}

/* A double as sign, 53-bit integer and the bit of its unit; special bits when not finite. */
typedef struct {
    uint64_t m;
    int32_t bit;
    int32_t negative;
    uint32_t special;
} lh_parts;

static inline lh_parts lh_split(double x) {
    uint64_t bits;
    memcpy(&bits, &x, 8);
    const int exponent = (int)(bits >> 52 & 2047u);
    lh_parts p = {bits & ((UINT64_C(1) << 52) - 1), 0, (int32_t)(bits >> 63), 0};
    if (exponent == 2047) {
        p.special = p.m ? LH_EXACT_NAN : p.negative ? LH_EXACT_DOWN : LH_EXACT_UP;
        return p;
    }
    if (exponent) p.m |= UINT64_C(1) << 52;
    p.bit = LH_EXACT_BIAS - 1074 + (exponent ? exponent - 1 : 0);
    return p;
}

static inline void lh_exact_add(lh_exact *a, double x) {
    const lh_parts p = lh_split(x);
    if (p.special) a->special |= p.special;
    else if (p.m) lh_exact_add_u64(a, p.m, p.bit, p.negative);
}

/* Add (-1)^negative x times n. Nothing is added when n is 0, whatever x is. */
static inline void lh_exact_add_times(lh_exact *a, double x, uint64_t n, int negative) {
    const lh_parts p = lh_split(x);
    const int down = p.negative ^ negative;
    if (n == 0) return;
    if (p.special == LH_EXACT_NAN) a->special |= LH_EXACT_NAN;
    else if (p.special) a->special |= down ? LH_EXACT_DOWN : LH_EXACT_UP;
    else if (p.m) lh_exact_add_u128(a, (lh_u128)p.m * n, p.bit, down);
}

/* Add (-1)^negative x squared times n. */
static inline void lh_exact_add_square(lh_exact *a, double x, uint64_t n, int negative) {
    const lh_parts p = lh_split(x);
    if (p.special) a->special |= p.special == LH_EXACT_NAN ? LH_EXACT_NAN : LH_EXACT_UP;
    else if (p.m) {
        const lh_u128 y = (lh_u128)p.m * p.m; /* 106 bits; times n in two halves */
        const int bit = 2 * p.bit - LH_EXACT_BIAS;
        lh_exact_add_u128(a, (lh_u128)(uint64_t)y * n, bit, negative);
        lh_exact_add_u128(a, (lh_u128)(uint64_t)(y >> 64) * n, bit + 64, negative);
    }
}

/* Magnitude of a carried accumulator as 32-bit digits [low, high); returns 1 when negative. */
static inline int lh_exact_digits(const lh_exact *a, uint32_t *digit) {
    const int negative = a->high > a->low && a->limb[a->high - 1] < 0;
    int64_t carry = 0;
    for (int32_t i = a->low; i < a->high; i++) {
        const int64_t t = (negative ? -a->limb[i] : a->limb[i]) + carry;
        digit[i] = (uint32_t)t;
        carry = t >> 32;
    }
    return negative;
}

/* Digits [low, high) with bit 0 of digit 0 at 2^-bias, and a rest below when `sticky`: the nearest
 * double, ties to even. */
static inline double lh_round_digits(
    const uint32_t *digit, int32_t low, int32_t high, int bias, int sticky
) {
    while (high > low && digit[high - 1] == 0) high--;
    if (high == low) return 0.0;
    const int top = 32 * high - 1 - __builtin_clz(digit[high - 1]);
    int unit = top - 52; /* place of the last bit that is kept */
    if (unit < bias - 1074) unit = bias - 1074;
    if (unit > top + 1) return 0.0;
    uint64_t kept = 0;
    for (int32_t i = unit >= 0 ? unit >> 5 : 0; i < high; i++) {
        const int shift = 32 * i - unit;
        if (i < low) continue;
        kept |= shift >= 0 ? (uint64_t)digit[i] << shift : (uint64_t)digit[i] >> -shift;
    }
    const int half_place = unit - 1, half_digit = half_place >> 5;
    if (half_place >= 32 * low && half_digit < high) {
        const uint32_t bit = UINT32_C(1) << (half_place & 31);
        if (digit[half_digit] & bit) {
            int rest = sticky || (digit[half_digit] & (bit - 1)) != 0 || (kept & 1u);
            for (int32_t i = low; i < half_digit && !rest; i++) rest = digit[i] != 0;
            kept += (uint64_t)rest;
        }
    }
    return ldexp((double)kept, unit - bias);
}

static inline double lh_special(uint32_t special) {
    if (special == LH_EXACT_UP) return (double)INFINITY;
    if (special == LH_EXACT_DOWN) return -(double)INFINITY;
    return (double)NAN;
}

/* The sum, correctly rounded. */
static inline double lh_exact_round(lh_exact *a) {
    uint32_t digit[LH_EXACT_LIMBS];
    if (a->special) return lh_special(a->special);
    lh_exact_carry(a);
    const int negative = lh_exact_digits(a, digit);
    const double found = lh_round_digits(digit, a->low, a->high, LH_EXACT_BIAS, 0);
    return negative ? -found : found;
}

/* The expansion of up to four carried limbs by 128-bit integers; -1 when it is not one of these. */
static inline int lh_exact_expand_short(const lh_exact *a, double out[3]) {
    const int bit = 32 * a->low - LH_EXACT_BIAS;
    const int64_t top = a->limb[a->high - 1];
    if (a->high - a->low > 4 || bit < -900 || bit > 800) return -1;
    if (a->high - a->low == 4 && (top >= INT64_C(1) << 30 || top <= -(INT64_C(1) << 30))) return -1;
    const uint64_t power = (uint64_t)(1023 + bit) << 52;
    double scale;
    memcpy(&scale, &power, 8);
    __int128 rest = 0;
    for (int32_t i = a->high - 1; i >= a->low; i--) rest = rest * (INT64_C(1) << 32) + a->limb[i];
    for (int k = 0; k < 3 && rest; k++) {
        const double rounded = (double)rest;
        rest -= (__int128)rounded;
        out[k] = rounded * scale; /* a power of two, far from either end: exact */
    }
    return rest == 0;
}

/* The sum as an expansion; returns 1 when three doubles are all of it. The accumulator keeps it. */
static inline int lh_exact_expand(lh_exact *a, double out[3]) {
    lh_exact rest;
    out[0] = out[1] = out[2] = 0.0;
    if (a->special) {
        out[0] = lh_special(a->special);
        return 1;
    }
    lh_exact_carry(a);
    if (a->low == a->high) return 1;
    const int found = lh_exact_expand_short(a, out);
    if (found >= 0) return found;
    rest.low = a->low, rest.high = a->high;
    rest.adds = rest.special = 0;
    memcpy(rest.limb + a->low, a->limb + a->low, (size_t)(a->high - a->low) * 8);
    for (int k = 0; k < 3; k++) {
        out[k] = lh_exact_round(&rest);
        if (out[k] - out[k] != 0.0) return 0; /* beyond the doubles */
        lh_exact_add(&rest, -out[k]);
        lh_exact_carry(&rest);
        if (rest.low == rest.high) return 1;
    }
    return 0;
}

/* Add b, which must be carried. */
static inline void lh_exact_add_exact(lh_exact *a, const lh_exact *b) {
    a->special |= b->special;
    if (b->low == b->high) return;
    lh_exact_carry(a);
    lh_exact_reach(a, b->low, b->high);
    for (int32_t i = b->low; i < b->high; i++) a->limb[i] += b->limb[i];
    lh_exact_carry(a);
}

/* Divide digits in place from the top; returns the remainder. */
static inline uint64_t lh_divide_digits(uint32_t *digit, int32_t low, int32_t high, uint64_t by) {
    uint64_t rest = 0;
    for (int32_t i = high - 1; i >= low; i--) {
        const lh_u128 t = (lh_u128)rest << 32 | digit[i];
        digit[i] = (uint32_t)(t / by);
        rest = (uint64_t)(t % by);
    }
    return rest;
}

#define LH_EXACT_MORE 8 /* digits below, so that a quotient keeps 53 bits and a rest */

/* Sum / by, correctly rounded; NaN when by is 0. */
static inline double lh_exact_divide(lh_exact *a, uint64_t by) {
    uint32_t room[LH_EXACT_MORE + LH_EXACT_LIMBS];
    uint32_t *digit = room + LH_EXACT_MORE;
    if (by == 0) return (double)NAN;
    if (a->special) return lh_special(a->special);
    lh_exact_carry(a);
    if (a->low == a->high) return 0.0;
    const int negative = lh_exact_digits(a, digit);
    const int32_t low = a->low - LH_EXACT_MORE;
    memset(digit + low, 0, 4 * LH_EXACT_MORE);
    const uint64_t rest = lh_divide_digits(digit, low, a->high, by);
    const double found = lh_round_digits(
        room, a->low, a->high + LH_EXACT_MORE, LH_EXACT_BIAS + 32 * LH_EXACT_MORE, rest != 0);
    return negative ? -found : found;
}

/* (n x squares - sum^2) / (n x by), correctly rounded: variance for by = n or n - 1. NaN where the
 * square of the sum is more than n x squares. */
static inline double lh_exact_variance(lh_exact *squares, lh_exact *sum, uint64_t n, uint64_t by) {
    enum { WIDE = 2 * LH_EXACT_LIMBS + LH_EXACT_MORE + 4 };
    uint32_t total[WIDE], s[LH_EXACT_LIMBS], q[LH_EXACT_LIMBS];
    const int shift = LH_EXACT_BIAS / 32; /* the squares' digits stand this much higher */
    const uint64_t half[2] = {n & 0xffffffffu, n >> 32};
    if (n == 0 || by == 0 || squares->special || sum->special) return (double)NAN;
    lh_exact_carry(squares);
    lh_exact_carry(sum);
    memset(total, 0, sizeof total);
    uint32_t *out = total + LH_EXACT_MORE;
    lh_exact_digits(squares, q);
    lh_exact_digits(sum, s);
    for (int k = 0; k < 2; k++) {
        uint64_t carry = 0;
        int32_t i = squares->low;
        for (; i < squares->high || carry; i++) {
            const uint64_t d = i < squares->high ? q[i] : 0;
            const lh_u128 t = (lh_u128)d * half[k] + out[i + k + shift] + carry;
            out[i + k + shift] = (uint32_t)t;
            carry = (uint64_t)(t >> 32);
        }
    }
    for (int32_t i = sum->low; i < sum->high; i++) {
        uint64_t borrow = 0;
        for (int32_t j = sum->low; j < sum->high || borrow; j++) {
            if (i + j >= WIDE - LH_EXACT_MORE) return (double)NAN; /* no rows have such sums */
            const uint64_t product = (j < sum->high ? (uint64_t)s[i] * s[j] : 0) + borrow;
            const int64_t t = (int64_t)out[i + j] - (int64_t)(product & 0xffffffffu);
            borrow = (product >> 32) + (uint64_t)(t < 0);
            out[i + j] = (uint32_t)t;
        }
    }
    uint64_t rest = lh_divide_digits(total, 0, WIDE, n);
    rest |= lh_divide_digits(total, 0, WIDE, by);
    return lh_round_digits(total, 0, WIDE, 2 * LH_EXACT_BIAS + 32 * LH_EXACT_MORE, rest != 0);
}

#endif
