/* The demonstrations of a file: how many, how long, the range of their actions, and which key is which sense.
 */
#include "data/describe_room.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct range {
    const char *key;
    int64_t size; /* per step, 0: none seen */
    float *least, *most;
    bool finite, in_range, same_size;
} range;

typedef struct lengths {
    int64_t count, total, least, most;
} lengths;

static void add_length(lengths *l, int64_t steps)
{
    l->least = l->count == 0 || steps < l->least ? steps : l->least;
    l->most = steps > l->most ? steps : l->most;
    l->total += steps;
    l->count++;
}

/* ------------------------------------------------------------------ actions */

static bool widen(range *r, const float *x, int64_t steps, int64_t size)
{
    if (r->size == 0) {
        r->least = hl_alloc((size_t)size, sizeof *r->least);
        r->most = hl_alloc((size_t)size, sizeof *r->most);
        if (!r->least || !r->most)
            return false;
        r->size = size;
        for (int64_t i = 0; i < size; i++) {
            r->least[i] = INFINITY;
            r->most[i] = -INFINITY;
        }
    }
    if (size != r->size) {
        r->same_size = false;
        return true;
    }
    for (int64_t i = 0; i < steps * size; i++) {
        int64_t k = i % size;
        if (!isfinite(x[i])) {
            r->finite = false;
            continue;
        }
        r->least[k] = x[i] < r->least[k] ? x[i] : r->least[k];
        r->most[k] = x[i] > r->most[k] ? x[i] : r->most[k];
        r->in_range &= x[i] >= -1 && x[i] <= 1;
    }
    return true;
}

/* Reads the actions of one demonstration.  *steps: its length, 0 where there is nothing to read. */
static hl_status read_actions(description *d, hid_t group, const char *demo, range *r, int64_t *steps,
                              hl_error *err)
{
    hsize_t dim[HL_HDF_RANK];
    hid_t set = H5Dopen2(group, r->key, H5P_DEFAULT), space = set < 0 ? -1 : H5Dget_space(set);
    hid_t type = set < 0 ? -1 : H5Dget_type(set);
    int rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    hl_status status = HL_OK;
    size_t count = 1;
    *steps = 0;
    if (type < 0 || rank < 1 || rank > HL_HDF_RANK || H5Sget_simple_extent_dims(space, dim, NULL) < 0 ||
        !hl_hdf_is_number(type)) {
        status = hl_hdf_fail(err, HL_ERR_DATA, d->file, demo, "%s: expected a data set of numbers per step",
                             r->key);
    } else if (dim[0] > INT32_MAX || !hl_hdf_is_whole(set)) {
        status = hl_hdf_fail(err, HL_ERR_DATA, d->file, demo,
                             "%s: claims %llu steps, not all of which were written: was the recording "
                             "interrupted?",
                             r->key, (unsigned long long)dim[0]);
    } else {
        bool fits = true;
        for (int i = 0; i < rank; i++)
            fits = fits && hl_size_mul(count, (size_t)dim[i], &count);
        float *x = fits ? hl_alloc(count, sizeof *x) : NULL;
        *steps = (int64_t)dim[0];
        if (!x)
            status = hl_describe_no_memory(d, err);
        else if (count > 0 && H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) < 0)
            status = hl_hdf_fail(err, HL_ERR_DATA, d->file, demo, "%s cannot be read", r->key);
        else if (count > 0 && !widen(r, x, *steps, (int64_t)count / *steps))
            status = hl_describe_no_memory(d, err);
        hl_free(x);
    }
    if (type >= 0)
        H5Tclose(type);
    if (space >= 0)
        H5Sclose(space);
    if (set >= 0)
        H5Dclose(set);
    return status;
}

static void add_actions(description *d, const range *r)
{
    json_t *least = json_array(), *most = json_array(), *out = json_object();
    for (int64_t i = 0; i < r->size; i++) { /* a column without a finite value is null */
        json_array_append_new(least, isfinite(r->least[i]) ? json_real((double)r->least[i]) : json_null());
        json_array_append_new(most, isfinite(r->most[i]) ? json_real((double)r->most[i]) : json_null());
    }
    json_object_set_new(out, "key", json_string(r->key));
    json_object_set_new(out, "size", json_integer(r->size));
    json_object_set_new(out, "min", least);
    json_object_set_new(out, "max", most);
    json_object_set_new(out, "finite", json_boolean(r->finite));
    json_object_set_new(out, "in_range", json_boolean(r->in_range));
    json_object_set_new(d->json, "actions", out);
    if (!r->finite)
        hl_describe_warn(d, "some actions are not finite: training will refuse the file");
    if (!r->same_size)
        hl_describe_warn(d,
                         "demonstrations differ in the size of their actions: training will refuse the file");
    if (r->size && !r->in_range)
        hl_describe_warn(d, "some actions are outside [-1, 1]: normalise them (action.normalize: min_max)");
}

static void add_lengths(description *d, const lengths *l)
{
    json_object_set_new(d->json, "demonstrations", json_integer(l->count));
    json_object_set_new(d->json, "steps", json_integer(l->total));
    if (l->count)
        json_object_set_new(d->json, "length",
                            json_pack("{s:I, s:f, s:I}", "min", (json_int_t)l->least, "mean",
                                      (double)l->total / (double)l->count, "max", (json_int_t)l->most));
}

/* ------------------------------------------------------------------ which key is which sense */

static bool contains_any(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strstr(text, *words))
            return true;
    return false;
}

/* Names that robomimic, robosuite, LIBERO and ALOHA give their observations. */
static const char *guess_sense(const char *key, const char *dtype, size_t rank)
{
    static const char *const depth[] = {"depth", NULL}, *const audio[] = {"audio", "mic", "sound", NULL},
                             *const touch[] = {"tactile", "touch", "taxel", NULL},
                             *const body[] = {"joint", "gripper", "eef",     "ee_",
                                              "qpos",  "qvel",    "proprio", NULL};
    if (strncmp(key, "obs/", 4) && strncmp(key, "observations/", 13))
        return NULL;
    if (contains_any(key, depth))
        return "depth";
    if (rank == 3)
        return strcmp(dtype, "uint8") == 0 ? "visual" : NULL;
    if (contains_any(key, audio))
        return "audio";
    if (contains_any(key, touch))
        return "tactile";
    return contains_any(key, body) ? "proprioceptive" : NULL;
}

/* A wrist camera is not the first choice for the one image a model reads. */
static bool better_view(const char *key, const char *than)
{
    static const char *const hand[] = {"hand", "wrist", NULL};
    return contains_any(than, hand) && !contains_any(key, hand);
}

static void add_mapping(description *d)
{
    json_t *mapping = json_object(), *entry;
    size_t i;
    json_array_foreach(json_object_get(d->json, "keys"), i, entry)
    {
        const char *key = json_string_value(json_object_get(entry, "key"));
        const char *dtype = json_string_value(json_object_get(entry, "dtype"));
        size_t rank = json_array_size(json_object_get(entry, "shape"));
        const char *sense = guess_sense(key, dtype, rank);
        json_t *list = sense ? json_object_get(mapping, sense) : NULL;
        if (!sense)
            continue;
        if (!list) {
            list = json_array();
            json_object_set_new(mapping, sense, list);
        }
        bool one = !strcmp(sense, "visual") || !strcmp(sense, "depth");
        if (!one || json_array_size(list) == 0)
            json_array_append_new(list, json_string(key));
        else if (better_view(key, json_string_value(json_array_get(list, 0))))
            json_array_set_new(list, 0, json_string(key));
    }
    json_object_set_new(d->json, "mapping", mapping);
}

static void add_warnings(description *d, int64_t demos)
{
    json_t *entry;
    size_t i;
    char text[320];
    json_array_foreach(json_object_get(d->json, "keys"), i, entry)
    {
        const char *key = json_string_value(json_object_get(entry, "key"));
        json_int_t count = json_integer_value(json_object_get(entry, "demonstrations"));
        json_int_t steps = json_integer_value(json_array_get(json_object_get(entry, "chunk"), 0));
        bool filtered = json_integer_value(json_object_get(entry, "filters")) > 0;
        bool image = json_array_size(json_object_get(entry, "shape")) >= 2;
        if (count < demos) {
            snprintf(text, sizeof text, "%.200s is missing in %lld of %lld demonstrations", key,
                     (long long)(demos - count), (long long)demos);
            hl_describe_warn(d, text);
        }
        if (json_is_false(json_object_get(entry, "same_shape"))) {
            snprintf(text, sizeof text, "%.200s differs in shape or type between demonstrations", key);
            hl_describe_warn(d, text);
        }
        if (image && filtered && steps > 8) {
            snprintf(text, sizeof text,
                     "%.200s is compressed in chunks of %lld steps: reading one frame decompresses them all",
                     key, (long long)steps);
            hl_describe_warn(d, text);
        }
    }
}

/* ------------------------------------------------------------------ the two layouts */

static hl_status describe_demo(description *d, const char *name, range *r, lengths *l, hl_error *err)
{
    char path[HL_HDF_PATH], text[320];
    snprintf(path, sizeof path, "/data/%s", name);
    if (!hl_hdf_is(d->id, path, H5I_GROUP))
        return HL_OK;
    hid_t group = H5Gopen2(d->id, path, H5P_DEFAULT);
    if (group < 0)
        return hl_hdf_fail(err, HL_ERR_DATA, d->file, path, "the group cannot be opened");
    int64_t steps = 0;
    long long declared = 0;
    bool found = false;
    hl_status status = hl_describe_keys(d, group, true, err);
    if (status == HL_OK && hl_hdf_is(group, r->key, H5I_DATASET))
        status = read_actions(d, group, path, r, &steps, err);
    if (status == HL_OK)
        status = hl_hdf_integer(group, "num_samples", d->file, path, &declared, &found, err);
    if (status == HL_OK && found && declared != steps) {
        snprintf(text, sizeof text, "%.200s: num_samples is %lld, but there are %lld actions", path, declared,
                 (long long)steps);
        hl_describe_warn(d, text);
    }
    H5Gclose(group);
    add_length(l, steps);
    return status;
}

static void conclude(description *d, range *r, const lengths *l, hl_status status)
{
    if (status == HL_OK) {
        add_lengths(d, l);
        add_actions(d, r);
        add_mapping(d);
        add_warnings(d, l->count);
    }
    hl_free(r->least);
    hl_free(r->most);
}

hl_status hl_describe_demos(description *d, hl_error *err)
{
    hl_hdf_names names;
    range r = {.key = "actions", .finite = true, .in_range = true, .same_size = true};
    lengths l = {0};
    hl_status status = hl_hdf_list(d->id, "data", d->file, &names, err);
    if (status != HL_OK)
        return status;
    for (int64_t i = 0; status == HL_OK && i < names.count; i++)
        status = describe_demo(d, names.name[i], &r, &l, err);
    hl_hdf_names_free(&names);
    conclude(d, &r, &l, status);
    return status;
}

hl_status hl_describe_episode(description *d, hl_error *err)
{
    range r = {.key = "action", .finite = true, .in_range = true, .same_size = true};
    lengths l = {0};
    int64_t steps = 0;
    hl_status status = hl_describe_keys(d, d->id, true, err);
    if (status == HL_OK)
        status = read_actions(d, d->id, "/", &r, &steps, err);
    add_length(&l, steps);
    conclude(d, &r, &l, status);
    return status;
}
