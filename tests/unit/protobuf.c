/* Protobuf's wire format, against bytes worked out by hand from its specification. */
#include "base/memory.h"
#include "base/protobuf.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The message is exactly these bytes; it is {0} again. */
static void expect(hl_text *m, size_t n, const unsigned char *bytes)
{
    assert_false(m->failed);
    assert_int_equal(m->size, n);
    if (n)
        assert_memory_equal(m->at, bytes, n);
    hl_text_free(m);
    *m = (hl_text){0};
}

#define EXPECT(m, ...)                                                                                       \
    expect(&(m), sizeof((unsigned char[]){__VA_ARGS__}), (const unsigned char[]){__VA_ARGS__})

static void integers(void **state)
{
    (void)state;
    hl_text m = {0};
    hl_protobuf_int(&m, 1, 150);
    EXPECT(m, 0x08, 0x96, 0x01); /* the specification's own example */
    hl_protobuf_int(&m, 1, 0);
    EXPECT(m, 0x08, 0x00);
    hl_protobuf_int(&m, 15, 127);
    EXPECT(m, 0x78, 0x7f);
    hl_protobuf_int(&m, 16, 128);
    EXPECT(m, 0x80, 0x01, 0x80, 0x01);
    hl_protobuf_int(&m, 2, -1);
    EXPECT(m, 0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01);
    hl_protobuf_int(&m, 2, INT64_MIN);
    EXPECT(m, 0x10, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01);
    hl_protobuf_int(&m, 2, INT64_MAX);
    EXPECT(m, 0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f);
    hl_protobuf_int(&m, 536870911, 1); /* the last field number */
    EXPECT(m, 0xf8, 0xff, 0xff, 0xff, 0x0f, 0x01);
}

static void reals(void **state)
{
    (void)state;
    hl_text m = {0};
    hl_protobuf_float(&m, 2, 1.0f);
    EXPECT(m, 0x15, 0x00, 0x00, 0x80, 0x3f);
    hl_protobuf_float(&m, 2, -0.0f);
    EXPECT(m, 0x15, 0x00, 0x00, 0x00, 0x80);
    hl_protobuf_float(&m, 2, INFINITY);
    EXPECT(m, 0x15, 0x00, 0x00, 0x80, 0x7f);
    hl_protobuf_double(&m, 1, 1.0);
    EXPECT(m, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf0, 0x3f);
    hl_protobuf_fixed(&m, 0x0102030405060708, 3);
    EXPECT(m, 0x08, 0x07, 0x06);
}

static void nested(void **state)
{
    (void)state;
    hl_text m = {0}, inner = {0};
    hl_protobuf_string(&m, 2, "testing");
    EXPECT(m, 0x12, 0x07, 't', 'e', 's', 't', 'i', 'n', 'g');
    hl_protobuf_string(&m, 2, "");
    EXPECT(m, 0x12, 0x00);
    hl_protobuf_bytes(&m, 9, "a\0b", 3);
    EXPECT(m, 0x4a, 0x03, 'a', 0, 'b');
    hl_protobuf_message(&m, 3, &inner); /* nothing in it, and no memory */
    EXPECT(m, 0x1a, 0x00);
    hl_protobuf_int(&inner, 1, 150);
    hl_protobuf_message(&m, 3, &inner);
    hl_protobuf_message(&m, 3, &inner);
    EXPECT(m, 0x1a, 0x03, 0x08, 0x96, 0x01, 0x1a, 0x03, 0x08, 0x96, 0x01);
    hl_text_free(&inner);
}

/* What hl_protobuf_begin says of bytes that are not there to be appended. */
static void sizes(void **state)
{
    (void)state;
    hl_text m = {0};
    hl_protobuf_begin(&m, 9, 300);
    EXPECT(m, 0x4a, 0xac, 0x02);
    hl_protobuf_begin(&m, 9, (uint64_t)5 << 30);
    EXPECT(m, 0x4a, 0x80, 0x80, 0x80, 0x80, 0x14);
    const uint64_t lengths[] = {0, 1, 127, 128, 16383, 16384, 300000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        for (int field = 15; field <= 16; field++) {
            hl_protobuf_begin(&m, field, lengths[i]);
            assert_int_equal(hl_protobuf_size(field, lengths[i]), m.size + lengths[i]);
            m.size = 0;
        }
    }
    hl_text_free(&m);
    assert_true(hl_protobuf_size(9, (uint64_t)5 << 30) == ((uint64_t)5 << 30) + 6);
}

static void no_memory(void **state)
{
    (void)state;
    hl_text m = {0}, inner = {0};
    hl_alloc_fail_at(1);
    hl_protobuf_int(&inner, 1, 1);
    hl_alloc_fail_at(0);
    assert_true(inner.failed);
    hl_protobuf_int(&m, 1, 1);
    hl_protobuf_message(&m, 2, &inner);
    assert_true(m.failed);
    assert_null(hl_text_take(&m));
    hl_text_free(&inner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers), cmocka_unit_test(reals),     cmocka_unit_test(nested),
        cmocka_unit_test(sizes),    cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
