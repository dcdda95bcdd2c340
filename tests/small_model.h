/* The H-L model with every part in it, small enough for a test. */
#ifndef HL_TESTS_SMALL_MODEL_H
#define HL_TESTS_SMALL_MODEL_H

#include "layers/model.h"

#include <math.h>

static inline hl_model_options small_model(hl_compressor compressor)
{
    hl_model_options o = hl_model_defaults();
    o.image = 17;
    o.visual_channels = (hl_widths){3, {3, 4, 5}};
    o.depth_channels = (hl_widths){2, {2, 3}};
    o.visual_features = 8;
    o.depth_features = 4;
    o.audio_size = 9;
    o.tactile_size = 7;
    o.proprioceptive_size = 5;
    o.audio = o.tactile = o.proprioceptive = (hl_mlp_widths){6, 4};
    o.semantic = o.physical = o.temporal = (hl_mlp_widths){6, 8};
    o.refiner_layers = 2;
    o.refiner_heads = 4;
    o.refiner_hidden = 12;
    o.compressor = compressor;
    o.latents = 3;
    o.tokens = 4;
    o.perceiver_width = 8;
    o.perceiver_heads = 2;
    o.bottleneck_widths = (hl_widths){2, {12, 10}};
    o.hierarchical_hidden = (hl_widths){4, {6, 6, 5, 5}};
    o.hierarchical_features = (hl_widths){4, {6, 5, 5, 4}};
    o.compressed = 16;
    o.decoder_widths = (hl_widths){2, {12, 14}};
    o.head_widths = (hl_widths){2, {12, 10}};
    o.action = 3;
    return o;
}

/* Inputs of step `step`: all that the session has of the model's, and the target. */
static inline void small_model_inputs(hl_session *s, int step, float scale)
{
    const char *const names[] = {"visual",         "depth",   "audio", "tactile",
                                 "proprioceptive", "history", "target"};
    for (int k = 0; k < 7; k++) {
        float *x = hl_session_input(s, names[k]);
        hl_shape shape = hl_session_shape(s, names[k]);
        int64_t n = 1;
        for (int i = 0; i < shape.rank; i++)
            n *= shape.dim[i];
        for (int64_t i = 0; x && i < n; i++)
            x[i] = scale * (float)sin((double)(i * 7 + k * 31 + step * 101) * 0.7);
    }
}

#endif
