/* The file around the demonstrations: its beginning, its masks, its name. */
#include "data/robomimic_write.h"

#include "base/error.h"
#include "data/robomimic_write_room.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static hl_status check_options(const char *path, const hl_robomimic_writer_options *o, hl_error *err)
{
    const int64_t most = INT64_C(1) << 30;
    if (o->action < 1 || o->states < 0 || o->action > most || o->states > most || o->n_fields < 0 ||
        o->gzip < 0 || o->gzip > 9)
        return hl_fail(err, HL_ERR_USAGE,
                       "%s: %lld action dimensions, %lld state elements, gzip %d: out of range", path,
                       (long long)o->action, (long long)o->states, o->gzip);
    hl_status status = hl_fields_check(path, o->fields, o->n_fields, err);
    if (status != HL_OK)
        return status;
    for (int i = 0; i < o->n_fields; i++)
        if (strchr(o->fields[i].key, '/'))
            return hl_fail(err, HL_ERR_USAGE, "%s: the key of field %d is not a plain name", path, i);
    json_t *json = o->env_args ? json_loads(o->env_args, JSON_REJECT_DUPLICATES, NULL) : json_object();
    bool object = json_is_object(json);
    json_decref(json);
    if (!object)
        return hl_fail(err, HL_ERR_USAGE, "%s: env_args is not a JSON object", path);
    if (o->env_args && strlen(o->env_args) > 60000)
        return hl_fail(err, HL_ERR_USAGE, "%s: env_args has %zu bytes, an HDF5 attribute holds 64 KiB", path,
                       strlen(o->env_args));
    return HL_OK;
}

static bool copy_options(hl_robomimic_writer *w, const char *path, const hl_robomimic_writer_options *o)
{
    size_t row = 1;
    w->o = *o;
    w->path = hl_arena_strdup(w->arena, path);
    w->o.env_args = hl_arena_strdup(w->arena, o->env_args ? o->env_args : "{}");
    hl_field *fields = hl_arena_alloc(w->arena, (size_t)o->n_fields, sizeof *fields);
    if (!w->path || !w->o.env_args || !fields)
        return false;
    for (int i = 0; i < o->n_fields; i++) {
        fields[i] = o->fields[i];
        fields[i].key = hl_arena_strdup(w->arena, o->fields[i].key);
        if (!fields[i].key)
            return false;
        if (fields[i].kind == HL_FIELD_RGB && (size_t)hl_field_elements(&fields[i]) > row)
            row = (size_t)hl_field_elements(&fields[i]);
    }
    w->o.fields = fields;
    w->row = hl_alloc(row, 1);
    return w->row != NULL;
}

/* Variable length UTF-8, as h5py writes a str. */
static herr_t write_text(hid_t object, const char *name, const char *text)
{
    hid_t space = H5Screate(H5S_SCALAR), type = H5Tcopy(H5T_C_S1), a = -1;
    herr_t ok = -1;
    if (H5Tset_size(type, H5T_VARIABLE) >= 0 && H5Tset_cset(type, H5T_CSET_UTF8) >= 0)
        a = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (a >= 0) {
        ok = H5Awrite(a, type, &text);
        H5Aclose(a);
    }
    H5Tclose(type);
    H5Sclose(space);
    return ok;
}

static hl_status begin(hl_robomimic_writer *w, hl_error *err)
{
    hl_status status = hl_may_write(w->path, w->o.overwrite, err);
    if (status == HL_OK)
        status = hl_hdf_sink_new(w->path, &w->sink, err);
    if (status != HL_OK)
        return status;
    w->data = H5Gcreate2(hl_hdf_sink_file(w->sink), "data", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (w->data < 0 || write_text(w->data, "env_args", w->o.env_args) < 0)
        return hl_writer_failed(w, NULL, err);
    return hl_hdf_sink_check(w->sink, err);
}

hl_robomimic_writer *hl_robomimic_writer_new(const char *path, const hl_robomimic_writer_options *options,
                                             hl_error *err)
{
    if (check_options(path, options, err) != HL_OK)
        return NULL;
    hl_robomimic_writer *w = hl_alloc(1, sizeof *w);
    if (w) {
        w->data = -1;
        w->arena = hl_arena_new();
    }
    if (!w || !w->arena || !copy_options(w, path, options)) {
        hl_fail(err, HL_ERR_MEMORY, "%s: no memory to write it", path);
        hl_robomimic_writer_free(w);
        return NULL;
    }
    hl_hdf5_scope scope = hl_hdf5_begin();
    hl_status status = begin(w, err);
    hl_hdf5_end(scope);
    if (status == HL_OK)
        return w;
    hl_robomimic_writer_free(w);
    return NULL;
}

/* Names as fixed-length byte strings, which is what robomimic's split tool writes. */
static herr_t write_mask(const hl_robomimic_writer *w, hid_t masks, const char *name, bool valid)
{
    enum { LENGTH = 32 };
    hsize_t count = 0;
    for (int64_t i = 0; i < w->demos; i++)
        count += w->valid[i] == valid;
    char(*names)[LENGTH] = hl_alloc(count, LENGTH);
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, &count, NULL), set = -1;
    herr_t ok = -1;
    for (int64_t i = 0, k = 0; names && i < w->demos; i++)
        if (w->valid[i] == valid)
            snprintf(names[k++], LENGTH, "demo_%lld", (long long)i);
    if (names && H5Tset_size(type, LENGTH) >= 0 && H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0)
        set = H5Dcreate2(masks, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (set >= 0) {
        ok = count ? H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, names) : 0;
        ok = H5Dclose(set) < 0 ? -1 : ok;
    }
    H5Tclose(type);
    H5Sclose(space);
    hl_free(names);
    return ok;
}

static herr_t write_end(hl_robomimic_writer *w)
{
    hid_t masks = H5Gcreate2(hl_hdf_sink_file(w->sink), "mask", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    herr_t ok = masks < 0 ? -1 : hl_write_integer(w->data, "total", w->total);
    if (ok >= 0)
        ok = write_mask(w, masks, "train", false);
    if (ok >= 0)
        ok = write_mask(w, masks, "valid", true);
    if (masks >= 0 && H5Gclose(masks) < 0)
        ok = -1;
    if (H5Gclose(w->data) < 0)
        ok = -1;
    w->data = -1;
    return ok;
}

/* Opened anew, the file must hold what was written. */
static hl_status verify(const hl_robomimic_writer *w, hl_error *err)
{
    const char *path = hl_hdf_sink_path(w->sink);
    hl_hdf_names names;
    hl_status status = hl_hdf_sink_reopen(w->sink, err);
    if (status == HL_OK)
        status = hl_hdf_list(hl_hdf_sink_file(w->sink), "/data", path, &names, err);
    if (status != HL_OK)
        return status;
    if (names.count != w->demos)
        status = hl_fail(err, HL_ERR_IO, "%s: read back %lld demonstrations of %lld", path,
                         (long long)names.count, (long long)w->demos);
    hl_hdf_names_free(&names);
    return status == HL_OK ? hl_hdf_sink_close(w->sink, err) : status;
}

static hl_status finish(hl_robomimic_writer *w, hl_error *err)
{
    hl_status status = write_end(w) < 0 ? hl_writer_failed(w, NULL, err) : hl_hdf_sink_close(w->sink, err);
    if (status == HL_OK)
        status = verify(w, err);
    if (status == HL_OK)
        status = hl_may_write(w->path, w->o.overwrite, err);
    return status == HL_OK ? hl_hdf_sink_commit(w->sink, err) : status;
}

hl_status hl_robomimic_writer_finish(hl_robomimic_writer *w, hl_error *err)
{
    if (w->failed || w->finished)
        return hl_fail(err, HL_ERR_USAGE, "%s: the writer %s", w->path,
                       w->failed ? "has failed" : "is finished");
    if (w->demos == 0)
        return hl_fail(err, HL_ERR_USAGE, "%s: no demonstrations to write", w->path);
    hl_hdf5_scope scope = hl_hdf5_begin();
    hl_status status = finish(w, err);
    hl_hdf5_end(scope);
    w->failed = status != HL_OK;
    w->finished = status == HL_OK;
    return status;
}

void hl_robomimic_writer_free(hl_robomimic_writer *w)
{
    if (!w)
        return;
    hl_hdf5_scope scope = hl_hdf5_begin();
    if (w->data >= 0)
        (void)H5Gclose(w->data);
    hl_hdf_sink_free(w->sink);
    hl_hdf5_end(scope);
    hl_free(w->valid);
    hl_free(w->row);
    hl_arena_free(w->arena);
    hl_free(w);
}
