/* Damaged files, values that are not finite, and no memory. */
#include "tests/demo_file.h"
#include "tests/damaged_file.h"

#include <math.h>
#include <unistd.h>

#include "base/memory.h"

#define FILE_NAME "test_damage.hdf5"

static sample_room room;
static const char *files[] = {FILE_NAME};
static const demo_spec three[] = {{4, true, false}, {5, true, true}, {6, true, false}};

/* Cut anywhere, the file is refused with a sentence or read; it never crashes. */
static void truncated(void **state)
{
    (void)state;
    H5Fclose(make_file(FILE_NAME, 3, three));
    FILE *f = fopen(FILE_NAME, "r");
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    fclose(f);
    for (long cut = size - 1; cut > 0; cut = cut * 7 / 8) {
        hl_demos_options o = demo_options(files);
        hl_data_shape shape = demo_shape();
        hl_error err = {0};
        assert_int_equal(truncate(FILE_NAME, cut), 0);
        assert_null(hl_demos_open(&o, &shape, &err));
        assert_non_null(strstr(err.message, FILE_NAME));
        assert_non_null(strstr(err.message, cut < 8 ? "not an HDF5 file" : "truncated"));
        assert_int_equal(err.status, HL_ERR_DATA);
    }
}

static damaged_outcome try_damaged(void)
{
    hl_demos_options o = demo_options(files);
    hl_data_shape shape = demo_shape();
    hl_error err = {0};
    hl_dataset *d = hl_demos_open(&o, &shape, &err);
    damaged_outcome result = d ? DAMAGED_READ : *err.message ? DAMAGED_REFUSED : DAMAGED_WRONG;
    for (int64_t i = 0; d && i < d->count[HL_TRAIN]; i++) {
        hl_sample s = sample_in(&room, &shape);
        if (d->read(d, HL_TRAIN, i, &s, &err) == HL_OK)
            for (int e = 0; e < 16; e++)
                result = isfinite(room.sense[HL_PROPRIOCEPTIVE][e]) ? result : DAMAGED_WRONG;
    }
    hl_dataset_close(d);
    return H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL) == 0 ? result : DAMAGED_WRONG;
}

/* Flipped bytes: an error or samples, never a crash, an object left open, a value that is not finite. */
static void corrupted(void **state)
{
    (void)state;
    H5Fclose(make_file(FILE_NAME, 3, three));
    damaged_byte_by_byte(FILE_NAME, try_damaged, true);
}

/* Found with demonstration, step and element: when normalising, when caching, or when reading. */
static void not_finite(void **state)
{
    static const char *const path[] = {"data/demo_1/obs/joints", "data/demo_1/actions"};
    (void)state;
    for (int which = 0; which < 2; which++) {
        hsize_t dim[2] = {5, which ? 2 : 3};
        float x[15] = {0};
        x[3 * dim[1] + 1] = which ? -INFINITY : NAN;
        hid_t file = make_file(FILE_NAME, 3, three);
        remove_path(file, path[which]);
        put_floats(file, path[which], 2, dim, x);
        H5Fclose(file);
        for (int how = 0; how < 3; how++) {
            hl_demos_options o = demo_options(files);
            hl_data_shape shape = demo_shape();
            hl_error err = {0};
            o.cache = how == 1 ? HL_CACHE_LOW_DIM : HL_CACHE_NONE;
            o.sense[HL_PROPRIOCEPTIVE].normalize = how == 2 ? HL_NORMALIZE_MEAN_STD : HL_NORMALIZE_NONE;
            o.action.normalize = how == 2 ? HL_NORMALIZE_MIN_MAX : HL_NORMALIZE_NONE;
            hl_dataset *d = hl_demos_open(&o, &shape, &err);
            assert_true(how == 0 ? d != NULL : d == NULL);
            for (int i = 0; d && i <= 7; i++) {
                hl_sample s = sample_in(&room, &shape);
                assert_int_equal(d->read(d, HL_TRAIN, i, &s, &err), i < 7 ? HL_OK : HL_ERR_DATA);
            }
            assert_non_null(strstr(err.message, path[which]));
            assert_non_null(
                strstr(err.message, which ? "found -inf at step 3, element 1" : "nan at step 3, element 1"));
            assert_int_equal(err.status, HL_ERR_DATA);
            hl_dataset_close(d);
        }
    }
}

static void bad_pixels(void **state)
{
    static const float value[] = {NAN, 7, INFINITY};
    static const char *const said[] = {"nan at step 2, row 1, column 4, channel 2", "found 7 at step 2",
                                       "found inf"};
    (void)state;
    for (int k = 0; k < 6; k++) { /* without a range, then with one: 7 is inside it */
        static float x[4 * 72];
        const hsize_t dim[4] = {4, 4, 6, 3};
        hl_demos_options o = demo_options(files);
        hl_data_shape shape = demo_shape();
        hl_error err = {0};
        hid_t file = make_file(FILE_NAME, 3, three);
        x[2 * 72 + 1 * 18 + 4 * 3 + 2] = value[k % 3];
        remove_path(file, "data/demo_0/obs/rgb");
        put(file, "data/demo_0/obs/rgb", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 4, dim, NULL, x);
        remove_path(file, "data/demo_1/obs/rgb"); /* bytes: they take no clip */
        remove_path(file, "data/demo_2/obs/rgb");
        H5Fclose(file);
        o.sense[HL_VISUAL].optional = true;
        o.sense[HL_VISUAL].clip[1] = k < 3 ? 0 : 10;
        hl_dataset *d = hl_demos_open(&o, &shape, &err);
        assert_non_null(d);
        for (int i = 0; i < 5; i++) {
            hl_sample s = sample_in(&room, &shape);
            bool bad = (i == 2 || i == 3) && k != 4; /* two frames to a sample */
            assert_int_equal(d->read(d, HL_TRAIN, i, &s, &err), bad ? HL_ERR_DATA : HL_OK);
        }
        assert_true(k == 4 || strstr(err.message, FILE_NAME ": /data/demo_0/obs/rgb"));
        assert_true(k == 4 || strstr(err.message, said[k % 3]));
        hl_sample s = sample_in(&room, &shape);
        assert_int_equal(d->read(d, HL_TRAIN, 15, &s, &err), HL_ERR_USAGE);
        assert_int_equal(d->read(d, HL_VALID, 0, &s, &err), HL_ERR_USAGE);
        hl_dataset_close(d);
    }
}

/* The n-th allocation fails, for every n until opening succeeds: an error each time, and nothing leaks. */
static void no_memory(void **state)
{
    static const char *const train[] = {"demo_0", "demo_2"};
    hl_demos_options o = demo_options(files);
    hl_data_shape shape = demo_shape();
    (void)state;
    hid_t file = make_file(FILE_NAME, 3, three), data = H5Gopen2(file, "data", H5P_DEFAULT);
    put_mask(file, "mask/train", 2, train, true);
    put_text(data, "macros_image_convention", "opengl", false);
    H5Gclose(data);
    H5Fclose(file);
    o.train_mask = "mask/train";
    o.cache = HL_CACHE_ALL;
    o.action.normalize = HL_NORMALIZE_MEAN_STD;
    hl_dataset *d = NULL;
    uint64_t n = 0;
    while (!d) {
        hl_error err = {0};
        hl_alloc_fail_at(++n);
        d = hl_demos_open(&o, &shape, &err);
        hl_alloc_fail_at(0);
        assert_true(d || (*err.message && err.status == HL_ERR_MEMORY));
        assert_true(n < 1000);
    }
    assert_true(n > 20);
    assert_int_equal(d->count[HL_TRAIN], 10);
    hl_dataset_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truncated),  cmocka_unit_test(corrupted), cmocka_unit_test(not_finite),
        cmocka_unit_test(bad_pixels), cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, temporary_enter, temporary_leave);
}
