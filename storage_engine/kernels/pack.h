/* Template of one target: 1,024 values of 0 to 64 bits in 16 interleaved lanes, and bit streams.
 *
 * Value i lies in lane i % 16 at place i / 16; a lane is 64 places of `width` bits, first place
 * lowest, so `width` words of 64 bits; word w of lane l is word 16 w + l. Thus a row of 16 values
 * is one shift of whole registers, and values come out in their own order. The preprocessor unrolls
 * the 64 rows of each width; all shifts are constants. Any alignment. In row macros W is the width.
 */

typedef uint64_t LH_T(lh_lanes) __attribute__((vector_size(LH_BYTES)));
typedef uint64_t LH_T(lh_loose) __attribute__((vector_size(LH_BYTES), aligned(1), may_alias));

#define LH_ROW_PLACES(p) BIT = (p) * W, WORD = BIT / 64, OFF = BIT % 64, END = OFF + W
#define LH_AT(pointer) (*(LH_T(lh_loose) *)(pointer))
#define LH_FROM(pointer) (*(const LH_T(lh_loose) *)(pointer))

#define LH_UNPACK_ROW(p) \
    { \
        enum { LH_ROW_PLACES(p) }; \
        LH_T(lh_lanes) x = LH_FROM(from + 128 * WORD); \
        if (OFF) \
            x >>= OFF; \
        if (END > 64) \
            x |= LH_FROM(from + 128 * (WORD + 1)) << ((64 - OFF) & 63); \
        if (END != 64) \
            x &= mask; \
        LH_AT(to + 16 * (p)) = x + add; \
    }

#define LH_UNPACK(width) \
    static void LH_T(lh_unpack_##width)(const uint8_t *restrict in, uint64_t base, \
                                        uint64_t *restrict out) \
    { \
        enum { W = width }; \
        const LH_T(lh_lanes) mask = (LH_T(lh_lanes)){0} + lh_mask(W); \
        const LH_T(lh_lanes) add = (LH_T(lh_lanes)){0} + base; \
        for (int lane = 0; lane < 16; lane += LH_BYTES / 8) { \
            const uint8_t *from = in + 8 * lane; \
            uint64_t *to = out + lane; \
            (void)from, (void)mask; \
            LH_EACH_ROW(LH_UNPACK_ROW) \
        } \
    }

#define LH_PACK_ROW(p) \
    { \
        enum { LH_ROW_PLACES(p) }; \
        LH_T(lh_lanes) x = LH_FROM(from + 16 * (p)) - less; \
        if (W < 64) \
            x &= mask; \
        if (OFF) \
            word |= x << OFF; \
        else \
            word = x; \
        if (END >= 64) \
            LH_AT(to + 128 * WORD) = word; \
        if (END > 64) \
            word = x >> ((64 - OFF) & 63); \
    }

/* Bits of (in - base) above the width are dropped. */
#define LH_PACK(width) \
    static void LH_T(lh_pack_##width)(const uint64_t *restrict in, uint64_t base, \
                                      uint8_t *restrict out) \
    { \
        enum { W = width }; \
        const LH_T(lh_lanes) mask = (LH_T(lh_lanes)){0} + lh_mask(W); \
        const LH_T(lh_lanes) less = (LH_T(lh_lanes)){0} + base; \
        for (int lane = 0; lane < 16; lane += LH_BYTES / 8) { \
            const uint64_t *from = in + lane; \
            uint8_t *to = out + 8 * lane; \
            LH_T(lh_lanes) word = {0}; \
            (void)mask, (void)word; \
            LH_EACH_ROW(LH_PACK_ROW) \
        } \
    }

/* Width 0 reads nothing and writes nothing packed. */
static void LH_T(lh_unpack_0)(const uint8_t *in, uint64_t base, uint64_t *out)
{
    (void)in;
    for (int i = 0; i < LH_VECTOR; i++)
        out[i] = base;
}

static void LH_T(lh_pack_0)(const uint64_t *in, uint64_t base, uint8_t *out)
{
    (void)in, (void)base, (void)out;
}

#define LH_BOTH(width) LH_UNPACK(width) LH_PACK(width)
LH_EACH_WIDTH_FROM_1(LH_BOTH)

#define LH_ENTRY(width) LH_T(lh_unpack_##width),
static const lh_unpack_fn LH_T(lh_unpack)[65] = {LH_EACH_WIDTH(LH_ENTRY)};
#undef LH_ENTRY
#define LH_ENTRY(width) LH_T(lh_pack_##width),
static const lh_pack_fn LH_T(lh_pack)[65] = {LH_EACH_WIDTH(LH_ENTRY)};

#undef LH_ENTRY
#undef LH_BOTH
#undef LH_PACK
#undef LH_PACK_ROW
#undef LH_UNPACK
#undef LH_UNPACK_ROW
#undef LH_FROM
#undef LH_AT
#undef LH_ROW_PLACES

/* A stream of count values of width bits, lowest bit first, in exactly lh_stream_bytes bytes. */
static void LH_T(lh_stream_read)(const uint8_t *in, int64_t count, unsigned width, uint64_t base,
                                 uint64_t *out)
{
    const int64_t size = lh_stream_bytes(count, width);
    const uint64_t mask = lh_mask(width);
    int64_t whole = width == 0 ? 0 : (size - 8) * 8 / width + (size >= 8);
    if (width > 57)
        whole = 0; /* with a start inside a byte a value would reach beyond 8 bytes */
    if (whole > count)
        whole = count;
    int64_t i = 0;
    for (; i < whole; i++) {
        int64_t bit = i * width;
        out[i] = ((lh_load(in + (bit >> 3), 8) >> (bit & 7)) & mask) + base;
    }
    if (width > 0 && width <= 57 && i < count) { /* the others lie in the last 8 bytes */
        const int64_t from = size < 8 ? 0 : size - 8;
        const uint64_t last = lh_load(in + from, (unsigned)(size - from));
        for (; i < count; i++)
            out[i] = ((last >> (i * width - 8 * from)) & mask) + base;
    }
    for (; i < count; i++) {
        int64_t bit = i * width, byte = bit >> 3, left = size - byte;
        unsigned off = bit & 7;
        uint64_t x = lh_load(in + byte, left < 8 ? (unsigned)left : 8) >> off;
        if (off + width > 64)
            x |= (uint64_t)in[byte + 8] << (64 - off);
        out[i] = (x & mask) + base;
    }
}

static uint8_t *LH_T(lh_stream_write)(const uint64_t *in, int64_t count, unsigned width,
                                      uint64_t base, uint8_t *out)
{
    const uint64_t mask = lh_mask(width);
    uint64_t word = 0;
    unsigned fill = 0;
    for (int64_t i = 0; i < count; i++) {
        uint64_t x = (in[i] - base) & mask;
        word |= x << fill;
        fill += width;
        if (fill >= 64) {
            out = lh_store(out, word, 8);
            fill -= 64;
            word = fill ? x >> (width - fill) : 0;
        }
    }
    return lh_store(out, word, (fill + 7) / 8);
}
