/* The layout of a file far larger than this machine, in little memory; and libhdf5 kept quiet. */
#include "base/error.h"
#include "io/hdf5.h"
#include "base/memory.h"
#include "io/checkpoint_layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void test_bytes(void **state)
{
    (void)state;
    unsigned char in[10000], out[10000];
    hl_image *image = hl_image_new();
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (unsigned char)(i * 7 + 1);
    assert_true(hl_image_write(image, 0, in, 0) && hl_image_length(image) == 0);
    assert_true(hl_image_write(image, 1ull << 40, in + 5, 3)); /* far first: pages are kept in order */
    assert_true(hl_image_write(image, 4090, in, sizeof in));
    assert_true(hl_image_write(image, 5000, in, 1));
    hl_image_read(image, 4090, out, sizeof out);
    out[5000 - 4090] = in[5000 - 4090];
    assert_memory_equal(in, out, sizeof in);
    hl_image_read(image, (1ull << 40) - 2, out, 7);
    assert_memory_equal(out, ((unsigned char[]){0, 0, in[5], in[6], in[7], 0, 0}), 7);
    assert_true(hl_image_length(image) == (1ull << 40) + 3);
    assert_true(hl_image_memory(image) == 5 * 4096);
    hl_image_free(image);
    hl_image_free(NULL);
}

static void test_terabytes_laid_out_in_a_megabyte(void **state)
{
    (void)state;
    enum { N = 8 };
    hl_error err = {0};
    hl_layout_tensor tensors[N];
    static const char *const names[N] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    for (int i = 0; i < N; i++) {
        const int64_t count = (int64_t)1 << 38; /* a terabyte */
        tensors[i] = (hl_layout_tensor){
            .info = {.name = names[i], .shape = {2, {1 << 19, 1 << 19}}, .count = count},
            .crc32c = (uint32_t)i};
    }
    hl_image *image = hl_image_new();
    hl_checkpoint_meta meta = {0};
    assert_int_equal(hl_checkpoint_lay_out("x.h5", &meta, 4096, N, tensors, image, &err), HL_OK);
    assert_true(hl_image_length(image) >= (uint64_t)N << 40);
    assert_true(hl_image_memory(image) < 1 << 20);
    for (int i = 0; i < N; i++)
        assert_true(tensors[i].offset % 4096 == 0 && tensors[i].offset >= 4096 &&
                    tensors[i].offset + (1ull << 40) <= hl_image_length(image));
    hl_image_free(image);
}

static herr_t loud(hid_t stack, void *data)
{
    (void)stack;
    ++*(int *)data;
    return 0;
}

static void test_quiet_and_reason(void **state)
{
    (void)state;
    int calls = 0;
    hl_error err = {0};
    assert_true(H5Eset_auto2(H5E_DEFAULT, loud, &calls) >= 0);
    hl_hdf5_scope outer = hl_hdf5_begin(), inner = hl_hdf5_begin();
    assert_true(H5Fopen("absent.h5", H5F_ACC_RDONLY, H5P_DEFAULT) < 0);
    assert_int_equal(hl_hdf5_fail(&err, HL_ERR_DATA, "%s: no", "absent.h5"), HL_ERR_DATA);
    assert_non_null(strstr(err.message, "absent.h5: no [HDF5: "));
    assert_non_null(strstr(err.message, "No such file"));
    hl_hdf5_end(inner);
    assert_true(H5Fopen("absent.h5", H5F_ACC_RDONLY, H5P_DEFAULT) < 0);
    hl_hdf5_end(outer);
    assert_int_equal(calls, 0);
    assert_true(H5Fopen("absent.h5", H5F_ACC_RDONLY, H5P_DEFAULT) < 0);
    assert_int_equal(calls, 1); /* the caller's own handler is back */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_terabytes_laid_out_in_a_megabyte),
        cmocka_unit_test(test_quiet_and_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
