/* The context encoder: five senses, then what they mean (semantic), how they behave (physical) and
 * how they change (temporal), each group reading all before it. */
#include "layers/model.h"
#include "layers/nn.h"

#define ENCODER "h_module.context_encoder."

static hl_tensor mlp(hl_graph *g, hl_params *params, const char *scope, hl_tensor x, hl_mlp_widths w)
{
    hl_tensor h = hl_relu(g, hl_dense(g, params, hl_scope_index(scope, 0).text, x, w.hidden));
    return hl_dense(g, params, hl_scope_index(scope, 2).text, h, w.features);
}

/* Convolutions (the first with its own kernel), a 7x7 adaptive average pool, one linear layer. The
 * numbering of the scopes is that of a PyTorch Sequential. */
static hl_tensor convolve(hl_graph *g, hl_params *params, const char *scope, hl_tensor x, hl_widths channels,
                          int first_kernel, bool relu_last, int64_t features)
{
    int at = 0;
    for (int i = 0; i < channels.n; i++) {
        int kernel = i ? 3 : first_kernel;
        x = hl_conv(g, params, hl_scope_index(scope, at++).text, x, channels.at[i], kernel, 2, kernel / 2);
        if (i + 1 < channels.n || relu_last) {
            x = hl_relu(g, x);
            at++;
        }
    }
    x = hl_adaptive_avg_pool(g, x, 7, 7);
    hl_shape s = hl_shape_of(g, x);
    x = hl_reshape(g, x, 2, (int64_t[]){s.dim[0], -1});
    return hl_dense(g, params, hl_scope_index(scope, at + 2).text, x, features); /* after pool and flatten */
}

static hl_tensor encode_sense(hl_graph *g, hl_params *params, const hl_model_options *o, int sense,
                              hl_tensor x)
{
    switch (sense) {
    case 0:
        return convolve(g, params, ENCODER "sensory_encoder.visual_encoder", x, o->visual_channels, 7, false,
                        o->visual_features);
    case 1:
        return convolve(g, params, ENCODER "sensory_encoder.depth_encoder", x, o->depth_channels, 5, true,
                        o->depth_features);
    case 2:
        return mlp(g, params, ENCODER "sensory_encoder.audio_encoder", x, o->audio);
    case 3:
        return mlp(g, params, ENCODER "sensory_encoder.tactile_encoder", x, o->tactile);
    default:
        return mlp(g, params, ENCODER "sensory_encoder.proprioceptive_encoder", x, o->proprioceptive);
    }
}

static int64_t sense_features(const hl_model_options *o, int sense)
{
    const int64_t features[HL_MODEL_SENSES] = {o->visual_features, o->depth_features, o->audio.features,
                                               o->tactile.features, o->proprioceptive.features};
    return features[sense];
}

static hl_tensor sense_input(hl_graph *g, const hl_model_options *o, const char *prefix, int sense,
                             int64_t rows)
{
    int64_t vector[2] = {rows, hl_model_sense_size(o, sense)};
    int64_t image[4] = {rows, sense == 0 ? 3 : 1, o->image, o->image};
    const char *name = hl_model_sense(sense);
    hl_scope full;
    snprintf(full.text, sizeof full.text, "%s%s", prefix ? prefix : "", name);
    return sense < 2 ? hl_input(g, full.text, HL_F32, 4, image) : hl_input(g, full.text, HL_F32, 2, vector);
}

static hl_tensor named_input(hl_graph *g, const char *prefix, const char *name, int rank, const int64_t *dim)
{
    hl_scope full;
    snprintf(full.text, sizeof full.text, "%s%s", prefix ? prefix : "", name);
    return hl_input(g, full.text, HL_F32, rank, dim);
}

static hl_tensor sensory(hl_graph *g, hl_params *params, const hl_model_options *o, const hl_model_mode *mode,
                         int64_t rows)
{
    hl_tensor part[HL_MODEL_SENSES], presence = {0};
    if (mode->presence)
        presence = named_input(g, mode->prefix, "presence", 2, (int64_t[]){rows, HL_MODEL_SENSES});
    for (int s = 0; s < HL_MODEL_SENSES; s++) {
        if (!o->senses[s]) {
            part[s] = hl_fill(g, 2, (int64_t[]){rows, sense_features(o, s)}, 0);
            continue;
        }
        hl_tensor x = sense_input(g, o, mode->prefix, s, rows);
        part[s] = encode_sense(g, params, o, s, hl_normalized_sense(g, params, mode, s, x));
        if (mode->presence)
            part[s] = hl_mul(g, part[s], hl_slice(g, presence, 1, s, s + 1));
    }
    return hl_concat(g, HL_MODEL_SENSES, part, -1);
}

static hl_tensor group(hl_graph *g, hl_params *params, const char *scope, const char *const *names, int n,
                       hl_tensor x, hl_mlp_widths w)
{
    hl_tensor part[4];
    for (int i = 0; i < n; i++)
        part[i] = mlp(g, params, hl_scope_join(scope, names[i]).text, x, w);
    return hl_concat(g, n, part, -1);
}

/* rows observations -> [rows,3328] */
static hl_tensor non_temporal(hl_graph *g, hl_params *params, const hl_model_options *o,
                              const hl_model_mode *mode, int64_t rows)
{
    static const char *const meanings[] = {"object_encoder", "affordance_encoder", "relationship_encoder",
                                           "intention_encoder"};
    static const char *const behaviours[] = {"dynamics_encoder", "materials_encoder", "constraints_encoder"};
    hl_tensor s = sensory(g, params, o, mode, rows);
    hl_tensor m = group(g, params, ENCODER "semantic_encoder", meanings, 4, s, o->semantic);
    s = hl_concat(g, 2, (hl_tensor[]){s, m}, -1);
    hl_tensor p = group(g, params, ENCODER "physical_encoder", behaviours, 3, s, o->physical);
    return hl_concat(g, 2, (hl_tensor[]){s, p}, -1);
}

/* x [B,3328], history [B,T,3328] or {0} (then "historical" is zero) */
static hl_tensor temporal(hl_graph *g, hl_params *params, const hl_model_options *o, hl_tensor x,
                          hl_tensor history)
{
    int64_t rows = hl_shape_of(g, x).dim[0], width = o->temporal.features;
    hl_tensor immediate = mlp(g, params, ENCODER "temporal_encoder.immediate_encoder", x, o->temporal);
    const char *lstm = ENCODER "temporal_encoder.historical_lstm";
    hl_tensor historical = hl_fill(g, 2, (int64_t[]){rows, width}, 0);
    if (history.id)
        historical = hl_bidirectional_lstm(g, params, lstm, history, 2, width / 2);
    else
        hl_bidirectional_lstm_declare(g, params, lstm, hl_model_non_temporal(o), 2, width / 2);
    hl_tensor both = hl_concat(g, 2, (hl_tensor[]){x, historical}, -1);
    hl_tensor predictive = mlp(g, params, ENCODER "temporal_encoder.predictive_encoder", both, o->temporal);
    return hl_concat(g, 3, (hl_tensor[]){immediate, historical, predictive}, -1);
}

hl_tensor hl_context_encoder(hl_graph *g, hl_params *params, const hl_model_options *o,
                             const hl_model_mode *mode, hl_tensor *features)
{
    int64_t B = mode->batch, T = o->history, width = hl_model_non_temporal(o);
    hl_tensor history = {0}, x;
    if (T && mode->encode_history) {
        hl_tensor all = non_temporal(g, params, o, mode, B * (T + 1));
        all = hl_reshape(g, all, 3, (int64_t[]){B, T + 1, width});
        history = hl_slice(g, all, 1, 0, T);
        x = hl_reshape(g, hl_slice(g, all, 1, T, T + 1), 2, (int64_t[]){B, width});
    } else {
        x = non_temporal(g, params, o, mode, B);
        if (T)
            history = named_input(g, mode->prefix, "history", 3, (int64_t[]){B, T, width});
    }
    *features = x;
    x = hl_concat(g, 2, (hl_tensor[]){x, temporal(g, params, o, x, history)}, -1);
    return hl_norm(g, params, ENCODER "context_norm", x);
}
