/* Convolutions through oneDNN: kernels around conv_primitive.h. */
#include "kernels/cpu/conv_relu.h"
#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/onednn/conv_primitive.h"

#include "base/error.h"
#include "base/memory.h"

enum { W_INPUT = 1 };

static bool accepts_forward(const hl_call *c)
{
    return hl_onednn_fits(c) && hl_onednn_conv_offered(c, HL_ONEDNN_CONV_FORWARD);
}

static bool accepts_backward_data(const hl_call *c)
{
    return hl_onednn_fits(c) && hl_onednn_conv_offered(c, HL_ONEDNN_CONV_BACKWARD_DATA);
}

static bool accepts_backward_filter(const hl_call *c)
{
    return hl_onednn_fits(c) && hl_onednn_conv_offered(c, HL_ONEDNN_CONV_BACKWARD_FILTER);
}

static void release(hl_call *c)
{
    if (c->state)
        hl_onednn_conv_clear(c->state);
    hl_free(c->state);
    c->state = NULL;
}

static hl_status prepare(hl_call *c, hl_onednn_conv_kind kind, bool keep_weights, hl_error *err)
{
    hl_onednn_conv *v = c->state = hl_alloc(1, sizeof *v);
    if (!v)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for a convolution");
    dnnl_status_t status = hl_onednn_conv_make(v, c, kind, keep_weights);
    if (status != dnnl_success) {
        release(c);
        return hl_onednn_fail(err, "to make a convolution", status);
    }
    c->workspace_bytes = v->work_bytes;
    if (v->operand[HL_ONEDNN_CONV_W].kept) {
        c->pack_input = W_INPUT;
        c->pack_bytes = v->operand[HL_ONEDNN_CONV_W].bytes;
        c->pack_key = &v->kept_layout;
        c->pack_key_bytes = sizeof v->kept_layout;
    }
    return HL_OK;
}

/* Weights that stay as they are get reordered once. */
static hl_status prepare_forward(hl_call *c, hl_error *err)
{
    return prepare(c, HL_ONEDNN_CONV_FORWARD, c->in[W_INPUT].constant, err);
}

static hl_status prepare_backward_data(hl_call *c, hl_error *err)
{
    return prepare(c, HL_ONEDNN_CONV_BACKWARD_DATA, false, err);
}

static hl_status prepare_backward_filter(hl_call *c, hl_error *err)
{
    return prepare(c, HL_ONEDNN_CONV_BACKWARD_FILTER, false, err);
}

static hl_status pack(const hl_call *c, const void *source, void *packed, hl_error *err)
{
    dnnl_status_t status = hl_onednn_conv_keep(c->state, source, packed, c->workspace);
    return status == dnnl_success ? HL_OK
                                  : hl_onednn_fail(err, "to reorder the weights of a convolution", status);
}

static hl_status run(const hl_call *c, hl_error *err)
{
    dnnl_status_t status = hl_onednn_conv_run(c->state, c);
    return status == dnnl_success ? HL_OK : hl_onednn_fail(err, "to run a convolution", status);
}

/* The activation is ours: the library's relu makes 0 of NaN, and a loss that is not finite must show. */
static hl_status run_forward(const hl_call *c, hl_error *err)
{
    const hl_conv_params *p = c->params;
    hl_shape y = c->out[0].shape;
    hl_status status = run(c, err);
    if (status == HL_OK && p->activation == HL_ACT_RELU)
        hl_conv_relu(c);
    else if (status == HL_OK)
        hl_epilogue(hl_out(c, 0), y.dim[0] * y.dim[1], y.dim[2] * y.dim[3], NULL, p->activation);
    return status;
}

const hl_kernel hl_cpu_onednn_conv2d = {.op = "conv2d",
                                        .name = "onednn",
                                        .accepts = accepts_forward,
                                        .prepare = prepare_forward,
                                        .pack = pack,
                                        .run = run_forward,
                                        .release = release};

const hl_kernel hl_cpu_onednn_conv2d_backward_data = {.op = "conv2d_backward_data",
                                                      .name = "onednn",
                                                      .accepts = accepts_backward_data,
                                                      .prepare = prepare_backward_data,
                                                      .run = run,
                                                      .release = release};

const hl_kernel hl_cpu_onednn_conv2d_backward_filter = {.op = "conv2d_backward_filter",
                                                        .name = "onednn",
                                                        .accepts = accepts_backward_filter,
                                                        .prepare = prepare_backward_filter,
                                                        .run = run,
                                                        .release = release};
