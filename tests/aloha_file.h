/* Small ALOHA episodes for tests. */
#ifndef HL_TESTS_ALOHA_FILE_H
#define HL_TESTS_ALOHA_FILE_H

#include "tests/demo_file.h"

#include "data/jpeg.h"

enum { EPISODE_JOINTS = 4, EPISODE_H = 16, EPISODE_W = 24, EPISODE_STEPS = 32 };

/* Smooth, so that JPEG keeps it within a few levels. */
static inline uint8_t episode_pixel(int e, int t, int y, int x, int c)
{
    return (uint8_t)(10 + 15 * e + 2 * t + 3 * y + x + 20 * c);
}

static inline void episode_frame(int e, int t, uint8_t *rgb)
{
    for (int y = 0; y < EPISODE_H; y++)
        for (int x = 0; x < EPISODE_W; x++)
            for (int c = 0; c < 3; c++)
                *rgb++ = episode_pixel(e, t, y, x, c);
}

/* As h5py writes a bool: an enumeration of int8. */
static inline void put_bool(hid_t at, const char *name, bool value)
{
    hid_t type = H5Tenum_create(H5T_STD_I8LE), space = H5Screate(H5S_SCALAR);
    int8_t x = 0;
    H5Tenum_insert(type, "FALSE", &x);
    x = 1;
    H5Tenum_insert(type, "TRUE", &x);
    x = value;
    hid_t a = H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(a, type, &x) >= 0);
    H5Aclose(a);
    H5Sclose(space);
    H5Tclose(type);
}

static inline void put_joints(hid_t file, const char *path, int e, int steps, float sign)
{
    hsize_t dim[2] = {(hsize_t)steps, EPISODE_JOINTS};
    float x[EPISODE_STEPS * EPISODE_JOINTS];
    assert_true(steps <= EPISODE_STEPS);
    for (int t = 0; t < steps; t++)
        for (int i = 0; i < EPISODE_JOINTS; i++)
            x[t * EPISODE_JOINTS + i] = sign * low_value(e, t, i);
    put(file, path, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 2, dim, NULL, x);
}

static inline void put_raw_frames(hid_t file, const char *path, int e, int steps)
{
    const hsize_t dim[4] = {(hsize_t)steps, EPISODE_H, EPISODE_W, 3}, chunk[4] = {1, EPISODE_H, EPISODE_W, 3};
    static uint8_t pixels[EPISODE_STEPS][EPISODE_H * EPISODE_W * 3];
    for (int t = 0; t < steps; t++)
        episode_frame(e, t, pixels[t]);
    put(file, path, H5T_STD_U8LE, H5T_NATIVE_UCHAR, 4, dim, chunk, pixels);
}

/* One frame as JPEG, into room bytes; the rest are zeros.  Returns its length. */
static inline size_t jpeg_frame(const uint8_t *rgb, int64_t height, int64_t width, uint8_t *out, size_t room)
{
    hl_text text = {0};
    hl_error err = {0};
    if (hl_jpeg_append(&text, rgb, height, width, 95, &err) != HL_OK)
        fail_msg("%s", err.message);
    size_t n = text.size;
    assert_true(n <= room);
    memset(out, 0, room);
    memcpy(out, text.at, n);
    hl_text_free(&text);
    return n;
}

enum { EPISODE_PADDED = 4096 };

static inline void put_jpeg_frames(hid_t file, const char *path, int e, int steps)
{
    const hsize_t dim[2] = {(hsize_t)steps, EPISODE_PADDED}, chunk[2] = {1, EPISODE_PADDED};
    static uint8_t rows[EPISODE_STEPS][EPISODE_PADDED];
    uint8_t rgb[EPISODE_H * EPISODE_W * 3];
    for (int t = 0; t < steps; t++) {
        episode_frame(e, t, rgb);
        jpeg_frame(rgb, EPISODE_H, EPISODE_W, rows[t], EPISODE_PADDED);
    }
    put(file, path, H5T_STD_U8LE, H5T_NATIVE_UCHAR, 2, dim, chunk, rows);
}

/* Returns the open file, for a test to spoil. */
static inline hid_t make_episode(const char *path, int e, int steps, bool jpeg)
{
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    put_bool(file, "sim", false);
    if (jpeg)
        put_bool(file, "compress", true);
    put_joints(file, "action", e, steps, -1);
    put_joints(file, "observations/qpos", e, steps, 1);
    put_joints(file, "observations/qvel", e, steps, 2);
    if (jpeg)
        put_jpeg_frames(file, "observations/images/top", e, steps);
    else
        put_raw_frames(file, "observations/images/top", e, steps);
    return file;
}

/* The camera and both vectors of joints. */
static inline hl_demos_options episode_options(const char *const *files)
{
    static const char *const top[] = {"observations/images/top"};
    static const char *const joints[] = {"/observations/qpos", "observations/qvel"};
    hl_demos_options o = {.format = HL_DEMOS_ALOHA, .files = files, .n_files = 1};
    o.sense[HL_VISUAL] = (hl_demos_sense){.keys = top, .n_keys = 1};
    o.sense[HL_PROPRIOCEPTIVE] = (hl_demos_sense){.keys = joints, .n_keys = 2};
    return o;
}

static inline hl_data_shape episode_shape(void)
{
    hl_data_shape s = {.image = 8, .action = EPISODE_JOINTS, .frames = 2};
    s.size[HL_VISUAL] = 3 * 8 * 8;
    s.size[HL_PROPRIOCEPTIVE] = 2 * EPISODE_JOINTS;
    return s;
}

#endif
