#include "data/describe.h"

#include "base/error.h"
#include "base/memory.h"
#include "data/demo_format.h"
#include "data/describe_room.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

hl_status hl_describe_no_memory(const description *d, hl_error *err)
{
    return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to describe it", d->file);
}

void hl_describe_warn(description *d, const char *text)
{
    json_array_append_new(json_object_get(d->json, "warnings"), json_string(text));
}

/* ------------------------------------------------------------------ attributes */

static json_t *attribute_value(hid_t object, const char *name, const description *d, hl_error *err)
{
    long long value;
    bool found;
    char *text = NULL;
    hl_error ignored = {0}; /* an attribute that is no integer is tried as text, then named by its kind */
    if (hl_hdf_integer(object, name, d->file, NULL, &value, &found, &ignored) == HL_OK && found)
        return json_integer(value);
    if (hl_hdf_text(object, name, d->file, NULL, &text, &ignored) == HL_OK && text) {
        json_t *json = *text == '{' || *text == '[' ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
        if (!json)
            json = json_string(text);
        if (!json) /* not UTF-8 */
            json = json_string("(bytes that are not UTF-8)");
        hl_free(text);
        return json;
    }
    if (ignored.status == HL_ERR_MEMORY) {
        hl_describe_no_memory(d, err);
        return NULL;
    }
    return json_string("(neither an integer nor text)");
}

static hl_status add_attributes(description *d, hid_t object, hl_error *err)
{
    json_t *all = json_object();
    json_object_set_new(d->json, "attributes", all);
    H5O_info_t info;
#if H5_VERSION_GE(1, 12, 0)
    herr_t ok = H5Oget_info3(object, &info, H5O_INFO_NUM_ATTRS);
#else
    herr_t ok = H5Oget_info2(object, &info, H5O_INFO_NUM_ATTRS);
#endif
    for (hsize_t i = 0; ok >= 0 && i < info.num_attrs; i++) {
        char name[256];
        if (H5Aget_name_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT) <
            0)
            return hl_hdf_fail(err, HL_ERR_DATA, d->file, NULL, "its attributes cannot be listed");
        json_t *value = attribute_value(object, name, d, err);
        if (!value || json_object_set_new(all, name, value) != 0)
            return value ? hl_describe_no_memory(d, err) : HL_ERR_MEMORY;
    }
    return HL_OK;
}

/* ------------------------------------------------------------------ keys */

/* dtype, shape from dimension `from` on, chunk and filters of an open data set. */
static hl_status describe_set(hid_t set, int from, json_t *out)
{
    const hl_hdf_layout l = hl_hdf_layout_of(set);
    hsize_t dim[HL_HDF_RANK], chunk[HL_HDF_RANK];
    char name[HL_HDF_TEXT];
    int rank = l.space < 0 ? -1 : H5Sget_simple_extent_ndims(l.space);
    bool ok = hl_hdf_layout_ok(&l) && rank >= 0 && rank <= HL_HDF_RANK &&
              H5Sget_simple_extent_dims(l.space, dim, NULL) >= 0;
    if (ok) {
        json_t *shape = json_array(), *parts = json_null();
        hl_hdf_type_name(l.type, name, sizeof name);
        for (int i = from; i < rank; i++)
            json_array_append_new(shape, json_integer((json_int_t)dim[i]));
        if (H5Pget_layout(l.plan) == H5D_CHUNKED && H5Pget_chunk(l.plan, HL_HDF_RANK, chunk) == rank) {
            parts = json_array();
            for (int i = 0; i < rank; i++)
                json_array_append_new(parts, json_integer((json_int_t)chunk[i]));
        }
        ok = json_object_set_new(out, "dtype", json_string(name)) == 0;
        json_object_set_new(out, "shape", shape);
        json_object_set_new(out, "chunk", parts);
        json_object_set_new(out, "filters", json_integer(H5Pget_nfilters(l.plan)));
    }
    hl_hdf_layout_close(&l);
    return ok ? HL_OK : HL_ERR_DATA;
}

static json_t *find_key(json_t *keys, const char *key)
{
    size_t i;
    json_t *entry;
    json_array_foreach(keys, i, entry)
    {
        if (!strcmp(json_string_value(json_object_get(entry, "key")), key))
            return entry;
    }
    return NULL;
}

/* Adds one data set of one demonstration to the list of keys. */
static hl_status add_key(description *d, hid_t demo, const char *key, bool steps, hl_error *err)
{
    json_t *keys = json_object_get(d->json, "keys"), *entry = find_key(keys, key), *fresh = json_object();
    hid_t set = H5Dopen2(demo, key, H5P_DEFAULT);
    hl_status status = set < 0 ? HL_ERR_DATA : describe_set(set, steps ? 1 : 0, fresh);
    if (set >= 0)
        H5Dclose(set);
    if (status != HL_OK) {
        json_decref(fresh);
        return hl_hdf_fail(err, HL_ERR_DATA, d->file, key, "the data set cannot be opened");
    }
    if (!entry) {
        bool named = json_object_set_new(fresh, "key", json_string(key)) == 0; /* refuses what is not UTF-8 */
        json_object_set_new(fresh, "demonstrations", json_integer(1));
        json_object_set_new(fresh, "same_shape", json_true());
        if (named && json_array_append(keys, fresh) != 0)
            status = hl_describe_no_memory(d, err);
        json_decref(fresh);
        return status;
    }
    json_int_t count = json_integer_value(json_object_get(entry, "demonstrations"));
    json_object_set_new(entry, "demonstrations", json_integer(count + 1));
    if (!json_equal(json_object_get(entry, "shape"), json_object_get(fresh, "shape")) ||
        !json_equal(json_object_get(entry, "dtype"), json_object_get(fresh, "dtype")))
        json_object_set_new(entry, "same_shape", json_false());
    json_decref(fresh);
    return HL_OK;
}

hl_status hl_describe_keys(description *d, hid_t group, bool steps, hl_error *err)
{
    hl_hdf_names names;
    hl_status status = hl_hdf_walk(group, d->file, &names, err);
    if (status != HL_OK)
        return status;
    for (int64_t i = 0; status == HL_OK && i < names.count; i++)
        status = add_key(d, group, names.name[i], steps, err);
    hl_hdf_names_free(&names);
    return status;
}

/* ------------------------------------------------------------------ the whole file */

static hl_status add_masks(description *d, hl_error *err)
{
    hl_hdf_names masks, demos;
    if (!hl_hdf_is(d->id, "mask", H5I_GROUP))
        return HL_OK;
    json_t *all = json_object();
    json_object_set_new(d->json, "masks", all);
    hl_status status = hl_hdf_list(d->id, "mask", d->file, &masks, err);
    for (int64_t i = 0; status == HL_OK && i < masks.count; i++) {
        char path[HL_HDF_PATH];
        snprintf(path, sizeof path, "mask/%s", masks.name[i]);
        hl_error problem = {0};
        if (hl_hdf_strings(d->id, path, d->file, &demos, &problem) == HL_ERR_MEMORY) {
            status = hl_describe_no_memory(d, err);
            continue;
        }
        if (problem.status != HL_OK) {
            hl_describe_warn(d, problem.message);
            continue;
        }
        json_object_set_new(all, masks.name[i], json_integer(demos.count));
        hl_hdf_names_free(&demos);
    }
    hl_hdf_names_free(&masks);
    return status;
}

static const char *guess_format(hid_t id)
{
    if (demo_robomimic.is(id)) {
        hid_t data = H5Gopen2(id, "data", H5P_DEFAULT);
        bool libero = H5Aexists(data, "bddl_file_name") > 0 || H5Aexists(data, "macros_image_convention") > 0;
        H5Gclose(data);
        return libero ? "libero" : demo_robomimic.name;
    }
    return demo_aloha.is(id) ? demo_aloha.name : "hdf5";
}

static hl_status describe_all(description *d, hl_error *err)
{
    const char *format = guess_format(d->id);
    bool demos = hl_hdf_is(d->id, "data", H5I_GROUP);
    json_object_set_new(d->json, "format", json_string(format));
    hid_t object = H5Gopen2(d->id, demos ? "data" : "/", H5P_DEFAULT);
    if (object < 0)
        return hl_hdf_fail(err, HL_ERR_DATA, d->file, demos ? "/data" : "/", "the group cannot be opened");
    hl_status status = add_attributes(d, object, err);
    H5Gclose(object);
    if (status == HL_OK)
        status = add_masks(d, err);
    json_t *convention = json_object_get(json_object_get(d->json, "attributes"), "macros_image_convention");
    if (convention)
        json_object_set(d->json, "image_convention", convention);
    if (status != HL_OK)
        return status;
    if (demos)
        status = hl_describe_demos(d, err);
    else if (!strcmp(format, "aloha"))
        status = hl_describe_episode(d, err);
    else
        status = hl_describe_keys(d, d->id, false, err);
    return status;
}

json_t *hl_data_describe(const char *path, hl_error *err)
{
    struct stat s;
    hl_hdf5_scope scope = hl_hdf5_begin();
    description d = {.file = path, .id = hl_hdf_open(path, err)};
    if (d.id < 0) {
        hl_hdf5_end(scope);
        return NULL;
    }
    d.json = json_object();
    json_object_set_new(d.json, "file", json_string(path));
    json_object_set_new(d.json, "bytes", json_integer(stat(path, &s) == 0 ? (json_int_t)s.st_size : 0));
    json_object_set_new(d.json, "keys", json_array());
    json_object_set_new(d.json, "warnings", json_array());
    hl_status status = json_object_get(d.json, "warnings") ? describe_all(&d, err)
                                                           : hl_describe_no_memory(&d, err);
    H5Fclose(d.id);
    hl_hdf5_end(scope);
    if (status == HL_OK)
        return d.json;
    json_decref(d.json);
    return NULL;
}
