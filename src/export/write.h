/* A graph and its parameters as an exported model: one .safetensors file that hl_model_open opens. */
#ifndef HL_EXPORT_WRITE_H
#define HL_EXPORT_WRITE_H

#include "graph/graph.h"
#include "io/safetensors.h"

/* Writes path, whole or not at all. The graph is given built at batch 2 and at 3 over params, whose entries
 * that it reads are the file's tensors. precision: what sessions of the file run in; with bf16 and fp16 the
 * parameters that only products read are stored so. A graph with int8 weights is an int8 model, and is
 * written with fp32. about: further texts for hl_model_about ("config", ...). What was written is opened and
 * read before it replaces path. */
hl_status hl_model_write(const char *path, const hl_graph *at_two, const hl_graph *at_three,
                         hl_params *params, hl_precision precision, int n_about,
                         const hl_safetensors_text *about, hl_error *err);

#endif
