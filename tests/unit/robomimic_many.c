/* More files and data sets than are held open at once, and a chunk cache too small for all: the same samples.
 */
#include "tests/demo_file.h"

#include <unistd.h>

enum { FILES = 100 }; /* of one demonstration with three data sets: above 64 files, above 256 data sets */

static const char *const pattern[] = {"test_many_*.hdf5"};
static sample_room room;

static int make_files(void **state)
{
    assert_int_equal(temporary_enter(state), 0);
    for (int i = 0; i < FILES; i++) {
        char name[64];
        demo_spec spec = {1 + i % 3, true, i % 2 == 1};
        snprintf(name, sizeof name, "test_many_%d.hdf5", i);
        hid_t file = make_file(name, 1, &spec), demo = H5Gopen2(file, "data/demo_0", H5P_DEFAULT);
        remove_path(demo, "obs/joints");
        put_rows(demo, "obs/joints", i, spec.steps, FILE_JOINTS, 1, spec.gzip);
        H5Gclose(demo);
        H5Fclose(file);
    }
    return 0;
}

static void many_files(void **state)
{
    static const size_t budgets[] = {0, 1, 300}; /* the default, none to speak of, a few chunks */
    (void)state;
    for (int k = 0; k < 3; k++) {
        hl_demos_options o = demo_options(pattern);
        hl_data_shape shape = demo_shape();
        hl_error err = {0};
        o.chunk_cache = budgets[k];
        hl_dataset *d = hl_demos_open(&o, &shape, &err);
        if (!d)
            fail_msg("%s", err.message);
        assert_int_equal(d->count[HL_TRAIN], 199); /* 33 x (1 + 2 + 3) + 1 */
        assert_in_range(H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_FILE), 1, 64);
        for (int64_t n = 0; n < 199; n++) {
            int64_t i = n * 77 % 199, file = i / 6 * 3, t = i % 6; /* files of 1, 2, 3 steps in turn */
            file += t < 1 ? 0 : t < 3 ? 1 : 2;
            t -= t < 1 ? 0 : t < 3 ? 1 : 3;
            hl_sample s = sample_in(&room, &shape);
            if (d->read(d, HL_TRAIN, i, &s, &err) != HL_OK)
                fail_msg("%s", err.message);
            for (int e = 0; e < FILE_JOINTS; e++) /* the later of two frames */
                assert_true(room.sense[HL_PROPRIOCEPTIVE][8 + e] == low_value((int)file, (int)t, e));
            assert_true(room.action[0] == -low_value(0, (int)t, 0));
        }
        assert_in_range(H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_FILE), 1, 64);
        assert_in_range(H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_DATASET), 1, 256);
        hl_dataset_close(d);
        assert_int_equal(H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(many_files)};
    return cmocka_run_group_tests(tests, make_files, temporary_leave);
}
