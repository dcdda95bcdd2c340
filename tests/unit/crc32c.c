#include "base/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Bit by bit, from the definition: what both implementations answer to. */
static uint32_t by_definition(const unsigned char *p, size_t n)
{
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0x82F63B78u : crc >> 1;
    }
    return ~crc;
}

static unsigned char *noise(size_t n)
{
    unsigned char *p = malloc(n);
    uint64_t state = 88172645463325252u;
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        p[i] = (unsigned char)(state >> 32);
    }
    return p;
}

/* RFC 3720, appendix B.4, and the check value of the CRC catalogues. */
static void test_known_values(void **state)
{
    (void)state;
    unsigned char zeros[32] = {0}, ones[32], rising[32];
    memset(ones, 0xFF, sizeof ones);
    for (int i = 0; i < 32; i++)
        rising[i] = (unsigned char)i;
    uint32_t (*const f[])(uint32_t, const void *, size_t) = {hl_crc32c, hl_crc32c_portable};
    for (int k = 0; k < 2; k++) {
        assert_int_equal(f[k](0, "123456789", 9), 0xE3069283u);
        assert_int_equal(f[k](0, zeros, 32), 0x8A9136AAu);
        assert_int_equal(f[k](0, ones, 32), 0x62A8AB43u);
        assert_int_equal(f[k](0, rising, 32), 0x46DD794Eu);
        assert_int_equal(f[k](0, "", 0), 0);
        assert_int_equal(f[k](0x12345678u, "", 0), 0x12345678u);
    }
}

/* Lengths around every step of the two loops (8, three lanes of 8192), at every alignment. */
static void test_lengths_and_alignments(void **state)
{
    (void)state;
    static const size_t lengths[] = {0,     1,     3,     7,     8,     9,     17,    63,    8191,
                                     24575, 24576, 24577, 24583, 24584, 49151, 49152, 49153, 100003};
    unsigned char *p = noise(100003 + 8);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (size_t shift = 0; shift < 8; shift++) {
            uint32_t expected = by_definition(p + shift, lengths[i]);
            assert_int_equal(hl_crc32c(0, p + shift, lengths[i]), expected);
            assert_int_equal(hl_crc32c_portable(0, p + shift, lengths[i]), expected);
        }
    free(p);
}

static void test_incremental_and_combine(void **state)
{
    (void)state;
    enum { N = 60000 };
    unsigned char *p = noise(N);
    uint32_t whole = hl_crc32c(0, p, N);
    for (size_t cut = 0; cut <= N; cut += 997) {
        uint32_t a = hl_crc32c(0, p, cut), b = hl_crc32c(0, p + cut, N - cut);
        assert_int_equal(hl_crc32c(a, p + cut, N - cut), whole);
        assert_int_equal(hl_crc32c_portable(a, p + cut, N - cut), whole);
        assert_int_equal(hl_crc32c_combine(a, b, N - cut), whole);
    }
    free(p);
}

static void test_every_flipped_bit_shows(void **state)
{
    (void)state;
    enum { N = 333 };
    unsigned char *p = noise(N);
    uint32_t whole = hl_crc32c(0, p, N);
    for (size_t bit = 0; bit < 8 * N; bit++) {
        p[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_int_not_equal(hl_crc32c(0, p, N), whole);
        p[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_lengths_and_alignments),
        cmocka_unit_test(test_incremental_and_combine),
        cmocka_unit_test(test_every_flipped_bit_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
