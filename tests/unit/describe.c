/* What `hl data info` is told about files of several kinds, whole and damaged. */
#include "tests/demo_file.h"

#include <jansson.h>
#include <math.h>
#include <unistd.h>

#include "base/memory.h"
#include "data/describe.h"

#define FILE_NAME "test_describe.hdf5"

static const demo_spec two[] = {{4, true, true}, {7, true, true}};

static json_t *describe_ok(void)
{
    hl_error err = {0};
    json_t *j = hl_data_describe(FILE_NAME, &err);
    if (!j)
        fail_msg("%s", err.message);
    return j;
}

/* The text of a member of members: "actions.size". */
static const char *at(json_t *j, const char *path)
{
    static char text[512];
    char part[128];
    while (*path) {
        size_t n = strcspn(path, ".");
        snprintf(part, sizeof part, "%.*s", (int)n, path);
        j = json_is_array(j) ? json_array_get(j, (size_t)atoi(part)) : json_object_get(j, part);
        path += n + (path[n] == '.');
    }
    char *dump = json_dumps(j, JSON_ENCODE_ANY | JSON_COMPACT);
    snprintf(text, sizeof text, "%s", dump ? dump : "absent");
    free(dump);
    return text;
}

static bool warned(json_t *j, const char *part)
{
    json_t *w;
    size_t i;
    json_array_foreach(json_object_get(j, "warnings"), i, w)
    {
        if (strstr(json_string_value(w), part))
            return true;
    }
    return false;
}

static void libero(void **state)
{
    static const char *const train[] = {"demo_0"};
    (void)state;
    hid_t file = make_file(FILE_NAME, 2, two), data = H5Gopen2(file, "data", H5P_DEFAULT);
    put_text(data, "macros_image_convention", "opengl", true);
    put_text(data, "bddl_file_name", "pick_up_the_bowl.bddl", false);
    put_text(data, "problem_info", "{\"language_instruction\": \"pick up the bowl\"}", true);
    put_number(data, "num_demos", H5T_STD_I64LE, 2);
    H5Gclose(data);
    put_mask(file, "mask/train", 1, train, false);
    remove_path(file, "data/demo_1/obs/rgb");
    H5Fclose(file);
    json_t *j = describe_ok();
    assert_string_equal(at(j, "format"), "\"libero\"");
    assert_string_equal(at(j, "image_convention"), "\"opengl\"");
    assert_string_equal(at(j, "attributes.problem_info.language_instruction"), "\"pick up the bowl\"");
    assert_string_equal(at(j, "attributes.num_demos"), "2");
    assert_string_equal(at(j, "demonstrations"), "2");
    assert_string_equal(at(j, "steps"), "11");
    assert_string_equal(at(j, "length.min"), "4");
    assert_string_equal(at(j, "length.mean"), "5.5");
    assert_string_equal(at(j, "length.max"), "7");
    assert_string_equal(at(j, "masks"), "{\"train\":1}");
    assert_string_equal(at(j, "actions.size"), "2");
    assert_string_equal(at(j, "actions.min.0"), "-106.0");
    assert_string_equal(at(j, "actions.max.0"), "-0.0");
    assert_string_equal(at(j, "actions.in_range"), "false");
    assert_string_equal(at(j, "mapping.visual"), "[\"obs/rgb\"]");
    assert_string_equal(at(j, "mapping.proprioceptive"), "[\"obs/joints\"]");
    assert_true(warned(j, "outside [-1, 1]"));
    assert_true(warned(j, "obs/rgb is missing in 1 of 2"));
    assert_false(warned(j, "num_samples"));
    json_decref(j);
}

static void oddities(void **state)
{
    const hsize_t dim[2] = {7, 2};
    float x[14] = {0};
    (void)state;
    hid_t file = make_file(FILE_NAME, 2, two), demo = H5Gopen2(file, "data/demo_1", H5P_DEFAULT);
    x[5] = NAN;
    H5Ldelete(demo, "actions", H5P_DEFAULT);
    H5Ldelete(demo, "obs/joints", H5P_DEFAULT);
    put_floats(demo, "actions", 2, dim, x);
    put_floats(demo, "obs/joints", 2, dim, x);
    H5Adelete(demo, "num_samples");
    put_number(demo, "num_samples", H5T_STD_U16BE, 8);
    H5Gclose(demo);
    H5Fclose(file);
    json_t *j = describe_ok();
    assert_string_equal(at(j, "format"), "\"robomimic\"");
    assert_string_equal(at(j, "actions.finite"), "false");
    assert_true(warned(j, "not finite"));
    assert_true(warned(j, "obs/joints differs in shape"));
    assert_true(warned(j, "/data/demo_1: num_samples is 8, but there are 7 actions"));
    json_decref(j);
}

static void aloha(void **state)
{
    const hsize_t rows[2] = {3, 14}, frames[4] = {3, 4, 6, 3}, chunk[4] = {1, 4, 6, 3};
    (void)state;
    hid_t file = H5Fcreate(FILE_NAME, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    put_number(file, "sim", H5T_STD_I8LE, 1);
    put(file, "action", H5T_IEEE_F32LE, H5T_IEEE_F32LE, 2, rows, NULL, NULL);
    put(file, "observations/qpos", H5T_IEEE_F32LE, H5T_IEEE_F32LE, 2, rows, NULL, NULL);
    put(file, "observations/images/cam_left_wrist", H5T_STD_U8LE, H5T_STD_U8LE, 4, frames, chunk, NULL);
    put(file, "observations/images/top", H5T_STD_U8LE, H5T_STD_U8LE, 4, frames, chunk, NULL);
    H5Fclose(file);
    json_t *j = describe_ok();
    assert_string_equal(at(j, "format"), "\"aloha\"");
    assert_string_equal(at(j, "attributes.sim"), "1");
    assert_string_equal(at(j, "steps"), "3");
    assert_string_equal(at(j, "actions.size"), "14");
    assert_string_equal(at(j, "mapping.visual"), "[\"observations/images/top\"]");
    assert_string_equal(at(j, "mapping.proprioceptive"), "[\"observations/qpos\"]");
    json_decref(j);
}

/* Actions by the billion, of which none was written: told, not read. */
static void unwritten(void **state)
{
    const hsize_t dim[2] = {(hsize_t)1 << 31, 1}, chunk[2] = {1024, 1};
    (void)state;
    hid_t file = make_file(FILE_NAME, 2, two), plan = H5Pcreate(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(2, dim, NULL);
    H5Pset_chunk(plan, 2, chunk);
    remove_path(file, "data/demo_1/actions");
    H5Dclose(H5Dcreate2(file, "data/demo_1/actions", H5T_IEEE_F32LE, space, H5P_DEFAULT, plan, H5P_DEFAULT));
    H5Sclose(space);
    H5Pclose(plan);
    H5Fclose(file);
    hl_error err = {0};
    assert_null(hl_data_describe(FILE_NAME, &err));
    assert_int_equal(err.status, HL_ERR_DATA);
    assert_non_null(strstr(err.message, "claims 2147483648 steps, not all of which were written"));
}

static void anything_else(void **state)
{
    const hsize_t dim[2] = {3, 14};
    hl_error err = {0};
    (void)state;
    hid_t file = H5Fcreate(FILE_NAME, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    put(file, "params/layer/weight", H5T_IEEE_F32LE, H5T_IEEE_F32LE, 2, dim, NULL, NULL);
    H5Fclose(file);
    json_t *j = describe_ok();
    assert_string_equal(at(j, "format"), "\"hdf5\"");
    assert_string_equal(at(j, "demonstrations"), "absent");
    assert_string_equal(at(j, "keys.0.key"), "\"params/layer/weight\"");
    assert_string_equal(at(j, "keys.0.shape"), "[3,14]");
    assert_string_equal(at(j, "keys.0.dtype"), "\"float32\"");
    json_decref(j);
    H5Fclose(H5Fcreate(FILE_NAME, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    json_decref(describe_ok());
    assert_int_equal(truncate(FILE_NAME, 90), 0);
    assert_null(hl_data_describe(FILE_NAME, &err));
    assert_non_null(strstr(err.message, FILE_NAME));
    assert_int_equal(err.status, HL_ERR_DATA);
}

static void no_memory(void **state)
{
    static const char *const train[] = {"demo_0"};
    json_t *j = NULL;
    (void)state;
    hid_t file = make_file(FILE_NAME, 2, two), data = H5Gopen2(file, "data", H5P_DEFAULT);
    put_text(data, "env_args", "{}", true);
    H5Gclose(data);
    put_mask(file, "mask/train", 1, train, true);
    H5Fclose(file);
    for (uint64_t n = 1; !j; n++) {
        hl_error err = {0};
        hl_alloc_fail_at(n);
        j = hl_data_describe(FILE_NAME, &err);
        hl_alloc_fail_at(0);
        assert_true(j || (*err.message && err.status == HL_ERR_MEMORY));
        assert_true(n < 500);
    }
    assert_string_equal(at(j, "masks"), "{\"train\":1}");
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(libero),        cmocka_unit_test(oddities),  cmocka_unit_test(aloha),
        cmocka_unit_test(anything_else), cmocka_unit_test(no_memory), cmocka_unit_test(unwritten),
    };
    return cmocka_run_group_tests(tests, temporary_enter, temporary_leave);
}
