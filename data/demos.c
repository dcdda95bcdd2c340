#include "data/demos.h"

#include "base/error.h"
#include "data/demos_room.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ options */

static hl_status check_sense(const hl_demos_sense *s, hl_sense sense, hl_error *err)
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

static hl_status check_options(const hl_demos_options *o, const hl_data_shape *shape, hl_error *err)
{
    const hl_demos_action *a = &o->action;
    hl_status status = check_shape(shape, err);
    for (int s = 0; status == HL_OK && s < HL_SENSES; s++)
        status = check_sense(&o->sense[s], s, err);
    if (status != HL_OK)
        return status;
    if (o->n_files < 1 || !o->files)
        return hl_fail(err, HL_ERR_CONFIG,
                       "no files of demonstrations given, expected at least one path or pattern");
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

static bool copy_keys(demos *all, demo_group *g, const char *const *keys, int n)
{
    g->key = hl_arena_alloc(all->arena, (size_t)n, sizeof *g->key);
    if (!g->key)
        return false;
    for (int k = 0; k < n; k++)
        if (!(g->key[k].path = hl_arena_strdup(all->arena, keys[k] + strspn(keys[k], "/"))))
            return false;
    g->first_id = all->n_keys;
    g->n_keys = n;
    all->n_keys += n;
    return true;
}

static double floor_of(float given)
{
    return given > 0 ? (double)given : 0.01;
}

static bool copy_options(demos *all, const hl_demos_options *o, const hl_data_shape *shape)
{
    for (int s = 0; s < HL_SENSES; s++) {
        const hl_demos_sense *from = &o->sense[s];
        demo_group *g = &all->group[s];
        *g = (demo_group){.name = hl_sense_name(s),
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
        if (shape->size[s] > 0 && !copy_keys(all, g, from->keys, from->n_keys))
            return false;
    }
    all->group[DEMO_ACTION] = (demo_group){.name = "action",
                                           .pad = o->action.pad,
                                           .wanted = shape->action,
                                           .normalize = o->action.normalize,
                                           .floor = floor_of(o->action.std_floor)};
    all->offset = o->action.offset;
    all->mask_padding = o->action.mask_padding;
    all->format = demos_format(o->format);
    all->cache = o->cache;
    all->chunk_cache = o->chunk_cache ? o->chunk_cache : (size_t)64 << 20;
    return copy_keys(all, &all->group[DEMO_ACTION], o->action.keys, o->action.n_keys);
}

/* Sample numbers: the steps of a split's demonstrations, one after another. */
static bool index_samples(demos *all)
{
    for (int s = 0; s < HL_SPLITS; s++) {
        all->of_split[s] = hl_arena_alloc(all->arena, (size_t)all->n_split[s], sizeof *all->of_split[s]);
        all->ends[s] = hl_arena_alloc(all->arena, (size_t)all->n_split[s], sizeof *all->ends[s]);
        if (!all->of_split[s] || !all->ends[s])
            return false;
        int64_t n = 0;
        for (int64_t i = 0; i < all->n_demos; i++) {
            if (all->demo[i].split != (hl_split)s)
                continue;
            all->base.count[s] += all->demo[i].steps;
            all->of_split[s][n] = i;
            all->ends[s][n++] = all->base.count[s];
        }
    }
    return true;
}

/* Bytes that a group needs of scratch: one window of frames as stored, or a block of rows.  Its resizer comes
 * with it. */
static bool group_scratch(const demos *all, demo_group *g, size_t *bytes, size_t *unpacked)
{
    if (!g->image)
        return hl_size_mul((size_t)g->size, sizeof(float), bytes) &&
               hl_size_mul(*bytes, (size_t)all->block, bytes);
    *bytes = 0;
    if (!g->most_height)
        return true;
    g->resizer = hl_resizer_new(all->base.shape.image, g->resize, g->most_height, g->most_width);
    if (!g->resizer || !hl_size_mul((size_t)g->most_height, (size_t)(g->most_width * g->channels), bytes))
        return false;
    if (g->most_packed && *bytes > *unpacked)
        *unpacked = *bytes;
    if (!hl_size_mul(*bytes, g->floats ? sizeof(float) : 1, bytes))
        return false;
    if ((size_t)g->most_packed > *bytes)
        *bytes = (size_t)g->most_packed;
    return hl_size_mul(*bytes, (size_t)all->base.shape.frames, bytes);
}

static bool make_scratch(demos *all)
{
    size_t most = 1, widest = 1, unpacked = 0, column;
    all->block = all->base.shape.frames < 256 ? 256 : all->base.shape.frames;
    for (int i = 0; i < DEMO_GROUPS; i++) {
        demo_group *g = &all->group[i];
        size_t bytes;
        if (!group_scratch(all, g, &bytes, &unpacked))
            return false;
        most = bytes > most ? bytes : most;
        for (int k = 0; k < g->n_keys; k++)
            if ((size_t)g->key[k].size > widest)
                widest = (size_t)g->key[k].size;
    }
    all->scratch = hl_alloc(most, 1);
    all->unpacked = unpacked ? hl_alloc(unpacked, 1) : NULL;
    all->column = hl_size_mul(widest, (size_t)all->block, &column) ? hl_alloc(column, sizeof *all->column)
                                                                   : NULL;
    return all->scratch && all->column && (all->unpacked || !unpacked);
}

static void close_demos(hl_dataset *d)
{
    demos *all = (demos *)d;
    hl_hdf5_scope scope = hl_hdf5_begin();
    demos_close_files(all);
    hl_hdf5_end(scope);
    for (int i = 0; i < DEMO_GROUPS; i++) {
        demo_group *g = &all->group[i];
        for (int64_t k = 0; g->frames && k < all->n_demos; k++)
            hl_free((void *)g->frames[k].rows);
        hl_free(g->frames);
        hl_free(g->cache);
        hl_resizer_free(g->resizer);
    }
    hl_normalization_free(&all->base.normalization);
    hl_free(all->scratch);
    hl_free(all->unpacked);
    hl_free(all->column);
    hl_free(all->demo);
    json_decref(all->faults);
    hl_arena_free(all->arena);
    hl_free(all);
}

hl_status demos_name_actions(demos *all, hl_error *err)
{
    demo_group *g = &all->group[DEMO_ACTION];
    if (g->n_keys || !all->format || copy_keys(all, g, &all->format->actions, 1))
        return HL_OK;
    return hl_fail(err, HL_ERR_MEMORY, "no memory to open a data set");
}

static hl_status open_all(demos *all, const hl_demos_options *o, hl_error *err)
{
    hl_status status = demos_find_files(all, o, err);
    if (status == HL_OK)
        status = demos_find_demos(all, o, err);
    if (status == HL_OK)
        status = demos_name_actions(all, err);
    if (status == HL_OK)
        status = demos_check_demos(all, err);
    if (status == HL_OK && (!index_samples(all) || !make_scratch(all)))
        status = hl_fail(err, HL_ERR_MEMORY, "%s: no memory for the index and a window of %lld frames",
                         all->file[0].path, (long long)all->base.shape.frames);
    if (status == HL_OK)
        status = demos_fill_cache(all, err);
    if (status == HL_OK)
        status = demos_statistics(all, err);
    return status;
}

demos *demos_new(const hl_demos_options *o, const hl_data_shape *shape, hl_error *err)
{
    if (check_options(o, shape, err) != HL_OK)
        return NULL;
    demos *all = hl_alloc(1, sizeof *all);
    if (all)
        all->arena = hl_arena_new();
    if (!all || !all->arena || !copy_options(all, o, shape)) {
        hl_fail(err, HL_ERR_MEMORY, "no memory to open a data set");
        if (all)
            hl_arena_free(all->arena);
        hl_free(all);
        return NULL;
    }
    all->base = (hl_dataset){.shape = *shape, .read = demos_read, .close = close_demos};
    return all;
}

hl_dataset *hl_demos_open(const hl_demos_options *options, const hl_data_shape *shape, hl_error *err)
{
    demos *all = demos_new(options, shape, err);
    if (!all)
        return NULL;
    hl_hdf5_scope scope = hl_hdf5_begin();
    hl_status status = open_all(all, options, err);
    hl_hdf5_end(scope);
    if (status == HL_OK) {
        all->base.name = all->format->name;
        return &all->base;
    }
    close_demos(&all->base);
    return NULL;
}

/* ------------------------------------------------------------------ questions */

int64_t hl_demos_count(const hl_dataset *d, hl_split split)
{
    return ((const demos *)d)->n_split[split];
}

int64_t hl_demos_present(const hl_dataset *d, hl_split split, hl_sense sense)
{
    const demos *all = (const demos *)d;
    int64_t count = 0;
    for (int64_t i = 0; i < all->n_demos; i++)
        count += all->demo[i].split == split && (all->demo[i].has >> sense & 1u);
    return count;
}

const char *hl_demos_warning(const hl_dataset *d)
{
    const demos *all = (const demos *)d;
    return *all->warning ? all->warning : NULL;
}
