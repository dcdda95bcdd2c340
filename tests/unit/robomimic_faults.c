/* Whatever is wrong with a robomimic file, the sentence names file, path, found and expected. */
#include "tests/demo_file.h"

#include <math.h>
#include <unistd.h>

#define FILE_NAME "test_faults.hdf5"

static const char *const joint_key[] = {"obs/joints"};
static const char *files[] = {FILE_NAME};
static const demo_spec three[] = {{4, true, false}, {5, true, true}, {6, true, false}};

/* Opening must fail with this status, and the message must hold every part (NULL ends them). */
static void refuse(const hl_demos_options *o, const hl_data_shape *shape, hl_status status,
                   const char *const *parts)
{
    hl_error err = {0};
    hl_dataset *d = hl_demos_open(o, shape, &err);
    assert_null(d);
    for (; *parts; parts++)
        if (!strstr(err.message, *parts))
            fail_msg("no '%s' in: %s", *parts, err.message);
    assert_int_equal(err.status, status);
}

#define REFUSE(o, shape, status, ...) refuse(o, shape, status, (const char *const[]){__VA_ARGS__, NULL})

static void refuse_data(const char *a, const char *b, const char *c)
{
    hl_demos_options o = demo_options(files);
    hl_data_shape shape = demo_shape();
    REFUSE(&o, &shape, HL_ERR_DATA, FILE_NAME, a, b, c);
}

static void not_a_file(void **state)
{
    hl_demos_options o = demo_options(files);
    hl_data_shape shape = demo_shape();
    (void)state;
    unlink(FILE_NAME);
    REFUSE(&o, &shape, HL_ERR_IO, FILE_NAME ": no such file");
    files[0] = "test_nothing_*.hdf5";
    REFUSE(&o, &shape, HL_ERR_IO, "test_nothing_*.hdf5", "no file matches");
    files[0] = ".";
    REFUSE(&o, &shape, HL_ERR_IO, "not a regular file");
    files[0] = FILE_NAME;
    FILE *f = fopen(FILE_NAME, "w");
    fputs("PK\3\4 surely a zip file", f);
    fclose(f);
    refuse_data("not an HDF5 file", "", "");
    f = fopen(FILE_NAME, "w");
    fclose(f);
    refuse_data("not an HDF5 file", "0 bytes", "");
}

static void missing_key(void **state)
{
    (void)state;
    hid_t file = make_file(FILE_NAME, 3, three);
    remove_path(file, "data/demo_1/obs/rgb");
    H5Fclose(file);
    refuse_data("/data/demo_1/obs/rgb", "no such data set", "found obs/joints, actions");

    static const char *const wrong[] = {"obs/jonts"}, *const half[] = {"obs/joints", "obs/gripper"};
    hl_demos_options o = demo_options(files);
    hl_data_shape shape = demo_shape();
    o.sense[HL_VISUAL].optional = true; /* demo_1 lacks it: allowed now */
    o.sense[HL_PROPRIOCEPTIVE].keys = wrong;
    REFUSE(&o, &shape, HL_ERR_DATA, "/data/demo_0/obs/jonts", "found obs/joints, ");
    o.sense[HL_PROPRIOCEPTIVE].keys = half;
    o.sense[HL_PROPRIOCEPTIVE].n_keys = 2;
    o.sense[HL_PROPRIOCEPTIVE].optional = true; /* but half a sense is no sense */
    REFUSE(&o, &shape, HL_ERR_DATA, "obs/gripper", "though there is obs/joints");
    o.sense[HL_PROPRIOCEPTIVE] = (hl_demos_sense){.keys = joint_key, .n_keys = 1, .pad = true};
    o.action.keys = wrong;
    o.action.n_keys = 1;
    REFUSE(&o, &shape, HL_ERR_DATA, "/data/demo_0/obs/jonts", "no such data set");
}

/* Groups that hold each other, many times: what is there is listed, once. */
static void circles(void **state)
{
    (void)state;
    hid_t file = make_file(FILE_NAME, 3, three);
    remove_path(file, "data/demo_1/obs/rgb");
    for (int i = 0; i < 8; i++) {
        char path[64];
        snprintf(path, sizeof path, "data/demo_1/obs/again%d", i);
        assert_true(H5Lcreate_hard(file, "data/demo_1", file, path, H5P_DEFAULT, H5P_DEFAULT) >= 0);
        snprintf(path, sizeof path, "data/demo_1/up%d", i);
        assert_true(H5Lcreate_soft("/data", file, path, H5P_DEFAULT, H5P_DEFAULT) >= 0);
    }
    H5Fclose(file);
    refuse_data("/data/demo_1/obs/rgb", "no such data set", "found obs/joints, actions");
}

static void spoil(const char *path, int rank, hsize_t a, hsize_t b, hsize_t c, hsize_t d, hid_t type)
{
    const hsize_t dim[4] = {a, b, c, d};
    hid_t file = make_file(FILE_NAME, 3, three);
    remove_path(file, path);
    put(file, path, type, type, rank, dim, NULL, NULL);
    H5Fclose(file);
}

static void wrong_shape(void **state)
{
    (void)state;
    spoil("data/demo_2/obs/rgb", 4, 6, 3, 4, 6, H5T_STD_U8LE);
    refuse_data("/data/demo_2/obs/rgb: found shape (6, 3, 4, 6)", "expected (steps, height, width, channels)",
                "3");
    spoil("data/demo_2/obs/rgb", 3, 6, 4, 6, 0, H5T_STD_U8LE);
    refuse_data("/data/demo_2/obs/rgb: found shape (6, 4, 6)", "expected", "");
    spoil("data/demo_0/obs/rgb", 4, 3, 4, 6, 3, H5T_STD_U8LE);
    refuse_data("/data/demo_0/obs/rgb: found shape (3, 4, 6, 3)", "expected 4 steps", "");
    spoil("data/demo_1/obs/joints", 2, 5, 4, 0, 0, H5T_IEEE_F32LE);
    refuse_data("/data/demo_1/obs/joints: found shape (5, 4)", "expected 3 elements per step", "");
    spoil("data/demo_0/obs/joints", 2, 4, 9, 0, 0, H5T_IEEE_F32LE);
    refuse_data("/data/demo_0/obs/joints", "found 9 elements per step", "at most 8");
    spoil("data/demo_0/obs/joints", 2, 4, 0, 0, 0, H5T_IEEE_F32LE);
    refuse_data("/data/demo_0/obs/joints: found shape (4, 0)", "expected", "");
    spoil("data/demo_2/actions", 2, 7, 2, 0, 0, H5T_IEEE_F32LE); /* demo_2 has no num_samples */
    refuse_data("/data/demo_2/obs/rgb: found shape (6, 4, 6, 3)", "expected 7 steps as in the actions", "");
    spoil("data/demo_0/actions", 2, 7, 2, 0, 0, H5T_IEEE_F32LE);
    refuse_data("/data/demo_0/actions: found shape (7, 2)", "expected 4 steps as in num_samples", "");
    spoil("data/demo_2/actions", 2, 0, 2, 0, 0, H5T_IEEE_F32LE);
    refuse_data("/data/demo_2/actions", "the demonstration is empty", "");
    spoil("data/demo_1/actions", 0, 0, 0, 0, 0, H5T_IEEE_F32LE);
    refuse_data("/data/demo_1/actions", "found a scalar", "");
}

/* /data/demo_1/obs/joints anew, of 5 rows of which none or the first was written. */
static void leave_unwritten(bool none, bool chunked)
{
    const hsize_t dim[2] = {5, 3}, row[2] = {1, 3}, start[2] = {0, 0}, chunk[2] = {2, 3};
    const float x[3] = {1, 2, 3};
    hid_t file = make_file(FILE_NAME, 3, three), plan = H5Pcreate(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(2, dim, NULL), memory = H5Screate_simple(2, row, NULL);
    if (chunked)
        H5Pset_chunk(plan, 2, chunk);
    remove_path(file, "data/demo_1/obs/joints");
    hid_t set = H5Dcreate2(file, "data/demo_1/obs/joints", H5T_IEEE_F32LE, space, H5P_DEFAULT, plan,
                           H5P_DEFAULT);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, row, NULL);
    if (!none)
        assert_true(H5Dwrite(set, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, x) >= 0);
    H5Dclose(set);
    H5Sclose(memory);
    H5Sclose(space);
    H5Pclose(plan);
    H5Fclose(file);
}

/* What a recorder that died leaves would read as zeros. */
static void unwritten(void **state)
{
    (void)state;
    for (int chunked = 0; chunked < 2; chunked++) {
        leave_unwritten(true, chunked);
        refuse_data("/data/demo_1/obs/joints", "found shape (5, 3), but not all of it was written", "");
    }
    leave_unwritten(false, true); /* one chunk of three */
    refuse_data("/data/demo_1/obs/joints", "found shape (5, 3), but not all of it was written", "");
}

/* Rows by the billion, in a file of some kilobytes. */
static void boundless(void **state)
{
    const hsize_t dim[2] = {(hsize_t)1 << 40, 2}, chunk[2] = {1 << 20, 2};
    (void)state;
    hid_t file = make_file(FILE_NAME, 3, three);
    hid_t plan = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(2, dim, NULL);
    H5Pset_chunk(plan, 2, chunk);
    remove_path(file, "data/demo_2/actions"); /* demo_2 has no num_samples */
    H5Dclose(H5Dcreate2(file, "data/demo_2/actions", H5T_IEEE_F32LE, space, H5P_DEFAULT, plan, H5P_DEFAULT));
    H5Sclose(space);
    H5Pclose(plan);
    H5Fclose(file);
    refuse_data("/data/demo_2/actions", "found shape (1099511627776, 2)", "fewer than 2^31 steps");
}

static void wrong_type(void **state)
{
    (void)state;
    hid_t text = H5Tcopy(H5T_C_S1);
    H5Tset_size(text, 5);
    spoil("data/demo_1/obs/joints", 2, 5, 3, 0, 0, text);
    refuse_data("/data/demo_1/obs/joints", "found type string, expected numbers", "");
    H5Tclose(text);
    hid_t file = make_file(FILE_NAME, 3, three);
    remove_path(file, "data/demo_1/obs/joints");
    H5Gclose(H5Gcreate2(file, "data/demo_1/obs/joints", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Fclose(file);
    refuse_data("/data/demo_1/obs/joints", "found a group, expected a data set", "");

    file = make_file(FILE_NAME, 3, three);
    hid_t demo = H5Gopen2(file, "data/demo_2", H5P_DEFAULT);
    put_text(demo, "num_samples", "six", true);
    H5Gclose(demo);
    H5Fclose(file);
    refuse_data("/data/demo_2", "attribute num_samples", "type string, expected one integer");

    file = make_file(FILE_NAME, 3, three);
    remove_path(file, "data/demo_1");
    H5Gclose(H5Gcreate2(file, "data/demo_1", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Fclose(file);
    refuse_data("/data/demo_1/actions", "no such data set", "found nothing");
}

static void no_padding(void **state)
{
    (void)state;
    H5Fclose(make_file(FILE_NAME, 3, three));
    hl_demos_options o = demo_options(files);
    hl_data_shape shape = demo_shape();
    o.action.pad = false;
    REFUSE(&o, &shape, HL_ERR_DATA, "/data/demo_0/actions", "found 2 elements", "expected 4", "pad: zero");
}

static void layouts(void **state)
{
    hid_t file = H5Fcreate(FILE_NAME, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hsize_t dim[2] = {3, 14};
    (void)state;
    put(file, "action", H5T_IEEE_F32LE, H5T_IEEE_F32LE, 2, dim, NULL, NULL);
    put(file, "observations/qpos", H5T_IEEE_F32LE, H5T_IEEE_F32LE, 2, dim, NULL, NULL);
    H5Fclose(file);
    refuse_data(": found ALOHA's layout", "expected robomimic's layout", "");
    file = H5Fcreate(FILE_NAME, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    put(file, "params/weight", H5T_IEEE_F32LE, H5T_IEEE_F32LE, 2, dim, NULL, NULL);
    H5Fclose(file);
    refuse_data(": /: found params", "expected robomimic's layout", "");
    H5Fclose(make_file(FILE_NAME, 0, NULL));
    refuse_data("/data", "found no demonstrations", "");
}

/* Names by the billion, of which none was written. */
static void put_unwritten_mask(hid_t file)
{
    const hsize_t dim = (hsize_t)1 << 34, chunk = 1024;
    hid_t plan = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, &dim, NULL),
          type = H5Tcopy(H5T_C_S1);
    H5Pset_chunk(plan, 1, &chunk);
    H5Tset_size(type, 8);
    H5Dclose(H5Dcreate2(file, "mask/unwritten", type, space, H5P_DEFAULT, plan, H5P_DEFAULT));
    H5Tclose(type);
    H5Sclose(space);
    H5Pclose(plan);
}

static void masks(void **state)
{
    static const char *const both[] = {"demo_0", "demo_1"}, *const strange[] = {"demo_0", "demo_7"},
                             *const none[] = {""};
    hl_demos_options o = demo_options(files);
    hl_data_shape shape = demo_shape();
    (void)state;
    hid_t file = make_file(FILE_NAME, 3, three);
    put_mask(file, "mask/train", 2, both, false);
    put_mask(file, "mask/valid", 1, both + 1, false);
    put_mask(file, "mask/strange", 2, strange, true);
    put_mask(file, "mask/empty", 0, none, false);
    put_unwritten_mask(file);
    H5Fclose(file);
    o.train_mask = "mask/unwritten";
    REFUSE(&o, &shape, HL_ERR_DATA, "mask/unwritten", "17179869184 strings were not all written");
    o.train_mask = "mask/trian";
    REFUSE(&o, &shape, HL_ERR_DATA, FILE_NAME, "mask/trian", "no such mask", "train, ");
    o.train_mask = "mask/strange";
    REFUSE(&o, &shape, HL_ERR_DATA, "mask/strange", "'demo_7'", "found demo_0, demo_1, demo_2");
    o.train_mask = "mask/train";
    o.valid_mask = "mask/valid";
    REFUSE(&o, &shape, HL_ERR_DATA, "/data/demo_1", "both mask/train and mask/valid");
    o.valid_mask = "mask/train"; /* the same one on purpose: to see a model overfit */
    hl_dataset *d = hl_demos_open(&o, &shape, NULL);
    assert_non_null(d);
    assert_int_equal(d->count[HL_TRAIN], 9);
    assert_int_equal(d->count[HL_VALID], 9);
    hl_dataset_close(d);
    o.train_mask = NULL; /* what is not in valid trains */
    o.valid_mask = "mask/valid";
    d = hl_demos_open(&o, &shape, NULL);
    assert_non_null(d);
    assert_int_equal(d->count[HL_TRAIN], 10);
    assert_int_equal(d->count[HL_VALID], 5);
    hl_dataset_close(d);
    o.train_mask = "mask/empty";
    o.valid_mask = NULL;
    REFUSE(&o, &shape, HL_ERR_DATA, "no demonstration is left to train on", "mask/empty");
    o.train_mask = "data/demo_0/actions";
    REFUSE(&o, &shape, HL_ERR_DATA, "data/demo_0/actions", "found float64 of rank 2", "strings");
}

static void bad_options(void **state)
{
    static const char *const two[] = {"obs/rgb", "obs/joints"}, *const empty[] = {""};
    const hl_data_shape shape = demo_shape();
    const hl_demos_options good = demo_options(files);
    hl_demos_options o = good;
    hl_data_shape odd = shape;
    (void)state;
    H5Fclose(make_file(FILE_NAME, 3, three));
    o.n_files = 0;
    REFUSE(&o, &shape, HL_ERR_CONFIG, "no files");
    o = good, o.sense[HL_VISUAL].keys = two, o.sense[HL_VISUAL].n_keys = 2;
    REFUSE(&o, &shape, HL_ERR_CONFIG, "visual: 2 keys, expected one");
    o = good, o.sense[HL_PROPRIOCEPTIVE].keys = empty;
    REFUSE(&o, &shape, HL_ERR_CONFIG, "proprioceptive: key 0 is empty");
    o = good, o.sense[HL_VISUAL].normalize = HL_NORMALIZE_MEAN_STD;
    REFUSE(&o, &shape, HL_ERR_CONFIG, "visual");
    o = good, o.sense[HL_DEPTH].clip[0] = 2;
    REFUSE(&o, &shape, HL_ERR_CONFIG, "clip [2, 0]");
    o = good, o.valid_fraction = NAN;
    REFUSE(&o, &shape, HL_ERR_CONFIG, "valid_fraction");
    o = good, o.action.std_floor = -1;
    REFUSE(&o, &shape, HL_ERR_CONFIG, "action: std_floor -1");
    odd.size[HL_VISUAL] = 47;
    REFUSE(&good, &odd, HL_ERR_CONFIG, "visual: size 47");
    odd = shape, odd.frames = 0;
    REFUSE(&good, &odd, HL_ERR_CONFIG, "0 frames");
    o = good, o.sense[HL_VISUAL].clip[1] = 255;
    REFUSE(&o, &shape, HL_ERR_DATA, "uint8", "clip");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_a_file), cmocka_unit_test(missing_key), cmocka_unit_test(wrong_shape),
        cmocka_unit_test(wrong_type), cmocka_unit_test(no_padding),  cmocka_unit_test(layouts),
        cmocka_unit_test(masks),      cmocka_unit_test(bad_options), cmocka_unit_test(unwritten),
        cmocka_unit_test(boundless),  cmocka_unit_test(circles),
    };
    return cmocka_run_group_tests(tests, temporary_enter, temporary_leave);
}
