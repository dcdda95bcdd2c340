/* What is computed once when a data set is opened: the cache, and the normalisation over the train split. */
#include "data/demos_room.h"

#include "base/error.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ cache */

static hl_status cache_vectors(demos *all, int which, hl_error *err)
{
    demo_group *g = &all->group[which];
    size_t count;
    float *cache = hl_size_mul((size_t)all->steps, (size_t)g->size, &count) ? hl_alloc(count, sizeof *cache)
                                                                            : NULL;
    if (!cache)
        return hl_fail(err, HL_ERR_MEMORY,
                       "no memory to cache %lld steps of %lld %s elements: use cache: none instead",
                       (long long)all->steps, (long long)g->size, g->name);
    for (int64_t i = 0; i < all->n_demos; i++) {
        const demonstration *d = &all->demo[i];
        if (!(d->has >> which & 1u))
            continue;
        for (int64_t t = 0, n; t < d->steps; t += n) {
            n = d->steps - t < all->block ? d->steps - t : all->block;
            const float *rows = demos_vectors(all, i, which, t, n, err);
            if (!rows) {
                hl_free(cache);
                return HL_ERR_DATA;
            }
            memcpy(cache + (d->first + t) * g->size, rows, (size_t)(n * g->size) * sizeof *rows);
        }
    }
    g->cache = cache; /* only now: until here demos_vectors must read the file */
    return HL_OK;
}

static hl_status cache_images(demos *all, int which, hl_error *err)
{
    demo_group *g = &all->group[which];
    g->frames = hl_alloc((size_t)all->n_demos, sizeof *g->frames);
    if (!g->frames)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the index of cached images");
    for (int64_t i = 0; i < all->n_demos; i++) {
        const demonstration *d = &all->demo[i];
        demo_frames *f = &g->frames[i];
        size_t bytes;
        if (!(d->has >> which & 1u))
            continue;
        if (demos_frames(all, i, which, 0, 0, NULL, f, err) != HL_OK)
            return HL_ERR_DATA;
        void *rows = hl_size_mul((size_t)d->steps, f->row, &bytes) ? hl_alloc(bytes, 1) : NULL;
        if (!rows)
            return hl_fail(
                err, HL_ERR_MEMORY,
                "no memory to cache the %s frames of %s (demonstration %lld of %lld): use cache: low_dim "
                "or none instead",
                g->name, all->file[d->file].path, (long long)(i + 1), (long long)all->n_demos);
        f->rows = rows; /* the data set's from here on, even if reading fails */
        if (demos_frames(all, i, which, 0, d->steps, rows, f, err) != HL_OK)
            return HL_ERR_DATA;
    }
    return HL_OK;
}

hl_status demos_fill_cache(demos *all, hl_error *err)
{
    for (int which = 0; which < DEMO_GROUPS; which++) {
        const demo_group *g = &all->group[which];
        hl_status status = HL_OK;
        if (!g->n_keys || all->cache == HL_CACHE_NONE)
            continue;
        if (!g->image)
            status = g->size ? cache_vectors(all, which, err) : HL_OK;
        else if (all->cache == HL_CACHE_ALL)
            status = cache_images(all, which, err);
        if (status != HL_OK)
            return status;
    }
    return HL_OK;
}

/* ------------------------------------------------------------------ normalisation */

/* Running mean and sum of squared deviations per element (Welford 1962), in double. */
typedef struct moments {
    double count, *mean, *square, *least, *most;
} moments;

static void moments_free(moments *m)
{
    hl_free(m->mean);
}

static bool moments_new(moments *m, int64_t size)
{
    size_t count;
    *m = (moments){0};
    if (!hl_size_mul((size_t)size, 4, &count) || !(m->mean = hl_alloc(count, sizeof *m->mean)))
        return false;
    m->square = m->mean + size;
    m->least = m->square + size;
    m->most = m->least + size;
    return true;
}

static void moments_add(moments *m, const float *row, int64_t size)
{
    m->count++;
    for (int64_t i = 0; i < size; i++) {
        double x = row[i], away = x - m->mean[i];
        m->mean[i] += away / m->count;
        m->square[i] += away * (x - m->mean[i]);
        if (m->count == 1 || x < m->least[i])
            m->least[i] = x;
        if (m->count == 1 || x > m->most[i])
            m->most[i] = x;
    }
}

static hl_status collect(demos *all, int which, moments *m, hl_error *err)
{
    const demo_group *g = &all->group[which];
    for (int64_t i = 0; i < all->n_demos; i++) {
        const demonstration *d = &all->demo[i];
        if (d->split != HL_TRAIN || !(d->has >> which & 1u))
            continue;
        for (int64_t t = 0, n; t < d->steps; t += n) {
            n = d->steps - t < all->block ? d->steps - t : all->block;
            const float *rows = demos_vectors(all, i, which, t, n, err);
            if (!rows)
                return HL_ERR_DATA;
            for (int64_t k = 0; k < n; k++)
                moments_add(m, rows + k * g->size, g->size);
        }
    }
    return HL_OK;
}

/* The floor keeps an element that hardly moves from being blown up (ACT floors at 0.01). */
static void fill(const demo_group *g, const moments *m, hl_normalizer *out)
{
    for (int64_t i = 0; i < out->count; i++) {
        double offset = 0, scale = 1; /* padding stays as it is */
        if (i < g->size && g->normalize == HL_NORMALIZE_MEAN_STD) {
            offset = m->mean[i];
            scale = fmax(sqrt(m->square[i] / m->count), g->floor);
        } else if (i < g->size) {
            offset = m->least[i] / 2 + m->most[i] / 2;
            scale = fmax(m->most[i] / 2 - m->least[i] / 2, g->floor);
        }
        out->offset[i] = (float)offset;
        out->scale[i] = (float)scale;
    }
}

static hl_status normalize_group(demos *all, int which, hl_normalizer *out, hl_error *err)
{
    const demo_group *g = &all->group[which];
    moments m;
    if (!moments_new(&m, g->size))
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the statistics of %s", g->name);
    hl_status status = collect(all, which, &m, err);
    if (status == HL_OK && m.count > 0) { /* no demonstration that trains has it: nothing to normalise by */
        out->count = g->wanted;
        out->offset = hl_alloc((size_t)g->wanted, sizeof *out->offset);
        out->scale = hl_alloc((size_t)g->wanted, sizeof *out->scale);
        if (out->offset && out->scale)
            fill(g, &m, out);
        else
            status = hl_fail(err, HL_ERR_MEMORY, "no memory for the statistics of %s", g->name);
    }
    moments_free(&m);
    return status;
}

hl_status demos_statistics(demos *all, hl_error *err)
{
    for (int which = 0; which < DEMO_GROUPS; which++) {
        const demo_group *g = &all->group[which];
        hl_normalization *n = &all->base.normalization;
        if (!g->n_keys || g->image || !g->size || g->normalize == HL_NORMALIZE_NONE)
            continue;
        hl_status status = normalize_group(all, which, which == DEMO_ACTION ? &n->action : &n->sense[which],
                                           err);
        if (status != HL_OK)
            return status;
    }
    return HL_OK;
}
