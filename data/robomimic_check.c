/* Every demonstration that a split uses is looked at once, when the data set is opened: a file with a hole
 * is found before training, not in its third hour. */
#include "data/robomimic_room.h"

#include "base/error.h"

#include <stdio.h>

static const char *file_of(const robomimic *r, int64_t demo)
{
    return r->file[r->demo[demo].file].path;
}

static hl_status missing_key(robomimic *r, int64_t demo, const char *key, const char *beside, hl_error *err)
{
    char path[HL_HDF_PATH], group[HL_HDF_PATH], text[480];
    hl_hdf_names there;
    rm_path(r, demo, key, path);
    snprintf(group, sizeof group, "/data/%s", r->demo[demo].name);
    hid_t file = rm_file_open(r, r->demo[demo].file, err);
    hid_t id = file < 0 ? -1 : H5Gopen2(file, group, H5P_DEFAULT);
    if (id < 0)
        return hl_hdf_fail(err, HL_ERR_DATA, file_of(r, demo), group, "the group cannot be opened");
    hl_status status = hl_hdf_walk(id, file_of(r, demo), &there, err);
    H5Gclose(id);
    if (status != HL_OK)
        return status;
    hl_hdf_nearest(&there, key, text, sizeof text);
    hl_hdf_names_free(&there);
    return hl_hdf_fail(err, HL_ERR_DATA, file_of(r, demo), path, "no such data set%s%s; found %s",
                       beside ? ", though there is " : "", beside ? beside : "", text);
}

/* Data sets of the file's own description: what it says against what was expected. */
typedef struct look {
    rm_handle *h;
    hid_t type;
    char path[HL_HDF_PATH], shape[HL_HDF_TEXT], kind[HL_HDF_TEXT];
    const char *file;
} look;

static hl_status look_at(robomimic *r, int64_t demo, const rm_group *g, int k, look *l, hl_error *err)
{
    l->file = file_of(r, demo);
    rm_path(r, demo, g->key[k].path, l->path);
    hid_t file = rm_file_open(r, r->demo[demo].file, err);
    if (file < 0)
        return HL_ERR_IO;
    if (!hl_hdf_is(file, l->path, H5I_DATASET))
        return hl_hdf_fail(err, HL_ERR_DATA, l->file, l->path, "found a group, expected a data set");
    l->h = rm_handle_open(r, demo, g->first_id + k, err);
    if (!l->h)
        return HL_ERR_DATA;
    l->type = H5Dget_type(l->h->set);
    if (l->type < 0)
        return hl_hdf_fail(err, HL_ERR_DATA, l->file, l->path, "its type cannot be read");
    hl_hdf_type_name(l->type, l->kind, sizeof l->kind);
    hl_hdf_shape_text(l->h->rank, l->h->dim, l->shape, sizeof l->shape);
    return HL_OK;
}

static hl_status check_length(const robomimic *r, int64_t demo, const rm_group *g, const look *l,
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
    if (r->demo[demo].steps && l->h->dim[0] != (hsize_t)r->demo[demo].steps)
        return hl_hdf_fail(err, HL_ERR_DATA, file, path, "found shape %s, expected %lld steps as in %s",
                           l->shape, (long long)r->demo[demo].steps,
                           g == &r->group[RM_ACTION] ? "num_samples" : "the actions");
    return HL_OK;
}

static hl_status check_image(rm_group *g, const look *l, hl_error *err)
{
    const rm_handle *h = l->h;
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
    if ((int64_t)h->dim[y] > g->most_height)
        g->most_height = (int64_t)h->dim[y];
    if ((int64_t)h->dim[y + 1] > g->most_width)
        g->most_width = (int64_t)h->dim[y + 1];
    g->floats |= !h->bytes;
    return HL_OK;
}

/* The first demonstration says how many elements a key has; the others must agree. */
static hl_status check_vector(rm_group *g, int k, const look *l, hl_error *err)
{
    double exact = 1;
    int64_t size = 1;
    for (int i = 1; i < l->h->rank; i++) {
        exact *= (double)l->h->dim[i];
        size = exact < 1e9 ? size * (int64_t)l->h->dim[i] : 0;
    }
    rm_key *key = &g->key[k];
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

static hl_status check_key(robomimic *r, int64_t demo, rm_group *g, int k, hl_error *err)
{
    look l = {.type = -1};
    hl_status status = look_at(r, demo, g, k, &l, err);
    if (status == HL_OK)
        status = check_length(r, demo, g, &l, err);
    if (status == HL_OK && g == &r->group[RM_ACTION])
        r->demo[demo].steps = (int64_t)l.h->dim[0];
    if (status == HL_OK)
        status = g->image ? check_image(g, &l, err) : check_vector(g, k, &l, err);
    if (status == HL_OK && !hl_hdf_is_whole(l.h->set))
        status = hl_hdf_fail(err, HL_ERR_DATA, l.file, l.path,
                             "found shape %s, but not all of it was written: was the recording interrupted?",
                             l.shape);
    if (l.type >= 0)
        H5Tclose(l.type);
    return status;
}

/* What the keys of a vector give against what the model reads. */
static hl_status check_size(const robomimic *r, int64_t demo, rm_group *g, hl_error *err)
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
    rm_path(r, demo, g->key[0].path, path);
    return hl_hdf_fail(err, HL_ERR_DATA, file_of(r, demo), path,
                       "%s: found %lld elements per step in %d key%s, expected %s%lld as the model reads%s",
                       g->name, (long long)size, g->n_keys, g->n_keys == 1 ? "" : "s",
                       g->pad ? "at most " : "", (long long)g->wanted,
                       size < g->wanted ? "; pad them with zeros (pad: zero)" : "");
}

static hl_status check_group(robomimic *r, int64_t demo, int which, hl_error *err)
{
    rm_group *g = &r->group[which];
    const char *missing = NULL, *there = NULL;
    hid_t file = rm_file_open(r, r->demo[demo].file, err);
    if (file < 0)
        return HL_ERR_IO;
    for (int k = 0; k < g->n_keys; k++) {
        char path[HL_HDF_PATH];
        rm_path(r, demo, g->key[k].path, path);
        if (hl_hdf_exists(file, path))
            there = g->key[k].path;
        else if (!missing)
            missing = g->key[k].path;
    }
    if (missing && g->optional && !there)
        return HL_OK;
    if (missing)
        return missing_key(r, demo, missing, there, err);
    r->demo[demo].has |= 1u << which;
    for (int k = 0; k < g->n_keys; k++) {
        hl_status status = check_key(r, demo, g, k, err);
        if (status != HL_OK)
            return status;
    }
    return g->image ? HL_OK : check_size(r, demo, g, err);
}

/* num_samples, where it is given, counts the actions. */
static hl_status check_num_samples(robomimic *r, int64_t demo, hl_error *err)
{
    char path[HL_HDF_PATH];
    long long value = 0;
    bool found;
    snprintf(path, sizeof path, "/data/%s", r->demo[demo].name);
    hid_t file = rm_file_open(r, r->demo[demo].file, err);
    if (file < 0)
        return HL_ERR_IO;
    hid_t id = H5Gopen2(file, path, H5P_DEFAULT);
    if (id < 0)
        return hl_hdf_fail(err, HL_ERR_DATA, file_of(r, demo), path, "the group cannot be opened");
    hl_status status = hl_hdf_integer(id, "num_samples", file_of(r, demo), path, &value, &found, err);
    H5Gclose(id);
    if (status == HL_OK && found && value < 1)
        return hl_hdf_fail(err, HL_ERR_DATA, file_of(r, demo), path,
                           "num_samples is %lld: the demonstration is empty, expected at least one step",
                           value);
    r->demo[demo].steps = found ? value : 0;
    return status;
}

hl_status rm_check_demos(robomimic *r, hl_error *err)
{
    for (int64_t i = 0; i < r->n_demos; i++) {
        hl_status status = check_num_samples(r, i, err);
        if (status == HL_OK)
            status = check_group(r, i, RM_ACTION, err);
        for (int s = 0; status == HL_OK && s < HL_SENSES; s++)
            if (r->group[s].n_keys)
                status = check_group(r, i, s, err);
        if (status != HL_OK)
            return status;
        r->demo[i].first = r->steps;
        r->steps += r->demo[i].steps; /* each is below 2^31 */
    }
    return HL_OK;
}
