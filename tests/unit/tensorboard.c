#include "base/crc32c.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "io/tensorboard.h"

#include "tests/temporary.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* A small reader, which trusts nothing the writer says without its checksum. */

static unsigned char content[1 << 20];
static size_t content_size;

static void load(const char *path)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    content_size = fread(content, 1, sizeof content, f);
    fclose(f);
}

static uint64_t little(const unsigned char *p, int n)
{
    uint64_t value = 0;
    for (int i = 0; i < n; i++)
        value |= (uint64_t)p[i] << 8 * i;
    return value;
}

static uint32_t unmask(uint64_t masked)
{
    uint32_t rotated = (uint32_t)masked - 0xA282EAD8u;
    return rotated << 15 | rotated >> 17;
}

/* The record at *offset, and moves on. */
static const unsigned char *record(size_t *offset, size_t *n)
{
    const unsigned char *p = content + *offset;
    assert_true(*offset + 16 <= content_size);
    *n = little(p, 8);
    assert_int_equal(hl_crc32c(0, p, 8), unmask(little(p + 8, 4)));
    assert_true(*offset + 16 + *n <= content_size);
    assert_int_equal(hl_crc32c(0, p + 12, *n), unmask(little(p + 12 + *n, 4)));
    *offset += 16 + *n;
    return p + 12;
}

/* Field of a protobuf message: its payload, with the length (delimited) or value (varint) in *n. */
static const unsigned char *field(const unsigned char *p, size_t size, unsigned wanted, size_t *n)
{
    for (const unsigned char *end = p + size; p < end;) {
        unsigned key = *p++, wire = key & 7;
        size_t value = 0;
        if (wire == 0 || wire == 2)
            for (int shift = 0;; shift += 7) {
                value |= (size_t)(*p & 127) << shift;
                if (!(*p++ & 128))
                    break;
            }
        size_t length = wire == 1 ? 8 : wire == 5 ? 4 : wire == 2 ? value : 0;
        assert_true(p + length <= end);
        if (key >> 3 == wanted) {
            *n = value;
            return p;
        }
        p += length;
    }
    return NULL;
}

static double get_double(const unsigned char *p)
{
    double x;
    assert_non_null(p);
    memcpy(&x, p, 8);
    return x;
}

static hl_tensorboard *open_writer(double wall_time)
{
    hl_error err = {0};
    hl_tensorboard *tb;
    assert_int_equal(hl_tensorboard_open(temporary_path("logs/run"), wall_time, &tb, &err), HL_OK);
    return tb;
}

static void close_and_load(hl_tensorboard *tb)
{
    char path[512];
    hl_error err = {0};
    snprintf(path, sizeof path, "%s", hl_tensorboard_path(tb));
    assert_int_equal(hl_tensorboard_close(tb, &err), HL_OK);
    load(path);
}

/* Bytes that TensorBoard's own writer makes. */
static void test_golden(void **state)
{
    (void)state;
    static const char expected[] =
        "1800000000000000a37f4b220900000000000000001a0d627261696e2e4576656e743a32eedf28a3"
        "1a00000000000000129bd82d09000000000000f03f10072a0d0a0b0a046c6f7373150000003f"
        "862c9a2f";
    hl_error err = {0};
    hl_tensorboard *tb = open_writer(0);
    assert_int_equal(hl_tensorboard_scalar(tb, 1.0, 7, "loss", 0.5f, &err), HL_OK);
    assert_non_null(strstr(hl_tensorboard_path(tb), "/events.out.tfevents."));
    close_and_load(tb);
    char text[2 * sizeof content / 1024 + 1];
    assert_true(2 * content_size < sizeof text);
    for (size_t i = 0; i < content_size; i++)
        sprintf(text + 2 * i, "%02x", content[i]);
    assert_string_equal(text, expected);
}

static void test_scalar_edges(void **state)
{
    (void)state;
    static const int64_t steps[] = {0, 1, 127, 128, 300, INT64_MAX, -1};
    hl_error err = {0};
    char tag[400];
    memset(tag, 't', sizeof tag); /* lengths of more than one byte at every level */
    tag[sizeof tag - 1] = 0;
    hl_tensorboard *tb = open_writer(123.25);
    for (int i = 0; i < 7; i++)
        assert_int_equal(hl_tensorboard_scalar(tb, 2.5, steps[i], tag, i ? NAN : -INFINITY, &err), HL_OK);
    close_and_load(tb);
    size_t offset = 0, n, m, value;
    const unsigned char *p = record(&offset, &n);
    assert_true(get_double(field(p, n, 1, &m)) == 123.25);
    for (int i = 0; i < 7; i++) {
        p = record(&offset, &n);
        assert_true(get_double(field(p, n, 1, &m)) == 2.5);
        assert_true(field(p, n, 2, &value) ? (int64_t)value == steps[i] : steps[i] == 0);
        p = field(p, n, 5, &m);
        p = field(p, m, 1, &m);
        const unsigned char *name = field(p, m, 1, &n), *x = field(p, m, 2, &value);
        assert_int_equal(n, sizeof tag - 1);
        assert_memory_equal(name, tag, n);
        float got;
        memcpy(&got, x, 4);
        assert_true(i ? isnan(got) : got == -INFINITY);
    }
    assert_int_equal(offset, content_size);
}

/* Writes one histogram and returns its message; checks the buckets against the values. */
static const unsigned char *histogram_of(const float *values, size_t count, size_t *size)
{
    hl_error err = {0};
    size_t offset = 0, n, limits_n, buckets_n;
    hl_tensorboard *tb = open_writer(0);
    assert_int_equal(hl_tensorboard_histogram(tb, 1, 3, "w", values, count, &err), HL_OK);
    close_and_load(tb);
    (void)record(&offset, &n);
    const unsigned char *p = record(&offset, &n);
    assert_int_equal(offset, content_size);
    p = field(p, n, 5, &n);
    p = field(p, n, 1, &n);
    p = field(p, n, 5, size);
    const unsigned char *limits = field(p, *size, 6, &limits_n), *buckets = field(p, *size, 7, &buckets_n);
    assert_non_null(limits);
    assert_int_equal(limits_n, buckets_n);
    double left = -INFINITY;
    for (size_t i = 0; i < limits_n; i += 8) {
        double right = get_double(limits + i), expected = 0;
        assert_true(right > left && isfinite(right));
        for (size_t k = 0; k < count; k++) {
            double x = values[k];
            /* An edge itself belongs to the bucket farther from zero. */
            expected += isfinite(x) && (x > left || (x == left && x > 0)) &&
                        (x < right || (x == right && x < 0));
        }
        assert_true(get_double(buckets + i) == expected);
        left = right;
    }
    return p;
}

static void test_histogram(void **state)
{
    (void)state;
    static const float values[] = {-1.0f, 0.0f, 1.0f,  1.0f,     1.05f,    -0.0f,   3e-30f, FLT_MAX,
                                   NAN,   -NAN, 0.25f, INFINITY, -FLT_MAX, -1e-12f, 1e-12f, 0x1p-40f};
    size_t n, m;
    const unsigned char *p = histogram_of(values, 16, &n);
    assert_true(get_double(field(p, n, 1, &m)) == -(double)FLT_MAX);
    assert_true(get_double(field(p, n, 2, &m)) == (double)FLT_MAX);
    assert_true(get_double(field(p, n, 3, &m)) == 13);

    static const float few[] = {1, 2, 3, -4};
    p = histogram_of(few, 4, &n);
    assert_true(get_double(field(p, n, 1, &m)) == -4);
    assert_true(get_double(field(p, n, 2, &m)) == 3);
    assert_true(get_double(field(p, n, 4, &m)) == 2);
    assert_true(get_double(field(p, n, 5, &m)) == 30);
    (void)field(p, n, 7, &m);
    assert_int_equal(m, 8 * 8); /* four full ones, and one empty before each: the gaps */
}

static void test_histogram_of_one_and_of_none(void **state)
{
    (void)state;
    size_t n, m;
    static const float one[] = {-7.5f}, lost[] = {NAN, INFINITY};
    const unsigned char *p = histogram_of(one, 1, &n);
    assert_true(get_double(field(p, n, 1, &m)) == -7.5 && get_double(field(p, n, 2, &m)) == -7.5);
    const struct {
        const float *values;
        size_t n;
    } empty[] = {{NULL, 0}, {lost, 2}};
    for (int i = 0; i < 2; i++) {
        p = histogram_of(empty[i].values, empty[i].n, &n);
        assert_true(get_double(field(p, n, 3, &m)) == 0);
        (void)field(p, n, 7, &m);
        assert_int_equal(m, 0);
    }
}

static void test_large_histogram_covers_all(void **state)
{
    (void)state;
    enum { N = 20000 };
    static float values[N];
    uint32_t word = 1;
    for (int i = 0; i < N; i++) {
        word = word * 1664525u + 1013904223u;
        memcpy(&values[i], &word, 4); /* every kind of float */
    }
    size_t n, m, finite = 0;
    for (int i = 0; i < N; i++)
        finite += isfinite(values[i]) != 0;
    const unsigned char *p = histogram_of(values, N, &n);
    assert_true(get_double(field(p, n, 3, &m)) == (double)finite);
    const unsigned char *buckets = field(p, n, 7, &m);
    double total = 0;
    for (size_t i = 0; i < m; i += 8)
        total += get_double(buckets + i);
    assert_true(total == (double)finite);
}

static void test_resume_opens_a_new_file(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_tensorboard *a = open_writer(0), *b = open_writer(0);
    assert_string_not_equal(hl_tensorboard_path(a), hl_tensorboard_path(b));
    assert_int_equal(hl_tensorboard_close(a, &err), HL_OK);
    assert_int_equal(hl_tensorboard_close(b, &err), HL_OK);
    assert_int_equal(hl_tensorboard_close(NULL, &err), HL_OK);
}

static void test_failing_disk_and_memory(void **state)
{
    (void)state;
    static const float values[] = {1, -2};
    hl_error err = {0};
    hl_tensorboard *tb = open_writer(0);
    hl_file_fail_at(1);
    assert_int_equal(hl_tensorboard_scalar(tb, 0, 1, "loss", 1, &err), HL_ERR_IO);
    assert_non_null(strstr(err.message, hl_tensorboard_path(tb)));
    assert_int_equal(hl_tensorboard_scalar(tb, 0, 2, "loss", 1, &err), HL_ERR_IO);
    assert_non_null(strstr(err.message, "an earlier write failed"));
    assert_int_equal(hl_tensorboard_close(tb, &err), HL_OK);
    for (uint64_t n = 1; n <= 2; n++) { /* open and write; the directory is there */
        hl_file_fail_at(n);
        assert_int_equal(hl_tensorboard_open(temporary_path("logs/run"), 0, &tb, &err), HL_ERR_IO);
        assert_null(tb);
    }
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        hl_alloc_fail_at(n);
        hl_status status = hl_tensorboard_open(temporary_path("logs/run"), 0, &tb, &err);
        if (status == HL_OK)
            status = hl_tensorboard_histogram(tb, 0, 1, "w", values, 2, &err);
        hl_alloc_fail_at(0);
        if (tb)
            assert_int_equal(hl_tensorboard_close(tb, NULL), HL_OK);
        if (status == HL_OK)
            break;
        assert_int_equal(status, HL_ERR_MEMORY);
        failures++;
    }
    assert_true(failures >= 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_scalar_edges),
        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_histogram_of_one_and_of_none),
        cmocka_unit_test(test_large_histogram_covers_all),
        cmocka_unit_test(test_resume_opens_a_new_file),
        cmocka_unit_test(test_failing_disk_and_memory),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_drop);
}
