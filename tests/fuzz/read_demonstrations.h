/* What a data set of robomimic's layout promises, asserted of a file. To be included by one file of a
 * program. */
#ifndef HL_TESTS_FUZZ_READ_DEMONSTRATIONS_H
#define HL_TESTS_FUZZ_READ_DEMONSTRATIONS_H

#include "base/error.h"
#include "data/describe.h"
#include "data/demos.h"

#include <hdf5.h>
#include <math.h>
#include <string.h>

enum { IMAGE = 4, VECTOR = 8, ACTION = 4, FRAMES = 3, SAMPLES = 4 };

static const hl_data_shape read_shape = {
    .image = IMAGE,
    .size = {[HL_VISUAL] = 3 * IMAGE * IMAGE, [HL_DEPTH] = IMAGE * IMAGE, [HL_PROPRIOCEPTIVE] = VECTOR},
    .action = ACTION,
    .frames = FRAMES};

static inline hl_demos_options options_of(const char *const *file, hl_data_cache cache)
{
    static const char *const rgb[] = {"obs/rgb"}, *const depth[] = {"obs/depth"},
                             *const vectors[] = {"obs/joints", "obs/gripper"};
    const hl_normalize_mode normalize = cache == HL_CACHE_ALL ? HL_NORMALIZE_MIN_MAX : HL_NORMALIZE_MEAN_STD;
    hl_demos_options o = {
        .format = HL_DEMOS_ROBOMIMIC,
        .files = file,
        .n_files = 1,
        .train_mask = "mask/train",
        .valid_mask = "mask/valid",
        .masks_optional = true,
        .valid_fraction = 0.5f,
        .sense = {[HL_VISUAL] = {.keys = rgb, .n_keys = 1, .resize = HL_RESIZE_AREA},
                  [HL_DEPTH] = {.keys = depth, .n_keys = 1, .optional = true, .clip = {0.25f, 4}},
                  [HL_PROPRIOCEPTIVE] = {.keys = vectors, .n_keys = 2, .pad = true, .normalize = normalize}},
        .action = {.pad = true, .mask_padding = true, .offset = -1, .normalize = normalize},
        .cache = cache};
    return o;
}

static inline void assert_finite(const float *x, int n)
{
    for (int i = 0; i < n; i++)
        HL_ASSERT(isfinite(x[i]));
}

static inline void read_sample(hl_dataset *d, hl_split split, int64_t index)
{
    float visual[FRAMES * 3 * IMAGE * IMAGE], depth[FRAMES * IMAGE * IMAGE], vector[FRAMES * VECTOR],
        presence[HL_SENSES], action[ACTION], mask[ACTION], previous[ACTION];
    hl_sample s = {.sense = {[HL_VISUAL] = visual, [HL_DEPTH] = depth, [HL_PROPRIOCEPTIVE] = vector},
                   .presence = presence,
                   .action = action,
                   .action_mask = mask,
                   .previous = previous};
    hl_error err = {0};
    if (d->read(d, split, index, &s, &err) != HL_OK) {
        HL_ASSERT(*err.message);
        return;
    }
    assert_finite(visual, FRAMES * 3 * IMAGE * IMAGE);
    assert_finite(depth, FRAMES * IMAGE * IMAGE);
    assert_finite(presence, HL_SENSES);
    assert_finite(mask, ACTION);
}

static inline void describe(const char *path)
{
    hl_error err = {0};
    json_t *told = hl_data_describe(path, &err);
    HL_ASSERT(told || (err.status != HL_OK && *err.message));
    json_decref(told);
}

static inline void read_demonstrations(const char *path, hl_data_cache cache)
{
    hl_error err = {0};
    const hl_demos_options o = options_of(&path, cache);
    hl_dataset *d = hl_demos_open(&o, &read_shape, &err);
    HL_ASSERT(d || (err.status != HL_OK && *err.message));
    for (int split = 0; d && split < HL_SPLITS; split++)
        for (int64_t i = 0; i < d->count[split] && i < SAMPLES; i++) {
            read_sample(d, (hl_split)split, i);
            read_sample(d, (hl_split)split, d->count[split] - 1 - i);
        }
    hl_dataset_close(d);
    HL_ASSERT(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL) == 0);
}

#endif
