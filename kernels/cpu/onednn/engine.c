#include "kernels/cpu/onednn/engine.h"

#include "base/error.h"

#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static dnnl_engine_t shared;
static dnnl_status_t outcome;

static void make_engine(void)
{
    outcome = dnnl_engine_create(&shared, dnnl_cpu, 0);
}

dnnl_status_t hl_onednn_engine(dnnl_engine_t *engine)
{
    if (pthread_once(&once, make_engine) != 0)
        return dnnl_runtime_error;
    *engine = shared;
    return outcome;
}

hl_status hl_onednn_fail(hl_error *err, const char *what, dnnl_status_t status)
{
    hl_status as = status == dnnl_out_of_memory   ? HL_ERR_MEMORY
                   : status == dnnl_unimplemented ? HL_ERR_UNSUPPORTED
                                                  : HL_ERR_DEVICE;
    return hl_fail(err, as, "oneDNN refuses %s: %s (status %d); device cpu:portable does without oneDNN",
                   what, dnnl_status2str(status), (int)status);
}

static bool view_fits(const hl_view *v)
{
    if (v->dtype != HL_F32 || v->count == 0)
        return false;
    for (int i = 0; i < v->shape.rank; i++)
        if (v->shape.dim[i] > INT32_MAX)
            return false;
    return true;
}

bool hl_onednn_fits(const hl_call *c)
{
    for (int k = 0; k < c->n_in; k++)
        if (c->in[k].shape.rank && !view_fits(&c->in[k])) /* an absent operand has no shape */
            return false;
    for (int k = 0; k < c->n_out; k++)
        if (!view_fits(&c->out[k]))
            return false;
    return true;
}
