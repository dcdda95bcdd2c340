#include "app/setup.h"

#include "base/error.h"
#include "data/reach.h"
#include "export/acting.h"

#include <omp.h>
#include <stdio.h>
#include <string.h>

hl_trainer_options hl_setup_trainer(const hl_config *cfg)
{
    bool demonstrations = cfg->data.format != HL_FORMAT_REACH;
    hl_trainer_options o = {
        .model = hl_config_model(cfg),
        .weights = hl_config_loss(cfg),
        .adamw = hl_config_adamw(cfg),
        .batch = cfg->train.batch,
        .accumulate = cfg->train.accumulate,
        .presence = demonstrations, /* the simulated world has every sense and every joint */
        .mask = demonstrations,
        .device = cfg->device,
        .precision = (hl_precision)cfg->precision,
        .budget = cfg->memory.budget,
    };
    size_t used = 0;
    for (int i = 0; i < cfg->memory.recompute.n; i++)
        used += (size_t)snprintf(o.recompute + used, sizeof o.recompute - used, "%s%s", i ? "," : "",
                                 cfg->memory.recompute.at[i]); /* all of them fit */
    return o;
}

hl_data_shape hl_setup_data_shape(const hl_model_options *o)
{
    hl_data_shape shape = {.image = o->image, .action = o->action, .frames = 1 + o->history};
    for (int s = 0; s < HL_SENSES; s++)
        shape.size[s] = hl_model_sense_size(o, s);
    return shape;
}

void hl_setup_threads(const hl_config *cfg)
{
    omp_set_num_threads(cfg->threads > 0 ? (int)cfg->threads : omp_get_num_procs());
}

bool hl_setup_has_decoder(const hl_checkpoint *c)
{
    static const char scope[] = HL_MODEL_DECODER ".";
    for (int i = 0; i < hl_checkpoint_count(c); i++)
        if (!strncmp(hl_checkpoint_at(c, i)->name, scope, sizeof scope - 1))
            return true;
    return false;
}

hl_status hl_setup_declare(const hl_model_options *o, bool decoder, hl_params *params, hl_error *err)
{
    hl_graph *g = hl_graph_new();
    hl_model_mode mode = {.batch = 1, .decode = decoder};
    hl_model_build(g, params, o, &mode);
    const char *fault = hl_graph_error(g);
    hl_status status = fault ? hl_fail(err, HL_ERR_CONFIG, "the model cannot be built: %s", fault) : HL_OK;
    hl_graph_free(g);
    return status;
}

/* ------------------------------------------------------------------ data */

static hl_dataset *open_reach(const hl_config *cfg, hl_data_shape shape, hl_error *err)
{
    hl_reach_options o = hl_reach_defaults();
    o.episodes = cfg->data.reach.episodes;
    o.steps = cfg->data.reach.steps;
    o.noise = cfg->data.reach.noise;
    o.noise_memory = cfg->data.reach.noise_memory;
    o.seed = cfg->data.reach.seed;
    return hl_reach_dataset_open(&o, shape, err);
}

static hl_demos_sense vector_sense(const hl_strings *keys, int normalize, int pad, int missing,
                                   double std_floor)
{
    return (hl_demos_sense){.keys = (const char *const *)keys->at,
                            .n_keys = keys->n,
                            .optional = missing == HL_MISSING_ZERO,
                            .pad = pad == HL_PAD_ZERO,
                            .normalize = (hl_normalize_mode)normalize,
                            .std_floor = (float)std_floor};
}

#define VECTOR_SENSE(name)                                                                                   \
    vector_sense(&cfg->data.obs.name.keys, cfg->data.obs.name.normalize, cfg->data.obs.name.pad,             \
                 cfg->data.obs.name.missing, cfg->data.obs.std_floor)

#define IMAGE_SENSE(name)                                                                                    \
    (hl_demos_sense)                                                                                         \
    {                                                                                                        \
        .keys = (const char *const *)cfg->data.obs.name.keys.at, .n_keys = cfg->data.obs.name.keys.n,        \
        .optional = cfg->data.obs.name.missing == HL_MISSING_ZERO,                                           \
        .layout = (hl_image_layout)cfg->data.obs.name.layout,                                                \
        .resize = (hl_image_resize)cfg->data.obs.name.resize,                                                \
        .flip = (hl_image_flip)cfg->data.obs.name.flip_vertical                                              \
    }

static bool is_mapped(const hl_config *cfg, int sense)
{
    const int keys[HL_SENSES] = {cfg->data.obs.visual.keys.n, cfg->data.obs.depth.keys.n,
                                 cfg->data.obs.audio.keys.n, cfg->data.obs.tactile.keys.n,
                                 cfg->data.obs.proprioceptive.keys.n};
    return keys[sense] > 0;
}

static bool maps_a_sense(const hl_config *cfg, const hl_data_shape *shape)
{
    bool any = false;
    for (int s = 0; s < HL_SENSES; s++)
        any = any || (is_mapped(cfg, s) && shape->size[s]);
    return any;
}

hl_demos_options hl_setup_demos(const hl_config *cfg)
{
    static const hl_demos_format formats[] = {[HL_FORMAT_ROBOMIMIC] = HL_DEMOS_ROBOMIMIC,
                                              [HL_FORMAT_ALOHA] = HL_DEMOS_ALOHA,
                                              [HL_FORMAT_AUTO] = HL_DEMOS_ANY};
    const char *train = cfg->data.split.train, *valid = cfg->data.split.valid;
    HL_ASSERT(cfg->data.format != HL_FORMAT_REACH);
    hl_demos_options o = {
        .format = formats[cfg->data.format],
        .files = (const char *const *)cfg->data.files.at,
        .n_files = cfg->data.files.n,
        .train_mask = train[0] ? train : NULL,
        .valid_mask = valid[0] ? valid : NULL,
        .masks_optional = true,
        .valid_fraction = (float)cfg->data.split.valid_fraction,
        .seed = cfg->data.split.seed,
        .sense = {[HL_VISUAL] = IMAGE_SENSE(visual),
                  [HL_DEPTH] = IMAGE_SENSE(depth),
                  [HL_AUDIO] = VECTOR_SENSE(audio),
                  [HL_TACTILE] = VECTOR_SENSE(tactile),
                  [HL_PROPRIOCEPTIVE] = VECTOR_SENSE(proprioceptive)},
        .action = {.keys = (const char *const *)cfg->data.action.keys.at,
                   .n_keys = cfg->data.action.keys.n,
                   .pad = cfg->data.action.pad == HL_PAD_ZERO,
                   .mask_padding = cfg->data.action.mask_padding,
                   .offset = cfg->data.action.offset,
                   .normalize = (hl_normalize_mode)cfg->data.action.normalize,
                   .std_floor = (float)cfg->data.obs.std_floor},
        .cache = (hl_data_cache)cfg->data.cache,
        .chunk_cache = (size_t)cfg->data.chunk_cache << 20,
    };
    o.sense[HL_DEPTH].clip[0] = (float)cfg->data.obs.depth.clip_min;
    o.sense[HL_DEPTH].clip[1] = (float)cfg->data.obs.depth.clip_max;
    return o;
}

static hl_dataset *open_demos(const hl_config *cfg, hl_data_shape shape, hl_error *err)
{
    if (!maps_a_sense(cfg, &shape)) {
        hl_fail(err, HL_ERR_CONFIG,
                "data.obs: no sense of model.senses has keys, the model would see nothing; name some as in "
                "data.obs.visual.keys ('hl data info %s' lists what there is)",
                cfg->data.files.at[0]);
        return NULL;
    }
    hl_demos_options o = hl_setup_demos(cfg);
    return hl_demos_open(&o, &shape, err);
}

hl_dataset *hl_setup_dataset(const hl_config *cfg, hl_error *err)
{
    hl_model_options model = hl_config_model(cfg);
    hl_data_shape shape = hl_setup_data_shape(&model);
    return cfg->data.format == HL_FORMAT_REACH ? open_reach(cfg, shape, err) : open_demos(cfg, shape, err);
}

void hl_setup_tell_data(const hl_config *cfg, const hl_dataset *data)
{
    if (cfg->data.format == HL_FORMAT_REACH)
        return;
    for (int s = 0; s < HL_SENSES; s++)
        if (data->shape.size[s] && !is_mapped(cfg, s))
            fprintf(stderr, "hl: %s: data.obs.%s.keys is empty, the model gets zeros for it\n",
                    hl_sense_name((hl_sense)s), hl_sense_name((hl_sense)s));
    const char *slow = hl_demos_warning(data);
    if (slow)
        fprintf(stderr, "hl: %s\n", slow);
}

/* ------------------------------------------------------------------ normalisation */

/* "visual.offset", "visual.scale", ..., "action.offset", "action.scale" */
static const char *const array_names[HL_SETUP_ARRAYS] = {
    "visual.offset",         "visual.scale",         "depth.offset",   "depth.scale",
    "audio.offset",          "audio.scale",          "tactile.offset", "tactile.scale",
    "proprioceptive.offset", "proprioceptive.scale", "action.offset",  "action.scale"};

static hl_normalizer *normalizer_at(hl_normalization *n, int i)
{
    return i < HL_SENSES ? &n->sense[i] : &n->action;
}

int hl_normalization_arrays(const hl_normalization *n, hl_checkpoint_array out[HL_SETUP_ARRAYS])
{
    int count = 0;
    for (int i = 0; i <= HL_SENSES; i++) {
        const hl_normalizer *z = i < HL_SENSES ? &n->sense[i] : &n->action;
        if (!z->count)
            continue;
        out[count++] = (hl_checkpoint_array){array_names[2 * i], (size_t)z->count, z->offset};
        out[count++] = (hl_checkpoint_array){array_names[2 * i + 1], (size_t)z->count, z->scale};
    }
    return count;
}

static float *copy_values(const hl_checkpoint_array *a)
{
    float *copy = hl_alloc(a->count, sizeof *copy);
    return copy ? memcpy(copy, a->values, a->count * sizeof *copy) : NULL;
}

hl_status hl_normalization_from(const hl_checkpoint_meta *meta, const hl_model_options *o, const char *path,
                                hl_normalization *n, hl_error *err)
{
    *n = (hl_normalization){0};
    for (int i = 0; i <= HL_SENSES; i++) {
        const hl_checkpoint_array *offset = hl_checkpoint_find_array(meta, array_names[2 * i]);
        const hl_checkpoint_array *scale = hl_checkpoint_find_array(meta, array_names[2 * i + 1]);
        int64_t want = i < HL_SENSES ? hl_model_sense_size(o, i) : o->action;
        if (!offset && !scale)
            continue;
        if (!offset || !scale || (int64_t)offset->count != want || (int64_t)scale->count != want) {
            hl_normalization_free(n);
            return hl_fail(err, HL_ERR_DATA,
                           "%s: normalization %s has %zu and %zu values, the model wants %lld each", path,
                           array_names[2 * i], offset ? offset->count : 0, scale ? scale->count : 0,
                           (long long)want);
        }
        const hl_statistics read = {want, offset->values, scale->values};
        if (hl_statistics_check(&read, i < HL_SENSES ? hl_sense_name((hl_sense)i) : "action", err) != HL_OK) {
            hl_normalization_free(n);
            return hl_fail_prefix(err, "%s", path);
        }
        hl_normalizer *z = normalizer_at(n, i);
        *z = (hl_normalizer){want, copy_values(offset), copy_values(scale)};
        if (!z->offset || !z->scale) {
            hl_normalization_free(n);
            return hl_fail(err, HL_ERR_MEMORY, "%s: no memory for its normalization", path);
        }
    }
    return HL_OK;
}

/* ------------------------------------------------------------------ a trained model */

static hl_status load_from(hl_trained *t, hl_checkpoint *c, const char *path, int n, char *const *overrides,
                           hl_error *err)
{
    const hl_checkpoint_meta *meta = hl_checkpoint_meta_of(c);
    char name[512];
    snprintf(name, sizeof name, "%s: its configuration", path);
    hl_status status = hl_config_parse_text(&t->config, meta->config, name, n, overrides, err);
    if (status != HL_OK)
        return status;
    t->step = meta->step;
    t->decoder = hl_setup_has_decoder(c);
    t->model = hl_config_model(&t->config);
    t->params = hl_params_new(t->config.seed);
    if (!t->params)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the parameters of %s", path);
    status = hl_normalization_from(meta, &t->model, path, &t->normalization, err);
    if (status == HL_OK)
        status = hl_setup_declare(&t->model, t->decoder, t->params, err);
    if (status == HL_OK)
        status = hl_checkpoint_load(c, t->params, HL_CHECKPOINT_PARAMETERS_ONLY, err);
    return status;
}

hl_status hl_trained_load(hl_trained *t, const char *path, int n_overrides, char *const *overrides,
                          hl_error *err)
{
    hl_checkpoint *c = NULL;
    *t = (hl_trained){0};
    hl_status status = hl_checkpoint_open(path, &c, err);
    if (status == HL_OK)
        status = load_from(t, c, path, n_overrides, overrides, err);
    hl_checkpoint_close(c);
    if (status != HL_OK)
        hl_trained_free(t);
    return status;
}

void hl_trained_free(hl_trained *t)
{
    hl_config_free(&t->config);
    hl_normalization_free(&t->normalization);
    hl_params_free(t->params);
    *t = (hl_trained){0};
}
