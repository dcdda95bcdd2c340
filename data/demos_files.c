/* Files and data sets, opened on demand and kept while there is room: each open data set carries libhdf5's
 * cache of decompressed chunks, so the sum of those is what bounds memory. */
#include "data/demos_room.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

void demos_path(const demos *all, int64_t demo, const char *key, char path[HL_HDF_PATH])
{
    const char *group = all->demo[demo].group;
    snprintf(path, HL_HDF_PATH, "%s%s%s", group, key || !*group ? "/" : "", key ? key : "");
}

demo_group *demos_group_of(demos *all, int key)
{
    for (int g = 0; g < DEMO_GROUPS; g++)
        if (key >= all->group[g].first_id && key < all->group[g].first_id + all->group[g].n_keys)
            return &all->group[g];
    HL_ASSERT(!"a key of no group");
    return NULL;
}

static void handle_close(demos *all, int i)
{
    H5Dclose(all->handle[i].set);
    all->chunk_used -= all->handle[i].chunk_cache;
    all->handle[i] = all->handle[--all->n_handles];
}

static void file_close(demos *all, demo_file *f)
{
    for (int i = all->n_handles - 1; i >= 0; i--)
        if (&all->file[all->demo[all->handle[i].demo].file] == f)
            handle_close(all, i);
    H5Fclose(f->id);
    f->id = -1;
    all->open_files--;
}

void demos_close_files(demos *all)
{
    for (int64_t i = 0; i < all->n_files; i++)
        if (all->file[i].id >= 0)
            file_close(all, &all->file[i]);
}

hid_t demos_file(demos *all, int64_t file, hl_error *err)
{
    demo_file *f = &all->file[file];
    f->used = ++all->clock;
    if (f->id >= 0)
        return f->id;
    if (all->open_files == DEMOS_FILES) {
        demo_file *oldest = NULL;
        for (int64_t i = 0; i < all->n_files; i++)
            if (all->file[i].id >= 0 && (!oldest || all->file[i].used < oldest->used))
                oldest = &all->file[i];
        file_close(all, oldest);
    }
    f->id = hl_hdf_open(f->path, err);
    all->open_files += f->id >= 0;
    return f->id;
}

/* Closes the data sets used longest ago until one more fits. */
static void make_room(demos *all, size_t need)
{
    while (all->n_handles && (all->n_handles == DEMOS_HANDLES || all->chunk_used + need > all->chunk_cache)) {
        int oldest = 0;
        for (int i = 1; i < all->n_handles; i++)
            if (all->handle[i].used < all->handle[oldest].used)
                oldest = i;
        handle_close(all, oldest);
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

static chunks window_chunks(const demo_handle *h, hid_t type, hid_t plan, int64_t frames)
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

static void warn_slow(demos *all, const demo_handle *h, const chunks *c)
{
    const demo_group *g = demos_group_of(all, h->key);
    bool cached = all->cache == HL_CACHE_ALL || (all->cache == HL_CACHE_LOW_DIM && !g->image);
    if (cached || *all->warning || c->per_frame < 1e6 || c->per_frame < 8 * c->frame_bytes)
        return;
    snprintf(all->warning, sizeof all->warning,
             "%s: %s/%s: compressed in chunks of %llu steps, so one frame costs the decompression of "
             "%.1f MB; repack it with one step per chunk, or use cache: all",
             all->file[all->demo[h->demo].file].path, all->demo[h->demo].group,
             g->key[h->key - g->first_id].path, c->steps, c->per_frame / 1e6);
}

/* Opens again with a cache for the chunks of one window.  Unfiltered chunks are read in part, directly,
 * as long as they do not fit the cache: so those get none. */
static hl_status give_cache(demos *all, demo_handle *h, hid_t file, const char *path, const chunks *c)
{
    size_t need = c->bytes <= all->chunk_cache ? c->bytes : 0;
    make_room(all, need);
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

static hl_status describe(demos *all, demo_handle *h, hid_t file, const char *path)
{
    const hl_hdf_layout l = hl_hdf_layout_of(h->set);
    hl_status status = hl_hdf_layout_ok(&l) ? HL_OK : HL_ERR_DATA;
    if (status == HL_OK) {
        h->rank = H5Sget_simple_extent_ndims(l.space);
        h->bytes = H5Tget_class(l.type) == H5T_INTEGER && H5Tget_size(l.type) == 1 &&
                   H5Tget_sign(l.type) == H5T_SGN_NONE;
        h->jpeg = h->rank == 2 && all->file[all->demo[h->demo].file].jpeg &&
                  demos_group_of(all, h->key)->image;
        if (h->rank < 0 || h->rank > HL_HDF_RANK || H5Sget_simple_extent_dims(l.space, h->dim, NULL) < 0)
            status = HL_ERR_DATA;
    }
    if (status == HL_OK) {
        chunks c = window_chunks(h, l.type, l.plan, all->base.shape.frames);
        warn_slow(all, h, &c);
        status = give_cache(all, h, file, path, &c);
    }
    hl_hdf_layout_close(&l);
    return status;
}

demo_handle *demos_handle(demos *all, int64_t demo, int key, hl_error *err)
{
    for (int i = 0; i < all->n_handles; i++) {
        demo_handle *h = &all->handle[i];
        if (h->demo == demo && h->key == key) {
            h->used = ++all->clock;
            return h;
        }
    }
    const demo_group *g = demos_group_of(all, key);
    const char *name = all->file[all->demo[demo].file].path;
    char path[HL_HDF_PATH];
    demos_path(all, demo, g->key[key - g->first_id].path, path);
    hid_t file = demos_file(all, all->demo[demo].file, err), access;
    if (file < 0)
        return NULL;
    demo_handle h = {.demo = demo, .key = key, .set = -1};
    access = H5Pcreate(H5P_DATASET_ACCESS);
    if (access >= 0 && H5Pset_chunk_cache(access, 1, 0, 1.0) >= 0)
        h.set = H5Dopen2(file, path, access);
    if (access >= 0)
        H5Pclose(access);
    if (h.set < 0 || describe(all, &h, file, path) != HL_OK) {
        hl_hdf_fail(err, HL_ERR_DATA, name, path, "the data set cannot be opened");
        if (h.set >= 0)
            H5Dclose(h.set);
        return NULL;
    }
    h.used = ++all->clock;
    all->chunk_used += h.chunk_cache;
    all->handle[all->n_handles] = h;
    return &all->handle[all->n_handles++];
}
