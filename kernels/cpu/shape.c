#include "kernels/cpu/shape.h"

/* Strides of `in` under the dims of `out`, both aligned at the last dim. */
static void natural_strides(hl_shape out, hl_shape in, int64_t *stride)
{
    int64_t step = 1;
    for (int i = 1; i <= out.rank; i++) {
        int64_t size = i <= in.rank ? in.dim[in.rank - i] : 1;
        stride[out.rank - i] = size == 1 ? 0 : step;
        step *= size;
    }
}

hl_broadcast hl_broadcast_of(hl_shape out, hl_shape a, hl_shape b)
{
    int64_t natural[2][HL_MAX_RANK];
    hl_broadcast w = {.rank = 0};
    natural_strides(out, a, natural[0]);
    natural_strides(out, b, natural[1]);
    for (int i = 0; i < out.rank; i++) {
        if (out.dim[i] == 1)
            continue;
        bool merge = w.rank > 0;
        for (int k = 0; k < 2 && merge; k++)
            merge = w.stride[k][w.rank - 1] == natural[k][i] * out.dim[i];
        int at = merge ? w.rank - 1 : w.rank++;
        w.dim[at] = merge ? w.dim[at] * out.dim[i] : out.dim[i];
        for (int k = 0; k < 2; k++)
            w.stride[k][at] = natural[k][i];
    }
    if (!w.rank)
        w = (hl_broadcast){.rank = 1, .dim = {1}, .stride = {{1}, {1}}};
    return w;
}
