/* From steps, of a file or of what is cached of it, to a sample. */
#include "data/demos_room.h"

#include "base/error.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The window ending at step t: `n` steps from `begin`, after `repeat` copies of the first. */
typedef struct window {
    int64_t begin, n, repeat;
} window;

static hl_status image_window(demos *all, int64_t demo, int which, window w, float *out, hl_error *err)
{
    demo_group *g = &all->group[which];
    demo_frames f;
    hl_status status = HL_OK;
    if (g->frames) {
        f = g->frames[demo];
        f.rows = (const char *)f.rows + (size_t)w.begin * f.row;
    } else {
        status = demos_frames(all, demo, which, w.begin, w.n, all->scratch, &f, err);
    }
    for (int64_t i = 0; status == HL_OK && i < w.n; i++) {
        hl_pixels frame;
        hl_bad_pixel bad;
        status = demos_frame(all, demo, which, &f, i, w.begin + i, &frame, err);
        if (status == HL_OK && !hl_pixels_read(g->resizer, &frame, out + (w.repeat + i) * g->wanted, &bad))
            status = demos_bad_pixel(all, demo, which, w.begin + i, &bad, err);
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
