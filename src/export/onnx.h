/* A graph and its parameters as an ONNX model (opset 17, IR version 8), for onnxruntime and TensorRT. */
#ifndef HL_EXPORT_ONNX_H
#define HL_EXPORT_ONNX_H

#include "base/text.h"
#include "hl.h"

#include "io/safetensors.h"

typedef struct hl_onnx_options {
    /* What sessions of HL_PRECISION_BF16 or FP16 read in 16 bits lies in the file so, and becomes f32 when it
     * is read: everything is computed in f32. Else HL_PRECISION_FP32. */
    hl_precision precision;
    /* Parameters in a file beside it, PATH.data, even where one file can hold them: it stays below 2 GiB. */
    bool external;
    int n_metadata;
    const hl_safetensors_text *metadata; /* for people and programs that ask the model about itself */
    uint64_t *bytes;                     /* set to the size of what was written, both files; may be NULL */
} hl_onnx_options;

/* Writes what the outputs of a graph need, with a free batch: the graph is given built at batch 2 and at
 * batch 3 (graph/batch.h), before any pass of the compiler, on one store. Inputs and outputs keep their
 * names. The file is replaced whole or not at all; PATH.data right before it. HL_ERR_UNSUPPORTED names an op
 * that has no form here; HL_ERR_USAGE: graphs that are not one. */
hl_status hl_onnx_write(const char *path, const hl_graph *at_two, const hl_graph *at_three, hl_params *params,
                        const hl_onnx_options *options, hl_error *err);

/* Batches an engine is built for. */
typedef struct hl_onnx_batches {
    int64_t least, usual, most;
} hl_onnx_batches;

/* Appends the command that makes a TensorRT engine of the model at path. */
void hl_onnx_tensorrt_command(hl_text *text, const char *path, const hl_graph *at_two,
                              const hl_graph *at_three, hl_onnx_batches batches);

#endif
