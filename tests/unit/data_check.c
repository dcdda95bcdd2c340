/* hl data check tells every fault, and nothing where there is none. */
#include "tests/aloha_file.h"

#include <jansson.h>
#include <math.h>
#include <unistd.h>

#include "base/memory.h"
#include "data/check.h"

#define FILE_NAME "test_check.hdf5"
#define TOP       "observations/images/top"

static const char *files[] = {FILE_NAME};
static const demo_spec three[] = {{4, true, false}, {5, true, true}, {6, true, false}};

static json_t *check_ok(const hl_demos_options *o, const hl_data_shape *shape)
{
    hl_error err = {0};
    json_t *result = hl_data_check(o, shape, &err);
    if (!result)
        fail_msg("%s", err.message);
    assert_int_equal(H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
    return result;
}

static json_t *check_files(void)
{
    hl_demos_options o = {.files = files, .n_files = 1};
    return check_ok(&o, NULL);
}

/* A fault of this level, at this path, with this text. */
static bool told(const json_t *result, const char *level, const char *path, const char *text)
{
    size_t i;
    json_t *fault;
    json_array_foreach(json_object_get(result, "faults"), i, fault)
    {
        const char *at = json_string_value(json_object_get(fault, "path"));
        if (!strcmp(json_string_value(json_object_get(fault, "level")), level) &&
            !strcmp(at ? at : "", path) && strstr(json_string_value(json_object_get(fault, "text")), text) &&
            strstr(json_string_value(json_object_get(fault, "file")), "hdf5"))
            return true;
    }
    return false;
}

#define TOLD(result, level, path, text)                                                                      \
    do {                                                                                                     \
        if (!told(result, level, path, text)) {                                                              \
            char *dump = json_dumps(result, JSON_INDENT(1));                                                 \
            fail_msg("no %s at %s: %s in %s", level, path, text, dump);                                      \
        }                                                                                                    \
    } while (0)

static int64_t number(const json_t *result, const char *key)
{
    return json_integer_value(json_object_get(result, key));
}

/* Actions of make_file reach beyond 1: a warning each, unless they are normalised. */
static void clean(void **state)
{
    (void)state;
    H5Fclose(make_file(FILE_NAME, 3, three));
    json_t *r = check_files();
    assert_int_equal(number(r, "errors"), 0);
    assert_int_equal(number(r, "demonstrations"), 3);
    assert_int_equal(number(r, "steps"), 15);
    assert_int_equal(number(r, "warnings"), 3);
    TOLD(r, "warning", "/data/demo_1/actions",
         "found -100 at step 0, element 0, expected -1 to 1; normalise");
    TOLD(r, "warning", "/data/demo_1/actions", "(and 9 more)");
    json_decref(r);
    hl_demos_options o = demo_options(files);
    hl_data_shape shape = demo_shape();
    o.action.normalize = HL_NORMALIZE_MIN_MAX;
    r = check_ok(&o, &shape);
    assert_int_equal(json_array_size(json_object_get(r, "faults")), 0);
    json_decref(r);
    H5Fclose(make_episode(FILE_NAME, 1, 5, true));
    r = check_files();
    assert_int_equal(json_array_size(json_object_get(r, "faults")), 0);
    assert_int_equal(number(r, "steps"), 5);
    json_decref(r);
}

static void put_dim(hid_t file, const char *path, hid_t type, int rank, hsize_t a, hsize_t b)
{
    const hsize_t dim[2] = {a, b};
    remove_path(file, path);
    put(file, path, type, type, rank, dim, NULL, NULL);
}

static hid_t many_faults(void)
{
    static const char *const train[] = {"demo_0", "demo_7", "demo_0"}, *const both[] = {"demo_1", "demo_8"};
    static const demo_spec six[] = {{4, true, false}, {5, true, true},  {6, true, false},
                                    {4, true, false}, {3, true, false}, {2, true, false}};
    const hsize_t dim[2] = {5, 3};
    float x[15] = {0};
    hid_t text = H5Tcopy(H5T_C_S1), file = make_file(FILE_NAME, 6, six);
    H5Tset_size(text, 3);
    x[7] = NAN;
    x[9] = INFINITY;
    remove_path(file, "data/demo_1/obs/joints");
    put_floats(file, "data/demo_1/obs/joints", 2, dim, x);
    remove_path(file, "data/demo_2/obs/rgb");
    put_dim(file, "data/demo_3/actions", H5T_IEEE_F32LE, 2, 9, 2);
    put_dim(file, "data/demo_3/obs/joints", text, 2, 9, 3);
    put_dim(file, "data/demo_4/actions", H5T_IEEE_F32LE, 2, 0, 2);
    put_dim(file, "data/demo_5/obs/joints", H5T_IEEE_F32LE, 2, 2, 4);
    put_mask(file, "mask/train", 3, train, true);
    put_mask(file, "mask/other", 2, both, false);
    H5Tclose(text);
    return file;
}

/* All at once: none hides another. */
static void every_fault(void **state)
{
    (void)state;
    H5Fclose(many_faults());
    json_t *r = check_files();
    TOLD(r, "error", "mask/train", "'demo_7', which /data does not have");
    TOLD(r, "warning", "mask/train", "'demo_0' more than once");
    TOLD(r, "error", "mask/other", "'demo_8', which /data does not have");
    TOLD(r, "error", "/data/demo_1/obs/joints",
         "found nan at step 2, element 1, expected a finite value (and 1 more)");
    TOLD(r, "warning", "/data/demo_2/obs/rgb", "no such data set, expected it as 5 of 6");
    TOLD(r, "error", "/data/demo_3/actions", "found shape (9, 2), expected 4 steps as in num_samples");
    TOLD(r, "error", "/data/demo_3/obs/joints", "found string, expected numbers");
    TOLD(r, "error", "/data/demo_3/obs/rgb", "found (4, 4, 6, 3), expected 9 steps");
    TOLD(r, "error", "/data/demo_4/actions", "the demonstration is empty");
    TOLD(r, "error", "/data/demo_5/obs/joints",
         "found (2, 4), expected (2, 3) as in the demonstrations before it");
    assert_int_equal(number(r, "errors") + number(r, "warnings"),
                     json_array_size(json_object_get(r, "faults")));
    json_decref(r);

    hl_demos_options o = demo_options(files); /* what training reads: as strictly as it */
    hl_data_shape shape = demo_shape();
    o.train_mask = "mask/train";
    r = check_ok(&o, &shape);
    TOLD(r, "error", "mask/train", "'demo_7'");
    assert_int_equal(number(r, "demonstrations"), 1);
    json_decref(r);
    o.train_mask = NULL;
    r = check_ok(&o, &shape);
    TOLD(r, "error", "/data/demo_1/obs/joints", "found nan at step 2");
    TOLD(r, "error", "/data/demo_2/obs/rgb", "no such data set; found obs/joints");
    TOLD(r, "error", "/data/demo_3/obs/joints", "found type string, expected numbers");
    TOLD(r, "error", "/data/demo_5/obs/joints", "found shape (2, 4), expected 3 elements per step");
    json_decref(r);
}

/* Bytes of a compressed chunk are spoiled; a copy of a demonstration; values of float images. */
static void values_and_copies(void **state)
{
    const hsize_t frames[4] = {4, 4, 6, 3};
    static float pixels[4 * 72];
    (void)state;
    hid_t file = make_file(FILE_NAME, 3, three);
    assert_true(H5Ocopy(file, "data/demo_1", file, "data/demo_9", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    pixels[80] = 7;
    remove_path(file, "data/demo_0/obs/rgb");
    put(file, "data/demo_0/obs/rgb", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 4, frames, NULL, pixels);
    hid_t set = H5Dopen2(file, "data/demo_1/obs/joints", H5P_DEFAULT);
    hsize_t offset[2] = {0, 1};
    const unsigned char junk[] = "no deflate stream at all";
    assert_true(H5Dwrite_chunk(set, H5P_DEFAULT, 0, offset, sizeof junk, junk) >= 0);
    H5Dclose(set);
    set = H5Dopen2(file, "data/demo_1/obs/rgb", H5P_DEFAULT);
    const hsize_t corner[4] = {0, 0, 0, 0};
    assert_true(H5Dwrite_chunk(set, H5P_DEFAULT, 0, corner, sizeof junk, junk) >= 0);
    H5Dclose(set);
    H5Fclose(file);
    json_t *r = check_files();
    TOLD(r, "error", "/data/demo_1/obs/joints", "steps 0 to 4 cannot be read");
    TOLD(r, "error", "/data/demo_1/obs/rgb", "steps 0 to 4 cannot be read");
    assert_int_equal(number(r, "errors"), 2); /* of the copy joints can be read: it is none any more */
    json_decref(r);

    hl_demos_options o = demo_options(files);
    hl_data_shape shape = demo_shape();
    r = check_ok(&o, &shape);
    TOLD(r, "error", "/data/demo_0/obs/rgb", "found 7 at step 1, element 8, expected a value in 0..1");
    TOLD(r, "error", "/data/demo_1/obs/rgb", "cannot be read");
    json_decref(r);

    file = make_file(FILE_NAME, 3, three);
    assert_true(H5Ocopy(file, "data/demo_1", file, "data/demo_9", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    H5Fclose(file);
    r = check_files();
    TOLD(r, "error", "/data/demo_9", "found a copy of " FILE_NAME ": /data/demo_1");
    assert_int_equal(number(r, "errors"), 1);
    json_decref(r);
}

static void episodes(void **state)
{
    static const char *const all[] = {"e_*.hdf5", "gone.hdf5", "robomimic.hdf5", "text.hdf5"};
    static uint8_t rows[5][EPISODE_PADDED], rgb[EPISODE_H * EPISODE_W * 3];
    const hsize_t dim[2] = {5, EPISODE_PADDED}, chunk[2] = {1, EPISODE_PADDED};
    (void)state;
    H5Fclose(make_episode("e_0.hdf5", 0, 5, true));
    H5Fclose(make_episode("e_1.hdf5", 0, 5, true)); /* a copy */
    hid_t file = make_episode("e_2.hdf5", 2, 5, true);
    put_dim(file, "observations/qpos", H5T_IEEE_F32LE, 2, 4, 4);
    remove_path(file, "observations/qvel");
    remove_path(file, TOP);
    memset(rgb, 5, sizeof rgb);
    for (int t = 0; t < 5; t++)
        if (t != 1 && t != 3) /* these stay zeros */
            jpeg_frame(rgb, t == 4 ? 8 : EPISODE_H, EPISODE_W, rows[t], EPISODE_PADDED);
    put(file, TOP, H5T_STD_U8LE, H5T_NATIVE_UCHAR, 2, dim, chunk, rows);
    H5Fclose(file);
    H5Fclose(make_file("robomimic.hdf5", 1, three));
    FILE *f = fopen("text.hdf5", "w");
    fputs("not HDF5", f);
    fclose(f);
    H5Fclose(make_episode("e_3.hdf5", 3, 7, true));
    assert_int_equal(truncate("e_3.hdf5", 5000), 0);

    hl_demos_options o = {.files = all, .n_files = 4};
    json_t *r = check_ok(&o, NULL);
    assert_int_equal(number(r, "files"), 6);
    assert_int_equal(number(r, "demonstrations"), 3);
    TOLD(r, "error", "", "no such file");
    TOLD(r, "error", "", "found robomimic's layout (/data/demo_0/actions, ...), expected ALOHA's");
    TOLD(r, "error", "", "not an HDF5 file");
    TOLD(r, "error", "", "truncated");
    TOLD(r, "error", "/", "found a copy of e_0.hdf5: /");
    TOLD(r, "error", "/observations/qpos", "found (4, 4), expected 5 steps");
    TOLD(r, "warning", "/observations/qvel", "no such data set");
    TOLD(r, "error", "/" TOP, "frame 1: cannot be decoded as JPEG: Not a JPEG file");
    TOLD(r, "error", "/" TOP, "(and 2 more)");
    json_decref(r);

    hl_data_shape shape = episode_shape();
    hl_demos_options trained = episode_options(all);
    r = check_ok(&trained, &shape);
    TOLD(r, "error", "/observations/qvel", "no such data set, though there is observations/qpos");
    TOLD(r, "error", "/" TOP, "frame 1: cannot be decoded");
    json_decref(r);
}

/* Nothing to check at all, or options that make no sense. */
static void nothing(void **state)
{
    hl_error err = {0};
    hl_demos_options o = {.files = files, .n_files = 0};
    (void)state;
    assert_null(hl_data_check(&o, NULL, &err));
    assert_int_equal(err.status, HL_ERR_CONFIG);
    unlink(FILE_NAME);
    json_t *r = check_files();
    assert_int_equal(number(r, "errors"), 1);
    assert_int_equal(number(r, "files"), 0);
    json_decref(r);
    H5Fclose(make_file(FILE_NAME, 0, NULL));
    r = check_files();
    TOLD(r, "error", "/data", "found no demonstrations");
    json_decref(r);
    H5Fclose(H5Fcreate(FILE_NAME, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    r = check_files();
    TOLD(r, "error", "",
         "/: found nothing, expected robomimic's layout (/data/demo_0/actions, ...) or ALOHA's");
    json_decref(r);
}

/* The n-th allocation fails: an error, never a list that is missing some. */
static void no_memory(void **state)
{
    (void)state;
    H5Fclose(many_faults());
    json_t *whole = check_files(), *r = NULL;
    for (uint64_t n = 1; !r; n++) {
        hl_demos_options o = {.files = files, .n_files = 1};
        hl_error err = {0};
        hl_alloc_fail_at(n);
        r = hl_data_check(&o, NULL, &err);
        hl_alloc_fail_at(0);
        assert_true(r || (*err.message && err.status == HL_ERR_MEMORY));
        assert_int_equal(H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
        assert_true(n < 3000);
    }
    assert_true(json_equal(whole, r));
    json_decref(whole);
    json_decref(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clean),    cmocka_unit_test(every_fault), cmocka_unit_test(values_and_copies),
        cmocka_unit_test(episodes), cmocka_unit_test(nothing),     cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, temporary_enter, temporary_leave);
}
