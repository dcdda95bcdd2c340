/* One demonstration into its group. */
#include "data/robomimic_write_room.h"

#include "base/error.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int64_t hl_field_elements(const hl_field *f)
{
    return f->kind == HL_FIELD_VECTOR ? f->size : (f->kind == HL_FIELD_RGB ? 3 : 1) * f->height * f->width;
}

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

/* Images one frame to a chunk, vectors about 64 KiB to a chunk: what one sample reads is little. */
static hid_t creation_plan(const hl_robomimic_writer *w, int rank, const hsize_t *dim, size_t bytes,
                           bool image)
{
    hid_t plan = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t chunk[4], row = bytes;
    if (plan < 0 || w->o.gzip == 0)
        return plan;
    for (int i = 1; i < rank; i++)
        row *= chunk[i] = dim[i];
    hsize_t rows = 65536 / row;
    chunk[0] = image || rows < 1 ? 1 : rows < dim[0] ? rows : dim[0];
    if (H5Pset_chunk(plan, rank, chunk) < 0 || H5Pset_deflate(plan, (unsigned)w->o.gzip) < 0) {
        H5Pclose(plan);
        return -1;
    }
    return plan;
}

static hid_t create(const hl_robomimic_writer *w, hid_t group, const char *name, int rank, const hsize_t *dim,
                    hid_t type, bool image)
{
    hid_t plan = creation_plan(w, rank, dim, H5Tget_size(type), image);
    hid_t space = H5Screate_simple(rank, dim, NULL), set = -1;
    if (plan >= 0 && space >= 0)
        set = H5Dcreate2(group, name, type, space, H5P_DEFAULT, plan, H5P_DEFAULT);
    if (plan >= 0)
        H5Pclose(plan);
    if (space >= 0)
        H5Sclose(space);
    return set;
}

static herr_t write_all(const hl_robomimic_writer *w, hid_t group, const char *name, int rank,
                        const hsize_t *dim, hid_t stored, hid_t given, const void *values)
{
    hid_t set = create(w, group, name, rank, dim, stored, false);
    if (set < 0)
        return -1;
    herr_t ok = H5Dwrite(set, given, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    return H5Dclose(set) < 0 ? -1 : ok;
}

/* ------------------------------------------------------------------ a demonstration */

static hl_status check_values(const hl_robomimic_writer *w, const char *what, const float *x, int64_t steps,
                              int64_t size, bool unit, hl_error *err)
{
    for (int64_t i = 0; i < steps * size; i++)
        if (!isfinite(x[i]) || (unit && !(x[i] >= -1e-3f && x[i] <= 1 + 1e-3f)))
            return hl_fail(err, HL_ERR_DATA,
                           "%s: demo_%lld/%s: found %g at step %lld, element %lld, expected %s", w->path,
                           (long long)w->demos, what, (double)x[i], (long long)(i / size),
                           (long long)(i % size), unit ? "0..1" : "a finite value");
    return HL_OK;
}

static hl_status check_demo(const hl_robomimic_writer *w, const hl_demo *d, hl_error *err)
{
    if (d->steps < 1 || !d->actions || (w->o.states && !d->states) || (w->o.n_fields && !d->fields))
        return hl_fail(err, HL_ERR_USAGE,
                       "%s: demo_%lld: %lld steps%s, expected at least one with all its arrays", w->path,
                       (long long)w->demos, (long long)d->steps, d->actions ? "" : " without actions");
    hl_status status = check_values(w, "actions", d->actions, d->steps, w->o.action, false, err);
    if (status == HL_OK && w->o.states)
        status = check_values(w, "states", d->states, d->steps, w->o.states, false, err);
    if (status == HL_OK && d->rewards)
        status = check_values(w, "rewards", d->rewards, d->steps, 1, false, err);
    for (int i = 0; status == HL_OK && i < w->o.n_fields; i++) {
        const hl_field *f = &w->o.fields[i];
        status = check_values(w, f->key, d->fields[i], d->steps, hl_field_elements(f),
                              f->kind != HL_FIELD_VECTOR, err);
    }
    return status;
}

/* [3,H,W] in 0..1 -> uint8 [H,W,3] */
static void to_bytes(const hl_field *f, const float *x, uint8_t *out)
{
    int64_t area = f->height * f->width;
    for (int64_t p = 0; p < area; p++)
        for (int64_t c = 0; c < 3; c++) {
            float v = x[c * area + p] * 255.0f + 0.5f; /* within 1e-3 of 0..1, checked */
            out[p * 3 + c] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
        }
}

static herr_t write_frames(const hl_robomimic_writer *w, hid_t group, const hl_field *f, int64_t steps,
                           const float *x)
{
    bool rgb = f->kind == HL_FIELD_RGB;
    hsize_t dim[4] = {(hsize_t)steps, (hsize_t)f->height, (hsize_t)f->width, rgb ? 3 : 1};
    hsize_t start[4] = {0}, one[4] = {1, dim[1], dim[2], dim[3]};
    hid_t set = create(w, group, f->key, 4, dim, rgb ? H5T_STD_U8LE : H5T_IEEE_F32LE, true);
    if (set < 0)
        return -1;
    hid_t space = H5Dget_space(set), memory = H5Screate_simple(4, one, NULL);
    herr_t ok = space < 0 || memory < 0 ? -1 : 0;
    for (; ok >= 0 && start[0] < dim[0]; start[0]++, x += hl_field_elements(f)) {
        if (rgb)
            to_bytes(f, x, w->row);
        ok = H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, one, NULL);
        if (ok >= 0)
            ok = H5Dwrite(set, rgb ? H5T_NATIVE_UCHAR : H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT,
                          rgb ? w->row : (const void *)x);
    }
    if (space >= 0)
        H5Sclose(space);
    if (memory >= 0)
        H5Sclose(memory);
    return H5Dclose(set) < 0 ? -1 : ok;
}

static herr_t write_fields(const hl_robomimic_writer *w, hid_t group, const hl_demo *d)
{
    hid_t obs = H5Gcreate2(group, "obs", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    herr_t ok = obs < 0 ? -1 : 0;
    for (int i = 0; ok >= 0 && i < w->o.n_fields; i++) {
        const hl_field *f = &w->o.fields[i];
        hsize_t dim[2] = {(hsize_t)d->steps, (hsize_t)f->size};
        ok = f->kind == HL_FIELD_VECTOR
                 ? write_all(w, obs, f->key, 2, dim, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, d->fields[i])
                 : write_frames(w, obs, f, d->steps, d->fields[i]);
    }
    return obs >= 0 && H5Gclose(obs) < 0 ? -1 : ok;
}

/* rewards and dones, with what stands for them where they are not given. */
static herr_t write_ends(const hl_robomimic_writer *w, hid_t group, const hl_demo *d, int64_t *scratch)
{
    hsize_t steps = (hsize_t)d->steps;
    herr_t ok = d->rewards
                    ? write_all(w, group, "rewards", 1, &steps, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, d->rewards)
                    : write_all(w, group, "rewards", 1, &steps, H5T_IEEE_F32LE, H5T_NATIVE_INT64, scratch);
    for (int64_t i = 0; i < d->steps; i++)
        scratch[i] = d->dones ? d->dones[i] : i == d->steps - 1;
    return ok < 0 ? ok : write_all(w, group, "dones", 1, &steps, H5T_STD_I64LE, H5T_NATIVE_INT64, scratch);
}

static herr_t write_group(const hl_robomimic_writer *w, hid_t group, const hl_demo *d, int64_t *scratch)
{
    hsize_t actions[2] = {(hsize_t)d->steps, (hsize_t)w->o.action};
    hsize_t states[2] = {(hsize_t)d->steps, (hsize_t)w->o.states};
    herr_t ok = hl_write_integer(group, "num_samples", d->steps);
    if (ok >= 0)
        ok = write_all(w, group, "actions", 2, actions, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, d->actions);
    if (ok >= 0 && w->o.states)
        ok = write_all(w, group, "states", 2, states, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, d->states);
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
