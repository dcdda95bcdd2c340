/* The files that hl export writes. */
#ifndef HL_APP_EXPORT_WRITE_H
#define HL_APP_EXPORT_WRITE_H

#include "app/export/stages.h"

typedef enum hl_export_format {
    HL_EXPORT_H5,
    HL_EXPORT_SAFETENSORS,
    HL_EXPORT_ONNX,
    HL_EXPORT_FORMATS
} hl_export_format;

/* By the suffix of the path; HL_ERR_USAGE names those that there are. */
hl_status hl_export_format_of(const char *path, hl_export_format *format, hl_error *err);

/* What becomes of the numbers. */
typedef struct hl_export_precision {
    const char *name; /* "fp32", "bf16", "fp16", "int8" */
    hl_precision precision;
    bool integers;
} hl_export_precision;

/* HL_ERR_USAGE names those that there are. */
hl_status hl_export_precision_named(const char *name, hl_export_precision *out, hl_error *err);

/* Whether an entry of the trained model's store is a parameter that a checkpoint keeps. */
bool hl_export_keeps(const hl_param_info *p, bool decoder);
/* The checkpoint without the optimizer's state and, unless asked for, the decoder: to measure, or to train on
 * from. from is the path of the trained one. */
hl_status hl_export_checkpoint(const char *to, const char *from, const hl_trained *t, bool decoder,
                               hl_error *err);
/* The stage as what hl_model_open opens (.safetensors), or as what onnxruntime and TensorRT read (.onnx;
 * *bytes, which may be NULL: of its one file or two), whatever the suffix of `to`. */
hl_status hl_export_graph(hl_export_format format, const char *to, const char *from, const hl_stage *s,
                          const hl_trained *t, const hl_export_precision *numbers, uint64_t *bytes,
                          hl_error *err);

#endif
