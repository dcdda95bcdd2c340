/* The H-L model: senses -> context (H-module) -> compressed (compressor) -> action (L-module). */
#ifndef HL_LAYERS_MODEL_H
#define HL_LAYERS_MODEL_H

#include "hl.h"

enum { HL_MODEL_SENSES = 5, HL_MODEL_LAYERS = 8 };

typedef enum hl_compressor { HL_HYBRID, HL_BOTTLENECK, HL_ATTENTION, HL_HIERARCHICAL } hl_compressor;

/* The scope of what reconstructs the context, which acting does without. */
#define HL_MODEL_DECODER "compressor.decoder"

/* A list of layer widths, in order. */
typedef struct hl_widths {
    int n;
    int64_t at[HL_MODEL_LAYERS];
} hl_widths;

/* A multilayer perceptron's hidden and output width. */
typedef struct hl_mlp_widths {
    int64_t hidden, features;
} hl_mlp_widths;

typedef struct hl_model_options {
    /* senses, in the order visual, depth, audio, tactile, proprioceptive */
    bool senses[HL_MODEL_SENSES]; /* false: this sense is not read; its features are zeros */
    int64_t image;                /* H = W of visual and depth */
    hl_widths visual_channels, depth_channels;
    int64_t visual_features, depth_features;
    int64_t audio_size, tactile_size, proprioceptive_size;
    hl_mlp_widths audio, tactile, proprioceptive;
    hl_mlp_widths semantic, physical, temporal;
    int64_t history; /* T past observations the LSTM reads; 0: none, its features are zeros */
    int refiner_layers, refiner_heads;
    int64_t refiner_hidden;
    hl_compressor compressor;
    bool hierarchy_aspects; /* hybrid: the hierarchical compressor in it, else one linear layer */
    int64_t tokens;         /* N context tokens the Perceiver reads */
    int64_t latents, perceiver_width;
    int perceiver_heads;
    hl_widths bottleneck_widths;
    hl_widths hierarchical_hidden, hierarchical_features; /* of the four groups */
    int64_t compressed;
    hl_widths decoder_widths, head_widths;
    int64_t action;
    float dropout;
} hl_model_options;

/* The 324,967,575-parameter model. */
hl_model_options hl_model_defaults(void);
/* Widths that follow from the options. */
int64_t hl_model_context(const hl_model_options *o);      /* 4096 */
int64_t hl_model_non_temporal(const hl_model_options *o); /* 3328: what the history LSTM reads */
int64_t hl_model_latent(const hl_model_options *o);       /* Z of the bottleneck; 0 without one */
/* "visual", "depth", "audio", "tactile", "proprioceptive" */
const char *hl_model_sense(int sense);
/* Elements of one observation of a sense (0 if it is not read). */
int64_t hl_model_sense_size(const hl_model_options *o, int sense);

/* A statistic of what a sense or the action is made of: how many numbers there are. */
typedef enum hl_statistic {
    HL_NO_STATISTIC, /* offset 0, scale 1 */
    HL_ONE_FOR_ALL,
    HL_PER_CHANNEL, /* of an image */
    HL_PER_ELEMENT,
} hl_statistic;

/* stored = (raw - offset) / scale */
typedef struct hl_model_statistics {
    struct {
        hl_statistic offset, scale;
    } sense[HL_MODEL_SENSES], action;
} hl_model_statistics;

/* Which nodes to build. */
typedef struct hl_model_mode {
    int64_t batch;
    bool training; /* dropout, and z sampled; else z = mu */
    /* Features of the past: false: an input "history" [B,T,3328]; true: encoded here from past
     * frames, so the inputs of the senses are [B*(T+1),...], oldest first. Needs history > 0. */
    bool encode_history;
    bool presence;    /* an input "presence" [B*frames,5] multiplies the features of each sense */
    bool given_noise; /* the noise of z is an input "eps" [B,Z], not drawn */
    bool smoothing;   /* action = (1-w) new + w previous: inputs "previous" [B,A], "smoothing" [B,1] */
    bool decode;      /* build the reconstruction */
    /* Senses, action and "previous" are raw, in the robot's units, and these statistics are parameters
     * ("normalization.visual.offset"). NULL: they are as stored, normalised. */
    const hl_model_statistics *statistics;
    const char *prefix; /* of the inputs' names; NULL: none */
} hl_model_mode;

typedef struct hl_model_nodes {
    hl_tensor features;      /* [B,3328] sensory, semantic, physical: the history's next entry */
    hl_tensor context;       /* [B,4096] */
    hl_tensor compressed;    /* [B,256] */
    hl_tensor reconstructed; /* [B,4096], {0} unless decode */
    hl_tensor kl;            /* [B], {0} without a bottleneck */
    hl_tensor action;        /* [B,A] */
} hl_model_nodes;

/* Appends the model, in sections "H-module", "compressor", "decoder" and "L-module". Parameters are named as
 * in hl_reference.py's state_dict. */
hl_model_nodes hl_model_build(hl_graph *g, hl_params *params, const hl_model_options *o,
                              const hl_model_mode *mode);

typedef struct hl_loss_weights {
    float action, reconstruction, kl;
} hl_loss_weights;

typedef struct hl_loss {
    hl_tensor total, action, reconstruction, kl; /* scalars; kl {0} without a bottleneck */
    hl_tensor information_retained;              /* 1 - mse(reconstruction)/variance(context) */
} hl_loss;

/* In section "loss": total = w_action mse(action, target) + w_reconstruction mse(reconstructed, context) +
 * w_kl mean(kl). The context is not detached. mask [B,A] or {0}: where 0 a dimension of the action does not
 * count. */
hl_loss hl_model_loss(hl_graph *g, const hl_model_nodes *m, hl_tensor target, hl_tensor mask,
                      hl_loss_weights w);

/* Parts, each in the file of its name. */
hl_tensor hl_context_encoder(hl_graph *g, hl_params *params, const hl_model_options *o,
                             const hl_model_mode *mode, hl_tensor *features);
hl_tensor hl_refiner(hl_graph *g, hl_params *params, const hl_model_options *o, float dropout,
                     hl_tensor context);

/* A compressor's result; kl {0} if it has no bottleneck. */
typedef struct hl_compressed {
    hl_tensor y, kl;
} hl_compressed;

hl_compressed hl_bottleneck(hl_graph *g, hl_params *params, const char *scope, const hl_model_options *o,
                            const hl_model_mode *mode, hl_tensor context, int64_t out);
hl_tensor hl_perceiver(hl_graph *g, hl_params *params, const char *scope, const hl_model_options *o,
                       float dropout, hl_tensor context, int64_t out);
hl_tensor hl_hierarchical(hl_graph *g, hl_params *params, const char *scope, const hl_model_options *o,
                          hl_tensor context);
hl_compressed hl_compress(hl_graph *g, hl_params *params, const hl_model_options *o,
                          const hl_model_mode *mode, hl_tensor context);
hl_tensor hl_decoder(hl_graph *g, hl_params *params, const hl_model_options *o, hl_tensor compressed);
hl_tensor hl_action_head(hl_graph *g, hl_params *params, const hl_model_options *o, float dropout,
                         hl_tensor compressed);
/* Raw to stored and back, by the mode's statistics. */
hl_tensor hl_normalized_sense(hl_graph *g, hl_params *params, const hl_model_mode *mode, int sense,
                              hl_tensor x);
hl_tensor hl_denormalized_action(hl_graph *g, hl_params *params, const hl_model_mode *mode, hl_tensor action);

#endif
