#include "data/aloha_write.h"

#include "base/error.h"
#include "base/memory.h"
#include "data/demo_write_room.h"
#include "data/hdf5_sink.h"
#include "data/jpeg.h"

#include <stdio.h>
#include <string.h>

typedef struct episode {
    const hl_aloha_options *o;
    const hl_demo *demo;
    hl_hdf_sink *sink;
    uint8_t *bytes;  /* one RGB frame */
    float *lengths;  /* [RGB fields, T] bytes of each JPEG */
    int64_t cameras; /* RGB fields */
} episode;

static hl_status failed(const episode *e, const char *what, hl_error *err)
{
    hl_status status = hl_hdf_sink_check(e->sink, err);
    if (status != HL_OK)
        return status;
    return hl_hdf_fail(err, HL_ERR_IO, hl_hdf_sink_path(e->sink), what, "cannot be written");
}

/* As h5py writes a bool. */
static herr_t write_bool(hid_t object, const char *name, bool value)
{
    hid_t type = H5Tenum_create(H5T_STD_I8LE), space = H5Screate(H5S_SCALAR), a = H5I_INVALID_HID;
    const int8_t no = 0, yes = 1;
    if (H5Tenum_insert(type, "FALSE", &no) >= 0 && H5Tenum_insert(type, "TRUE", &yes) >= 0)
        a = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    herr_t ok = a < 0 ? -1 : H5Awrite(a, type, value ? &yes : &no);
    if (a >= 0)
        H5Aclose(a);
    H5Sclose(space);
    H5Tclose(type);
    return ok;
}

/* ------------------------------------------------------------------ JPEG */

/* All frames of a camera one after the other, and the length of each. */
static hl_status pack(const episode *e, const hl_field *f, const float *x, float *lengths, hl_text *all,
                      hl_error *err)
{
    for (int64_t t = 0; t < e->demo->steps; t++, x += hl_field_elements(f)) {
        size_t before = all->size;
        hl_frame_to_bytes(f, x, e->bytes);
        hl_status status = hl_jpeg_append(all, e->bytes, f->height, f->width, e->o->quality, err);
        if (status != HL_OK)
            return status;
        lengths[t] = (float)(all->size - before);
    }
    return HL_OK;
}

static herr_t write_rows(hid_t set, const hsize_t dim[2], const float *lengths, const char *packed,
                         uint8_t *row)
{
    herr_t ok = 0;
    for (hsize_t t = 0; ok >= 0 && t < dim[0]; t++) {
        size_t n = (size_t)lengths[t];
        memcpy(row, packed, n);
        memset(row + n, 0, (size_t)dim[1] - n);
        ok = hl_put_row(set, 2, dim, t, H5T_NATIVE_UCHAR, row);
        packed += n;
    }
    return ok;
}

static hl_status write_jpeg(const episode *e, hid_t group, const hl_field *f, const float *x, float *lengths,
                            hl_error *err)
{
    hsize_t dim[2] = {(hsize_t)e->demo->steps, 1};
    hl_text packed = {0};
    hl_status status = pack(e, f, x, lengths, &packed, err);
    for (hsize_t t = 0; status == HL_OK && t < dim[0]; t++)
        dim[1] = (hsize_t)lengths[t] > dim[1] ? (hsize_t)lengths[t] : dim[1];
    uint8_t *row = status == HL_OK ? hl_alloc((size_t)dim[1], 1) : NULL;
    if (status == HL_OK && !row)
        status = hl_fail(err, HL_ERR_MEMORY, "%s: no memory for a frame", hl_hdf_sink_path(e->sink));
    if (status == HL_OK) {
        hid_t set = hl_put_set(group, f->key, 2, dim, H5T_STD_U8LE, 1, 0);
        herr_t ok = set < 0 ? -1 : write_rows(set, dim, lengths, packed.at, row);
        if (set >= 0 && H5Dclose(set) < 0)
            ok = -1;
        if (ok < 0)
            status = failed(e, f->key, err);
    }
    hl_free(row);
    hl_text_free(&packed);
    return status;
}

/* ------------------------------------------------------------------ an episode */

static hl_status write_fields(const episode *e, hid_t group, hl_error *err)
{
    float *lengths = e->lengths;
    for (int i = 0; i < e->o->n_fields; i++) {
        const hl_field *f = &e->o->fields[i];
        const hsize_t dim[2] = {(hsize_t)e->demo->steps, (hsize_t)f->size};
        const float *x = e->demo->fields[i];
        herr_t ok = 0;
        if (f->kind == HL_FIELD_RGB && e->o->quality) {
            hl_status status = write_jpeg(e, group, f, x, lengths, err);
            if (status != HL_OK)
                return status;
            lengths += e->demo->steps;
        } else if (f->kind == HL_FIELD_VECTOR) {
            ok = hl_put_array(group, f->key, 2, dim, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 0, x);
        } else {
            ok = hl_put_frames(group, f->key, f, e->demo->steps, x, 0, e->bytes);
        }
        if (ok < 0)
            return failed(e, f->key, err);
    }
    return HL_OK;
}

static hl_status write_all(const episode *e, hl_error *err)
{
    hid_t file = hl_hdf_sink_file(e->sink);
    const hsize_t action[2] = {(hsize_t)e->demo->steps, (hsize_t)e->o->action};
    const hsize_t lengths[2] = {(hsize_t)e->cameras, (hsize_t)e->demo->steps};
    if (write_bool(file, "sim", e->o->sim) < 0 || (e->o->quality && write_bool(file, "compress", true) < 0) ||
        hl_put_array(file, "action", 2, action, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 0, e->demo->actions) < 0)
        return failed(e, NULL, err);
    hid_t group = H5Gcreate2(file, "observations", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (group < 0)
        return failed(e, "observations", err);
    hl_status status = write_fields(e, group, err);
    if (H5Gclose(group) < 0 && status == HL_OK)
        status = failed(e, "observations", err);
    if (status == HL_OK && e->o->quality && e->cameras &&
        hl_put_array(file, "compress_len", 2, lengths, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 0, e->lengths) < 0)
        status = failed(e, "compress_len", err);
    return status == HL_OK ? hl_hdf_sink_close(e->sink, err) : status;
}

/* Opened anew, the file must hold what was written. */
static hl_status verify(const episode *e, hl_error *err)
{
    hl_status status = hl_hdf_sink_reopen(e->sink, err);
    if (status != HL_OK)
        return status;
    hid_t set = H5Dopen2(hl_hdf_sink_file(e->sink), "action", H5P_DEFAULT);
    hid_t space = set < 0 ? H5I_INVALID_HID : H5Dget_space(set);
    hssize_t count = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    if (space >= 0)
        H5Sclose(space);
    if (set >= 0)
        H5Dclose(set);
    if (count != e->demo->steps * e->o->action)
        return hl_hdf_fail(err, HL_ERR_IO, hl_hdf_sink_path(e->sink), "action",
                           "read back %lld elements of %lld", (long long)count,
                           (long long)(e->demo->steps * e->o->action));
    return hl_hdf_sink_close(e->sink, err);
}

static hl_status make_room(episode *e, const char *path, hl_error *err)
{
    size_t most = 1, count;
    for (int i = 0; i < e->o->n_fields; i++) {
        const hl_field *f = &e->o->fields[i];
        if (f->kind != HL_FIELD_RGB)
            continue;
        e->cameras++;
        most = (size_t)hl_field_elements(f) > most ? (size_t)hl_field_elements(f) : most;
    }
    e->bytes = hl_alloc(most, 1);
    e->lengths = hl_size_mul((size_t)e->cameras, (size_t)e->demo->steps, &count)
                     ? hl_alloc(count, sizeof *e->lengths)
                     : NULL;
    return e->bytes && e->lengths ? HL_OK : hl_fail(err, HL_ERR_MEMORY, "%s: no memory to write it", path);
}

hl_status hl_aloha_write(const char *path, const hl_aloha_options *o, const hl_demo *demo, hl_error *err)
{
    episode e = {.o = o, .demo = demo};
    if (o->action < 1 || o->action > INT32_MAX || o->n_fields < 0 || o->quality < 0 || o->quality > 100)
        return hl_fail(err, HL_ERR_USAGE, "%s: %lld action dimensions, quality %d: out of range", path,
                       (long long)o->action, o->quality);
    hl_status status = hl_fields_check(path, o->fields, o->n_fields, err);
    if (status == HL_OK)
        status = hl_demo_check(path, o->fields, o->n_fields, o->action, demo, err);
    if (status == HL_OK)
        status = hl_may_write(path, o->overwrite, err);
    if (status == HL_OK)
        status = make_room(&e, path, err);
    hl_hdf5_scope scope = hl_hdf5_begin();
    if (status == HL_OK)
        status = hl_hdf_sink_new(path, &e.sink, err);
    if (status == HL_OK)
        status = write_all(&e, err);
    if (status == HL_OK)
        status = verify(&e, err);
    if (status == HL_OK)
        status = hl_hdf_sink_commit(e.sink, err);
    hl_hdf_sink_free(e.sink);
    hl_hdf5_end(scope);
    hl_free(e.bytes);
    hl_free(e.lengths);
    return status;
}
