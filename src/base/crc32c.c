#include "base/crc32c.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

/* A CRC is a polynomial over GF(2) of degree below 32, written reflected: bit 31 is the coefficient
 * of x^0. POLYNOMIAL is x^32 modulo the generator in that notation. */
#define POLYNOMIAL 0x82F63B78u
#define ONE        0x80000000u
#define X_TO_THE_8 0x00800000u

static uint32_t times_x(uint32_t a)
{
    return a & 1 ? a >> 1 ^ POLYNOMIAL : a >> 1;
}

static uint32_t multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (uint32_t bit = ONE; bit; bit >>= 1) {
        if (a & bit)
            product ^= b;
        b = times_x(b);
    }
    return product;
}

/* x^(8n): multiplying by it appends n zero bytes. */
static uint32_t shift_by(uint64_t n)
{
    uint32_t power = ONE;
    for (uint32_t square = X_TO_THE_8; n; n >>= 1, square = multiply(square, square))
        if (n & 1)
            power = multiply(power, square);
    return power;
}

uint32_t hl_crc32c_combine(uint32_t a, uint32_t b, uint64_t length_b)
{
    return multiply(shift_by(length_b), a) ^ b;
}

/* The hardware instruction takes three cycles but a new one can start in each: three independent
 * lanes keep it busy. A lane is long enough that joining them costs nothing. */
enum { LANE = 8192 };

static struct {
    uint32_t byte[8][256]; /* byte[k][b]: the effect of byte b with k zero bytes after it */
    uint32_t lane, two_lanes;
    bool hardware;
} tables;

static void build_tables(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t crc = b;
        for (int bit = 0; bit < 8; bit++)
            crc = times_x(crc);
        tables.byte[0][b] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (int b = 0; b < 256; b++) {
            uint32_t before = tables.byte[k - 1][b];
            tables.byte[k][b] = before >> 8 ^ tables.byte[0][before & 255];
        }
    tables.lane = shift_by(LANE);
    tables.two_lanes = shift_by(2 * LANE);
#if defined(__x86_64__)
    tables.hardware = __builtin_cpu_supports("sse4.2");
#endif
}

static void prepare(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, build_tables); /* cannot fail with a valid once control */
}

static uint64_t load64(const unsigned char *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static uint32_t update_by_tables(uint32_t crc, const unsigned char *p, size_t n)
{
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word = load64(p) ^ crc;
        crc = 0;
        for (int k = 0; k < 8; k++)
            crc ^= tables.byte[7 - k][word >> 8 * k & 255];
    }
    for (; n; n--, p++)
        crc = crc >> 8 ^ tables.byte[0][(crc ^ *p) & 255];
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t update_by_hardware(uint32_t crc, const unsigned char *p,
                                                                     size_t n)
{
    uint64_t a = crc;
    for (; n >= 3 * LANE; n -= 3 * LANE, p += 3 * LANE) {
        uint64_t b = 0, c = 0;
        for (size_t i = 0; i < LANE; i += 8) {
            a = _mm_crc32_u64(a, load64(p + i));
            b = _mm_crc32_u64(b, load64(p + LANE + i));
            c = _mm_crc32_u64(c, load64(p + 2 * LANE + i));
        }
        a = multiply(tables.two_lanes, (uint32_t)a) ^ multiply(tables.lane, (uint32_t)b) ^ (uint32_t)c;
    }
    for (; n >= 8; n -= 8, p += 8)
        a = _mm_crc32_u64(a, load64(p));
    for (; n; n--, p++)
        a = _mm_crc32_u8((uint32_t)a, *p);
    return (uint32_t)a;
}
#endif

uint32_t hl_crc32c_portable(uint32_t crc, const void *bytes, size_t n)
{
    prepare();
    return ~update_by_tables(~crc, bytes, n);
}

uint32_t hl_crc32c(uint32_t crc, const void *bytes, size_t n)
{
    prepare();
#if defined(__x86_64__)
    if (tables.hardware)
        return ~update_by_hardware(~crc, bytes, n);
#endif
    return ~update_by_tables(~crc, bytes, n);
}
