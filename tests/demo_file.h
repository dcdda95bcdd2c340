/* Small robomimic files for tests, with every liberty that writers of such files take. */
#ifndef HL_TESTS_DEMO_FILE_H
#define HL_TESTS_DEMO_FILE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/demos.h"

#include "tests/temporary.h"

/* A file of numbers that say where they are from. */
static inline float low_value(int demo, int step, int element)
{
    return (float)(demo * 100 + step) + 0.01f * (float)element;
}

static inline uint8_t pixel_value(int demo, int step, int y, int x, int c)
{
    return (uint8_t)(demo * 50 + step * 10 + y * 4 + x * 2 + c);
}

/* values NULL: zeros. */
static inline hid_t put(hid_t at, const char *path, hid_t stored, hid_t given, int rank, const hsize_t *dim,
                        const hsize_t *chunk, const void *values)
{
    hid_t links = H5Pcreate(H5P_LINK_CREATE), plan = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    if (chunk) {
        H5Pset_chunk(plan, rank, chunk);
        H5Pset_deflate(plan, 1);
    }
    if (!values)
        H5Pset_alloc_time(plan, H5D_ALLOC_TIME_EARLY);
    hid_t space = H5Screate_simple(rank, dim, NULL);
    hid_t set = H5Dcreate2(at, path, stored, space, links, plan, H5P_DEFAULT);
    assert_true(set >= 0);
    if (values)
        assert_true(H5Dwrite(set, given, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Pclose(plan);
    H5Pclose(links);
    return at;
}

static inline void put_floats(hid_t at, const char *path, int rank, const hsize_t *dim, const float *values)
{
    put(at, path, H5T_IEEE_F64LE, H5T_NATIVE_FLOAT, rank, dim, NULL, values);
}

static inline void remove_path(hid_t at, const char *path)
{
    assert_true(H5Ldelete(at, path, H5P_DEFAULT) >= 0);
}

static inline void put_number(hid_t at, const char *name, hid_t type, long long value)
{
    hid_t space = H5Screate(H5S_SCALAR), a = H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(a, H5T_NATIVE_LLONG, &value) >= 0);
    H5Aclose(a);
    H5Sclose(space);
}

static inline void put_text(hid_t at, const char *name, const char *text, bool variable)
{
    hid_t space = H5Screate(H5S_SCALAR), type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, variable ? H5T_VARIABLE : strlen(text));
    H5Tset_strpad(type, variable ? H5T_STR_NULLTERM : H5T_STR_NULLPAD);
    H5Tset_cset(type, variable ? H5T_CSET_UTF8 : H5T_CSET_ASCII);
    hid_t a = H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(a, type, variable ? (const void *)&text : (const void *)text) >= 0);
    H5Aclose(a);
    H5Tclose(type);
    H5Sclose(space);
}

static inline void put_mask(hid_t file, const char *path, int count, const char *const *names, bool variable)
{
    char fixed[16][8] = {{0}};
    hsize_t n = (hsize_t)count;
    hid_t type = H5Tcopy(H5T_C_S1);
    for (int i = 0; i < count; i++)
        snprintf(fixed[i], sizeof fixed[i], "%s", names[i]);
    H5Tset_size(type, variable ? H5T_VARIABLE : sizeof fixed[0]);
    H5Tset_strpad(type, variable ? H5T_STR_NULLTERM : H5T_STR_NULLPAD);
    H5Tset_cset(type, variable ? H5T_CSET_UTF8 : H5T_CSET_ASCII);
    put(file, path, type, type, 1, &n, NULL, variable ? (const void *)names : (const void *)fixed);
    H5Tclose(type);
}

enum { FILE_H = 4, FILE_W = 6, FILE_JOINTS = 3, FILE_ACTIONS = 2 };

/* What a demonstration in a test file has besides actions and obs/joints. */
typedef struct demo_spec {
    int steps;
    bool rgb, gzip;
} demo_spec;

static inline void put_rgb(hid_t demo, int d, int steps, bool gzip)
{
    static uint8_t pixels[32][FILE_H][FILE_W][3];
    hsize_t dim[4] = {(hsize_t)steps, FILE_H, FILE_W, 3}, chunk[4] = {(hsize_t)steps, 3, FILE_W, 2};
    assert_true(steps <= 32);
    for (int t = 0; t < steps; t++)
        for (int y = 0; y < FILE_H; y++)
            for (int x = 0; x < FILE_W; x++)
                for (int c = 0; c < 3; c++)
                    pixels[t][y][x][c] = pixel_value(d, t, y, x, c);
    put(demo, "obs/rgb", H5T_STD_U8LE, H5T_NATIVE_UCHAR, 4, dim, gzip ? chunk : NULL, pixels);
}

static inline void put_rows(hid_t demo, const char *path, int d, int steps, int size, float sign, bool gzip)
{
    static float x[32 * 16];
    hsize_t dim[2] = {(hsize_t)steps, (hsize_t)size}, chunk[2] = {(hsize_t)(steps + 1) / 2, 1};
    assert_true(steps <= 32 && size <= 16);
    for (int t = 0; t < steps; t++)
        for (int i = 0; i < size; i++)
            x[t * size + i] = sign * low_value(d, t, i);
    put(demo, path, H5T_IEEE_F64LE, H5T_NATIVE_FLOAT, 2, dim, gzip ? chunk : NULL, x);
}

/* Returns the open file, for a test to spoil. */
static inline hid_t make_file(const char *path, int n, const demo_spec *spec)
{
    static const char *const integer[] = {"int64", "uint8", "none"};
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t data = H5Gcreate2(file, "data", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(data >= 0);
    for (int i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "demo_%d", i);
        hid_t demo = H5Gcreate2(data, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        const char *kind = integer[i % 3];
        if (strcmp(kind, "none") != 0)
            put_number(demo, "num_samples", *kind == 'i' ? H5T_STD_I64BE : H5T_STD_U8LE, spec[i].steps);
        put_rows(demo, "actions", i, spec[i].steps, FILE_ACTIONS, -1, spec[i].gzip);
        put_rows(demo, "obs/joints", i, spec[i].steps, FILE_JOINTS, 1, spec[i].gzip);
        if (spec[i].rgb)
            put_rgb(demo, i, spec[i].steps, spec[i].gzip);
        H5Gclose(demo);
    }
    H5Gclose(data);
    return file;
}

/* A camera and joints, both required, from these files. */
static inline hl_demos_options demo_options(const char *const *files)
{
    static const char *const rgb_key[] = {"obs/rgb"}, *const joint_key[] = {"obs/joints"};
    hl_demos_options o = {.format = HL_DEMOS_ROBOMIMIC, .files = files, .n_files = 1};
    o.sense[HL_VISUAL] = (hl_demos_sense){.keys = rgb_key, .n_keys = 1};
    o.sense[HL_PROPRIOCEPTIVE] = (hl_demos_sense){.keys = joint_key, .n_keys = 1, .pad = true};
    o.action = (hl_demos_action){.pad = true, .mask_padding = true};
    return o;
}

static inline hl_data_shape demo_shape(void)
{
    hl_data_shape s = {.image = 4, .action = 4, .frames = 2};
    s.size[HL_VISUAL] = 48;
    s.size[HL_PROPRIOCEPTIVE] = 8;
    return s;
}

/* Room for one sample, of senses up to 1024 floats a frame and 32 frames. */
typedef struct sample_room {
    float sense[HL_SENSES][32 * 1024], presence[HL_SENSES], action[64], mask[64], previous[64];
} sample_room;

static inline hl_sample sample_in(sample_room *room, const hl_data_shape *shape)
{
    hl_sample s = {.presence = room->presence,
                   .action = room->action,
                   .action_mask = room->mask,
                   .previous = room->previous};
    memset(room, 0x7f, sizeof *room); /* whatever is not written is seen */
    for (int i = 0; i < HL_SENSES; i++)
        s.sense[i] = shape->size[i] ? room->sense[i] : NULL;
    return s;
}

#endif
