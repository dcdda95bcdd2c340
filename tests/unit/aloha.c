/* Samples of ALOHA episodes, raw and JPEG, are what the files hold. */
#include "tests/aloha_file.h"

#include <math.h>
#include <unistd.h>

static const char *const pattern[] = {"episode_*.hdf5"};
static const int steps_of[] = {5, 1, 3, 17};
enum { EPISODES = 4, STEPS = 26 };
static sample_room room;

static void make_episodes(bool jpeg)
{
    for (int e = 0; e < EPISODES; e++) {
        char name[32];
        snprintf(name, sizeof name, "episode_%d.hdf5", e);
        H5Fclose(make_episode(name, e, steps_of[e], jpeg));
    }
}

static hl_dataset *open_ok(const hl_demos_options *o)
{
    hl_data_shape shape = episode_shape();
    hl_error err = {0};
    hl_dataset *d = hl_demos_open(o, &shape, &err);
    if (!d)
        fail_msg("%s", err.message);
    return d;
}

static void read_ok(hl_dataset *d, hl_split split, int64_t i)
{
    hl_error err = {0};
    hl_sample s = sample_in(&room, &d->shape);
    if (d->read(d, split, i, &s, &err) != HL_OK)
        fail_msg("%s", err.message);
}

/* Area average of 2 rows and 3 columns: 16 x 24 -> 8 x 8. */
static float resized(int e, int t, int c, int y, int x)
{
    float sum = 0;
    for (int j = 0; j < 2; j++)
        for (int i = 0; i < 3; i++)
            sum += episode_pixel(e, t, 2 * y + j, 3 * x + i, c);
    return sum / 6 / 255;
}

static void check_sample(int e, int t, float tolerance)
{
    for (int f = 0; f < 2; f++) {
        int from = t - 1 + f < 0 ? 0 : t - 1 + f;
        const float *image = room.sense[HL_VISUAL] + f * 192, *joints = room.sense[HL_PROPRIOCEPTIVE] + f * 8;
        for (int i = 0; i < 192; i++)
            if (!(fabsf(image[i] - resized(e, from, i / 64, i / 8 % 8, i % 8)) <= tolerance))
                fail_msg("episode %d, step %d, element %d: %g, expected %g", e, from, i, (double)image[i],
                         (double)resized(e, from, i / 64, i / 8 % 8, i % 8));
        for (int i = 0; i < 8; i++)
            assert_true(joints[i] == (i < 4 ? 1.0f : 2.0f) * low_value(e, from, i % 4));
    }
    for (int i = 0; i < EPISODE_JOINTS; i++) {
        assert_true(room.action[i] == -low_value(e, t, i) && room.mask[i] == 1);
        assert_true(room.previous[i] == (t ? -low_value(e, t - 1, i) : 0));
    }
    assert_true(room.presence[HL_VISUAL] == 1 && room.presence[HL_AUDIO] == 0);
}

/* Every sample, whatever the cache; the format told or found. */
static void samples(void **state)
{
    (void)state;
    for (int k = 0; k < 12; k++) {
        bool jpeg = k % 2;
        hl_demos_options o = episode_options(pattern);
        o.cache = (hl_data_cache)(k / 2 % 3);
        o.format = k < 6 ? HL_DEMOS_ALOHA : HL_DEMOS_ANY;
        make_episodes(jpeg);
        hl_dataset *d = open_ok(&o);
        assert_string_equal(d->name, "aloha");
        assert_int_equal(d->count[HL_TRAIN], STEPS);
        assert_int_equal(hl_demos_count(d, HL_TRAIN), EPISODES);
        int64_t i = 0;
        for (int e = 0; e < EPISODES; e++)
            for (int t = 0; t < steps_of[e]; t++, i++) {
                read_ok(d, HL_TRAIN, i * 7 % STEPS); /* some other one first */
                read_ok(d, HL_TRAIN, i);
                check_sample(e, t, jpeg ? 0.02f : 1e-6f);
            }
        hl_dataset_close(d);
        assert_int_equal(H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
    }
}

/* ACT's rule for real robots: the target of frame t is action max(0, t - 1). */
static void earlier_action(void **state)
{
    (void)state;
    make_episodes(false);
    hl_demos_options o = episode_options(pattern);
    o.action.offset = -1;
    hl_dataset *d = open_ok(&o);
    int64_t i = 0;
    for (int e = 0; e < EPISODES; e++)
        for (int t = 0; t < steps_of[e]; t++, i++) {
            read_ok(d, HL_TRAIN, i);
            assert_true(room.action[2] == -low_value(e, t > 0 ? t - 1 : 0, 2));
            assert_true(room.previous[2] == (t ? -low_value(e, t > 1 ? t - 2 : 0, 2) : 0));
        }
    hl_dataset_close(d);
}

/* A share of the episodes, the same ones for the same seed; statistics of those that train. */
static void split_and_statistics(void **state)
{
    (void)state;
    make_episodes(true);
    hl_demos_options o = episode_options(pattern);
    o.valid_fraction = 0.25f;
    o.seed = 5;
    o.train_mask = "mask/train";
    o.masks_optional = true;
    o.sense[HL_PROPRIOCEPTIVE].normalize = HL_NORMALIZE_MEAN_STD;
    o.action.normalize = HL_NORMALIZE_MEAN_STD;
    hl_dataset *d = open_ok(&o), *again = open_ok(&o);
    assert_int_equal(hl_demos_count(d, HL_VALID), 1);
    assert_int_equal(d->count[HL_TRAIN] + d->count[HL_VALID], STEPS);
    assert_int_equal(d->count[HL_VALID], again->count[HL_VALID]);
    assert_int_equal(d->normalization.action.count, EPISODE_JOINTS);
    double sum[EPISODE_JOINTS] = {0}, square[EPISODE_JOINTS] = {0};
    int64_t n = d->count[HL_TRAIN];
    for (int64_t i = 0; i < n; i++) {
        read_ok(d, HL_TRAIN, i);
        for (int k = 0; k < EPISODE_JOINTS; k++) {
            sum[k] += (double)room.action[k];
            square[k] += (double)room.action[k] * (double)room.action[k];
        }
    }
    for (int k = 0; k < EPISODE_JOINTS; k++) {
        assert_true(fabs(sum[k] / (double)n) < 1e-4);
        assert_true(fabs(square[k] / (double)n - 1) < 1e-3);
    }
    hl_dataset_close(d);
    hl_dataset_close(again);
}

/* A joint that never moves is divided by 0.01, unless told otherwise. */
static void floored(void **state)
{
    static const char *const one[] = {"episode_0.hdf5"};
    const hsize_t dim[2] = {5, EPISODE_JOINTS};
    const float still[5 * EPISODE_JOINTS] = {0};
    (void)state;
    make_episodes(false);
    for (int k = 0; k < 2; k++) {
        hid_t file = make_episode("episode_0.hdf5", 0, 5, false);
        remove_path(file, "action");
        put_floats(file, "action", 2, dim, still);
        H5Fclose(file);
        hl_demos_options o = episode_options(one);
        o.action.normalize = HL_NORMALIZE_MEAN_STD;
        o.action.std_floor = k ? 0.5f : 0;
        hl_dataset *d = open_ok(&o);
        for (int i = 0; i < EPISODE_JOINTS; i++)
            assert_true(d->normalization.action.scale[i] == (k ? 0.5f : 0.01f));
        hl_dataset_close(d);
    }
}

/* Depth is an array also where cameras are JPEG, episodes may differ in size, some may lack a camera, and one
 * of them may be raw. */
static void oddities(void **state)
{
    static const char *const depth[] = {"observations/depth"};
    const hsize_t dim[3] = {3, 4, 6}, small[2] = {3, 2000}, chunk[2] = {1, 2000};
    float metres[3 * 24];
    uint8_t rgb[6 * 8 * 3], rows[3][2000];
    (void)state;
    make_episodes(true);
    for (int i = 0; i < 72; i++)
        metres[i] = 0.25f + (float)(i / 24) * 0.25f;
    memset(rgb, 77, sizeof rgb);
    for (int t = 0; t < 3; t++)
        jpeg_frame(rgb, 6, 8, rows[t], 2000);
    hid_t file = make_episode("episode_2.hdf5", 2, 3, true);
    put_floats(file, "observations/depth", 3, dim, metres);
    remove_path(file, "observations/images/top");
    put(file, "observations/images/top", H5T_STD_U8LE, H5T_NATIVE_UCHAR, 2, small, chunk, rows);
    H5Fclose(file);
    file = make_episode("episode_1.hdf5", 1, 1, true);
    remove_path(file, "observations/images/top");
    H5Fclose(file);
    file = make_episode("episode_3.hdf5", 3, 17, true);
    remove_path(file, "observations/images/top");
    put_raw_frames(file, "observations/images/top", 3, 17);
    H5Fclose(file);

    hl_demos_options o = episode_options(pattern);
    hl_data_shape shape = episode_shape();
    hl_error err = {0};
    shape.size[HL_DEPTH] = 64;
    o.sense[HL_VISUAL].optional = true;
    o.sense[HL_DEPTH] = (hl_demos_sense){.keys = depth, .n_keys = 1, .optional = true};
    hl_dataset *d = hl_demos_open(&o, &shape, &err);
    if (!d)
        fail_msg("%s", err.message);
    assert_int_equal(hl_demos_present(d, HL_TRAIN, HL_DEPTH), 1);
    assert_int_equal(hl_demos_present(d, HL_TRAIN, HL_VISUAL), 3);
    read_ok(d, HL_TRAIN, 5);
    assert_true(room.presence[HL_VISUAL] == 0 && room.sense[HL_VISUAL][0] == 0);
    read_ok(d, HL_TRAIN, 6 + 2);
    assert_true(room.presence[HL_DEPTH] == 1 && fabsf(room.sense[HL_DEPTH][64 + 9] - 0.75f) < 1e-6f);
    for (int i = 0; i < 2 * 192; i++)
        assert_true(fabsf(room.sense[HL_VISUAL][i] - 77.0f / 255) < 0.01f);
    read_ok(d, HL_TRAIN, 9 + 16);
    assert_true(fabsf(room.sense[HL_VISUAL][192] - resized(3, 16, 0, 0, 0)) < 1e-6f);
    hl_dataset_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples), cmocka_unit_test(earlier_action), cmocka_unit_test(split_and_statistics),
        cmocka_unit_test(floored), cmocka_unit_test(oddities),
    };
    return cmocka_run_group_tests(tests, temporary_enter, temporary_leave);
}
