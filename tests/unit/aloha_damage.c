/* Damaged episodes: every fault is a sentence with file, path and frame; no crash, nothing left open or lost.
 */
#include "tests/aloha_file.h"
#include "tests/damaged_file.h"

#include <math.h>
#include <unistd.h>

#include "base/memory.h"

#define FILE_NAME "episode_0.hdf5"
#define TOP       "observations/images/top"

static sample_room room;
static const char *files[] = {FILE_NAME};

/* Opening must fail, and the message hold every part (NULL ends them). */
static void refuse(hl_status status, const char *const *parts)
{
    hl_demos_options o = episode_options(files);
    hl_data_shape shape = episode_shape();
    hl_error err = {0};
    assert_null(hl_demos_open(&o, &shape, &err));
    for (; *parts; parts++)
        if (!strstr(err.message, *parts))
            fail_msg("no '%s' in: %s", *parts, err.message);
    assert_int_equal(err.status, status);
    assert_int_equal(H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
}

#define REFUSE(status, ...) refuse(status, (const char *const[]){FILE_NAME, __VA_ARGS__, NULL})

/* Replaces a data set of an otherwise good episode of 5 steps. */
static void spoil(bool jpeg, const char *path, hid_t type, int rank, hsize_t a, hsize_t b, hsize_t c,
                  hsize_t d)
{
    const hsize_t dim[4] = {a, b, c, d};
    hid_t file = make_episode(FILE_NAME, 0, 5, jpeg);
    remove_path(file, path);
    if (rank >= 0)
        put(file, path, type, type, rank, dim, NULL, NULL);
    H5Fclose(file);
}

static void wrong_arrays(void **state)
{
    (void)state;
    spoil(false, "action", H5T_IEEE_F32LE, -1, 0, 0, 0, 0);
    REFUSE(HL_ERR_DATA, ": /: found observations", "expected ALOHA's layout (/action, /observations/qpos");
    spoil(false, "observations/qvel", H5T_IEEE_F32LE, -1, 0, 0, 0, 0);
    REFUSE(HL_ERR_DATA, ": /observations/qvel: no such data set, though there is observations/qpos", "found");
    spoil(false, "observations/qvel", H5T_IEEE_F32LE, 2, 6, 4, 0, 0);
    REFUSE(HL_ERR_DATA, "/observations/qvel: found shape (6, 4), expected 5 steps as in the actions");
    spoil(false, "observations/qvel", H5T_IEEE_F32LE, 2, 5, 3, 0, 0);
    REFUSE(HL_ERR_DATA, "proprioceptive: found 7 elements per step in 2 keys, expected 8", "pad: zero");
    spoil(false, "action", H5T_IEEE_F32LE, 2, 0, 4, 0, 0);
    REFUSE(HL_ERR_DATA, "/action: found shape (0, 4): the demonstration is empty");
    spoil(false, TOP, H5T_STD_U8LE, 2, 5, 900, 0, 0); /* JPEG, but nothing says so */
    REFUSE(HL_ERR_DATA, "/" TOP ": found shape (5, 900), expected (steps, height, width, channels)");
    spoil(true, TOP, H5T_IEEE_F32LE, 2, 5, 900, 0, 0);
    REFUSE(HL_ERR_DATA, "/" TOP ": found shape (5, 900) of float32, expected JPEG frames",
           "attribute compress");
    spoil(true, TOP, H5T_STD_U8LE, 2, 5, 0, 0, 0);
    REFUSE(HL_ERR_DATA, "/" TOP ": found shape (5, 0) of uint8, expected JPEG frames");
    spoil(true, TOP, H5T_STD_U8LE, 2, 5, 900, 0, 0); /* zeros */
    REFUSE(HL_ERR_DATA, "/" TOP ": frame 0: cannot be decoded as JPEG: Not a JPEG file");

    hid_t file = make_episode(FILE_NAME, 0, 5, false);
    put_text(file, "compress", "yes", true);
    H5Fclose(file);
    REFUSE(HL_ERR_DATA, "attribute compress", "type string, expected one integer");
    file = H5Fcreate(FILE_NAME, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(H5Gcreate2(file, "data", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Fclose(file);
    REFUSE(HL_ERR_DATA, "found robomimic's layout", "expected ALOHA's layout");
    unlink(FILE_NAME);
    REFUSE(HL_ERR_IO, "no such file");
}

static void options(void **state)
{
    static const char *const two[] = {TOP, "observations/images/wrist"}, *const both[] = {FILE_NAME,
                                                                                          "r.hdf5"};
    static const demo_spec spec = {3, true, false};
    hl_demos_options o = episode_options(files);
    hl_data_shape shape = episode_shape();
    hl_error err = {0};
    (void)state;
    H5Fclose(make_episode(FILE_NAME, 0, 5, true));
    H5Fclose(make_file("r.hdf5", 1, &spec));
    o.train_mask = "mask/train";
    assert_null(hl_demos_open(&o, &shape, &err));
    assert_non_null(strstr(err.message, "an ALOHA episode has no mask mask/train; split by a fraction"));
    o.train_mask = NULL;
    o.files = both;
    o.n_files = 2;
    o.format = HL_DEMOS_ANY; /* the first file decides */
    assert_null(hl_demos_open(&o, &shape, &err));
    assert_non_null(strstr(err.message, "r.hdf5: found robomimic's layout"));
    assert_non_null(strstr(err.message, "expected ALOHA's layout"));
    o.n_files = 1;
    o.sense[HL_VISUAL].keys = two; /* one camera, as for robomimic */
    o.sense[HL_VISUAL].n_keys = 2;
    assert_null(hl_demos_open(&o, &shape, &err));
    assert_int_equal(err.status, HL_ERR_CONFIG);
    assert_non_null(strstr(err.message, "visual: 2 keys, expected one"));
}

/* What happens to the JPEG of frame 3, of [16,24,3]. */
typedef enum damage { CUT, STUMP, EMPTY, LARGER, GREY, FALSE_END, DAMAGES } damage;

static void damaged_frame(damage how, uint8_t *row)
{
    uint8_t rgb[EPISODE_H * EPISODE_W * 3], other[20 * 24 * 3];
    /* The header of a frame of one component, up to its scan. */
    static const uint8_t grey[] = {0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0, 16, 0, 24, 1, 1,
                                   0x11, 0,    0xff, 0xda, 0, 8,  1, 1, 0,  0, 63, 0};
    episode_frame(0, 3, rgb);
    size_t n = jpeg_frame(rgb, EPISODE_H, EPISODE_W, row, EPISODE_PADDED);
    if (how == CUT || how == STUMP)
        memset(row + (how == CUT ? n - n / 8 : 2), 0, n);
    if (how == EMPTY)
        memset(row, 0, n);
    if (how == LARGER) {
        memset(other, 9, sizeof other);
        jpeg_frame(other, 20, 24, row, EPISODE_PADDED);
    }
    if (how == GREY) {
        memset(row, 0, n);
        memcpy(row, grey, sizeof grey);
    }
    if (how == FALSE_END) { /* the end marker too early: the rest of the picture is missing */
        row[n - 20] = 0xff;
        row[n - 19] = 0xd9;
    }
}

static void write_damaged(damage how)
{
    hid_t file = make_episode(FILE_NAME, 0, 5, true);
    const hsize_t dim[2] = {5, EPISODE_PADDED}, start[2] = {3, 0}, one[2] = {1, EPISODE_PADDED};
    static uint8_t row[EPISODE_PADDED];
    damaged_frame(how, row);
    hid_t set = H5Dopen2(file, TOP, H5P_DEFAULT), space = H5Screate_simple(2, dim, NULL),
          memory = H5Screate_simple(2, one, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, one, NULL);
    assert_true(H5Dwrite(set, H5T_NATIVE_UCHAR, memory, space, H5P_DEFAULT, row) >= 0);
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(set);
    H5Fclose(file);
}

/* The sample that needs the frame fails and names it; its neighbours are read. */
static void bad_frames(void **state)
{
    static const char *const said[DAMAGES] = {"cannot be decoded",
                                              "cannot be decoded",
                                              "Not a JPEG file",
                                              "found a JPEG of 20 rows and 24 columns, expected 16 and 24",
                                              "1 component, expected 3 (RGB)",
                                              "cannot be decoded"};
    (void)state;
    for (damage how = 0; how < DAMAGES; how++)
        for (int cached = 0; cached < 2; cached++) {
            write_damaged(how);
            hl_demos_options o = episode_options(files);
            hl_data_shape shape = episode_shape();
            hl_error err = {0};
            shape.frames = 1;
            o.cache = cached ? HL_CACHE_ALL : HL_CACHE_NONE;
            hl_dataset *d = hl_demos_open(&o, &shape, &err);
            if (!d)
                fail_msg("%s", err.message);
            for (int t = 0; t < 5; t++) {
                hl_sample s = sample_in(&room, &shape);
                hl_status status = d->read(d, HL_TRAIN, t, &s, &err);
                if (status != (t == 3 ? HL_ERR_DATA : HL_OK))
                    fail_msg("damage %d, frame %d: status %d, %s", (int)how, t, (int)status, err.message);
            }
            assert_non_null(strstr(err.message, FILE_NAME ": /" TOP ": frame 3: "));
            if (!strstr(err.message, said[how]))
                fail_msg("damage %d: no '%s' in: %s", (int)how, said[how], err.message);
            hl_dataset_close(d);
        }
}

static damaged_outcome try_damaged(void)
{
    hl_demos_options o = episode_options(files);
    hl_data_shape shape = episode_shape();
    hl_error err = {0};
    hl_dataset *d = hl_demos_open(&o, &shape, &err);
    damaged_outcome result = d ? DAMAGED_READ : *err.message ? DAMAGED_REFUSED : DAMAGED_WRONG;
    for (int64_t i = 0; d && i < d->count[HL_TRAIN]; i++) {
        hl_sample s = sample_in(&room, &shape);
        if (d->read(d, HL_TRAIN, i, &s, &err) == HL_OK)
            for (int e = 0; e < 2 * 192; e++)
                result = room.sense[HL_VISUAL][e] >= 0 && room.sense[HL_VISUAL][e] <= 1 ? result
                                                                                        : DAMAGED_WRONG;
    }
    hl_dataset_close(d);
    return H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL) == 0 ? result : DAMAGED_WRONG;
}

/* Most bytes are of frames, so few files are refused. */
static void corrupted(void **state)
{
    (void)state;
    H5Fclose(make_episode(FILE_NAME, 0, 5, true));
    damaged_byte_by_byte(FILE_NAME, try_damaged, false);
}

/* The n-th allocation fails, for every n until opening succeeds. */
static void no_memory(void **state)
{
    hl_demos_options o = episode_options(files);
    hl_data_shape shape = episode_shape();
    hl_dataset *d = NULL;
    uint64_t n = 0;
    (void)state;
    H5Fclose(make_episode(FILE_NAME, 0, 5, true));
    o.cache = HL_CACHE_ALL;
    o.action.normalize = HL_NORMALIZE_MEAN_STD;
    while (!d) {
        hl_error err = {0};
        hl_alloc_fail_at(++n);
        d = hl_demos_open(&o, &shape, &err);
        hl_alloc_fail_at(0);
        assert_true(d || (*err.message && err.status == HL_ERR_MEMORY));
        assert_true(n < 1000);
    }
    assert_true(n > 20);
    hl_dataset_close(d);
}

/* Sizes at the edges, and what cannot be a JPEG. */
static void jpeg_sizes(void **state)
{
    static const int64_t sizes[][2] = {{1, 1}, {1, 17}, {17, 3}, {33, 65}};
    static uint8_t rgb[33 * 65 * 3], back[33 * 65 * 3], bytes[16384];
    hl_error err = {0};
    int64_t h, w;
    (void)state;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        int64_t count = sizes[k][0] * sizes[k][1] * 3;
        for (int64_t i = 0; i < count; i++)
            rgb[i] = (uint8_t)(60 + i / 3 % sizes[k][1]);
        size_t n = jpeg_frame(rgb, sizes[k][0], sizes[k][1], bytes, sizeof bytes);
        assert_int_equal(hl_jpeg_size(bytes, n, &h, &w, &err), HL_OK);
        assert_true(h == sizes[k][0] && w == sizes[k][1]);
        assert_int_equal(hl_jpeg_read(bytes, n, h, w, back, &err), HL_OK);
        for (int64_t i = 0; i < count; i++)
            assert_in_range(back[i] + 6 - rgb[i], 0, 12);
        for (size_t cut = 0; cut < n; cut += n < 400 ? 1 : n / 400) /* cut anywhere: never half a frame */
            assert_int_equal(hl_jpeg_read(bytes, cut, h, w, back, &err), HL_ERR_DATA);
    }
    hl_text text = {0};
    assert_int_equal(hl_jpeg_append(&text, rgb, 1, 70000, 90, &err), HL_ERR_DATA);
    assert_non_null(strstr(err.message, "cannot be encoded"));
    assert_int_equal(text.size, 0);
    size_t n = jpeg_frame(rgb, 17, 3, bytes, sizeof bytes);
    for (size_t i = 0; i + 4 < n; i++) /* a header that claims 65500 x 65500 */
        if (bytes[i] == 0xff && bytes[i + 1] == 0xc0)
            memcpy(bytes + i + 5, (const uint8_t[]){0xff, 0xdc, 0xff, 0xdc}, 4);
    assert_int_equal(hl_jpeg_size(bytes, n, &h, &w, &err), HL_ERR_DATA);
    assert_non_null(strstr(err.message, "65500 x 65500 pixels, expected at most"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_arrays), cmocka_unit_test(options),   cmocka_unit_test(bad_frames),
        cmocka_unit_test(corrupted),    cmocka_unit_test(no_memory), cmocka_unit_test(jpeg_sizes),
    };
    return cmocka_run_group_tests(tests, temporary_enter, temporary_leave);
}
