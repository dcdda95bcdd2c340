/* What parts of the configuration are to the layers, and which keys must fit together. */
#include "app/config/config_room.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

hl_model_options hl_config_model(const hl_config *c)
{
    hl_model_options o = {
        .image = c->model.image,
        .visual_channels = c->model.visual.channels,
        .depth_channels = c->model.depth.channels,
        .visual_features = c->model.visual.features,
        .depth_features = c->model.depth.features,
        .audio_size = c->model.audio.size,
        .tactile_size = c->model.tactile.size,
        .proprioceptive_size = c->model.proprioceptive.size,
        .audio = {c->model.audio.hidden, c->model.audio.features},
        .tactile = {c->model.tactile.hidden, c->model.tactile.features},
        .proprioceptive = {c->model.proprioceptive.hidden, c->model.proprioceptive.features},
        .semantic = {c->model.semantic.hidden, c->model.semantic.features},
        .physical = {c->model.physical.hidden, c->model.physical.features},
        .temporal = {c->model.temporal.hidden, c->model.temporal.features},
        .history = c->model.history,
        .refiner_layers = (int)c->model.refiner.layers,
        .refiner_heads = (int)c->model.refiner.heads,
        .refiner_hidden = c->model.refiner.hidden,
        .compressor = (hl_compressor)c->model.compressor,
        .hierarchy_aspects = c->model.hierarchy == HL_HIERARCHY_ASPECTS,
        .tokens = c->model.tokens,
        .latents = c->model.latents,
        .perceiver_width = c->model.perceiver.width,
        .perceiver_heads = (int)c->model.perceiver.heads,
        .bottleneck_widths = c->model.bottleneck.widths,
        .hierarchical_hidden = c->model.hierarchical.hidden,
        .hierarchical_features = c->model.hierarchical.features,
        .compressed = c->model.compressed,
        .decoder_widths = c->model.decoder.widths,
        .head_widths = c->model.head.widths,
        .action = c->model.action,
        .dropout = (float)c->model.dropout,
    };
    for (int i = 0; i < c->model.senses.n; i++)
        for (int s = 0; s < HL_MODEL_SENSES; s++)
            o.senses[s] = o.senses[s] || !strcmp(c->model.senses.at[i], hl_model_sense(s));
    return o;
}

hl_loss_weights hl_config_loss(const hl_config *c)
{
    return (hl_loss_weights){(float)c->loss.action, (float)c->loss.reconstruction, (float)c->loss.kl};
}

hl_adamw_options hl_config_adamw(const hl_config *c)
{
    return (hl_adamw_options){
        .beta1 = (float)c->optim.beta1,
        .beta2 = (float)c->optim.beta2,
        .eps = (float)c->optim.eps,
        .weight_decay = (float)c->optim.weight_decay,
        .clip = (float)c->optim.clip,
        .no_decay_vectors = !c->optim.decay_vectors,
        .state = c->optim.state == HL_STATE_BF16 ? HL_BF16 : HL_F32,
        .loss_scale = c->precision == HL_PRECISION_FP16 ? (float)c->optim.loss_scale : 0,
        .scale_interval = (int)c->optim.loss_scale_interval,
    };
}

hl_lr_schedule hl_config_schedule(const hl_config *c)
{
    return (hl_lr_schedule){
        .kind = (hl_schedule_kind)c->optim.schedule,
        .lr = c->optim.lr,
        .min_lr = c->optim.min_lr,
        .warmup = c->optim.warmup,
        .steps = c->train.steps,
    };
}

const char *hl_config_phase_name(const hl_stress_phase *phase)
{
    static const char *const kinds[] = {
        [HL_STRESS_INFERENCE] = "inference",
        [HL_STRESS_TRAINING] = "training",
        [HL_STRESS_MIXED] = "mixed",
        [HL_STRESS_CONTROL] = "control",
    };
    return *phase->name ? phase->name : kinds[phase->kind];
}

/* The choices of a phase are "inherit" and then those of the key precision. */
hl_precision hl_config_phase_precision(const hl_config *c, const hl_stress_phase *phase)
{
    return (hl_precision)(phase->precision ? phase->precision - 1 : c->precision);
}

/* ------------------------------------------------------------------ conflicts */

static hl_status check_widths(const hl_config *c, hl_config_conflict *conflict, hl_error *err)
{
    hl_model_options o = hl_config_model(c);
    int64_t context = hl_model_context(&o);
    bool reads_tokens = o.compressor == HL_HYBRID || o.compressor == HL_ATTENTION;
    int64_t out = o.compressor == HL_HYBRID ? o.compressed / 3 : o.compressed, rule = out / o.latents * 8;
    int64_t width = o.perceiver_width ? o.perceiver_width : rule > 64 ? rule : 64;

    if (o.temporal.features % 2) {
        *conflict = (hl_config_conflict){{"model.temporal.features"}};
        return hl_fail(err, HL_ERR_CONFIG, "model.temporal.features: %lld is odd, expected an even number",
                       (long long)o.temporal.features);
    }
    if (o.refiner_layers && context % o.refiner_heads) {
        *conflict = (hl_config_conflict){{"model.refiner.heads"}};
        return hl_fail(
            err, HL_ERR_CONFIG,
            "model.refiner.heads: %d does not divide %lld, the width of the context (the sum of all "
            "features)",
            o.refiner_heads, (long long)context);
    }
    if (reads_tokens && context % o.tokens) {
        *conflict = (hl_config_conflict){{"model.tokens"}};
        return hl_fail(err, HL_ERR_CONFIG,
                       "model.tokens: %lld does not divide %lld, the width of the context (the sum of all "
                       "features)",
                       (long long)o.tokens, (long long)context);
    }
    if (reads_tokens && width % o.perceiver_heads) {
        *conflict = (hl_config_conflict){{"model.perceiver.heads", "model.perceiver.width"}};
        return hl_fail(err, HL_ERR_CONFIG,
                       "model.perceiver.heads: %d does not divide %lld, the width of a latent",
                       o.perceiver_heads, (long long)width);
    }
    return HL_OK;
}

/* ------------------------------------------------------------------ phases of the stress test */

/* Of the i-th phase: "stress.phases[i].KEY: what", the place being that of KEY, of other, or of the phase. */
static hl_status wrong_phase(hl_config_conflict *conflict, int i, const char *key, const char *other,
                             hl_error *err, const char *what)
{
    size_t room = sizeof conflict->key[0];
    snprintf(conflict->key[0], room, "stress.phases[%d].%s", i, key);
    snprintf(conflict->key[1], room, "stress.phases[%d].%s", i, other);
    snprintf(conflict->key[2], room, "stress.phases[%d]", i);
    return hl_fail(err, HL_ERR_CONFIG, "%s: %s", conflict->key[0], what);
}

/* A key that the phase's kind would leave unread is a misunderstanding. */
static hl_status check_kind(const hl_stress_phase *p, int i, hl_config_conflict *conflict, hl_error *err)
{
    const struct {
        const char *key;
        bool given;
        int unread_by;
    } keys[] = {
        {"batch", p->batch != 1, HL_STRESS_TRAINING},
        {"rate_hz", p->rate_hz > 0, HL_STRESS_TRAINING},
        {"deadline_ms", p->deadline_ms > 0, HL_STRESS_TRAINING},
        {"threads", p->threads > 0, HL_STRESS_TRAINING},
        {"streams", p->streams != 1, HL_STRESS_TRAINING},
        {"train_batch", p->train_batch > 0, HL_STRESS_INFERENCE},
        {"train_threads", p->train_threads > 0, HL_STRESS_INFERENCE},
    };
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        if (keys[k].given && keys[k].unread_by == p->kind)
            return wrong_phase(conflict, i, keys[k].key, "kind", err,
                               p->kind == HL_STRESS_TRAINING
                                   ? "is about inference, and kind training has none (it reads train_batch "
                                     "and train_threads)"
                                   : "is about training, and kind inference has none");
    if (p->kind != HL_STRESS_MIXED && p->every)
        return wrong_phase(conflict, i, "every", "kind", err, "is for kind mixed alone");
    if (p->kind == HL_STRESS_CONTROL && p->rate_hz <= 0)
        return wrong_phase(conflict, i, "rate_hz", "kind", err, "kind control needs a rate above 0");
    return HL_OK;
}

static hl_status check_phases(const hl_config *c, hl_config_conflict *conflict, hl_error *err)
{
    hl_status status = HL_OK;
    for (int i = 0; i < c->stress.phases.n && status == HL_OK; i++) {
        const hl_stress_phase *p = &c->stress.phases.at[i];
        status = check_kind(p, i, conflict, err);
        if (status == HL_OK && p->seconds <= 0 && !p->iterations)
            status = wrong_phase(conflict, i, "seconds", "iterations", err,
                                 "the phase has no end: expected seconds or iterations above 0");
    }
    return status;
}

hl_status hl_config_check(const hl_config *c, hl_config_conflict *conflict, hl_error *err)
{
    if (c->optim.schedule != HL_CONSTANT && c->optim.min_lr > c->optim.lr) {
        *conflict = (hl_config_conflict){{"optim.min_lr", "optim.lr", "optim.schedule"}};
        return hl_fail(err, HL_ERR_CONFIG, "optim.min_lr: %g is above optim.lr, which is %g", c->optim.min_lr,
                       c->optim.lr);
    }
    if (c->data.obs.depth.clip_min > c->data.obs.depth.clip_max) {
        *conflict = (hl_config_conflict){{"data.obs.depth.clip_min", "data.obs.depth.clip_max"}};
        return hl_fail(err, HL_ERR_CONFIG, "data.obs.depth.clip_min: %g is above clip_max, which is %g",
                       c->data.obs.depth.clip_min, c->data.obs.depth.clip_max);
    }
    if (c->data.format != HL_FORMAT_REACH && !c->data.files.n) {
        *conflict = (hl_config_conflict){{"data.files", "data.format"}};
        return hl_fail(err, HL_ERR_CONFIG,
                       "data.files: the list is empty, expected the files of the demonstrations");
    }
    hl_status status = check_widths(c, conflict, err);
    return status == HL_OK ? check_phases(c, conflict, err) : status;
}
