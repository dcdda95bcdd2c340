/* Products in integers: a graph whose matrix products and convolutions read 8-bit weights.
 *
 * Weights are symmetric per output channel (scale = max|w| / 127). Operands are quantized as they come: by a
 * scale that was calibrated on data, or by that of each row's own largest element. The rest of the graph
 * stays in floats, and so do layers that lose too much (see Krishnamoorthi 2018, "Quantizing deep
 * convolutional networks for efficient inference"). */
#ifndef HL_EXPORT_QUANTIZE_H
#define HL_EXPORT_QUANTIZE_H

#include "graph/graph.h"
#include "run/params.h"

/* A product whose weight is a parameter, in the order of the graph. */
typedef struct hl_layer {
    char name[HL_PARAM_NAME_MAX + 1]; /* of its weight */
    int param;                        /* that entry */
    int64_t weights;                  /* how many */
    float scale;                      /* of its operand; 0: each row's own */
    double error; /* |in integers - in floats| / |in floats| of what it gives; NAN: not seen */
    bool kept;    /* stays in floats */
} hl_layer;

typedef struct hl_layers {
    hl_layer *at;
    int n;
} hl_layers;

/* All of g, none kept, no scale. Two graphs that differ in their batch have the same. Free by
 * hl_layers_free, which accepts {0}. */
hl_status hl_layers_of(const hl_graph *g, hl_layers *layers, hl_error *err);
void hl_layers_free(hl_layers *layers);

/* g over `to`: the layers that are not kept in integers, all else as it was. `to` maps entries of `from`,
 * which must outlive it, and has for a quantized weight W: W.int8 [O,...], W.scale [O], and W.operand [1]
 * if the layer has a scale (W.operand1, ... of further layers that read W). Called again for the same graph
 * at another batch it finds them there. HL_ERR_NUMERIC names a weight that is not finite. NULL on error. */
hl_graph *hl_quantize_layers(const hl_graph *g, hl_params *from, hl_params *to, const hl_layers *layers,
                             hl_error *err);

/* The same with nothing but the outputs of the layers, so that they can be compared: of layer i that is not
 * kept "i.integers" and "i.floats", both from its operand in floats, and "i.operand". */
hl_graph *hl_quantize_probe(const hl_graph *g, hl_params *from, hl_params *to, const hl_layers *layers,
                            hl_error *err);

#endif
