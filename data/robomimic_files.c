/* Files and data sets, opened on demand and kept while there is room: each open data set carries libhdf5's
 * cache of decompressed chunks, so the sum of those is what bounds memory. */
#include "data/robomimic_room.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

void rm_path(const robomimic *r, int64_t demo, const char *key, char path[HL_HDF_PATH])
{
    snprintf(path, HL_HDF_PATH, "/data/%s/%s", r->demo[demo].name, key);
}

rm_group *rm_group_of(robomimic *r, int key)
{
    for (int g = 0; g < RM_GROUPS; g++)
        if (key >= r->group[g].first_id && key < r->group[g].first_id + r->group[g].n_keys)
            return &r->group[g];
    HL_ASSERT(!"a key of no group");
    return NULL;
}

static void handle_close(robomimic *r, int i)
{
    H5Dclose(r->handle[i].set);
    r->chunk_used -= r->handle[i].chunk_cache;
    r->handle[i] = r->handle[--r->n_handles];
}

static void file_close(robomimic *r, rm_file *f)
{
    for (int i = r->n_handles - 1; i >= 0; i--)
        if (&r->file[r->demo[r->handle[i].demo].file] == f)
            handle_close(r, i);
    H5Fclose(f->id);
    f->id = -1;
    r->open_files--;
}

void rm_files_close(robomimic *r)
{
    for (int64_t i = 0; i < r->n_files; i++)
        if (r->file[i].id >= 0)
            file_close(r, &r->file[i]);
}

hid_t rm_file_open(robomimic *r, int64_t file, hl_error *err)
{
    rm_file *f = &r->file[file];
    f->used = ++r->clock;
    if (f->id >= 0)
        return f->id;
    if (r->open_files == RM_FILES) {
        rm_file *oldest = NULL;
        for (int64_t i = 0; i < r->n_files; i++)
            if (r->file[i].id >= 0 && (!oldest || r->file[i].used < oldest->used))
                oldest = &r->file[i];
        file_close(r, oldest);
    }
    f->id = hl_hdf_open(f->path, err);
    r->open_files += f->id >= 0;
    return f->id;
}

/* Closes the data sets used longest ago until one more fits. */
static void make_room(robomimic *r, size_t need)
{
    while (r->n_handles && (r->n_handles == RM_HANDLES || r->chunk_used + need > r->chunk_cache)) {
        int oldest = 0;
        for (int i = 1; i < r->n_handles; i++)
            if (r->handle[i].used < r->handle[oldest].used)
                oldest = i;
        handle_close(r, oldest);
    }
}

/* What reading one window decompresses: all chunks it touches.  0: nothing is compressed. */
typedef struct chunks {
    size_t bytes;             /* of those chunks */
    size_t count;             /* of them */
    double per_frame;         /* bytes decompressed for one step */
    double frame_bytes;       /* bytes of one step */
    unsigned long long steps; /* of a chunk */
} chunks;

static chunks window_chunks(const rm_handle *h, hid_t type, hid_t plan, int64_t frames)
{
    hsize_t chunk[HL_HDF_RANK];
    chunks c = {0};
    if (H5Pget_layout(plan) != H5D_CHUNKED || H5Pget_nfilters(plan) <= 0 ||
        H5Pget_chunk(plan, HL_HDF_RANK, chunk) != h->rank)
        return c;
    double one = (double)H5Tget_size(type), across = 1;
    c.frame_bytes = one;
    for (int i = 0; i < h->rank; i++) {
        one *= (double)chunk[i];
        if (i > 0) {
            across *= (double)((h->dim[i] + chunk[i] - 1) / chunk[i]);
            c.frame_bytes *= (double)h->dim[i];
        }
    }
    double count = across * (double)(((hsize_t)frames + chunk[0] - 2) / chunk[0] + 1);
    c.per_frame = one * across;
    c.steps = chunk[0];
    if (one * count < 1e15) { /* else no budget holds it, and it is read without a cache */
        c.bytes = (size_t)(one * count);
        c.count = (size_t)count;
    } else {
        c.bytes = SIZE_MAX;
    }
    return c;
}

static void warn_slow(robomimic *r, const rm_handle *h, const chunks *c)
{
    const rm_group *g = rm_group_of(r, h->key);
    bool cached = r->cache == HL_CACHE_ALL || (r->cache == HL_CACHE_LOW_DIM && !g->image);
    if (cached || *r->warning || c->per_frame < 1e6 || c->per_frame < 8 * c->frame_bytes)
        return;
    snprintf(r->warning, sizeof r->warning,
             "%s: /data/%s/%s: compressed in chunks of %llu steps, so one frame costs the decompression of "
             "%.1f MB; repack it with one step per chunk, or use cache: all",
             r->file[r->demo[h->demo].file].path, r->demo[h->demo].name, g->key[h->key - g->first_id].path,
             c->steps, c->per_frame / 1e6);
}

/* Opens again with a cache for the chunks of one window.  Unfiltered chunks are read in part, directly,
 * as long as they do not fit the cache: so those get none. */
static hl_status give_cache(robomimic *r, rm_handle *h, hid_t file, const char *path, const chunks *c)
{
    size_t need = c->bytes <= r->chunk_cache ? c->bytes : 0;
    make_room(r, need);
    if (!need)
        return HL_OK;
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    size_t slots = c->count < 50 ? 521 : c->count < 1000 ? 10007 : 100003; /* primes, ten times the chunks */
    herr_t ok = access < 0 ? -1 : H5Pset_chunk_cache(access, slots, need, 1.0);
    if (ok >= 0) {
        H5Dclose(h->set);
        h->set = H5Dopen2(file, path, access);
        h->chunk_cache = need;
    }
    if (access >= 0)
        H5Pclose(access);
    return ok < 0 || h->set < 0 ? HL_ERR_DATA : HL_OK;
}

static hl_status describe(robomimic *r, rm_handle *h, hid_t file, const char *path)
{
    hid_t type = H5Dget_type(h->set), space = H5Dget_space(h->set), plan = H5Dget_create_plist(h->set);
    hl_status status = type < 0 || space < 0 || plan < 0 ? HL_ERR_DATA : HL_OK;
    if (status == HL_OK) {
        h->rank = H5Sget_simple_extent_ndims(space);
        h->bytes = H5Tget_class(type) == H5T_INTEGER && H5Tget_size(type) == 1 &&
                   H5Tget_sign(type) == H5T_SGN_NONE;
        if (h->rank < 0 || h->rank > HL_HDF_RANK || H5Sget_simple_extent_dims(space, h->dim, NULL) < 0)
            status = HL_ERR_DATA;
    }
    if (status == HL_OK) {
        chunks c = window_chunks(h, type, plan, r->base.shape.frames);
        warn_slow(r, h, &c);
        status = give_cache(r, h, file, path, &c);
    }
    if (type >= 0)
        H5Tclose(type);
    if (space >= 0)
        H5Sclose(space);
    if (plan >= 0)
        H5Pclose(plan);
    return status;
}

rm_handle *rm_handle_open(robomimic *r, int64_t demo, int key, hl_error *err)
{
    for (int i = 0; i < r->n_handles; i++) {
        rm_handle *h = &r->handle[i];
        if (h->demo == demo && h->key == key) {
            h->used = ++r->clock;
            return h;
        }
    }
    const rm_group *g = rm_group_of(r, key);
    const char *name = r->file[r->demo[demo].file].path;
    char path[HL_HDF_PATH];
    rm_path(r, demo, g->key[key - g->first_id].path, path);
    hid_t file = rm_file_open(r, r->demo[demo].file, err), access;
    if (file < 0)
        return NULL;
    rm_handle h = {.demo = demo, .key = key, .set = -1};
    access = H5Pcreate(H5P_DATASET_ACCESS);
    if (access >= 0 && H5Pset_chunk_cache(access, 1, 0, 1.0) >= 0)
        h.set = H5Dopen2(file, path, access);
    if (access >= 0)
        H5Pclose(access);
    if (h.set < 0 || describe(r, &h, file, path) != HL_OK) {
        hl_hdf_fail(err, HL_ERR_DATA, name, path, "the data set cannot be opened");
        if (h.set >= 0)
            H5Dclose(h.set);
        return NULL;
    }
    h.used = ++r->clock;
    r->chunk_used += h.chunk_cache;
    r->handle[r->n_handles] = h;
    return &r->handle[r->n_handles++];
}
