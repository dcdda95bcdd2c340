/* Checkpoints that are well: what goes in comes out, and only into the model it belongs to. */
#include "base/crc32c.h"

#include "tests/checkpoint_store.h"

#include <hdf5.h>

static char long_config[200001]; /* more than an HDF5 attribute can hold */
static const hl_checkpoint_array arrays[] = {
    {"proprioceptive.mean", 3, means}, {"action.std", 1, means}, {"none", 0, NULL}};
static const hl_checkpoint_value values[] = {{"best.loss", true, 0, 0.1}, {"skipped", false, UINT64_MAX, 0}};

static hl_checkpoint_meta full_meta(uint64_t step)
{
    memset(long_config, 'c', sizeof long_config - 1);
    return (hl_checkpoint_meta){.hl_version = "0.1.0",
                                .step = step,
                                .epoch = 3,
                                .seed = UINT64_MAX,
                                .n_loader = 4,
                                .loader = {7, 0, UINT64_MAX, 1},
                                .config = long_config,
                                .n_arrays = 3,
                                .arrays = arrays,
                                .n_values = 2,
                                .values = values};
}

/* ------------------------------------------------------------------ round trips */

static void test_round_trip(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_checkpoint *c;
    const char *path = temporary_path("round.h5");
    hl_params *a = filled(5), *b = declared(9);
    hl_checkpoint_meta meta = full_meta(123);
    assert_int_equal(hl_checkpoint_write(path, a, &meta, HL_CHECKPOINT_ALL, &err), HL_OK);
    assert_int_equal(hl_checkpoint_open(path, &c, &err), HL_OK);

    const hl_checkpoint_meta *m = hl_checkpoint_meta_of(c);
    assert_string_equal(m->hl_version, "0.1.0");
    assert_string_equal(m->config, long_config);
    assert_true(m->step == 123 && m->epoch == 3 && m->seed == UINT64_MAX && m->n_loader == 4);
    assert_memory_equal(m->loader, meta.loader, sizeof meta.loader);
    assert_int_equal(m->n_arrays, 3);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(m->arrays[i].name, arrays[i].name); /* in the order they were given */
        assert_int_equal(m->arrays[i].count, arrays[i].count);
        assert_memory_equal(m->arrays[i].values, means, arrays[i].count * sizeof(float));
    }
    assert_int_equal(m->n_values, 2);
    assert_true(hl_checkpoint_find_value(m, "best.loss")->is_real &&
                hl_checkpoint_find_value(m, "best.loss")->real == 0.1);
    assert_true(hl_checkpoint_find_value(m, "skipped")->integer == UINT64_MAX);
    assert_null(hl_checkpoint_find_value(m, "none"));
    assert_ptr_equal(hl_checkpoint_find_array(m, "action.std"), &m->arrays[1]);
    assert_null(hl_checkpoint_find_array(m, "action"));

    static const char *const order[] = {"net.0.weight", "net.0.bias", "scale",      "one",
                                        "empty",        "page",       "adamw.step", "adamw.m.net.0.weight"};
    assert_int_equal(hl_checkpoint_count(c), 8);
    for (int i = 0; i < 8; i++) {
        const hl_checkpoint_tensor *t = hl_checkpoint_at(c, i);
        hl_param_info info = hl_params_at(a, hl_params_find(a, t->name));
        assert_string_equal(t->name, order[i]);
        assert_int_equal(t->role, i < 6 ? HL_PARAMETER : HL_OPTIMIZER);
        assert_true(hl_shape_equal(t->shape, info.shape) && t->count == info.count);
        assert_int_equal(t->crc32c, hl_crc32c(0, info.data, (size_t)info.count * 4));
    }
    assert_true(hl_checkpoint_at(c, 5)->offset % 4096 == 0); /* a page: can be mapped */
    assert_int_equal(hl_checkpoint_load(c, b, HL_CHECKPOINT_ALL, &err), HL_OK);
    assert_same_values(a, b);
    hl_params_at(b, 0).data[0] = 77;
    assert_int_equal(hl_checkpoint_load(c, b, HL_CHECKPOINT_ALL, &err), HL_OK); /* over what is there */
    assert_same_values(a, b);
    assert_int_equal(hl_checkpoint_check(c, &err), HL_OK);
    hl_checkpoint_close(c);
    hl_checkpoint_close(NULL);
    hl_params_free(a);
    hl_params_free(b);
}

static void test_empty_store_and_meta(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_checkpoint *c;
    hl_params *none = hl_params_new(0);
    hl_checkpoint_meta meta = {0};
    const char *path = temporary_path("none.h5");
    assert_int_equal(hl_checkpoint_write(path, none, &meta, HL_CHECKPOINT_ALL, &err), HL_OK);
    assert_int_equal(hl_checkpoint_open(path, &c, &err), HL_OK);
    assert_int_equal(hl_checkpoint_count(c), 0);
    assert_string_equal(hl_checkpoint_meta_of(c)->config, "");
    assert_string_equal(hl_checkpoint_meta_of(c)->hl_version, "");
    assert_int_equal(hl_checkpoint_meta_of(c)->n_loader, 0);
    assert_int_equal(hl_checkpoint_load(c, none, HL_CHECKPOINT_ALL, &err), HL_OK);
    hl_checkpoint_close(c);
    hl_params_free(none);
}

static void test_same_content_is_the_same_file(void **state)
{
    (void)state;
    size_t n, m;
    hl_params *a = filled(5);
    write_small(temporary_path("same1.h5"), a);
    write_small(temporary_path("same2.h5"), a);
    unsigned char *x = slurp(temporary_path("same1.h5"), &n), *y = slurp(temporary_path("same2.h5"), &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
    hl_params_free(a);
}

/* What h5py does: the library's own driver, which knows nothing of the user block. */
static void test_any_hdf5_reader_opens_it(void **state)
{
    (void)state;
    float got[51];
    uint32_t crc32c;
    const char *path = temporary_path("plain.h5");
    hl_params *a = filled(5);
    write_small(path, a);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    hid_t set = H5Dopen2(file, "/parameters/net.0.weight", H5P_DEFAULT);
    assert_true(set >= 0);
    assert_true(H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, got) >= 0);
    assert_memory_equal(got, hl_params_at(a, 0).data, sizeof got);
    hid_t attribute = H5Aopen(set, "crc32c", H5P_DEFAULT);
    assert_true(H5Aread(attribute, H5T_NATIVE_UINT32, &crc32c) >= 0);
    assert_int_equal(crc32c, hl_crc32c(0, got, sizeof got));
    H5Aclose(attribute);
    H5Dclose(set);
    assert_true(H5Lexists(file, "/optimizer/adamw.step", H5P_DEFAULT) > 0);
    H5Fclose(file);
    hl_params_free(a);
}

static void test_thousands_of_tensors(void **state)
{
    (void)state;
    enum { N = 3000 };
    hl_error err = {0};
    hl_params *a = hl_params_new(1), *b = hl_params_new(2);
    for (int i = 0; i < N; i++) {
        char name[64];
        snprintf(name, sizeof name, "h_module.context_refiner.layers.%d.weight", i);
        add(a, name, i % 3 ? HL_OPTIMIZER : HL_PARAMETER, 1, (int64_t[]){i % 5 * 700});
        add(b, name, i % 3 ? HL_OPTIMIZER : HL_PARAMETER, 1, (int64_t[]){i % 5 * 700});
    }
    assert_int_equal(hl_params_materialize(a, &err), HL_OK);
    write_small(temporary_path("many.h5"), a);
    assert_int_equal(hl_checkpoint_read(temporary_path("many.h5"), b, HL_CHECKPOINT_ALL, &err), HL_OK);
    assert_same_values(a, b);
    hl_params_free(a);
    hl_params_free(b);
}

static void test_parameters_only(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_checkpoint *c;
    hl_params *a = filled(5), *b = declared(9), *all = declared(9);
    hl_checkpoint_meta meta = small_meta(1);
    const char *with = temporary_path("with.h5"), *without = temporary_path("without.h5");
    write_small(with, a);
    assert_int_equal(hl_checkpoint_write(without, a, &meta, HL_CHECKPOINT_PARAMETERS_ONLY, &err), HL_OK);
    assert_int_equal(hl_checkpoint_open(without, &c, &err), HL_OK);
    assert_int_equal(hl_checkpoint_count(c), 6);
    hl_checkpoint_close(c);
    const char *const files[] = {with, without};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(hl_checkpoint_read(files[i], b, HL_CHECKPOINT_PARAMETERS_ONLY, &err), HL_OK);
        assert_memory_equal(hl_params_at(b, 0).data, hl_params_at(a, 0).data, 51 * 4);
        assert_null(hl_params_at(b, 1).data); /* the optimizer's state is untouched */
    }
    assert_int_equal(hl_checkpoint_read(without, all, HL_CHECKPOINT_ALL, &err), HL_ERR_DATA);
    assert_says(&err, HL_ERR_DATA, without, "/optimizer/adamw.step: is missing, expected shape []");
    hl_params_free(a);
    hl_params_free(b);
    hl_params_free(all);
}

/* ------------------------------------------------------------------ a model that does not fit */

static void refuse(const char *path, hl_params *params, const char *a, const char *b)
{
    hl_error err = {0};
    assert_int_equal(hl_checkpoint_read(path, params, HL_CHECKPOINT_ALL, &err), HL_ERR_DATA);
    assert_says(&err, HL_ERR_DATA, path, "another configuration");
    assert_says(&err, HL_ERR_DATA, a, b);
    for (int i = 0; i < hl_params_count(params); i++)
        assert_null(hl_params_at(params, i).data); /* nothing was touched */
    hl_params_free(params);
}

static void test_models_that_do_not_fit(void **state)
{
    (void)state;
    const char *path = temporary_path("fit.h5");
    hl_params *a = filled(5), *b;
    write_small(path, a);
    b = declared(9);
    add(b, "net.1.weight", HL_PARAMETER, 2, (int64_t[]){5, 17});
    refuse(path, b, "/parameters/net.1.weight: is missing", "expected shape [5,17]");
    b = hl_params_new(9);
    add(b, "net.0.weight", HL_PARAMETER, 2, (int64_t[]){17, 3});
    refuse(path, b, "/parameters/net.0.bias: found [17]", "no such tensor");
    b = hl_params_new(9);
    add(b, "net.0.weight", HL_PARAMETER, 2, (int64_t[]){3, 17});
    refuse(path, b, "/parameters/net.0.weight", "found shape [17,3], expected [3,17]");
    b = hl_params_new(9);
    add(b, "net.0.weight", HL_PARAMETER, 3, (int64_t[]){17, 3, 1});
    refuse(path, b, "/parameters/net.0.weight", "found shape [17,3], expected [17,3,1]");
    b = hl_params_new(9);
    add(b, "net.0.weight", HL_OPTIMIZER, 2, (int64_t[]){17, 3});
    refuse(path, b, "/parameters/net.0.weight", "no such tensor");
    hl_params_free(a);
}

static void test_bad_calls(void **state)
{
    (void)state;
    hl_error err = {0};
    const char *path = temporary_path("bad.h5");
    hl_params *a = filled(5), *b = declared(5);
    hl_checkpoint_meta meta = small_meta(1);
    assert_int_equal(hl_checkpoint_write(path, b, &meta, HL_CHECKPOINT_ALL, &err), HL_ERR_USAGE);
    assert_says(&err, HL_ERR_USAGE, path, "'net.0.weight' has no values");
    static const char *const names[] = {"", "a/b", ".", NULL};
    for (int i = 0; i < 4; i++) {
        hl_checkpoint_array bad = {names[i], 3, means};
        meta.arrays = &bad;
        assert_int_equal(hl_checkpoint_write(path, a, &meta, HL_CHECKPOINT_ALL, &err), HL_ERR_USAGE);
        assert_says(&err, HL_ERR_USAGE, path, "cannot name");
    }
    hl_checkpoint_array twice[] = {arrays[0], arrays[0]};
    meta.arrays = twice;
    meta.n_arrays = 2;
    assert_int_equal(hl_checkpoint_write(path, a, &meta, HL_CHECKPOINT_ALL, &err), HL_ERR_USAGE);
    assert_says(&err, HL_ERR_USAGE, path, "'proprioceptive.mean' [HDF5: ");
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(hl_checkpoint_write(temporary_path("absent/x.h5"), b, &meta, HL_CHECKPOINT_ALL, &err),
                     HL_ERR_USAGE);
    meta = small_meta(1);
    assert_int_equal(hl_checkpoint_write(temporary_path("absent/x.h5"), a, &meta, HL_CHECKPOINT_ALL, &err),
                     HL_ERR_IO);
    assert_says(&err, HL_ERR_IO, "absent/x.h5", "check the path");
    hl_params_free(a);
    hl_params_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_empty_store_and_meta),
        cmocka_unit_test(test_same_content_is_the_same_file),
        cmocka_unit_test(test_any_hdf5_reader_opens_it),
        cmocka_unit_test(test_thousands_of_tensors),
        cmocka_unit_test(test_parameters_only),
        cmocka_unit_test(test_models_that_do_not_fit),
        cmocka_unit_test(test_bad_calls),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_drop);
}
