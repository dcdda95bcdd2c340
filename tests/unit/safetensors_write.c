/* Writing safetensors: the bytes, where they lie, what is refused, and disks and memory that fail. */
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/shape.h"
#include "io/safetensors.h"

#include "tests/checkpoint_store.h"

#include <sys/syscall.h>

static const float numbers[64] = {1, -2, 3.5f, -0.0f, 1e-42f, 1e30f};

static hl_safetensor tensor(const char *name, hl_dtype dtype, int rank, const int64_t *dim)
{
    return hl_safetensor_make(name, dtype, hl_shape_make(rank, dim), numbers);
}

static hl_status write_three(const char *path, hl_error *err)
{
    const hl_safetensor tensors[] = {
        tensor("c", HL_F32, 2, (int64_t[]){1, 3}),
        tensor("b", HL_BF16, 0, NULL),
        tensor("a", HL_F32, 1, (int64_t[]){16}),
    };
    const hl_safetensors_text texts[] = {{"format", "pt"}, {"note", "\xc3\xa9\n\""}};
    return hl_safetensors_write(path, 3, tensors, 2, texts, err);
}

static void test_written_bytes(void **state)
{
    (void)state;
    static const char json[] = "{\"__metadata__\":{\"format\":\"pt\",\"note\":\"\xc3\xa9\\n\\\"\"},"
                               "\"a\":{\"dtype\":\"F32\",\"shape\":[16],\"data_offsets\":[0,64]},"
                               "\"c\":{\"dtype\":\"F32\",\"shape\":[1,3],\"data_offsets\":[64,76]},"
                               "\"b\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[76,78]}}";
    const char *path = temporary_path("small.safetensors");
    hl_error err = {0};
    assert_int_equal(write_three(path, &err), HL_OK);
    size_t size;
    unsigned char *at = slurp(path, &size);
    const size_t header = (8 + strlen(json) + 63) / 64 * 64;
    assert_int_equal(size, header + 78);
    assert_int_equal(at[0] | at[1] << 8, header - 8);
    for (int k = 2; k < 8; k++)
        assert_int_equal(at[k], 0);
    assert_memory_equal(at + 8, json, strlen(json));
    for (size_t k = 8 + strlen(json); k < header; k++)
        assert_int_equal(at[k], ' ');
    assert_memory_equal(at + header, numbers, 64);
    assert_memory_equal(at + header + 64, numbers, 12);
    assert_memory_equal(at + header + 76, numbers, 2);
    free(at);
    assert_int_equal(hl_safetensors_write(path, 0, NULL, 0, NULL, &err), HL_OK);
    at = slurp(path, &size);
    assert_int_equal(size, 64);
    assert_memory_equal(at + 8, "{}  ", 4);
    free(at);
}

static void test_round_trip_and_alignment(void **state)
{
    (void)state;
    static const int64_t counts[] = {0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 48, 63, 64};
    enum { N = sizeof counts / sizeof *counts };
    hl_error err = {0};
    char names[HL_DTYPES * N][16];
    hl_safetensor all[HL_DTYPES * N];
    const char *path = temporary_path("all.safetensors");
    for (int d = 0, n = 0; d < HL_DTYPES; d++)
        for (int i = 0; i < N; i++, n++) {
            snprintf(names[n], sizeof names[n], "t%d.%d", i, d);
            all[n] = hl_safetensor_make(names[n], (hl_dtype)d, hl_shape_make(1, &counts[i]), numbers);
        }
    assert_int_equal(hl_safetensors_write(path, HL_DTYPES * N, all, 0, NULL, &err), HL_OK);
    hl_safetensors *f = hl_safetensors_open(path, &err);
    assert_non_null(f);
    assert_int_equal(hl_safetensors_count(f), HL_DTYPES * N);
    for (int n = 0; n < HL_DTYPES * N; n++) {
        hl_safetensor t = hl_safetensors_at(f, hl_safetensors_find(f, all[n].name));
        size_t unit = 64;
        while (t.bytes % unit)
            unit /= 2;
        assert_string_equal(t.type, all[n].type);
        assert_true(hl_shape_equal(t.shape, all[n].shape));
        assert_int_equal(t.bytes, all[n].bytes);
        assert_memory_equal(t.data, numbers, t.bytes);
        assert_true(hl_safetensor_aligned(&t));
        assert_int_equal((uintptr_t)t.data % unit, 0); /* the mapping begins at a page */
    }
    /* What is mapped is written again over its own file: the old one stays for who reads it. */
    hl_safetensor again = hl_safetensors_at(f, hl_safetensors_find(f, "t15.0"));
    assert_int_equal(hl_safetensors_write(path, 1, &again, 0, NULL, &err), HL_OK);
    assert_memory_equal(again.data, numbers, again.bytes);
    hl_safetensors_close(f);
    f = hl_safetensors_open(path, &err);
    assert_int_equal(hl_safetensors_count(f), 1);
    hl_safetensors_close(f);
}

static void test_what_is_not_written(void **state)
{
    (void)state;
    hl_error err = {0};
    const char *path = temporary_path("not.safetensors");
    const hl_safetensor twice[] = {tensor("x", HL_F32, 0, NULL), tensor("x", HL_I8, 0, NULL)};
    const hl_safetensor reserved = tensor("__metadata__", HL_F32, 0, NULL);
    const hl_safetensor latin = tensor("\xe9", HL_F32, 0, NULL);
    const hl_safetensors_text texts[] = {{"k", "1"}, {"k", "2"}}, wrong = {"k", "\xe9"}, key = {"\xe9", "v"};
    assert_int_equal(hl_safetensors_write(path, 2, twice, 0, NULL, &err), HL_ERR_USAGE);
    assert_non_null(strstr(err.message, "'x' is there twice"));
    assert_int_equal(hl_safetensors_write(path, 1, &reserved, 0, NULL, &err), HL_ERR_USAGE);
    assert_non_null(strstr(err.message, "__metadata__"));
    assert_int_equal(hl_safetensors_write(path, 1, &latin, 0, NULL, &err), HL_ERR_USAGE);
    assert_non_null(strstr(err.message, "UTF-8"));
    assert_int_equal(hl_safetensors_write(path, 1, twice, 2, texts, &err), HL_ERR_USAGE);
    assert_int_equal(hl_safetensors_write(path, 1, twice, 1, &wrong, &err), HL_ERR_USAGE);
    assert_int_equal(hl_safetensors_write(path, 1, twice, 1, &key, &err), HL_ERR_USAGE);
    assert_int_equal(hl_safetensors_write(path, 2, twice, 0, NULL, NULL), HL_ERR_USAGE);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(hl_safetensors_write(temporary_dir, 1, twice, 0, NULL, &err), HL_ERR_IO);
    assert_non_null(strstr(err.message, "directory"));
    assert_int_equal(temporary_count(temporary_dir, ".tmp"), 0);
    /* A header that no reader would take. */
    char *large = malloc(HL_SAFETENSORS_HEADER + 1);
    assert_non_null(large);
    memset(large, 'x', HL_SAFETENSORS_HEADER);
    large[HL_SAFETENSORS_HEADER] = 0;
    const hl_safetensors_text too_large = {"k", large};
    assert_int_equal(hl_safetensors_write(path, 1, twice, 1, &too_large, &err), HL_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "the format allows 100000000"));
    free(large);
}

/* ------------------------------------------------------------------ what fails */

static int lie_at; /* counts down to the call of write() that stores something else than it was given */

/* In place of the C library's, for this program. */
ssize_t write(int fd, const void *bytes, size_t n)
{
    static unsigned char copy[1 << 16];
    if (lie_at && !--lie_at && n && n <= sizeof copy) {
        memcpy(copy, bytes, n);
        copy[n / 2] ^= 4;
        bytes = copy;
    }
    return syscall(SYS_write, fd, bytes, n);
}

static void assert_old(const char *path)
{
    size_t size;
    unsigned char *at = slurp(path, &size);
    assert_int_equal(size, 3);
    assert_memory_equal(at, "old", 3);
    free(at);
    assert_int_equal(temporary_count(temporary_dir, ".tmp"), 0);
}

static void test_what_does_not_read_back_is_not_kept(void **state)
{
    (void)state;
    const char *path = temporary_path("lie.safetensors");
    spill(path, "old", 3);
    for (int call = 1; call <= 4; call++) { /* the header, three tensors */
        hl_error err = {0};
        lie_at = call;
        assert_int_equal(write_three(path, &err), HL_ERR_DATA);
        assert_int_equal(lie_at, 0);
        assert_non_null(strstr(err.message, "lie.safetensors: what was written does not read back: "));
        assert_old(path);
    }
    lie_at = 1;
    assert_int_equal(write_three(path, NULL), HL_ERR_DATA);
    assert_old(path);
}

static void test_failing_allocations(void **state)
{
    (void)state;
    const char *path = temporary_path("memory.safetensors");
    int failures = 0;
    spill(path, "old", 3);
    for (uint64_t n = 1;; n++, failures++) {
        hl_error err = {0};
        hl_alloc_fail_at(n);
        hl_status status = write_three(path, &err);
        hl_alloc_fail_at(0);
        if (status == HL_OK)
            break;
        assert_int_equal(status, HL_ERR_MEMORY);
        assert_non_null(strstr(err.message, "no memory"));
        if (!strstr(err.message, "might not survive")) /* only the directory was not synced */
            assert_old(path);
        spill(path, "old", 3);
    }
    assert_true(failures >= 8);
    failures = 0;
    for (uint64_t n = 1;; n++, failures++) {
        hl_error err = {0};
        hl_alloc_fail_at(n);
        hl_safetensors *f = hl_safetensors_open(path, &err);
        hl_alloc_fail_at(0);
        hl_safetensors_close(f);
        if (f)
            break;
        assert_int_equal(err.status, HL_ERR_MEMORY);
    }
    assert_true(failures >= 2);
}

static void test_failing_writes(void **state)
{
    (void)state;
    const char *path = temporary_path("disk.safetensors");
    int failures = 0;
    for (uint64_t n = 1;; n++, failures++) {
        hl_error err = {0};
        spill(path, "old", 3);
        hl_file_fail_at(n);
        hl_status status = write_three(path, &err);
        hl_file_fail_at(0);
        if (status == HL_OK)
            break;
        assert_int_equal(status, HL_ERR_IO);
        assert_non_null(strstr(err.message, "disk.safetensors"));
        assert_non_null(strstr(err.message, "No space left"));
        if (!strstr(err.message, "might not survive"))
            assert_old(path);
    }
    assert_true(failures >= 8); /* open, truncate, four writes, fsync, opening it again, rename, directory */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_bytes),
        cmocka_unit_test(test_round_trip_and_alignment),
        cmocka_unit_test(test_what_is_not_written),
        cmocka_unit_test(test_what_does_not_read_back_is_not_kept),
        cmocka_unit_test(test_failing_allocations),
        cmocka_unit_test(test_failing_writes),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_drop);
}
