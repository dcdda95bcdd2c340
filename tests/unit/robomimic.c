/* Samples of robomimic files: what is read is what was stored, windowed, resized, padded, normalised. */
#include "tests/demo_file.h"

#include <math.h>
#include <unistd.h>

#include "base/memory.h"

static sample_room room;
static const char *const rgb_key[] = {"obs/rgb"}, *const joint_key[] = {"obs/joints"};
static const char *files[] = {"test_robomimic.hdf5"};

static hl_demos_options plain(void)
{
    hl_demos_options o = {.files = files, .n_files = 1};
    o.sense[HL_VISUAL] = (hl_demos_sense){.keys = rgb_key, .n_keys = 1, .optional = true};
    o.sense[HL_PROPRIOCEPTIVE] = (hl_demos_sense){.keys = joint_key, .n_keys = 1, .pad = true};
    o.action = (hl_demos_action){.pad = true, .mask_padding = true};
    return o;
}

static hl_data_shape shape_of(int64_t image, int64_t frames)
{
    hl_data_shape s = {.image = image, .action = 4, .frames = frames};
    s.size[HL_VISUAL] = 3 * image * image;
    s.size[HL_TACTILE] = 5; /* never mapped */
    s.size[HL_PROPRIOCEPTIVE] = 8;
    return s;
}

static hl_dataset *open_ok(const hl_demos_options *o, const hl_data_shape *shape)
{
    hl_error err = {0};
    hl_dataset *d = hl_demos_open(o, shape, &err);
    if (!d)
        fail_msg("%s", err.message);
    return d;
}

static void read_ok(hl_dataset *d, hl_split split, int64_t index, sample_room *into)
{
    hl_error err = {0};
    hl_sample s = sample_in(into, &d->shape);
    if (d->read(d, split, index, &s, &err) != HL_OK)
        fail_msg("%s", err.message);
}

static int later(int t, int most)
{
    return t < 0 ? 0 : t > most ? most : t;
}

/* Every frame of every sample, for T in {1, 3, 17}, from a window that the demonstration may not fill. */
static void every_window(void **state)
{
    static const demo_spec spec[] = {{1, true, false}, {7, true, true}, {20, true, false}};
    static const int frames[] = {1, 3, 17};
    (void)state;
    H5Fclose(make_file(files[0], 3, spec));
    for (int k = 0; k < 3; k++) {
        hl_demos_options o = plain();
        hl_data_shape shape = shape_of(4, frames[k]);
        o.sense[HL_VISUAL].n_keys = 0;
        hl_dataset *d = open_ok(&o, &shape);
        assert_int_equal(d->count[HL_TRAIN], 28);
        assert_int_equal(d->count[HL_VALID], 0);
        for (int i = 0, demo = 0, t = 0; i < 28; i++, t++) {
            if (t == spec[demo].steps) {
                demo++;
                t = 0;
            }
            read_ok(d, HL_TRAIN, i, &room);
            for (int f = 0; f < frames[k]; f++)
                for (int e = 0; e < 8; e++) {
                    float want = e < 3 ? low_value(demo, later(t - frames[k] + 1 + f, 99), e) : 0;
                    assert_true(room.sense[HL_PROPRIOCEPTIVE][f * 8 + e] == want);
                }
            for (int e = 0; e < 4; e++) {
                assert_true(room.action[e] == (e < 2 ? -low_value(demo, t, e) : 0));
                assert_true(room.previous[e] == (e < 2 && t > 0 ? -low_value(demo, t - 1, e) : 0));
                assert_true(room.mask[e] == (e < 2));
            }
            assert_true(room.presence[HL_PROPRIOCEPTIVE] == 1);
            assert_true(room.presence[HL_VISUAL] == 0 && room.presence[HL_TACTILE] == 0);
            for (int e = 0; e < frames[k] * 48; e++)
                assert_true(room.sense[HL_VISUAL][e] == 0);
            for (int e = 0; e < frames[k] * 5; e++)
                assert_true(room.sense[HL_TACTILE][e] == 0);
        }
        hl_dataset_close(d);
    }
}

/* A plain double-precision box or tent filter, to answer to. */
static double filtered(int demo, int t, int c, double y0, double y1, double x0, double x1, int flip)
{
    double sum = 0, area = 0;
    for (int y = 0; y < FILE_H; y++)
        for (int x = 0; x < FILE_W; x++) {
            double h = fmin(y + 1, y1) - fmax(y, y0), w = fmin(x + 1, x1) - fmax(x, x0);
            if (h <= 0 || w <= 0)
                continue;
            sum += h * w * pixel_value(demo, t, flip ? FILE_H - 1 - y : y, x, c) / 255.0;
            area += h * w;
        }
    return sum / area;
}

static void images(void **state)
{
    static const demo_spec spec[] = {{5, true, true}, {3, false, false}};
    (void)state;
    hid_t file = make_file(files[0], 2, spec);
    hid_t data = H5Gopen2(file, "data", H5P_DEFAULT);
    put_text(data, "macros_image_convention", "opengl", true);
    H5Gclose(data);
    H5Fclose(file);
    for (int flip = 0; flip < 2; flip++) {
        hl_demos_options o = plain();
        hl_data_shape shape = shape_of(3,
                                       3); /* 4x6 -> 3x3: neither axis divides evenly into the other's way */
        o.sense[HL_VISUAL].flip = flip ? HL_FLIP_AUTO : HL_FLIP_OFF;
        hl_dataset *d = open_ok(&o, &shape);
        read_ok(d, HL_TRAIN, 1, &room); /* frames 0 0 1 */
        assert_true(room.presence[HL_VISUAL] == 1);
        for (int f = 0; f < 3; f++)
            for (int c = 0; c < 3; c++)
                for (int y = 0; y < 3; y++)
                    for (int x = 0; x < 3; x++) {
                        double r = 4.0 / 3,
                               want = filtered(0, f == 2, c, y * r, (y + 1) * r, 2 * x, 2 * x + 2, flip);
                        assert_true(fabs(room.sense[HL_VISUAL][f * 27 + c * 9 + y * 3 + x] - want) < 1e-6);
                    }
        read_ok(d, HL_TRAIN, 6, &room); /* demo_1 has no camera */
        assert_true(room.presence[HL_VISUAL] == 0 && room.presence[HL_PROPRIOCEPTIVE] == 1);
        for (int e = 0; e < 81; e++)
            assert_true(room.sense[HL_VISUAL][e] == 0);
        assert_int_equal(hl_demos_present(d, HL_TRAIN, HL_VISUAL), 1);
        assert_int_equal(hl_demos_count(d, HL_TRAIN), 2);
        hl_dataset_close(d);
    }
}

/* Growing: bilinear, half-pixel centres, edges repeated. */
static void bilinear(void **state)
{
    static const demo_spec spec[] = {{1, true, false}};
    (void)state;
    H5Fclose(make_file(files[0], 1, spec));
    hl_demos_options o = plain();
    hl_data_shape shape = shape_of(9, 1);
    o.sense[HL_VISUAL].resize = HL_RESIZE_BILINEAR;
    hl_dataset *d = open_ok(&o, &shape);
    read_ok(d, HL_TRAIN, 0, &room);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 81; i++) {
            double y = fmin(fmax((i / 9 + 0.5) * 4 / 9 - 0.5, 0), 3),
                   x = fmin(fmax((i % 9 + 0.5) * 6 / 9 - 0.5, 0), 5);
            double want = (y * 4 + x * 2 + c) / 255; /* pixel_value is linear, so interpolation is exact */
            assert_true(fabs(room.sense[HL_VISUAL][c * 81 + i] - want) < 1e-6);
        }
    hl_dataset_close(d);
}

/* The three cache modes give the same samples, bit for bit. */
static void caches_agree(void **state)
{
    enum { SAMPLES = 15 };
    static const demo_spec spec[] = {{5, true, true}, {9, true, false}, {1, false, false}};
    sample_room *want = calloc(SAMPLES, sizeof *want);
    (void)state;
    H5Fclose(make_file(files[0], 3, spec));
    hl_demos_options o = plain();
    hl_data_shape shape = shape_of(5, 3);
    o.sense[HL_PROPRIOCEPTIVE].normalize = HL_NORMALIZE_MEAN_STD;
    o.action.normalize = HL_NORMALIZE_MIN_MAX;
    for (int cache = HL_CACHE_NONE; cache <= HL_CACHE_ALL; cache++) {
        o.cache = cache;
        hl_dataset *d = open_ok(&o, &shape);
        if (cache == HL_CACHE_ALL) /* then the file is not needed any more */
            assert_int_equal(truncate(files[0], 0), 0);
        for (int i = SAMPLES - 1; i >= 0; i--) {
            read_ok(d, HL_TRAIN, i, cache == HL_CACHE_NONE ? &want[i] : &room);
            if (cache != HL_CACHE_NONE)
                assert_memory_equal(&room, &want[i], sizeof room);
        }
        hl_dataset_close(d);
    }
    free(want);
}

static void normalisation(void **state)
{
    static const demo_spec spec[] = {{4, false, false}, {6, false, true}, {2, false, false}};
    static const char *const train[] = {"demo_0", "demo_1"}, *const valid[] = {"demo_2"};
    (void)state;
    hid_t file = make_file(files[0], 3, spec);
    put_mask(file, "mask/train", 2, train, false);
    put_mask(file, "mask/valid", 1, valid, true);
    H5Fclose(file);
    hl_demos_options o = plain();
    hl_data_shape shape = shape_of(4, 1);
    o.train_mask = "mask/train";
    o.valid_mask = "mask/valid";
    o.sense[HL_PROPRIOCEPTIVE].normalize = HL_NORMALIZE_MEAN_STD;
    o.action.normalize = HL_NORMALIZE_MIN_MAX;
    hl_dataset *d = open_ok(&o, &shape);
    assert_int_equal(d->count[HL_TRAIN], 10);
    assert_int_equal(d->count[HL_VALID], 2);
    const hl_normalizer *joints = &d->normalization.sense[HL_PROPRIOCEPTIVE], *a = &d->normalization.action;
    double mean = 0, square = 0;
    for (int i = 0; i < 10; i++)
        mean += (i < 4 ? i : 96 + i) / 10.0;
    for (int i = 0; i < 10; i++)
        square += pow((i < 4 ? i : 96 + i) - mean, 2) / 10;
    assert_int_equal(joints->count, 8);
    for (int e = 0; e < 3; e++)
        assert_true(fabs(joints->offset[e] - mean - 0.01 * e) < 1e-4 &&
                    fabs(joints->scale[e] - sqrt(square)) < 1e-4);
    assert_true(joints->offset[5] == 0 && joints->scale[5] == 1);
    assert_true(fabs(a->offset[0] + 52.5) < 1e-4 && fabs(a->scale[0] - 52.5) < 1e-4); /* 0 .. -105 */
    read_ok(d, HL_TRAIN, 0, &room);
    assert_true(fabs(room.action[0] - 1) < 1e-6 && room.action[2] == 0);
    assert_true(room.previous[0] == 0);
    assert_true(fabs(room.sense[HL_PROPRIOCEPTIVE][0] + mean / sqrt(square)) < 1e-5);
    read_ok(d, HL_VALID, 1, &room); /* normalised by what trains, though it lies outside */
    assert_true(fabs(room.action[0] - (-201 + 52.5) / 52.5) < 1e-5);
    hl_dataset_close(d);
}

/* An element that never changes is floored, not divided by zero. */
static void constant_element(void **state)
{
    static const demo_spec spec[] = {{1, false, false}};
    (void)state;
    H5Fclose(make_file(files[0], 1, spec));
    for (int mode = HL_NORMALIZE_MEAN_STD; mode <= HL_NORMALIZE_MIN_MAX; mode++) {
        hl_demos_options o = plain();
        hl_data_shape shape = shape_of(4, 1);
        o.sense[HL_PROPRIOCEPTIVE].normalize = mode;
        o.sense[HL_PROPRIOCEPTIVE].std_floor = 0.25f;
        hl_dataset *d = open_ok(&o, &shape);
        assert_true(d->normalization.sense[HL_PROPRIOCEPTIVE].scale[0] == 0.25f);
        read_ok(d, HL_TRAIN, 0, &room);
        for (int e = 0; e < 8; e++)
            assert_true(room.sense[HL_PROPRIOCEPTIVE][e] == 0);
        hl_dataset_close(d);
    }
}

static void action_offset(void **state)
{
    static const demo_spec spec[] = {{4, false, false}};
    static const int64_t offset[] = {-1, 2, 100};
    (void)state;
    H5Fclose(make_file(files[0], 1, spec));
    for (int k = 0; k < 3; k++) {
        hl_demos_options o = plain();
        hl_data_shape shape = shape_of(4, 1);
        o.action.offset = offset[k];
        o.action.mask_padding = false;
        hl_dataset *d = open_ok(&o, &shape);
        for (int t = 0; t < 4; t++) {
            read_ok(d, HL_TRAIN, t, &room);
            assert_true(room.action[1] == -low_value(0, later(t + (int)offset[k], 3), 1));
            assert_true(room.previous[1] == (t ? -low_value(0, later(t - 1 + (int)offset[k], 3), 1) : 0));
            assert_true(room.mask[3] == 1);
        }
        hl_dataset_close(d);
    }
}

/* demo_2 before demo_10; masks of several files; fraction where there is none. */
static void order_and_split(void **state)
{
    static demo_spec spec[12];
    static const char *const pattern[] = {"test_robo*_?.hdf5", "test_robomimic_1.hdf5"};
    (void)state;
    for (int i = 0; i < 12; i++)
        spec[i].steps = i + 1;
    H5Fclose(make_file("test_robomimic_1.hdf5", 12, spec));
    H5Fclose(make_file("test_robomimic_2.hdf5", 2, spec));
    hl_demos_options o = plain();
    hl_data_shape shape = shape_of(4, 1);
    o.files = pattern;
    o.n_files = 2; /* the second is matched by the first: counted once */
    hl_dataset *d = open_ok(&o, &shape);
    assert_int_equal(d->count[HL_TRAIN], 78 + 3);
    for (int demo = 0, i = 0; demo < 12; i += spec[demo++].steps) {
        read_ok(d, HL_TRAIN, i, &room);
        assert_true(room.sense[HL_PROPRIOCEPTIVE][0] == low_value(demo, 0, 0));
    }
    hl_dataset_close(d);

    o.valid_fraction = 0.3f; /* 4.2 of 14 */
    o.train_mask = "mask/train";
    o.masks_optional = true;
    int64_t first = -1;
    for (uint64_t seed = 0, differ = 0; seed < 8; seed++) {
        o.seed = seed;
        d = open_ok(&o, &shape);
        hl_dataset *again = open_ok(&o, &shape);
        assert_int_equal(hl_demos_count(d, HL_VALID), 4);
        assert_int_equal(hl_demos_count(d, HL_TRAIN), 10);
        assert_int_equal(d->count[HL_TRAIN] + d->count[HL_VALID], 81);
        assert_int_equal(d->count[HL_VALID], again->count[HL_VALID]);
        differ += first >= 0 && d->count[HL_VALID] != first;
        first = first < 0 ? d->count[HL_VALID] : first;
        if (seed == 7)
            assert_true(differ > 0);
        hl_dataset_close(d);
        hl_dataset_close(again);
    }
}

/* Depth without a channel axis, h5py's bool as an enumeration, integers, half floats, concatenated keys. */
static void kinds_of_numbers(void **state)
{
    static const demo_spec spec[] = {{3, false, false}};
    static const hsize_t plane[3] = {3, 2, 2}, column[1] = {3}, wide[3] = {3, 2, 1};
    static const float depth[12] = {0.5f, 1, 2, 4, 5, 0, 3, 9, 1, 1, 1, 1};
    static const int8_t touched[3] = {1, 0, 1};
    static const int16_t counts[6] = {1, -2, 3, -4, 5, -6};
    static const char *const depth_key[] = {"obs/depth"}, *const mixed[] = {"obs/counts", "obs/joints",
                                                                            "obs/touched"};
    (void)state;
    hid_t file = make_file(files[0], 1, spec), demo = H5Gopen2(file, "data/demo_0", H5P_DEFAULT);
    hid_t boolean = H5Tenum_create(H5T_STD_I8LE);
    int8_t no = 0, yes = 1;
    H5Tenum_insert(boolean, "FALSE", &no);
    H5Tenum_insert(boolean, "TRUE", &yes);
    put(demo, "obs/depth", H5T_IEEE_F32BE, H5T_NATIVE_FLOAT, 3, plane, NULL, depth);
    put(demo, "obs/touched", boolean, boolean, 1, column, NULL, touched);
    put(demo, "obs/counts", H5T_STD_I16BE, H5T_NATIVE_SHORT, 3, wide, NULL, counts);
    H5Tclose(boolean);
    H5Gclose(demo);
    H5Fclose(file);
    hl_demos_options o = plain();
    hl_data_shape shape = {.image = 2, .action = 2, .frames = 2};
    shape.size[HL_DEPTH] = 4;
    shape.size[HL_PROPRIOCEPTIVE] = 6;
    o.sense[HL_DEPTH] = (hl_demos_sense){.keys = depth_key, .n_keys = 1, .clip = {1, 5}};
    o.sense[HL_PROPRIOCEPTIVE] = (hl_demos_sense){.keys = mixed, .n_keys = 3};
    hl_dataset *d = open_ok(&o, &shape);
    read_ok(d, HL_TRAIN, 1, &room);
    static const float want_depth[8] = {0, 0, 0.25f, 0.75f, 1, 0, 0.5f, 1};
    const float want[12] = {1, -2, 0, 0.01f, 0.02f, 1, 3, -4, 1, low_value(0, 1, 1), low_value(0, 1, 2), 0};
    for (int i = 0; i < 8; i++)
        assert_true(room.sense[HL_DEPTH][i] == want_depth[i]);
    for (int i = 0; i < 12; i++)
        assert_true(room.sense[HL_PROPRIOCEPTIVE][i] == want[i]);
    hl_dataset_close(d);
}

/* After the first sample, reading allocates nothing of ours. */
static void steady_state(void **state)
{
    static const demo_spec spec[] = {{20, true, true}, {20, true, false}};
    (void)state;
    H5Fclose(make_file(files[0], 2, spec));
    hl_demos_options o = plain();
    hl_data_shape shape = shape_of(7, 3);
    hl_dataset *d = open_ok(&o, &shape);
    uint64_t before = hl_alloc_count();
    for (int i = 0; i < 40; i++)
        read_ok(d, HL_TRAIN, (i * 17) % 40, &room);
    assert_true(hl_alloc_count() == before);
    hl_dataset_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_window),     cmocka_unit_test(images),
        cmocka_unit_test(bilinear),         cmocka_unit_test(caches_agree),
        cmocka_unit_test(normalisation),    cmocka_unit_test(constant_element),
        cmocka_unit_test(action_offset),    cmocka_unit_test(order_and_split),
        cmocka_unit_test(kinds_of_numbers), cmocka_unit_test(steady_state),
    };
    return cmocka_run_group_tests(tests, temporary_enter, temporary_leave);
}
