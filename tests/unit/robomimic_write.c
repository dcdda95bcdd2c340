/* What the exporter writes, the reader reads; and a file that is not whole never has its name. */
#include "tests/demo_file.h"

#include <errno.h>
#include <glob.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/describe.h"
#include "data/loader.h"
#include "data/robomimic_write.h"

#define FILE_NAME "test_write.hdf5"

enum { DEMOS = 12, STEPS = 9, IMAGE = 5, ACTION = 19 };

static float rgb[STEPS * 3 * IMAGE * IMAGE], depth[STEPS * IMAGE * IMAGE], body[STEPS * 64],
    states[STEPS * 3], actions[STEPS * ACTION];
static const float *const arrays[] = {rgb, depth, body};
static const hl_field fields[] = {{"rgb", HL_FIELD_RGB, IMAGE, IMAGE, 0},
                                  {"depth", HL_FIELD_DEPTH, IMAGE, IMAGE, 0},
                                  {"body", HL_FIELD_VECTOR, 0, 0, 64}};

static float value(int64_t demo, int64_t t, int64_t i)
{
    return (float)((demo * 7919 + t * 104729 + i * 1299709) % 1000) / 999.0f;
}

static void fill(float *x, int64_t demo, int64_t steps, int64_t size)
{
    for (int64_t t = 0; t < steps; t++)
        for (int64_t i = 0; i < size; i++)
            x[t * size + i] = value(demo, t, i);
}

static hl_demo demo_of(int64_t i)
{
    int64_t steps = 1 + i % STEPS;
    fill(rgb, i, steps, 3 * IMAGE * IMAGE);
    fill(depth, i, steps, IMAGE * IMAGE);
    fill(body, i, steps, 64);
    fill(states, i, steps, 3);
    fill(actions, i, steps, ACTION);
    return (hl_demo){
        .steps = steps, .actions = actions, .states = states, .fields = arrays, .valid = i % 4 == 3};
}

static hl_robomimic_writer_options plain(int gzip)
{
    return (hl_robomimic_writer_options){.fields = fields,
                                         .n_fields = 3,
                                         .action = ACTION,
                                         .states = 3,
                                         .env_args = "{\"env_name\": \"reach\", \"env_kwargs\": {}}",
                                         .gzip = gzip};
}

static void write_all(int gzip)
{
    hl_error err = {0};
    hl_robomimic_writer_options o = plain(gzip);
    o.overwrite = true;
    hl_robomimic_writer *w = hl_robomimic_writer_new(FILE_NAME, &o, &err);
    for (int i = 0; w && i < DEMOS; i++) {
        hl_demo d = demo_of(i);
        if (hl_robomimic_write_demo(w, &d, &err) != HL_OK)
            fail_msg("%s", err.message);
    }
    if (!w || hl_robomimic_writer_finish(w, &err) != HL_OK)
        fail_msg("%s", err.message);
    hl_robomimic_writer_free(w);
}

static int temporaries(void)
{
    glob_t g;
    int code = glob(FILE_NAME ".tmp*", 0, NULL, &g), n = code == 0 ? (int)g.gl_pathc : 0;
    if (code == 0)
        globfree(&g);
    return n;
}

static hl_dataset *open_written(void)
{
    static const char *const file[] = {FILE_NAME}, *const k0[] = {"obs/rgb"}, *const k1[] = {"obs/depth"},
                             *const k2[] = {"obs/body"};
    hl_demos_options o = {
        .files = file, .n_files = 1, .train_mask = "mask/train", .valid_mask = "mask/valid"};
    hl_data_shape shape = {.image = IMAGE, .action = ACTION, .frames = 1};
    hl_error err = {0};
    shape.size[HL_VISUAL] = 3 * IMAGE * IMAGE;
    shape.size[HL_DEPTH] = IMAGE * IMAGE;
    shape.size[HL_PROPRIOCEPTIVE] = 64;
    o.sense[HL_VISUAL] = (hl_demos_sense){.keys = k0, .n_keys = 1};
    o.sense[HL_DEPTH] = (hl_demos_sense){.keys = k1, .n_keys = 1};
    o.sense[HL_PROPRIOCEPTIVE] = (hl_demos_sense){.keys = k2, .n_keys = 1};
    hl_dataset *d = hl_demos_open(&o, &shape, &err);
    if (!d)
        fail_msg("%s", err.message);
    return d;
}

static void round_trip(void **state)
{
    static sample_room room;
    (void)state;
    for (int gzip = 0; gzip < 2; gzip++) {
        write_all(gzip);
        assert_int_equal(temporaries(), 0);
        hl_dataset *d = open_written();
        assert_int_equal(hl_demos_count(d, HL_TRAIN), 9);
        assert_int_equal(hl_demos_count(d, HL_VALID), 3);
        int64_t at[HL_SPLITS] = {0};
        for (int64_t i = 0; i < DEMOS; i++)
            for (int64_t t = 0; t < 1 + i % STEPS; t++) {
                hl_split split = i % 4 == 3 ? HL_VALID : HL_TRAIN;
                hl_sample s = sample_in(&room, &d->shape);
                assert_int_equal(d->read(d, split, at[split]++, &s, NULL), HL_OK);
                for (int k = 0; k < 3 * IMAGE * IMAGE; k++) /* a byte's worth of rounding */
                    assert_true(fabsf(room.sense[HL_VISUAL][k] - value(i, t, k)) <= 0.5f / 255 + 1e-6f);
                for (int k = 0; k < IMAGE * IMAGE; k++)
                    assert_true(room.sense[HL_DEPTH][k] == value(i, t, k));
                for (int k = 0; k < 64; k++)
                    assert_true(room.sense[HL_PROPRIOCEPTIVE][k] == value(i, t, k));
                for (int k = 0; k < ACTION; k++)
                    assert_true(room.action[k] == value(i, t, k));
            }
        assert_int_equal(at[HL_TRAIN], d->count[HL_TRAIN]);
        assert_int_equal(at[HL_VALID], d->count[HL_VALID]);
        hl_dataset_close(d);
    }
}

static const char *text_at(json_t *j, const char *key)
{
    return json_string_value(json_object_get(j, key));
}

static void described(void **state)
{
    hl_error err = {0};
    (void)state;
    write_all(1);
    json_t *j = hl_data_describe(FILE_NAME, &err), *entry;
    assert_non_null(j);
    assert_string_equal(text_at(j, "format"), "robomimic");
    assert_int_equal(json_integer_value(json_object_get(j, "demonstrations")), DEMOS);
    assert_int_equal(json_integer_value(json_object_get(j, "steps")), 45 + 1 + 2 + 3);
    json_t *attributes = json_object_get(j, "attributes");
    assert_int_equal(json_integer_value(json_object_get(attributes, "total")), 51);
    assert_string_equal(text_at(json_object_get(attributes, "env_args"), "env_name"), "reach");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "masks"), "valid")), 3);
    assert_int_equal(json_array_size(json_object_get(j, "warnings")), 0);
    size_t i, seen = 0;
    json_array_foreach(json_object_get(j, "keys"), i, entry)
    {
        json_t *shape = json_object_get(entry, "shape");
        assert_int_equal(json_integer_value(json_object_get(entry, "demonstrations")), DEMOS);
        if (strcmp(text_at(entry, "key"), "obs/rgb") != 0)
            continue;
        seen++;
        assert_string_equal(text_at(entry, "dtype"), "uint8");
        assert_int_equal(json_array_size(shape), 3);
        assert_int_equal(json_integer_value(json_array_get(shape, 2)), 3);
        assert_int_equal(json_integer_value(json_array_get(json_object_get(entry, "chunk"), 0)), 1);
    }
    assert_int_equal(seen, 1);
    json_t *a = json_object_get(j, "actions"), *mapping = json_object_get(j, "mapping");
    assert_int_equal(json_integer_value(json_object_get(a, "size")), ACTION);
    assert_true(json_is_true(json_object_get(a, "in_range")) && json_is_true(json_object_get(a, "finite")));
    assert_true(json_real_value(json_array_get(json_object_get(a, "min"), 0)) == 0);
    assert_string_equal(json_string_value(json_array_get(json_object_get(mapping, "visual"), 0)), "obs/rgb");
    assert_string_equal(json_string_value(json_array_get(json_object_get(mapping, "depth"), 0)), "obs/depth");
    json_decref(j);
    assert_null(hl_data_describe("test_no_such.hdf5", &err));
    assert_int_equal(err.status, HL_ERR_IO);
}

/* The loader's thread reads one file while this one writes and reads others. */
static void beside_a_writer(void **state)
{
    hl_error err = {0};
    const hl_batch *b;
    (void)state;
    write_all(1);
    hl_dataset *d = open_written();
    assert_int_equal(rename(FILE_NAME, FILE_NAME ".moved"), 0);
    hl_loader *l = hl_loader_new(d, &(hl_loader_options){.batch = 3, .prefetch = 2}, &err);
    assert_non_null(l);
    for (int round = 0; round < 5; round++) {
        write_all(round % 2);
        json_t *j = hl_data_describe(FILE_NAME, &err);
        assert_non_null(j);
        json_decref(j);
        for (int i = 0; i < 20; i++)
            assert_int_equal(hl_loader_next(l, &b, &err), HL_OK);
    }
    hl_loader_free(l);
    hl_dataset_close(d);
}

static void refuse_new(const hl_robomimic_writer_options *o, const char *path, hl_status status,
                       const char *part)
{
    hl_error err = {0};
    assert_null(hl_robomimic_writer_new(path, o, &err));
    assert_int_equal(err.status, status);
    if (!strstr(err.message, part))
        fail_msg("no '%s' in: %s", part, err.message);
}

static void bad_options(void **state)
{
    hl_field twice[] = {fields[0], fields[0]}, below = {"a/b", HL_FIELD_VECTOR, 0, 0, 1};
    hl_robomimic_writer_options o = plain(0);
    (void)state;
    write_all(0);
    refuse_new(&o, FILE_NAME, HL_ERR_IO, FILE_NAME ": the file exists already");
    refuse_new(&o, "no_such_directory/x.hdf5", HL_ERR_IO, "No such file or directory");
    o.gzip = 10;
    refuse_new(&o, "x.hdf5", HL_ERR_USAGE, "gzip 10");
    o = plain(0), o.env_args = "{";
    refuse_new(&o, "x.hdf5", HL_ERR_USAGE, "env_args is not a JSON object");
    o = plain(0), o.fields = twice, o.n_fields = 2;
    refuse_new(&o, "x.hdf5", HL_ERR_USAGE, "field rgb is given twice");
    o = plain(0), o.fields = &below, o.n_fields = 1;
    refuse_new(&o, "x.hdf5", HL_ERR_USAGE, "not a plain name");
}

/* A bad value stops the writer; what stood under the name before still does. */
static void bad_values(void **state)
{
    static float *const spoiled[] = {rgb, depth, body, actions, states};
    static const char *const named[] = {"rgb", "depth", "body", "actions", "states"};
    struct stat before, after;
    (void)state;
    write_all(0);
    assert_int_equal(stat(FILE_NAME, &before), 0);
    for (int k = 0; k < 5; k++) {
        hl_error err = {0};
        hl_robomimic_writer_options o = plain(0);
        o.overwrite = true;
        hl_robomimic_writer *w = hl_robomimic_writer_new(FILE_NAME, &o, &err);
        hl_demo good = demo_of(0);
        assert_int_equal(hl_robomimic_write_demo(w, &good, &err), HL_OK);
        hl_demo bad = demo_of(5);
        spoiled[k][2] = k < 2 ? 1.5f : NAN;
        assert_int_equal(hl_robomimic_write_demo(w, &bad, &err), HL_ERR_DATA);
        assert_non_null(strstr(err.message, named[k]));
        assert_non_null(strstr(err.message, "demo_1"));
        assert_int_equal(hl_robomimic_write_demo(w, &good, &err), HL_ERR_USAGE);
        assert_int_equal(hl_robomimic_writer_finish(w, &err), HL_ERR_USAGE);
        hl_robomimic_writer_free(w);
    }
    hl_robomimic_writer_options o = plain(0);
    o.overwrite = true;
    hl_robomimic_writer *w = hl_robomimic_writer_new(FILE_NAME, &o, NULL);
    assert_int_equal(hl_robomimic_writer_finish(w, NULL), HL_ERR_USAGE); /* nothing written */
    hl_robomimic_writer_free(w);
    assert_int_equal(stat(FILE_NAME, &after), 0);
    assert_true(before.st_ino == after.st_ino && before.st_size == after.st_size);
    assert_int_equal(temporaries(), 0);
}

/* The disk fills up at every possible place: an error, the old file untouched, no temporary left. */
static void disk_full(void **state)
{
    struct rlimit old;
    struct stat before, after;
    int failures = 0;
    (void)state;
    write_all(0);
    assert_int_equal(stat(FILE_NAME, &before), 0);
    getrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t limit = 100; limit < (rlim_t)before.st_size; limit += (rlim_t)before.st_size / 23) {
        hl_error err = {0};
        hl_robomimic_writer_options o = plain(0);
        struct rlimit low = {limit, old.rlim_max};
        hl_status status = HL_OK;
        o.overwrite = true;
        setrlimit(RLIMIT_FSIZE, &low);
        hl_robomimic_writer *w = hl_robomimic_writer_new(FILE_NAME, &o, &err);
        for (int i = 0; w && status == HL_OK && i < DEMOS; i++) {
            hl_demo d = demo_of(i);
            status = hl_robomimic_write_demo(w, &d, &err);
        }
        if (w && status == HL_OK)
            status = hl_robomimic_writer_finish(w, &err);
        hl_robomimic_writer_free(w);
        setrlimit(RLIMIT_FSIZE, &old);
        assert_true(!w || status == HL_ERR_IO);
        assert_non_null(strstr(err.message, FILE_NAME));
        assert_non_null(strstr(err.message, strerror(EFBIG)));
        failures++;
        assert_int_equal(stat(FILE_NAME, &after), 0);
        assert_true(before.st_ino == after.st_ino && before.st_size == after.st_size);
        assert_int_equal(temporaries(), 0);
    }
    assert_true(failures > 20);
    signal(SIGXFSZ, SIG_DFL);
}

/* Each call that changes the disk fails in turn. */
static void failing_calls(void **state)
{
    struct stat before, after;
    bool done = false;
    uint64_t n = 0;
    (void)state;
    write_all(0);
    assert_int_equal(stat(FILE_NAME, &before), 0);
    while (!done) {
        hl_error err = {0};
        hl_robomimic_writer_options o = plain(0);
        o.overwrite = true;
        hl_file_fail_at(++n);
        hl_demo d = demo_of(3);
        hl_robomimic_writer *w = hl_robomimic_writer_new(FILE_NAME, &o, &err);
        done = w && hl_robomimic_write_demo(w, &d, &err) == HL_OK &&
               hl_robomimic_writer_finish(w, &err) == HL_OK;
        hl_file_fail_at(0);
        hl_robomimic_writer_free(w);
        assert_int_equal(temporaries(), 0);
        assert_int_equal(stat(FILE_NAME, &after), 0);
        assert_true(done || (err.status == HL_ERR_IO && strstr(err.message, FILE_NAME)));
        /* only the last of them, the sync of the directory, comes after the rename */
        assert_true(done || before.st_ino == after.st_ino || strstr(err.message, "is written, but"));
    }
    assert_true(n > 10); /* more than the opening, the sync and the renaming: every write of the library */
}

static void no_memory(void **state)
{
    bool done = false;
    (void)state;
    for (uint64_t n = 1; !done; n++) {
        hl_error err = {0};
        hl_robomimic_writer_options o = plain(0);
        o.overwrite = true;
        hl_alloc_fail_at(n);
        hl_demo d = demo_of(3);
        hl_robomimic_writer *w = hl_robomimic_writer_new(FILE_NAME, &o, &err);
        done = w && hl_robomimic_write_demo(w, &d, &err) == HL_OK &&
               hl_robomimic_writer_finish(w, &err) == HL_OK;
        hl_alloc_fail_at(0);
        hl_robomimic_writer_free(w);
        assert_true(done || *err.message);
        assert_int_equal(temporaries(), 0);
        assert_true(n < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),    cmocka_unit_test(described),  cmocka_unit_test(beside_a_writer),
        cmocka_unit_test(bad_options),   cmocka_unit_test(bad_values), cmocka_unit_test(disk_full),
        cmocka_unit_test(failing_calls), cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, temporary_enter, temporary_leave);
}
