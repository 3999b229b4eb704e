/* Lists for the preprocessor to unroll by, and what the templates of all targets share. */
#ifndef LH_ROWS_H
#define LH_ROWS_H

#include <stdint.h>
#include <string.h>

#define LH_EACH_8(M, i) M(i) M(i + 1) M(i + 2) M(i + 3) M(i + 4) M(i + 5) M(i + 6) M(i + 7)
#define LH_EACH_ROW(M) \
    LH_EACH_8(M, 0) LH_EACH_8(M, 8) LH_EACH_8(M, 16) LH_EACH_8(M, 24) \
    LH_EACH_8(M, 32) LH_EACH_8(M, 40) LH_EACH_8(M, 48) LH_EACH_8(M, 56)

#define LH_EACH_WIDTH(M) M(0) LH_EACH_WIDTH_FROM_1(M)
#define LH_EACH_WIDTH_FROM_1(M) \
    M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13) M(14) M(15) M(16) \
    M(17) M(18) M(19) M(20) M(21) M(22) M(23) M(24) M(25) M(26) M(27) M(28) M(29) M(30) M(31) \
    M(32) M(33) M(34) M(35) M(36) M(37) M(38) M(39) M(40) M(41) M(42) M(43) M(44) M(45) M(46) \
    M(47) M(48) M(49) M(50) M(51) M(52) M(53) M(54) M(55) M(56) M(57) M(58) M(59) M(60) M(61) \
    M(62) M(63) M(64)

typedef void (*lh_unpack_fn)(const uint8_t *in, uint64_t base, uint64_t *out);
typedef void (*lh_pack_fn)(const uint64_t *in, uint64_t base, uint8_t *out);

static inline uint64_t lh_mask(unsigned width)
{
    return width >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << width) - 1;
}

/* Floor of x / 2^shift, shift 0..63, for x a two's complement number in a u64. */
static inline uint64_t lh_sar(uint64_t x, unsigned shift)
{
    const uint64_t top = (uint64_t)1 << 63;
    return ((x + top) >> shift) - (top >> shift);
}

/* The low `bits` of x as a two's complement number, bits 0..64. */
static inline uint64_t lh_extend(uint64_t x, unsigned bits)
{
    if (bits == 0)
        return 0;
    uint64_t sign = (uint64_t)1 << (bits - 1);
    return ((x & lh_mask(bits)) ^ sign) - sign;
}

static inline unsigned lh_bits(uint64_t x)
{
    return x ? 64 - (unsigned)__builtin_clzll(x) : 0;
}

/* Bytes that hold x as a two's complement number, 0 for 0. */
static inline unsigned lh_signed_bytes(uint64_t x)
{
    return x ? (lh_bits(x ^ (uint64_t) - (int64_t)(x >> 63)) + 8) / 8 : 0;
}

static inline uint64_t lh_load(const uint8_t *p, unsigned bytes)
{
    uint64_t x = 0;
    memcpy(&x, p, bytes);
    return x;
}

static inline uint64_t lh_load_signed(const uint8_t *p, unsigned bytes)
{
    return lh_extend(lh_load(p, bytes), 8 * bytes);
}

static inline uint8_t *lh_store(uint8_t *p, uint64_t x, unsigned bytes)
{
    memcpy(p, &x, bytes);
    return p + bytes;
}

/* Bytes of a stream of count values of width bits. */
static inline int64_t lh_stream_bytes(int64_t count, unsigned width)
{
    return (count * width + 7) / 8;
}

#endif
