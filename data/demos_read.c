/* From a file, or what is cached of it, to a sample. */
#include "data/demos_room.h"

#include "base/error.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ steps as stored */

/* A file may be replaced while it is trained on, and opened anew: scratch was measured for the old one. */
static bool same_shape(demos *all, const demo_handle *h)
{
    const demo_group *g = demos_group_of(all, h->key);
    int y = g->layout == HL_HWC || h->rank == 3 ? 1 : 2;
    hsize_t size = 1;
    if (h->rank < 1 || h->dim[0] != (hsize_t)all->demo[h->demo].steps)
        return false;
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

size_t demos_frame_bytes(const hl_pixels *m)
{
    return (size_t)(m->channels * m->height * m->width) * (m->bytes ? sizeof(uint8_t) : sizeof(float));
}

hl_status demos_frames(demos *all, int64_t demo, int which, int64_t begin, int64_t n, void *to,
                       hl_pixels *what, hl_error *err)
{
    const demo_group *g = &all->group[which];
    const demo_handle *h = demos_handle(all, demo, g->first_id, err);
    if (!h)
        return HL_ERR_DATA;
    int y = g->layout == HL_HWC || h->rank == 3 ? 1 : 2;
    bool down = all->file[all->demo[demo].file].upside_down;
    *what = (hl_pixels){.data = to,
                        .bytes = h->bytes,
                        .layout = g->layout,
                        .channels = g->channels,
                        .height = (int64_t)h->dim[y],
                        .width = (int64_t)h->dim[y + 1],
                        .flip = g->flip == HL_FLIP_ON || (g->flip == HL_FLIP_AUTO && down),
                        .clip = {g->clip[0], g->clip[1]}};
    return to ? read_steps(all, h, begin, n, h->bytes, to, err) : HL_OK;
}

/* ------------------------------------------------------------------ a sample */

/* The window ending at step t: `n` steps from `begin`, after `repeat` copies of the first. */
typedef struct window {
    int64_t begin, n, repeat;
} window;

static hl_status image_window(demos *all, int64_t demo, int which, window w, float *out, hl_error *err)
{
    demo_group *g = &all->group[which];
    hl_pixels frame;
    hl_status status = HL_OK;
    if (g->frames) {
        frame = g->frames[demo];
        frame.data = (const char *)frame.data + (size_t)w.begin * demos_frame_bytes(&frame);
    } else {
        status = demos_frames(all, demo, which, w.begin, w.n, all->scratch, &frame, err);
    }
    for (int64_t i = 0; status == HL_OK && i < w.n; i++) {
        hl_bad_pixel bad;
        if (!hl_pixels_read(g->resizer, &frame, out + (w.repeat + i) * g->wanted, &bad)) {
            char path[HL_HDF_PATH];
            demos_path(all, demo, g->key[0].path, path);
            return hl_hdf_fail(err, HL_ERR_DATA, all->file[all->demo[demo].file].path, path,
                               "found %g at step %lld, row %lld, column %lld, channel %lld, expected a %s%s",
                               (double)bad.value, (long long)(w.begin + i), (long long)bad.row,
                               (long long)bad.column, (long long)bad.channel,
                               isfinite(bad.value) ? "value in 0..1" : "finite value",
                               isfinite(bad.value) ? "; give its range as clip: [low, high]" : "");
        }
        frame.data = (const char *)frame.data + demos_frame_bytes(&frame);
    }
    return status;
}

/* Pads with zeros, then normalises: the normaliser leaves padding as it is. */
static void place_vector(const demo_group *g, const hl_normalizer *n, const float *row, float *out)
{
    memcpy(out, row, (size_t)g->size * sizeof *out);
    memset(out + g->size, 0, (size_t)(g->wanted - g->size) * sizeof *out);
    hl_normalize(n, out);
}

static hl_status vector_window(demos *all, int64_t demo, int which, window w, float *out, hl_error *err)
{
    const demo_group *g = &all->group[which];
    const float *rows = demos_vectors(all, demo, which, w.begin, w.n, err);
    for (int64_t i = 0; rows && i < w.n; i++)
        place_vector(g, &all->base.normalization.sense[which], rows + i * g->size,
                     out + (w.repeat + i) * g->wanted);
    return rows ? HL_OK : HL_ERR_DATA;
}

static hl_status read_sense(demos *all, int64_t demo, int s, window w, hl_sample *out, hl_error *err)
{
    int64_t size = all->base.shape.size[s];
    float *to = out->sense[s];
    out->presence[s] = all->demo[demo].has >> s & 1u ? 1.0f : 0.0f;
    if (size == 0)
        return HL_OK;
    if (out->presence[s] == 0) {
        memset(to, 0, (size_t)((w.repeat + w.n) * size) * sizeof *to);
        return HL_OK;
    }
    hl_status status = all->group[s].image ? image_window(all, demo, s, w, to, err)
                                           : vector_window(all, demo, s, w, to, err);
    for (int64_t i = 0; status == HL_OK && i < w.repeat; i++)
        memcpy(to + i * size, to + w.repeat * size, (size_t)size * sizeof *to);
    return status;
}

static int64_t within(int64_t t, int64_t steps)
{
    return t < 0 ? 0 : t >= steps ? steps - 1 : t;
}

static hl_status read_action(demos *all, int64_t demo, int64_t t, hl_sample *out, hl_error *err)
{
    const demo_group *g = &all->group[DEMO_ACTION];
    const hl_normalizer *n = &all->base.normalization.action;
    int64_t steps = all->demo[demo].steps, now = within(t + all->offset, steps),
            before = within(t - 1 + all->offset, steps);
    const float *rows = demos_vectors(all, demo, DEMO_ACTION, before, now - before + 1, err);
    if (!rows)
        return HL_ERR_DATA;
    place_vector(g, n, rows + (now - before) * g->size, out->action);
    if (t == 0)
        memset(out->previous, 0, (size_t)g->wanted * sizeof *out->previous);
    else
        place_vector(g, n, rows, out->previous);
    for (int64_t i = 0; i < g->wanted; i++)
        out->action_mask[i] = i < g->size || !all->mask_padding ? 1.0f : 0.0f;
    return HL_OK;
}

/* The first demonstration whose end lies beyond the index. */
static int64_t find_demo(const demos *all, hl_split split, int64_t index)
{
    int64_t low = 0, high = all->n_split[split] - 1;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (all->ends[split][middle] > index)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

hl_status demos_read(hl_dataset *d, hl_split split, int64_t index, hl_sample *out, hl_error *err)
{
    demos *all = (demos *)d;
    if ((unsigned)split >= HL_SPLITS || index < 0 || index >= d->count[split])
        return hl_fail(err, HL_ERR_USAGE, "%s: sample %lld is outside the split's 0..%lld", d->name,
                       (long long)index, (unsigned)split < HL_SPLITS ? (long long)d->count[split] - 1 : -1LL);
    int64_t i = find_demo(all, split, index), demo = all->of_split[split][i];
    int64_t t = index - (all->ends[split][i] - all->demo[demo].steps), frames = d->shape.frames;
    window w = {.begin = t - frames + 1 < 0 ? 0 : t - frames + 1};
    w.n = t - w.begin + 1;
    w.repeat = frames - w.n;

    hl_hdf5_scope scope = hl_hdf5_begin();
    hl_status status = HL_OK;
    for (int s = 0; status == HL_OK && s < HL_SENSES; s++)
        status = read_sense(all, demo, s, w, out, err);
    if (status == HL_OK)
        status = read_action(all, demo, t, out, err);
    hl_hdf5_end(scope);
    return status == HL_OK || !err ? status : err->status;
}
