#include "data/robomimic.h"

#include "base/error.h"
#include "data/robomimic_room.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ options */

static hl_status check_sense(const hl_robomimic_sense *s, hl_sense sense, hl_error *err)
{
    const char *name = hl_sense_name(sense);
    bool image = sense == HL_VISUAL || sense == HL_DEPTH;
    if (s->n_keys < 0 || (s->n_keys > 0 && !s->keys))
        return hl_fail(err, HL_ERR_CONFIG, "%s: %d keys, expected 0 or more", name, s->n_keys);
    for (int k = 0; k < s->n_keys; k++)
        if (!s->keys[k] || !*s->keys[k])
            return hl_fail(err, HL_ERR_CONFIG, "%s: key %d is empty, expected a path such as obs/%s", name, k,
                           name);
    if (image && s->n_keys > 1)
        return hl_fail(err, HL_ERR_CONFIG, "%s: %d keys, expected one (only vectors are concatenated)", name,
                       s->n_keys);
    if (image && s->normalize != HL_NORMALIZE_NONE)
        return hl_fail(err, HL_ERR_CONFIG, "%s: normalisation is for vectors; images are in 0..1", name);
    if (!isfinite(s->clip[0]) || !isfinite(s->clip[1]) || s->clip[0] > s->clip[1] ||
        (s->clip[0] == s->clip[1] && s->clip[0] != 0))
        return hl_fail(err, HL_ERR_CONFIG, "%s: clip [%g, %g] is not an increasing range", name,
                       (double)s->clip[0], (double)s->clip[1]);
    if (!(s->std_floor >= 0) || isinf(s->std_floor))
        return hl_fail(err, HL_ERR_CONFIG, "%s: std_floor %g is below 0", name, (double)s->std_floor);
    return HL_OK;
}

static hl_status check_shape(const hl_data_shape *shape, hl_error *err)
{
    const int64_t most = INT64_C(1) << 31;
    if (shape->frames < 1 || shape->action < 1 || shape->frames > most || shape->action > most)
        return hl_fail(err, HL_ERR_CONFIG,
                       "%lld frames and %lld action dimensions, expected 1 or more of each",
                       (long long)shape->frames, (long long)shape->action);
    for (int s = 0; s < HL_SENSES; s++) {
        int64_t size = shape->size[s], area = shape->image * shape->image, colours = s == HL_VISUAL ? 3 : 1;
        if (size < 0 || size > most)
            return hl_fail(err, HL_ERR_CONFIG, "%s: size %lld, expected 0 to 2^31", hl_sense_name(s),
                           (long long)size);
        if ((s == HL_VISUAL || s == HL_DEPTH) && size > 0 &&
            (shape->image < 1 || shape->image > 32768 || size != colours * area))
            return hl_fail(err, HL_ERR_CONFIG, "%s: size %lld, expected %lld x image x image (image is %lld)",
                           hl_sense_name(s), (long long)size, (long long)colours, (long long)shape->image);
    }
    return HL_OK;
}

static hl_status check_options(const hl_robomimic_options *o, const hl_data_shape *shape, hl_error *err)
{
    const hl_robomimic_action *a = &o->action;
    hl_status status = check_shape(shape, err);
    for (int s = 0; status == HL_OK && s < HL_SENSES; s++)
        status = check_sense(&o->sense[s], s, err);
    if (status != HL_OK)
        return status;
    if (o->n_files < 1 || !o->files)
        return hl_fail(err, HL_ERR_CONFIG,
                       "robomimic: no files given, expected at least one path or pattern");
    if (!(o->valid_fraction >= 0 && o->valid_fraction < 1))
        return hl_fail(err, HL_ERR_CONFIG, "valid_fraction %g is not in [0, 1)", (double)o->valid_fraction);
    if (a->n_keys < 0 || (a->n_keys > 0 && !a->keys))
        return hl_fail(err, HL_ERR_CONFIG, "action: %d keys, expected 0 (actions) or more", a->n_keys);
    for (int k = 0; k < a->n_keys; k++)
        if (!a->keys[k] || !*a->keys[k])
            return hl_fail(err, HL_ERR_CONFIG, "action: key %d is empty, expected a path such as actions", k);
    if (!(a->std_floor >= 0) || isinf(a->std_floor))
        return hl_fail(err, HL_ERR_CONFIG, "action: std_floor %g is below 0", (double)a->std_floor);
    if (a->offset > INT32_MAX || a->offset < -INT32_MAX)
        return hl_fail(err, HL_ERR_CONFIG, "action: offset %lld is not in +-2^31", (long long)a->offset);
    return HL_OK;
}

/* ------------------------------------------------------------------ opening */

static bool copy_keys(robomimic *r, rm_group *g, const char *const *keys, int n)
{
    static const char *const actions[] = {"actions"};
    if (g == &r->group[RM_ACTION] && n == 0) {
        keys = actions;
        n = 1;
    }
    g->key = hl_arena_alloc(r->arena, (size_t)n, sizeof *g->key);
    if (!g->key)
        return false;
    for (int k = 0; k < n; k++)
        if (!(g->key[k].path = hl_arena_strdup(r->arena, keys[k])))
            return false;
    g->first_id = r->n_keys;
    g->n_keys = n;
    r->n_keys += n;
    return true;
}

static double floor_of(float given)
{
    return given > 0 ? (double)given : 0.01;
}

static bool copy_options(robomimic *r, const hl_robomimic_options *o, const hl_data_shape *shape)
{
    for (int s = 0; s < HL_SENSES; s++) {
        const hl_robomimic_sense *from = &o->sense[s];
        rm_group *g = &r->group[s];
        *g = (rm_group){.name = hl_sense_name(s),
                        .image = s == HL_VISUAL || s == HL_DEPTH,
                        .optional = from->optional,
                        .pad = from->pad,
                        .channels = s == HL_VISUAL ? 3 : 1,
                        .wanted = shape->size[s],
                        .layout = from->layout,
                        .resize = from->resize,
                        .flip = from->flip,
                        .clip = {from->clip[0], from->clip[1]},
                        .normalize = from->normalize,
                        .floor = floor_of(from->std_floor)};
        if (shape->size[s] > 0 && !copy_keys(r, g, from->keys, from->n_keys))
            return false;
    }
    r->group[RM_ACTION] = (rm_group){.name = "action",
                                     .pad = o->action.pad,
                                     .wanted = shape->action,
                                     .normalize = o->action.normalize,
                                     .floor = floor_of(o->action.std_floor)};
    r->offset = o->action.offset;
    r->mask_padding = o->action.mask_padding;
    r->cache = o->cache;
    r->chunk_cache = o->chunk_cache ? o->chunk_cache : (size_t)64 << 20;
    return copy_keys(r, &r->group[RM_ACTION], o->action.keys, o->action.n_keys);
}

/* Sample numbers: the steps of a split's demonstrations, one after another. */
static bool index_samples(robomimic *r)
{
    for (int s = 0; s < HL_SPLITS; s++) {
        r->of_split[s] = hl_arena_alloc(r->arena, (size_t)r->n_split[s], sizeof *r->of_split[s]);
        r->ends[s] = hl_arena_alloc(r->arena, (size_t)r->n_split[s], sizeof *r->ends[s]);
        if (!r->of_split[s] || !r->ends[s])
            return false;
        int64_t n = 0;
        for (int64_t i = 0; i < r->n_demos; i++) {
            if (r->demo[i].split != (hl_split)s)
                continue;
            r->base.count[s] += r->demo[i].steps;
            r->of_split[s][n] = i;
            r->ends[s][n++] = r->base.count[s];
        }
    }
    return true;
}

/* Scratch for one window of the largest sense, and for a block of steps of any vector. */
static bool make_scratch(robomimic *r)
{
    size_t most = 1, widest = 1;
    r->block = r->base.shape.frames < 256 ? 256 : r->base.shape.frames;
    for (int i = 0; i < RM_GROUPS; i++) {
        rm_group *g = &r->group[i];
        size_t bytes = g->image && g->floats ? sizeof(float) : 1;
        bool fits = true;
        if (g->image && g->most_height) {
            g->resizer = hl_resizer_new(r->base.shape.image, g->resize, g->most_height, g->most_width);
            fits = g->resizer && hl_size_mul(bytes, (size_t)g->most_height, &bytes) &&
                   hl_size_mul(bytes, (size_t)(g->most_width * g->channels), &bytes) &&
                   hl_size_mul(bytes, (size_t)r->base.shape.frames, &bytes);
        } else if (!g->image) {
            fits = hl_size_mul((size_t)g->size, sizeof(float), &bytes) &&
                   hl_size_mul(bytes, (size_t)r->block, &bytes);
        }
        if (!fits)
            return false;
        most = bytes > most ? bytes : most;
        for (int k = 0; k < g->n_keys; k++)
            if ((size_t)g->key[k].size > widest)
                widest = (size_t)g->key[k].size;
    }
    size_t column;
    r->scratch = hl_alloc(most, 1);
    r->column = hl_size_mul(widest, (size_t)r->block, &column) ? hl_alloc(column, sizeof *r->column) : NULL;
    return r->scratch && r->column;
}

static void close_robomimic(hl_dataset *d)
{
    robomimic *r = (robomimic *)d;
    hl_hdf5_scope scope = hl_hdf5_begin();
    rm_files_close(r);
    hl_hdf5_end(scope);
    for (int i = 0; i < RM_GROUPS; i++) {
        rm_group *g = &r->group[i];
        for (int64_t k = 0; g->frames && k < r->n_demos; k++)
            hl_free((void *)g->frames[k].data);
        hl_free(g->frames);
        hl_free(g->cache);
        hl_resizer_free(g->resizer);
    }
    hl_normalization_free(&r->base.normalization);
    hl_free(r->scratch);
    hl_free(r->column);
    hl_free(r->demo);
    hl_arena_free(r->arena);
    hl_free(r);
}

static hl_status open_all(robomimic *r, const hl_robomimic_options *o, hl_error *err)
{
    hl_status status = rm_find_files(r, o, err);
    if (status == HL_OK)
        status = rm_find_demos(r, o, err);
    if (status == HL_OK)
        status = rm_check_demos(r, err);
    if (status == HL_OK && (!index_samples(r) || !make_scratch(r)))
        status = hl_fail(err, HL_ERR_MEMORY, "%s: no memory for the index and a window of %lld frames",
                         r->file[0].path, (long long)r->base.shape.frames);
    if (status == HL_OK)
        status = rm_fill_cache(r, err);
    if (status == HL_OK)
        status = rm_statistics(r, err);
    return status;
}

hl_dataset *hl_robomimic_open(const hl_robomimic_options *options, const hl_data_shape *shape, hl_error *err)
{
    if (check_options(options, shape, err) != HL_OK)
        return NULL;
    robomimic *r = hl_alloc(1, sizeof *r);
    if (r)
        r->arena = hl_arena_new();
    if (!r || !r->arena || !copy_options(r, options, shape)) {
        hl_fail(err, HL_ERR_MEMORY, "no memory to open a data set");
        if (r)
            hl_arena_free(r->arena);
        hl_free(r);
        return NULL;
    }
    r->base = (hl_dataset){.name = "robomimic", .shape = *shape, .read = rm_read, .close = close_robomimic};
    hl_hdf5_scope scope = hl_hdf5_begin();
    hl_status status = open_all(r, options, err);
    hl_hdf5_end(scope);
    if (status == HL_OK)
        return &r->base;
    close_robomimic(&r->base);
    return NULL;
}

/* ------------------------------------------------------------------ questions */

int64_t hl_robomimic_demos(const hl_dataset *d, hl_split split)
{
    return ((const robomimic *)d)->n_split[split];
}

int64_t hl_robomimic_present(const hl_dataset *d, hl_split split, hl_sense sense)
{
    const robomimic *r = (const robomimic *)d;
    int64_t count = 0;
    for (int64_t i = 0; i < r->n_demos; i++)
        count += r->demo[i].split == split && (r->demo[i].has >> sense & 1u);
    return count;
}

const char *hl_robomimic_warning(const hl_dataset *d)
{
    const robomimic *r = (const robomimic *)d;
    return *r->warning ? r->warning : NULL;
}
