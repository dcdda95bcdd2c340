#include "export/stored.h"

#include "base/error.h"
#include "base/half.h"
#include "base/memory.h"
#include "compile/passes.h"
#include "ops/ops.h"

#include <math.h>

static void choose(const hl_graph *low, const int *uses, hl_dtype *dtypes)
{
    for (int i = 0; i < low->n_nodes; i++) {
        const hl_node *n = low->nodes[i];
        const hl_param_params *p = n->op == &hl_op_param ? n->params : NULL;
        if (p && uses[n->first_out] && dtypes[p->index] != HL_F32)
            dtypes[p->index] = p->dtype;
    }
}

hl_status hl_stored_dtypes(const hl_graph *g, hl_params *params, hl_precision precision, hl_dtype *dtypes,
                           hl_error *err)
{
    hl_graph *copy = hl_graph_rewrite(g, NULL, NULL), *low = NULL;
    const char *fault = hl_graph_error(copy);
    if (!fault) {
        copy->precision = precision;
        low = hl_pass_lower_precision(copy);
        fault = hl_graph_error(low);
    }
    int *uses = fault ? NULL : hl_graph_uses(low);
    for (int i = 0; i < hl_params_count(params); i++)
        dtypes[i] = HL_DTYPES;
    if (uses)
        choose(low, uses, dtypes);
    hl_status status = uses ? HL_OK
                            : hl_fail(err, HL_ERR_MEMORY, "%s", fault ? fault : "no memory to count uses");
    hl_free(uses);
    hl_graph_free(low);
    hl_graph_free(copy);
    return status;
}

static uint16_t narrow(float x, hl_dtype dtype)
{
    return dtype == HL_BF16 ? hl_float_to_bf16(x) : hl_float_to_f16(x);
}

static bool finite_in(uint16_t x, hl_dtype dtype)
{
    const uint16_t exponent = dtype == HL_BF16 ? 0x7f80 : 0x7c00;
    return (x & exponent) != exponent;
}

hl_status hl_stored_values(const hl_param_info *info, int64_t begin, int64_t n, hl_dtype dtype, uint16_t *to,
                           hl_error *err)
{
    for (int64_t i = 0; i < n && dtype != HL_I8; i++) {
        const float x = info->data[begin + i];
        const uint16_t low = to ? narrow(x, dtype) : 0;
        if (!isfinite(x) || (to && !finite_in(low, dtype)))
            return hl_fail(err, HL_ERR_NUMERIC, "element %lld of '%s' is %g, which %s cannot hold",
                           (long long)(begin + i), info->name, (double)x, hl_dtype_name(dtype));
        if (to)
            to[i] = low;
    }
    return HL_OK;
}
