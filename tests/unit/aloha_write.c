/* What the writer of ALOHA's episodes writes, the reader reads; a file that is not whole never has its name.
 */
#include "tests/aloha_file.h"

#include <math.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/aloha_write.h"

enum { STEPS = 3, H = 16, W = 24 };

static float rgb[STEPS * 3 * H * W], depth[STEPS * H * W], body[STEPS * 5], actions[STEPS * 2];
static const float *const arrays[] = {rgb, depth, body};
static const hl_field fields[] = {{"images/top", HL_FIELD_RGB, H, W, 0},
                                  {"depth", HL_FIELD_DEPTH, H, W, 0},
                                  {"qpos", HL_FIELD_VECTOR, 0, 0, 5}};
static const hl_demo demo = {.steps = STEPS, .actions = actions, .fields = arrays};
static sample_room room;

static void fill(void)
{
    for (int i = 0; i < STEPS * 3 * H * W; i++)
        rgb[i] = (float)(i % W + i / W % H + 20 * (i / (3 * H * W))) / 100;
    for (int i = 0; i < STEPS * H * W; i++)
        depth[i] = (float)(i % 90) / 90;
    for (int i = 0; i < STEPS * 5; i++)
        body[i] = (float)i;
    for (int i = 0; i < STEPS * 2; i++)
        actions[i] = (float)-i;
}

static hl_aloha_options options(int quality)
{
    return (hl_aloha_options){.fields = fields, .n_fields = 3, .action = 2, .quality = quality};
}

static void round_trip(void **state)
{
    static const char *const files[] = {"e.hdf5"}, *const top[] = {"observations/images/top"},
                             *const metres[] = {"observations/depth"}, *const qpos[] = {"observations/qpos"};
    (void)state;
    fill();
    for (int quality = 0; quality <= 100; quality += 50) {
        hl_aloha_options w = options(quality);
        hl_error err = {0};
        w.overwrite = quality > 0;
        if (hl_aloha_write("e.hdf5", &w, &demo, &err) != HL_OK)
            fail_msg("%s", err.message);
        hl_data_shape shape = {.image = W, .action = 2, .frames = 1};
        shape.size[HL_VISUAL] = 3 * W * W;
        shape.size[HL_PROPRIOCEPTIVE] = 5;
        shape.size[HL_DEPTH] = W * W;
        hl_demos_options o = {.files = files, .n_files = 1};
        o.sense[HL_VISUAL] = (hl_demos_sense){.keys = top, .n_keys = 1};
        o.sense[HL_DEPTH] = (hl_demos_sense){.keys = metres, .n_keys = 1};
        o.sense[HL_PROPRIOCEPTIVE] = (hl_demos_sense){.keys = qpos, .n_keys = 1};
        hl_dataset *d = hl_demos_open(&o, &shape, &err);
        if (!d)
            fail_msg("%s", err.message);
        for (int t = 0; t < STEPS; t++) {
            hl_sample s = sample_in(&room, &shape);
            if (d->read(d, HL_TRAIN, t, &s, &err) != HL_OK)
                fail_msg("%s", err.message);
            for (int i = 0; i < 5; i++)
                assert_true(room.sense[HL_PROPRIOCEPTIVE][i] == body[t * 5 + i]);
            assert_true(room.action[1] == actions[t * 2 + 1]);
            float first = room.sense[HL_VISUAL][0], last = room.sense[HL_VISUAL][3 * W * W - 1];
            float tolerance = quality == 0 ? 0.003f : quality == 50 ? 0.1f : 0.02f;
            assert_true(fabsf(first - rgb[t * 3 * H * W]) < tolerance);
            assert_true(fabsf(last - rgb[(t + 1) * 3 * H * W - 1]) < tolerance);
        }
        hl_dataset_close(d);
    }
    hid_t file = H5Fopen("e.hdf5", H5F_ACC_RDONLY, H5P_DEFAULT),
          set = H5Dopen2(file, "compress_len", H5P_DEFAULT);
    float lengths[STEPS];
    assert_true(H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, lengths) >= 0);
    for (int t = 0; t < STEPS; t++)
        assert_true(lengths[t] > 100 && lengths[t] < 8000);
    H5Dclose(set);
    H5Fclose(file);
}

static void refused(void **state)
{
    hl_error err = {0};
    hl_aloha_options o = options(0);
    (void)state;
    fill();
    unlink("e.hdf5");
    body[7] = NAN;
    assert_int_equal(hl_aloha_write("e.hdf5", &o, &demo, &err), HL_ERR_DATA);
    assert_non_null(strstr(err.message, "e.hdf5/qpos: found nan at step 1, element 2"));
    body[7] = 0;
    rgb[5] = 1.5f;
    assert_int_equal(hl_aloha_write("e.hdf5", &o, &demo, &err), HL_ERR_DATA);
    assert_non_null(strstr(err.message, "expected 0..1"));
    fill();
    o.quality = 101;
    assert_int_equal(hl_aloha_write("e.hdf5", &o, &demo, &err), HL_ERR_USAGE);
    o.quality = 0;
    hl_demo empty = demo;
    empty.steps = 0;
    assert_int_equal(hl_aloha_write("e.hdf5", &o, &empty, &err), HL_ERR_USAGE);
    assert_int_equal(hl_aloha_write("no/such/folder.hdf5", &o, &demo, &err), HL_ERR_IO);
    assert_int_not_equal(access("e.hdf5", F_OK), 0);
    assert_int_equal(hl_aloha_write("e.hdf5", &o, &demo, &err), HL_OK);
    assert_int_equal(hl_aloha_write("e.hdf5", &o, &demo, &err), HL_ERR_IO);
    assert_non_null(strstr(err.message, "exists already"));
}

/* The n-th allocation, then the n-th write, fails: no file, no temporary; in the end one that reads. */
static void failing(void **state)
{
    hl_aloha_options o = options(90);
    (void)state;
    fill();
    for (int writes = 0; writes < 2; writes++) {
        hl_status status = HL_ERR_IO;
        uint64_t n = 0;
        unlink("e.hdf5");
        while (status != HL_OK) {
            hl_error err = {0};
            (writes ? hl_file_fail_at : hl_alloc_fail_at)(++n);
            status = hl_aloha_write("e.hdf5", &o, &demo, &err);
            (writes ? hl_file_fail_at : hl_alloc_fail_at)(0);
            if (status != HL_OK)
                assert_true(*err.message && status == (writes ? HL_ERR_IO : HL_ERR_MEMORY));
            if (access("e.hdf5", F_OK) == 0) { /* at the sync of its folder: it has its name, and is whole */
                hid_t file = H5Fopen("e.hdf5", H5F_ACC_RDONLY, H5P_DEFAULT);
                assert_true(file >= 0 && H5Lexists(file, "compress_len", H5P_DEFAULT) > 0);
                H5Fclose(file);
            }
            assert_int_not_equal(access("e.hdf5.tmp", F_OK), 0);
            assert_int_equal(H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
            assert_true(n < 500);
            if (status != HL_OK)
                unlink("e.hdf5");
        }
        assert_true(n > 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip), cmocka_unit_test(refused),
                                       cmocka_unit_test(failing)};
    return cmocka_run_group_tests(tests, temporary_enter, temporary_leave);
}
