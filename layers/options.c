/* The options of the model, and the widths that follow from them. */
#include "layers/model.h"

hl_model_options hl_model_defaults(void)
{
    return (hl_model_options){
        .senses = {true, true, true, true, true},
        .image = 224,
        .visual_channels = {3, {64, 128, 256}},
        .depth_channels = {2, {32, 64}},
        .visual_features = 512,
        .depth_features = 256,
        .audio_size = 1024,
        .tactile_size = 128,
        .proprioceptive_size = 64,
        .audio = {512, 256},
        .tactile = {256, 256},
        .proprioceptive = {128, 256},
        .semantic = {512, 256},
        .physical = {512, 256},
        .temporal = {512, 256},
        .refiner_layers = 3,
        .refiner_heads = 16,
        .refiner_hidden = 3072,
        .compressor = HL_HYBRID,
        .tokens = 1,
        .latents = 32,
        .perceiver_heads = 8,
        .bottleneck_widths = {3, {2048, 1024, 512}},
        .hierarchical_hidden = {4, {512, 512, 384, 256}},
        .hierarchical_features = {4, {96, 80, 48, 32}},
        .compressed = 256,
        .decoder_widths = {3, {512, 1024, 2048}},
        .head_widths = {3, {512, 512, 256}},
        .action = 19,
        .dropout = 0.1f,
    };
}

int64_t hl_model_non_temporal(const hl_model_options *o)
{
    int64_t senses = o->visual_features + o->depth_features + o->audio.features + o->tactile.features +
                     o->proprioceptive.features;
    return senses + 4 * o->semantic.features + 3 * o->physical.features;
}

int64_t hl_model_context(const hl_model_options *o)
{
    return hl_model_non_temporal(o) + 3 * o->temporal.features;
}

int64_t hl_model_latent(const hl_model_options *o)
{
    return o->compressor == HL_BOTTLENECK ? o->compressed
           : o->compressor == HL_HYBRID   ? o->compressed / 3
                                          : 0;
}

const char *hl_model_sense(int sense)
{
    static const char *const names[HL_MODEL_SENSES] = {"visual", "depth", "audio", "tactile",
                                                       "proprioceptive"};
    return names[sense];
}

int64_t hl_model_sense_size(const hl_model_options *o, int sense)
{
    const int64_t sizes[HL_MODEL_SENSES] = {3 * o->image * o->image, o->image * o->image, o->audio_size,
                                            o->tactile_size, o->proprioceptive_size};
    return o->senses[sense] ? sizes[sense] : 0;
}
