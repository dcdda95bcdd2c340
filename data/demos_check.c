/* Every demonstration that a split uses is looked at once, when the data set is opened: a file with a hole
 * is found before training, not in its third hour. */
#include "data/demos_room.h"

#include "base/error.h"
#include "data/jpeg.h"

#include <stdio.h>

static const char *file_of(const demos *all, int64_t demo)
{
    return all->file[all->demo[demo].file].path;
}

static hl_status missing_key(demos *all, int64_t demo, const char *key, const char *beside, hl_error *err)
{
    char path[HL_HDF_PATH], group[HL_HDF_PATH], text[480];
    hl_hdf_names there;
    demos_path(all, demo, key, path);
    demos_path(all, demo, NULL, group);
    hid_t file = demos_file(all, all->demo[demo].file, err);
    hid_t id = file < 0 ? -1 : H5Gopen2(file, group, H5P_DEFAULT);
    if (id < 0)
        return hl_hdf_fail(err, HL_ERR_DATA, file_of(all, demo), group, "the group cannot be opened");
    hl_status status = hl_hdf_walk(id, file_of(all, demo), &there, err);
    H5Gclose(id);
    if (status != HL_OK)
        return status;
    hl_hdf_nearest(&there, key, text, sizeof text);
    hl_hdf_names_free(&there);
    return hl_hdf_fail(err, HL_ERR_DATA, file_of(all, demo), path, "no such data set%s%s; found %s",
                       beside ? ", though there is " : "", beside ? beside : "", text);
}

/* Data sets of the file's own description: what it says against what was expected. */
typedef struct look {
    demo_handle *h;
    hid_t type;
    char path[HL_HDF_PATH], shape[HL_HDF_TEXT], kind[HL_HDF_TEXT];
    const char *file;
} look;

static hl_status look_at(demos *all, int64_t demo, const demo_group *g, int k, look *l, hl_error *err)
{
    l->file = file_of(all, demo);
    demos_path(all, demo, g->key[k].path, l->path);
    hid_t file = demos_file(all, all->demo[demo].file, err);
    if (file < 0)
        return HL_ERR_IO;
    if (!hl_hdf_is(file, l->path, H5I_DATASET))
        return hl_hdf_fail(err, HL_ERR_DATA, l->file, l->path, "found a group, expected a data set");
    l->h = demos_handle(all, demo, g->first_id + k, err);
    if (!l->h)
        return HL_ERR_DATA;
    l->type = H5Dget_type(l->h->set);
    if (l->type < 0)
        return hl_hdf_fail(err, HL_ERR_DATA, l->file, l->path, "its type cannot be read");
    hl_hdf_type_name(l->type, l->kind, sizeof l->kind);
    hl_hdf_shape_text(l->h->rank, l->h->dim, l->shape, sizeof l->shape);
    return HL_OK;
}

static hl_status check_length(const demos *all, int64_t demo, const demo_group *g, const look *l,
                              hl_error *err)
{
    const char *file = l->file, *path = l->path;
    if (!hl_hdf_is_number(l->type))
        return hl_hdf_fail(err, HL_ERR_DATA, file, path, "found type %s, expected numbers", l->kind);
    if (l->h->rank < 1)
        return hl_hdf_fail(err, HL_ERR_DATA, file, path, "found a scalar, expected one row per step");
    if (l->h->dim[0] == 0)
        return hl_hdf_fail(err, HL_ERR_DATA, file, path,
                           "found shape %s: the demonstration is empty, expected at least one step",
                           l->shape);
    if (l->h->dim[0] > INT32_MAX)
        return hl_hdf_fail(err, HL_ERR_DATA, file, path, "found shape %s, expected fewer than 2^31 steps",
                           l->shape);
    if (all->demo[demo].steps && l->h->dim[0] != (hsize_t)all->demo[demo].steps)
        return hl_hdf_fail(err, HL_ERR_DATA, file, path, "found shape %s, expected %lld steps as in %s",
                           l->shape, (long long)all->demo[demo].steps,
                           g == &all->group[DEMO_ACTION] ? "num_samples" : "the actions");
    return HL_OK;
}

static void widen(demo_group *g, int64_t height, int64_t width)
{
    g->most_height = height > g->most_height ? height : g->most_height;
    g->most_width = width > g->most_width ? width : g->most_width;
}

/* JPEG: the first frame says how large all of the demonstration are. */
static hl_status check_jpeg(demos *all, int64_t demo, demo_group *g, const look *l, hl_error *err)
{
    const demo_handle *h = l->h;
    demonstration *d = &all->demo[demo];
    demo_frames f;
    if (!h->bytes || h->dim[1] < 1 || h->dim[1] > INT32_MAX || g->channels != 3)
        return hl_hdf_fail(
            err, HL_ERR_DATA, l->file, l->path,
            "found shape %s of %s, expected JPEG frames in colour, (steps, bytes) of uint8, as "
            "the attribute compress says",
            l->shape, l->kind);
    if ((int64_t)h->dim[1] > g->most_packed)
        g->most_packed = (int64_t)h->dim[1];
    uint8_t *bytes = hl_alloc((size_t)h->dim[1], 1);
    if (!bytes)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory for one of its frames", l->file);
    hl_status status = demos_frames(all, demo, (int)(g - all->group), 0, 1, bytes, &f, err);
    hl_error fault = {0};
    if (status == HL_OK &&
        hl_jpeg_size(bytes, (size_t)h->dim[1], &d->jpeg_height, &d->jpeg_width, &fault) != HL_OK)
        status = hl_hdf_fail(err, fault.status, l->file, l->path, "frame 0: %s", fault.message);
    hl_free(bytes);
    if (status == HL_OK)
        widen(g, d->jpeg_height, d->jpeg_width);
    return status;
}

static hl_status check_image(demo_group *g, const look *l, hl_error *err)
{
    const demo_handle *h = l->h;
    bool hwc = g->layout == HL_HWC, plain = h->rank == 3 && g->channels == 1;
    int c = hwc ? 3 : 1, y = hwc || plain ? 1 : 2;
    bool fits = plain || (h->rank == 4 && h->dim[c] == (hsize_t)g->channels);
    if (!fits || h->dim[y] < 1 || h->dim[y + 1] < 1 || h->dim[y] > INT32_MAX || h->dim[y + 1] > INT32_MAX)
        return hl_hdf_fail(err, HL_ERR_DATA, l->file, l->path,
                           "found shape %s, expected (steps, %s) with %lld %s", l->shape,
                           hwc ? "height, width, channels" : "channels, height, width",
                           (long long)g->channels, g->channels == 1 ? "channel" : "channels");
    if (h->bytes && g->clip[0] < g->clip[1])
        return hl_hdf_fail(
            err, HL_ERR_DATA, l->file, l->path,
            "found type uint8, which is divided by 255, but a clip is set for it: drop the clip");
    widen(g, (int64_t)h->dim[y], (int64_t)h->dim[y + 1]);
    g->floats |= !h->bytes;
    return HL_OK;
}

/* The first demonstration says how many elements a key has; the others must agree. */
static hl_status check_vector(demo_group *g, int k, const look *l, hl_error *err)
{
    double exact = 1;
    int64_t size = 1;
    for (int i = 1; i < l->h->rank; i++) {
        exact *= (double)l->h->dim[i];
        size = exact < 1e9 ? size * (int64_t)l->h->dim[i] : 0;
    }
    demo_key *key = &g->key[k];
    if (size < 1)
        return hl_hdf_fail(err, HL_ERR_DATA, l->file, l->path,
                           "found shape %s, expected 1 to 1e9 elements per step", l->shape);
    if (key->size && size != key->size)
        return hl_hdf_fail(
            err, HL_ERR_DATA, l->file, l->path,
            "found shape %s, expected %lld elements per step as in the demonstrations before it", l->shape,
            (long long)key->size);
    key->size = size;
    return HL_OK;
}

static hl_status check_key(demos *all, int64_t demo, demo_group *g, int k, hl_error *err)
{
    look l = {.type = -1};
    hl_status status = look_at(all, demo, g, k, &l, err);
    if (status == HL_OK)
        status = check_length(all, demo, g, &l, err);
    if (l.h && l.h->rank > 0 && g == &all->group[DEMO_ACTION]) /* whatever num_samples says */
        all->demo[demo].steps = (int64_t)l.h->dim[0];
    if (status == HL_OK)
        status = !g->image   ? check_vector(g, k, &l, err)
                 : l.h->jpeg ? check_jpeg(all, demo, g, &l, err)
                             : check_image(g, &l, err);
    if (status == HL_OK && !hl_hdf_is_whole(l.h->set))
        status = hl_hdf_fail(err, HL_ERR_DATA, l.file, l.path,
                             "found shape %s, but not all of it was written: was the recording interrupted?",
                             l.shape);
    if (l.type >= 0)
        H5Tclose(l.type);
    return status;
}

/* What the keys of a vector give against what the model reads. */
static hl_status check_size(const demos *all, int64_t demo, demo_group *g, hl_error *err)
{
    int64_t size = 0;
    char path[HL_HDF_PATH];
    for (int k = 0; k < g->n_keys; k++) {
        g->key[k].first = size;
        size += g->key[k].size;
    }
    g->size = size;
    if (size == g->wanted || (size < g->wanted && g->pad))
        return HL_OK;
    demos_path(all, demo, g->key[0].path, path);
    return hl_hdf_fail(err, HL_ERR_DATA, file_of(all, demo), path,
                       "%s: found %lld elements per step in %d key%s, expected %s%lld as the model reads%s",
                       g->name, (long long)size, g->n_keys, g->n_keys == 1 ? "" : "s",
                       g->pad ? "at most " : "", (long long)g->wanted,
                       size < g->wanted ? "; pad them with zeros (pad: zero)" : "");
}

static hl_status check_keys(demos *all, int64_t demo, demo_group *g, hl_error *err)
{
    bool sound = true;
    for (int k = 0; k < g->n_keys; k++) {
        char path[HL_HDF_PATH];
        demos_path(all, demo, g->key[k].path, path);
        hl_status status = check_key(all, demo, g, k, err);
        sound &= status == HL_OK;
        status = demos_fault(all, file_of(all, demo), path, status, err);
        if (status != HL_OK)
            return status;
    }
    if (!sound || g->image)
        return HL_OK;
    char path[HL_HDF_PATH];
    demos_path(all, demo, g->key[0].path, path);
    return demos_fault(all, file_of(all, demo), path, check_size(all, demo, g, err), err);
}

static hl_status check_group(demos *all, int64_t demo, int which, hl_error *err)
{
    demo_group *g = &all->group[which];
    const char *there = NULL;
    int missing = 0;
    hid_t file = demos_file(all, all->demo[demo].file, err);
    if (file < 0)
        return HL_ERR_IO;
    for (int pass = 0; pass < 2; pass++) /* what there is beside a missing key helps to name it */
        for (int k = 0; k < g->n_keys; k++) {
            char path[HL_HDF_PATH];
            demos_path(all, demo, g->key[k].path, path);
            bool exists = hl_hdf_exists(file, path);
            if (pass == 0 && exists)
                there = g->key[k].path;
            if (pass == 0 || exists || (g->optional && !there))
                continue;
            missing++;
            hl_status status = missing_key(all, demo, g->key[k].path, there, err);
            status = demos_fault(all, file_of(all, demo), path, status, err);
            if (status != HL_OK)
                return status;
        }
    if (missing || (g->optional && !there))
        return HL_OK;
    all->demo[demo].has |= 1u << which;
    return check_keys(all, demo, g, err);
}

/* num_samples, where it is given, counts the actions. */
static hl_status check_num_samples(demos *all, int64_t demo, hl_error *err)
{
    char path[HL_HDF_PATH];
    long long value = 0;
    bool found;
    demos_path(all, demo, NULL, path);
    hid_t file = demos_file(all, all->demo[demo].file, err);
    if (file < 0)
        return HL_ERR_IO;
    hid_t id = H5Gopen2(file, path, H5P_DEFAULT);
    if (id < 0)
        return hl_hdf_fail(err, HL_ERR_DATA, file_of(all, demo), path, "the group cannot be opened");
    hl_status status = hl_hdf_integer(id, "num_samples", file_of(all, demo), path, &value, &found, err);
    H5Gclose(id);
    if (status == HL_OK && found && value < 1)
        return hl_hdf_fail(err, HL_ERR_DATA, file_of(all, demo), path,
                           "num_samples is %lld: the demonstration is empty, expected at least one step",
                           value);
    all->demo[demo].steps = found ? value : 0;
    return status;
}

hl_status demos_check_demos(demos *all, hl_error *err)
{
    for (int64_t i = 0; i < all->n_demos; i++) {
        char path[HL_HDF_PATH];
        demos_path(all, i, NULL, path);
        hl_status status = demos_fault(all, file_of(all, i), path, check_num_samples(all, i, err), err);
        if (status == HL_OK)
            status = check_group(all, i, DEMO_ACTION, err);
        for (int s = 0; status == HL_OK && s < HL_SENSES; s++)
            if (all->group[s].n_keys)
                status = check_group(all, i, s, err);
        if (status != HL_OK)
            return status;
        all->demo[i].first = all->steps;
        all->steps += all->demo[i].steps; /* each is below 2^31 */
    }
    return HL_OK;
}
