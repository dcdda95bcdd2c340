/* One convolution of oneDNN with everything that running it takes, made once: the primitive in the
 * layout it likes best, and a reorder for each operand that lies otherwise (NCHW, OIHW). */
#ifndef HL_KERNELS_CPU_ONEDNN_CONV_PRIMITIVE_H
#define HL_KERNELS_CPU_ONEDNN_CONV_PRIMITIVE_H

#include "kernels/cpu/onednn/engine.h"

typedef enum hl_onednn_conv_kind {
    HL_ONEDNN_CONV_FORWARD,        /* x, w, bias -> y */
    HL_ONEDNN_CONV_BACKWARD_DATA,  /* dy, w -> dx */
    HL_ONEDNN_CONV_BACKWARD_FILTER /* x, dy -> dw */
} hl_onednn_conv_kind;

enum { HL_ONEDNN_CONV_X, HL_ONEDNN_CONV_W, HL_ONEDNN_CONV_Y, HL_ONEDNN_CONV_BIAS, HL_ONEDNN_CONV_TENSORS };

typedef struct hl_onednn_conv_operand {
    int arg;               /* DNNL_ARG_*, 0 where the convolution has no such operand */
    int position;          /* among the inputs of the call; -1: its output */
    bool kept;             /* reordered once, into the call's packed memory */
    dnnl_memory_t outside; /* as the caller has it */
    dnnl_memory_t inside;  /* as the primitive wants it, in scratch at offset; NULL if that is the same */
    dnnl_primitive_t reorder;
    size_t offset, bytes; /* of inside */
} hl_onednn_conv_operand;

typedef struct hl_onednn_conv {
    dnnl_engine_t engine; /* of the process */
    dnnl_stream_t stream;
    dnnl_primitive_desc_t description;
    dnnl_primitive_t primitive;
    hl_onednn_conv_operand operand[HL_ONEDNN_CONV_TENSORS];
    dnnl_memory_t
        scratchpad; /* shared by the primitives, which run one after another; at scratchpad_offset */
    size_t scratchpad_offset, scratchpad_bytes;
    dc_layout kept_layout; /* of the weights, if they are kept */
    size_t work_bytes;     /* scratch of a run, 64-byte aligned */
    bool alone;            /* one thread is faster */
} hl_onednn_conv;

/* Whether oneDNN has an optimised implementation for this call. */
bool hl_onednn_conv_offered(const hl_call *call, hl_onednn_conv_kind kind);

/* Fills a zeroed *conv. keep_weights: hl_onednn_conv_keep will be called before the first run. On failure
 * what was made so far is there for hl_onednn_conv_clear. */
dnnl_status_t hl_onednn_conv_make(hl_onednn_conv *conv, const hl_call *call, hl_onednn_conv_kind kind,
                                  bool keep_weights);
void hl_onednn_conv_clear(hl_onednn_conv *conv);

/* Writes the weights (OIHW at source) into packed, operand[HL_ONEDNN_CONV_W].bytes of it. */
dnnl_status_t hl_onednn_conv_keep(const hl_onednn_conv *conv, const void *source, void *packed, void *work);
/* Data and scratch are the call's. One run of a conv at a time. */
dnnl_status_t hl_onednn_conv_run(const hl_onednn_conv *conv, const hl_call *call);

#endif
