/* The expert's demonstrations as a data set: states are kept, observations made on reading. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/philox.h"
#include "data/reach.h"
#include "data/reach_render.h"
#include "data/reach_senses.h"

enum {
    STREAM_NOISE = 0x52430010,
    VALID_EVERY = 10, /* every tenth episode is in the valid split */
    STATISTICS = 2000 /* samples that normalization is measured on */
};

#define STILL 1e-3 /* standard deviation below which an element counts as constant */

/* What is kept of a moment. */
typedef struct moment {
    float angle[HL_REACH_ACTION], velocity[HL_REACH_ACTION];
    float action[HL_REACH_ACTION]; /* the expert's */
} moment;

typedef struct reach_dataset {
    hl_dataset base; /* first: hl_dataset * and reach_dataset * are the same address */
    hl_reach_options options;
    hl_reach *world;
    moment *moments;     /* [episodes, steps] */
    float (*targets)[3]; /* [episodes] */
} reach_dataset;

hl_reach_options hl_reach_defaults(void)
{
    return (hl_reach_options){.episodes = 1000, .steps = 40, .noise = 0.3, .noise_memory = 0.7};
}

/* Standard normal noise of a joint at a step: a function of (seed, episode, step, joint). */
static double normal(const hl_reach_options *o, int64_t episode, int64_t step, int joint)
{
    hl_philox u = hl_philox_block(o->seed, (uint32_t)step, STREAM_NOISE + (uint32_t)joint, (uint64_t)episode);
    double radius = sqrt(-2 * log(hl_uniform_open(u.v[0]))); /* Box & Muller 1958 */
    return radius * cos(6.283185307179586 * hl_uniform_float(u.v[1]));
}

static hl_status record_episode(reach_dataset *d, int64_t episode, hl_error *err)
{
    const hl_reach_options *o = &d->options;
    double noise[HL_REACH_ACTION];

    hl_reach_reset(d->world, o->seed, (uint64_t)episode);
    for (int64_t t = 0; t < o->steps; t++) {
        moment *m = &d->moments[episode * o->steps + t];
        hl_reach_state state = hl_reach_get(d->world);
        float executed[HL_REACH_ACTION];

        if (t == 0)
            memcpy(d->targets[episode], state.target, sizeof state.target);
        memcpy(m->angle, state.angle, sizeof m->angle);
        memcpy(m->velocity, state.velocity, sizeof m->velocity);
        hl_reach_expert(d->world, m->action);
        for (int j = 0; j < HL_REACH_ACTION; j++) {
            double memory = t > 0 ? o->noise_memory : 0; /* the spread is the same at every step */
            double fresh = normal(o, episode, t, j) * sqrt(1 - memory * memory);
            noise[j] = (t > 0 ? memory * noise[j] : 0) + fresh;
            executed[j] = (float)(m->action[j] + o->noise * noise[j]);
        }
        hl_status status = hl_reach_act(d->world, executed, err);
        if (status != HL_OK)
            return status;
    }
    return HL_OK;
}

/* Episode of the n-th of a split: 9, 19, 29 ... are valid, the others train. */
static int64_t episode_of(hl_split split, int64_t n)
{
    if (split == HL_VALID)
        return n * VALID_EVERY + VALID_EVERY - 1;
    return n / (VALID_EVERY - 1) * VALID_EVERY + n % (VALID_EVERY - 1);
}

static void observe(reach_dataset *d, int64_t episode, int64_t step, float *const sense[HL_SENSES])
{
    hl_reach_state state;
    const moment *m = &d->moments[episode * d->options.steps + step];
    memcpy(state.angle, m->angle, sizeof state.angle);
    memcpy(state.velocity, m->velocity, sizeof state.velocity);
    memcpy(state.target, d->targets[episode], sizeof state.target);
    hl_reach_set(d->world, &state);
    hl_reach_observe(d->world, sense);
    for (int s = 0; s < HL_SENSES; s++)
        if (sense[s])
            hl_normalize(&d->base.normalization.sense[s], sense[s]);
}

static void copy_action(const reach_dataset *d, int64_t episode, int64_t step, float *out)
{
    memcpy(out, d->moments[episode * d->options.steps + step].action, HL_REACH_ACTION * sizeof *out);
    hl_normalize(&d->base.normalization.action, out);
}

static hl_status dataset_read(hl_dataset *base, hl_split split, int64_t index, hl_sample *out, hl_error *err)
{
    reach_dataset *d = (reach_dataset *)base;
    const hl_data_shape *shape = &base->shape;

    if ((unsigned)split >= HL_SPLITS || index < 0 || index >= base->count[split])
        return hl_fail(err, HL_ERR_USAGE, "reach: there is no sample %lld in a split of %lld",
                       (long long)index, (unsigned)split < HL_SPLITS ? (long long)base->count[split] : 0LL);
    int64_t episode = episode_of(split, index / d->options.steps), step = index % d->options.steps;
    for (int64_t f = 0; f < shape->frames; f++) {
        int64_t back = shape->frames - 1 - f;
        float *sense[HL_SENSES] = {0};
        for (int s = 0; s < HL_SENSES; s++)
            if (shape->size[s] > 0)
                sense[s] = out->sense[s] + f * shape->size[s];
        observe(d, episode, step > back ? step - back : 0, sense);
    }
    for (int s = 0; s < HL_SENSES; s++)
        out->presence[s] = shape->size[s] > 0;
    for (int j = 0; j < HL_REACH_ACTION; j++)
        out->action_mask[j] = 1;
    copy_action(d, episode, step, out->action);
    if (step > 0)
        copy_action(d, episode, step - 1, out->previous);
    else
        memset(out->previous, 0, HL_REACH_ACTION * sizeof *out->previous);
    return HL_OK;
}

static void dataset_close(hl_dataset *base)
{
    reach_dataset *d = (reach_dataset *)base;
    hl_normalization_free(&base->normalization);
    hl_reach_free(d->world);
    hl_free(d->moments);
    hl_free(d->targets);
    hl_free(d);
}

/* ------------------------------------------------------------------ normalization */

/* Running sums of what is normalised: senses, then the action. */
typedef struct sums {
    int64_t samples, count[HL_SENSES + 1];
    double *sum[HL_SENSES + 1], *squares[HL_SENSES + 1]; /* [count] */
    float *frame[HL_SENSES + 1];                         /* [count] the sample at hand */
} sums;

static void sums_free(sums *s)
{
    for (int k = 0; k <= HL_SENSES; k++) {
        hl_free(s->sum[k]);
        hl_free(s->squares[k]);
        hl_free(s->frame[k]);
    }
}

static hl_normalizer *normalizer(reach_dataset *d, int k)
{
    return k < HL_SENSES ? &d->base.normalization.sense[k] : &d->base.normalization.action;
}

/* Room for the sums and for the normalizers that come of them. */
static hl_status sums_init(reach_dataset *d, sums *s, hl_error *err)
{
    for (int k = 0; k <= HL_SENSES; k++) {
        hl_normalizer *n = normalizer(d, k);
        size_t count = (size_t)(k < HL_SENSES ? d->base.shape.size[k] : HL_REACH_ACTION);
        s->count[k] = (int64_t)count;
        if (count > 0 &&
            (!(s->sum[k] = hl_alloc(count, sizeof(double))) ||
             !(s->squares[k] = hl_alloc(count, sizeof(double))) ||
             !(s->frame[k] = hl_alloc(count, sizeof(float))) ||
             !(n->offset = hl_alloc(count, sizeof(float))) || !(n->scale = hl_alloc(count, sizeof(float)))))
            return hl_fail(err, HL_ERR_MEMORY, "reach: no memory for normalization");
    }
    return HL_OK;
}

static void sums_add(sums *s)
{
    s->samples++;
    for (int k = 0; k <= HL_SENSES; k++)
        for (int64_t i = 0; i < s->count[k]; i++) {
            double x = s->frame[k][i];
            s->sum[k][i] += x;
            s->squares[k][i] += x * x;
        }
}

/* Means and deviations into a normalizer. An element that hardly varies (padding) is not scaled up.
 * The elements of an image share one scale, the root mean square of their deviations: scaled each by its
 * own, a pixel that nothing crossed in training would blow up the day something does. */
static void sums_finish(const sums *s, int k, hl_normalizer *n)
{
    bool image = k == HL_VISUAL || k == HL_DEPTH;
    double total = 0;
    for (int64_t i = 0; i < s->count[k]; i++) {
        double mean = s->sum[k][i] / (double)s->samples;
        double variance = fmax(s->squares[k][i] / (double)s->samples - mean * mean, 0);
        n->offset[i] = (float)mean;
        n->scale[i] = sqrt(variance) < STILL ? 1.0f : (float)sqrt(variance);
        total += variance;
    }
    double shared = s->count[k] > 0 ? sqrt(total / (double)s->count[k]) : 0;
    for (int64_t i = 0; i < s->count[k] && image; i++)
        n->scale[i] = shared < STILL ? 1.0f : (float)shared;
    n->count = s->count[k];
}

/* Measures samples spread evenly over the train split. */
static hl_status measure(reach_dataset *d, hl_error *err)
{
    int64_t total = d->base.count[HL_TRAIN], n = total < STATISTICS ? total : STATISTICS;
    sums s = {0};
    hl_status status = sums_init(d, &s, err);

    for (int64_t r = 0; r < n && status == HL_OK; r++) {
        int64_t index = r * total / n;
        int64_t episode = episode_of(HL_TRAIN, index / d->options.steps), step = index % d->options.steps;
        observe(d, episode, step, s.frame); /* raw still: every count is 0 */
        copy_action(d, episode, step, s.frame[HL_SENSES]);
        sums_add(&s);
    }
    for (int k = 0; k <= HL_SENSES && status == HL_OK; k++)
        sums_finish(&s, k, normalizer(d, k));
    sums_free(&s);
    return status;
}

/* ------------------------------------------------------------------ opening */

static hl_status check_options(const hl_reach_options *o, hl_error *err)
{
    if (o->episodes < 1 || o->episodes > INT32_MAX)
        return hl_fail(err, HL_ERR_CONFIG, "reach: %lld episodes: 1 to 2147483647 can be made",
                       (long long)o->episodes);
    if (o->steps < 1 || o->steps > 10000)
        return hl_fail(err, HL_ERR_CONFIG, "reach: %lld steps an episode: 1 to 10000 can be made",
                       (long long)o->steps);
    if (!(o->noise >= 0 && o->noise <= 10))
        return hl_fail(err, HL_ERR_CONFIG, "reach: noise %g is not in 0 to 10", o->noise);
    if (!(o->noise_memory >= 0 && o->noise_memory < 1))
        return hl_fail(err, HL_ERR_CONFIG, "reach: noise memory %g is not in 0 to below 1", o->noise_memory);
    return HL_OK;
}

static hl_status check_shape(const hl_data_shape *shape, hl_error *err)
{
    if (shape->action != HL_REACH_ACTION)
        return hl_fail(err, HL_ERR_CONFIG, "reach: the arm has %d joints, the model gives %lld actions",
                       HL_REACH_ACTION, (long long)shape->action);
    if (shape->frames < 1 || shape->frames > 10000)
        return hl_fail(err, HL_ERR_CONFIG, "reach: a sample of %lld frames: 1 to 10000 can be made",
                       (long long)shape->frames);
    bool camera = shape->size[HL_VISUAL] > 0 || shape->size[HL_DEPTH] > 0;
    if (camera && (shape->image < HL_CAMERA_MIN || shape->image > HL_CAMERA_MAX))
        return hl_fail(err, HL_ERR_CONFIG, "reach: an image is %d to %d pixels wide, not %lld", HL_CAMERA_MIN,
                       HL_CAMERA_MAX, (long long)shape->image);
    int64_t pixels = camera ? shape->image * shape->image : 0;
    int64_t made[HL_SENSES] = {3 * pixels, pixels, HL_REACH_AUDIO, HL_REACH_TACTILE, HL_REACH_PROPRIOCEPTIVE};
    for (int s = 0; s < HL_SENSES; s++)
        if (shape->size[s] != 0 && shape->size[s] != made[s])
            return hl_fail(err, HL_ERR_CONFIG,
                           "reach: %s has %lld values, the model reads %lld: set it to the former or to 0",
                           hl_sense_name((hl_sense)s), (long long)made[s], (long long)shape->size[s]);
    return HL_OK;
}

static hl_status allocate(reach_dataset *d, hl_error *err)
{
    const hl_reach_options *o = &d->options;
    const hl_data_shape *shape = &d->base.shape;
    size_t moments;
    bool camera = shape->size[HL_VISUAL] > 0 || shape->size[HL_DEPTH] > 0;

    if (!hl_size_mul((size_t)o->episodes, (size_t)o->steps, &moments) ||
        !(d->moments = hl_alloc(moments, sizeof *d->moments)) ||
        !(d->targets = hl_alloc((size_t)o->episodes, sizeof *d->targets)))
        return hl_fail(err, HL_ERR_MEMORY, "reach: no memory for %lld episodes of %lld steps",
                       (long long)o->episodes, (long long)o->steps);
    d->world = hl_reach_new(camera ? shape->image : 0, err);
    return d->world ? HL_OK : HL_ERR_MEMORY;
}

static hl_status fill(reach_dataset *d, hl_error *err)
{
    const hl_reach_options *o = &d->options;
    hl_status status = allocate(d, err);
    for (int64_t episode = 0; episode < o->episodes && status == HL_OK; episode++)
        status = record_episode(d, episode, err);
    d->base.count[HL_VALID] = o->episodes / VALID_EVERY * o->steps;
    d->base.count[HL_TRAIN] = o->episodes * o->steps - d->base.count[HL_VALID];
    if (status == HL_OK && !o->raw)
        status = measure(d, err);
    return status;
}

hl_dataset *hl_reach_dataset_open(const hl_reach_options *options, hl_data_shape shape, hl_error *err)
{
    if (check_options(options, err) != HL_OK || check_shape(&shape, err) != HL_OK)
        return NULL;
    reach_dataset *d = hl_alloc(1, sizeof *d);
    if (!d) {
        hl_fail(err, HL_ERR_MEMORY, "reach: no memory for a data set");
        return NULL;
    }
    d->base.name = "reach";
    d->base.shape = shape;
    d->base.read = dataset_read;
    d->base.close = dataset_close;
    d->options = *options;
    if (fill(d, err) != HL_OK) {
        dataset_close(&d->base);
        return NULL;
    }
    return &d->base;
}
