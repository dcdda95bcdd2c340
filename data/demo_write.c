#include "base/error.h"
#include "data/demo_write_room.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

int64_t hl_field_elements(const hl_field *f)
{
    return f->kind == HL_FIELD_VECTOR ? f->size : (f->kind == HL_FIELD_RGB ? 3 : 1) * f->height * f->width;
}

/* ------------------------------------------------------------------ checks */

hl_status hl_fields_check(const char *file, const hl_field *fields, int n, hl_error *err)
{
    const int64_t most = INT64_C(1) << 30;
    for (int i = 0; i < n; i++) {
        const hl_field *f = &fields[i];
        bool image = f->kind != HL_FIELD_VECTOR;
        if (!f->key || !*f->key || *f->key == '/')
            return hl_fail(err, HL_ERR_USAGE, "%s: the key of field %d is not a plain name", file, i);
        if (image ? f->height < 1 || f->width < 1 || f->height > 32768 || f->width > 32768
                  : f->size < 1 || f->size > most)
            return hl_fail(err, HL_ERR_USAGE, "%s: field %s has no elements, or too many", file, f->key);
        for (int k = 0; k < i; k++)
            if (!strcmp(f->key, fields[k].key))
                return hl_fail(err, HL_ERR_USAGE, "%s: field %s is given twice", file, f->key);
    }
    return HL_OK;
}

hl_status hl_values_check(const char *name, const char *key, const float *x, int64_t steps, int64_t size,
                          bool unit, hl_error *err)
{
    for (int64_t i = 0; i < steps * size; i++)
        if (!isfinite(x[i]) || (unit && !(x[i] >= -1e-3f && x[i] <= 1 + 1e-3f)))
            return hl_fail(err, HL_ERR_DATA, "%s/%s: found %g at step %lld, element %lld, expected %s", name,
                           key, (double)x[i], (long long)(i / size), (long long)(i % size),
                           unit ? "0..1" : "a finite value");
    return HL_OK;
}

hl_status hl_demo_check(const char *name, const hl_field *fields, int n, int64_t action, const hl_demo *d,
                        hl_error *err)
{
    if (d->steps < 1 || !d->actions || (n && !d->fields))
        return hl_fail(err, HL_ERR_USAGE, "%s: %lld steps%s, expected at least one with all its arrays", name,
                       (long long)d->steps, d->actions ? "" : " without actions");
    hl_status status = hl_values_check(name, "actions", d->actions, d->steps, action, false, err);
    for (int i = 0; status == HL_OK && i < n; i++)
        status = hl_values_check(name, fields[i].key, d->fields[i], d->steps, hl_field_elements(&fields[i]),
                                 fields[i].kind != HL_FIELD_VECTOR, err);
    return status;
}

hl_status hl_may_write(const char *file, bool overwrite, hl_error *err)
{
    if (overwrite || access(file, F_OK) != 0)
        return HL_OK;
    return hl_fail(err, HL_ERR_IO, "%s: the file exists already; remove it or choose another name", file);
}

/* ------------------------------------------------------------------ arrays */

hid_t hl_put_set(hid_t group, const char *name, int rank, const hsize_t *dim, hid_t stored, hsize_t chunk,
                 int gzip)
{
    hid_t plan = H5Pcreate(H5P_DATASET_CREATE), links = H5Pcreate(H5P_LINK_CREATE);
    hid_t space = H5Screate_simple(rank, dim, NULL), set = H5I_INVALID_HID;
    hsize_t part[HL_HDF_RANK] = {chunk};
    for (int i = 1; i < rank; i++)
        part[i] = dim[i];
    bool planned = plan >= 0 && links >= 0 && H5Pset_create_intermediate_group(links, 1) >= 0 &&
                   (!chunk || H5Pset_chunk(plan, rank, part) >= 0) &&
                   (!gzip || H5Pset_deflate(plan, (unsigned)gzip) >= 0);
    if (planned && space >= 0)
        set = H5Dcreate2(group, name, stored, space, links, plan, H5P_DEFAULT);
    if (space >= 0)
        H5Sclose(space);
    if (links >= 0)
        H5Pclose(links);
    if (plan >= 0)
        H5Pclose(plan);
    return set;
}

herr_t hl_put_array(hid_t group, const char *name, int rank, const hsize_t *dim, hid_t stored, hid_t given,
                    int gzip, const void *values)
{
    hsize_t row = H5Tget_size(stored), rows;
    for (int i = 1; i < rank; i++)
        row *= dim[i];
    rows = 65536 / row < 1 ? 1 : 65536 / row < dim[0] ? 65536 / row : dim[0];
    hid_t set = hl_put_set(group, name, rank, dim, stored, gzip ? rows : 0, gzip);
    if (set < 0)
        return -1;
    herr_t ok = H5Dwrite(set, given, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    return H5Dclose(set) < 0 ? -1 : ok;
}

herr_t hl_put_row(hid_t set, int rank, const hsize_t *dim, hsize_t t, hid_t given, const void *values)
{
    hsize_t start[HL_HDF_RANK] = {t}, one[HL_HDF_RANK] = {1};
    for (int i = 1; i < rank; i++)
        one[i] = dim[i];
    hid_t space = H5Dget_space(set), memory = H5Screate_simple(rank, one, NULL);
    herr_t ok = space < 0 || memory < 0 ? -1
                                        : H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, one, NULL);
    if (ok >= 0)
        ok = H5Dwrite(set, given, memory, space, H5P_DEFAULT, values);
    if (space >= 0)
        H5Sclose(space);
    if (memory >= 0)
        H5Sclose(memory);
    return ok;
}

void hl_frame_to_bytes(const hl_field *f, const float *x, uint8_t *out)
{
    int64_t area = f->height * f->width;
    for (int64_t p = 0; p < area; p++)
        for (int64_t c = 0; c < 3; c++) {
            float v = x[c * area + p] * 255.0f + 0.5f; /* within 1e-3 of 0..1, checked */
            out[p * 3 + c] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
        }
}

herr_t hl_put_frames(hid_t group, const char *name, const hl_field *f, int64_t steps, const float *x,
                     int gzip, uint8_t *bytes)
{
    bool rgb = f->kind == HL_FIELD_RGB;
    const hsize_t dim[4] = {(hsize_t)steps, (hsize_t)f->height, (hsize_t)f->width, rgb ? 3 : 1};
    hid_t set = hl_put_set(group, name, 4, dim, rgb ? H5T_STD_U8LE : H5T_IEEE_F32LE, 1, gzip);
    herr_t ok = set < 0 ? -1 : 0;
    for (hsize_t t = 0; ok >= 0 && t < dim[0]; t++, x += hl_field_elements(f)) {
        if (rgb)
            hl_frame_to_bytes(f, x, bytes);
        ok = hl_put_row(set, 4, dim, t, rgb ? H5T_NATIVE_UCHAR : H5T_NATIVE_FLOAT,
                        rgb ? bytes : (const void *)x);
    }
    return set >= 0 && H5Dclose(set) < 0 ? -1 : ok;
}
