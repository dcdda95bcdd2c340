/* What parts of the configuration are to the layers, and which keys must fit together. */
#include "app/config_room.h"

#include "base/error.h"

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
    if (c->data.format == HL_FORMAT_ROBOMIMIC && !c->data.files.n) {
        *conflict = (hl_config_conflict){{"data.files", "data.format"}};
        return hl_fail(err, HL_ERR_CONFIG,
                       "data.files: the list is empty, expected the files of data.format "
                       "robomimic");
    }
    return check_widths(c, conflict, err);
}
