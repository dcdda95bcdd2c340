/* Steps of a demonstration as its file holds them: rows of vectors, and frames. */
#include "data/demos_room.h"

#include "base/error.h"
#include "data/jpeg.h"

#include <math.h>
#include <string.h>

/* A file may be replaced while it is trained on, and opened anew: scratch was measured for the old one. */
static bool same_shape(demos *all, const demo_handle *h)
{
    const demo_group *g = demos_group_of(all, h->key);
    int y = g->layout == HL_HWC || h->rank == 3 ? 1 : 2;
    hsize_t size = 1;
    if (h->rank < 1 || h->dim[0] != (hsize_t)all->demo[h->demo].steps)
        return false;
    if (h->jpeg)
        return h->bytes && h->dim[1] >= 1 && h->dim[1] <= (hsize_t)g->most_packed;
    if (g->image)
        return (h->rank == 3 ? g->channels == 1
                             : h->rank == 4 && h->dim[y == 1 ? 3 : 1] == (hsize_t)g->channels) &&
               h->dim[y] <= (hsize_t)g->most_height && h->dim[y + 1] <= (hsize_t)g->most_width &&
               (h->bytes || g->floats);
    for (int i = 1; i < h->rank; i++)
        size *= h->dim[i];
    return size == (hsize_t)g->key[h->key - g->first_id].size;
}

/* Steps [begin, begin+n) of one data set as uint8 or float. */
static hl_status read_steps(demos *all, const demo_handle *h, int64_t begin, int64_t n, bool bytes, void *out,
                            hl_error *err)
{
    hsize_t start[HL_HDF_RANK] = {(hsize_t)begin}, count[HL_HDF_RANK];
    const demo_group *g = demos_group_of(all, h->key);
    char path[HL_HDF_PATH];
    demos_path(all, h->demo, g->key[h->key - g->first_id].path, path);
    if (!same_shape(all, h))
        return hl_fail(err, HL_ERR_DATA, "%s: %s: its shape has changed since the file was opened",
                       all->file[all->demo[h->demo].file].path, path);
    for (int i = 0; i < h->rank; i++)
        count[i] = i ? h->dim[i] : (hsize_t)n;
    /* Of the same rank in memory: else libhdf5 walks through chunks element by element. */
    hid_t space = H5Screate_simple(h->rank, h->dim, NULL), memory = H5Screate_simple(h->rank, count, NULL);
    herr_t ok = -1;
    if (space >= 0 && memory >= 0 &&
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0)
        ok = H5Dread(h->set, bytes ? H5T_NATIVE_UCHAR : H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, out);
    if (space >= 0)
        H5Sclose(space);
    if (memory >= 0)
        H5Sclose(memory);
    if (ok >= 0)
        return HL_OK;
    return hl_hdf_fail(err, HL_ERR_DATA, all->file[all->demo[h->demo].file].path, path,
                       "steps %lld to %lld cannot be read", (long long)begin, (long long)(begin + n - 1));
}

static hl_status check_finite(demos *all, int64_t demo, const demo_key *key, int64_t begin, int64_t n,
                              const float *x, hl_error *err)
{
    for (int64_t i = 0; i < n * key->size; i++) {
        if (!isfinite(x[i])) {
            char path[HL_HDF_PATH];
            demos_path(all, demo, key->path, path);
            return hl_hdf_fail(err, HL_ERR_DATA, all->file[all->demo[demo].file].path, path,
                               "found %g at step %lld, element %lld, expected a finite float", (double)x[i],
                               (long long)(begin + i / key->size), (long long)(i % key->size));
        }
    }
    return HL_OK;
}

const float *demos_vectors(demos *all, int64_t demo, int which, int64_t begin, int64_t n, hl_error *err)
{
    demo_group *g = &all->group[which];
    float *rows = all->scratch;
    HL_ASSERT(n <= all->block && begin >= 0 && begin + n <= all->demo[demo].steps);
    if (g->cache)
        return g->cache + (all->demo[demo].first + begin) * g->size;
    for (int k = 0; k < g->n_keys; k++) {
        const demo_key *key = &g->key[k];
        const demo_handle *h = demos_handle(all, demo, g->first_id + k, err);
        float *to = g->n_keys == 1 ? rows : all->column;
        if (!h || read_steps(all, h, begin, n, false, to, err) != HL_OK ||
            check_finite(all, demo, key, begin, n, to, err) != HL_OK)
            return NULL;
        for (int64_t i = 0; to != rows && i < n; i++)
            memcpy(rows + i * g->size + key->first, to + i * key->size, (size_t)key->size * sizeof *to);
    }
    return rows;
}

/* ------------------------------------------------------------------ frames */

/* Bytes of one as pixels. */
static size_t frame_bytes(const hl_pixels *m)
{
    return (size_t)(m->channels * m->height * m->width) * (m->bytes ? sizeof(uint8_t) : sizeof(float));
}

hl_status demos_frames(demos *all, int64_t demo, int which, int64_t begin, int64_t n, void *to,
                       demo_frames *f, hl_error *err)
{
    const demo_group *g = &all->group[which];
    const demonstration *d = &all->demo[demo];
    const demo_file *file = &all->file[d->file];
    const demo_handle *h = demos_handle(all, demo, g->first_id, err);
    if (!h)
        return HL_ERR_DATA;
    int y = g->layout == HL_HWC || h->rank == 3 ? 1 : 2;
    *f = (demo_frames){.rows = to, .jpeg = h->jpeg};
    f->pixels = (hl_pixels){.bytes = h->bytes,
                            .layout = f->jpeg ? HL_HWC : g->layout,
                            .channels = g->channels,
                            .height = f->jpeg ? d->jpeg_height : (int64_t)h->dim[y],
                            .width = f->jpeg ? d->jpeg_width : (int64_t)h->dim[y + 1],
                            .flip = g->flip == HL_FLIP_ON || (g->flip == HL_FLIP_AUTO && file->upside_down),
                            .clip = {g->clip[0], g->clip[1]}};
    f->row = f->jpeg ? (size_t)h->dim[1] : frame_bytes(&f->pixels);
    return to ? read_steps(all, h, begin, n, h->bytes, to, err) : HL_OK;
}

hl_status demos_frame(demos *all, int64_t demo, int which, const demo_frames *f, int64_t row, int64_t step,
                      hl_pixels *out, hl_error *err)
{
    const char *stored = (const char *)f->rows + (size_t)row * f->row;
    char path[HL_HDF_PATH];
    hl_error fault = {0};
    *out = f->pixels;
    out->data = f->jpeg ? (const void *)all->unpacked : stored;
    if (!f->jpeg || hl_jpeg_read(stored, f->row, out->height, out->width, all->unpacked, &fault) == HL_OK)
        return HL_OK;
    demos_path(all, demo, all->group[which].key[0].path, path);
    return hl_hdf_fail(err, fault.status, all->file[all->demo[demo].file].path, path, "frame %lld: %s",
                       (long long)step, fault.message);
}

hl_status demos_bad_pixel(const demos *all, int64_t demo, int which, int64_t step, const hl_bad_pixel *bad,
                          hl_error *err)
{
    char path[HL_HDF_PATH];
    demos_path(all, demo, all->group[which].key[0].path, path);
    return hl_hdf_fail(err, HL_ERR_DATA, all->file[all->demo[demo].file].path, path,
                       "found %g at step %lld, row %lld, column %lld, channel %lld, expected a %s%s",
                       (double)bad->value, (long long)step, (long long)bad->row, (long long)bad->column,
                       (long long)bad->channel, isfinite(bad->value) ? "value in 0..1" : "finite value",
                       isfinite(bad->value) ? "; give its range as clip: [low, high]" : "");
}
