/* One demonstration into its group. */
#include "data/robomimic_write_room.h"

#include "base/error.h"

#include <limits.h>
#include <stdio.h>

/* ------------------------------------------------------------------ small writes */

/* The operating system's reason if there is one, else libhdf5's. */
hl_status hl_writer_failed(const hl_robomimic_writer *w, const char *path, hl_error *err)
{
    hl_status status = hl_hdf_sink_check(w->sink, err);
    return status != HL_OK
               ? status
               : hl_hdf_fail(err, HL_ERR_IO, hl_hdf_sink_path(w->sink), path, "cannot be written");
}

herr_t hl_write_integer(hid_t object, const char *name, int64_t value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t a = H5Acreate2(object, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    herr_t ok = a < 0 ? -1 : H5Awrite(a, H5T_NATIVE_INT64, &value);
    if (a >= 0)
        H5Aclose(a);
    H5Sclose(space);
    return ok;
}

/* ------------------------------------------------------------------ a demonstration */

static hl_status check_demo(const hl_robomimic_writer *w, const hl_demo *d, hl_error *err)
{
    char name[PATH_MAX + 64];
    snprintf(name, sizeof name, "%s: demo_%lld", w->path, (long long)w->demos);
    hl_status status = hl_demo_check(name, w->o.fields, w->o.n_fields, w->o.action, d, err);
    if (status == HL_OK && w->o.states && !d->states)
        status = hl_fail(err, HL_ERR_USAGE, "%s: no states, expected %lld elements a step", name,
                         (long long)w->o.states);
    if (status == HL_OK && w->o.states)
        status = hl_values_check(name, "states", d->states, d->steps, w->o.states, false, err);
    if (status == HL_OK && d->rewards)
        status = hl_values_check(name, "rewards", d->rewards, d->steps, 1, false, err);
    return status;
}

static herr_t write_fields(const hl_robomimic_writer *w, hid_t group, const hl_demo *d)
{
    hid_t obs = H5Gcreate2(group, "obs", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    herr_t ok = obs < 0 ? -1 : 0;
    for (int i = 0; ok >= 0 && i < w->o.n_fields; i++) {
        const hl_field *f = &w->o.fields[i];
        hsize_t dim[2] = {(hsize_t)d->steps, (hsize_t)f->size};
        ok = f->kind == HL_FIELD_VECTOR
                 ? hl_put_array(obs, f->key, 2, dim, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, w->o.gzip,
                                d->fields[i])
                 : hl_put_frames(obs, f->key, f, d->steps, d->fields[i], w->o.gzip, w->row);
    }
    return obs >= 0 && H5Gclose(obs) < 0 ? -1 : ok;
}

/* rewards and dones, with what stands for them where they are not given. */
static herr_t write_ends(const hl_robomimic_writer *w, hid_t group, const hl_demo *d, int64_t *scratch)
{
    hsize_t steps = (hsize_t)d->steps;
    herr_t ok = d->rewards ? hl_put_array(group, "rewards", 1, &steps, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT,
                                          w->o.gzip, d->rewards)
                           : hl_put_array(group, "rewards", 1, &steps, H5T_IEEE_F32LE, H5T_NATIVE_INT64,
                                          w->o.gzip, scratch);
    for (int64_t i = 0; i < d->steps; i++)
        scratch[i] = d->dones ? d->dones[i] : i == d->steps - 1;
    return ok < 0
               ? ok
               : hl_put_array(group, "dones", 1, &steps, H5T_STD_I64LE, H5T_NATIVE_INT64, w->o.gzip, scratch);
}

static herr_t write_group(const hl_robomimic_writer *w, hid_t group, const hl_demo *d, int64_t *scratch)
{
    hsize_t actions[2] = {(hsize_t)d->steps, (hsize_t)w->o.action};
    hsize_t states[2] = {(hsize_t)d->steps, (hsize_t)w->o.states};
    herr_t ok = hl_write_integer(group, "num_samples", d->steps);
    if (ok >= 0)
        ok = hl_put_array(group, "actions", 2, actions, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, w->o.gzip,
                          d->actions);
    if (ok >= 0 && w->o.states)
        ok = hl_put_array(group, "states", 2, states, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, w->o.gzip, d->states);
    if (ok >= 0)
        ok = write_ends(w, group, d, scratch);
    return ok < 0 ? ok : write_fields(w, group, d);
}

static bool remember(hl_robomimic_writer *w, bool valid)
{
    if (w->demos == w->room) {
        int64_t room = w->room ? 2 * w->room : 64;
        bool *more = hl_realloc(w->valid, (size_t)room, sizeof *more);
        if (!more)
            return false;
        w->valid = more;
        w->room = room;
    }
    w->valid[w->demos] = valid;
    return true;
}

static hl_status write_demo(hl_robomimic_writer *w, const hl_demo *d, hl_error *err)
{
    hl_status status = check_demo(w, d, err);
    char name[64];
    if (status != HL_OK)
        return status;
    int64_t *scratch = hl_alloc((size_t)d->steps, sizeof *scratch);
    snprintf(name, sizeof name, "demo_%lld", (long long)w->demos);
    hid_t group = scratch && remember(w, d->valid)
                      ? H5Gcreate2(w->data, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)
                      : H5I_INVALID_HID;
    if (group == H5I_INVALID_HID && H5Eget_num(H5E_DEFAULT) <= 0)
        status = hl_fail(err, HL_ERR_MEMORY, "%s: %s: no memory to write it", w->path, name);
    else if (group < 0 || write_group(w, group, d, scratch) < 0)
        status = hl_writer_failed(w, name, err);
    if (group >= 0 && H5Gclose(group) < 0 && status == HL_OK)
        status = hl_writer_failed(w, name, err);
    if (status == HL_OK) /* libhdf5 is not told of a write that failed */
        status = hl_hdf_sink_check(w->sink, err);
    hl_free(scratch);
    w->demos++;
    w->total += d->steps;
    return status;
}

hl_status hl_robomimic_write_demo(hl_robomimic_writer *w, const hl_demo *demo, hl_error *err)
{
    if (w->failed || w->finished)
        return hl_fail(err, HL_ERR_USAGE, "%s: the writer %s and takes no more demonstrations", w->path,
                       w->failed ? "has failed" : "is finished");
    hl_hdf5_scope scope = hl_hdf5_begin();
    hl_status status = write_demo(w, demo, err);
    hl_hdf5_end(scope);
    w->failed = status != HL_OK;
    return status;
}
