/* Averages over cells as ONNX has them. Its AveragePool knows cells of one size that do not overlap; any
 * others, and pooled patches, are linear in rows and in columns: two products with constant matrices. */
#include "export/onnx_build.h"

#include "base/memory.h"
#include "ops/window.h"

static const char *average_pool(hl_onnx *x, int64_t height, int64_t width)
{
    int64_t kernel[2] = {height, width};
    hl_text a = {0};
    hl_onnx_ints(&a, "kernel_shape", 2, kernel);
    hl_onnx_ints(&a, "strides", 2, kernel);
    return hl_onnx_emit(x, "AveragePool", &a, hl_onnx_in(x, 0));
}

/* How one axis of a window over `size` elements is pooled to `cells`. */
typedef struct axis {
    int64_t size, kernel, stride, padding, cells;
} axis;

/* Row c*kernel + k: what element k of the kernel reads, averaged over the positions of cell c; zero padded.
 * [cells*kernel,size], or its transpose. */
static const char *averages(hl_onnx *x, axis a, bool transposed)
{
    int64_t positions = hl_window_count(a.size, a.kernel, a.stride, a.padding), rows = a.cells * a.kernel;
    float *m = hl_alloc((size_t)rows * (size_t)a.size, sizeof *m);
    if (!m)
        return hl_onnx_fail(x, HL_ERR_MEMORY, "no memory for averages of %lld elements", (long long)a.size);
    for (int64_t c = 0; c < a.cells; c++) {
        int64_t begin = hl_cell_begin(c, positions, a.cells), end = hl_cell_end(c, positions, a.cells);
        for (int64_t p = begin; p < end; p++) {
            for (int64_t k = 0; k < a.kernel; k++) {
                int64_t at = p * a.stride - a.padding + k, row = c * a.kernel + k;
                if (at >= 0 && at < a.size)
                    m[transposed ? at * rows + row : row * a.size + at] = (float)(1.0 /
                                                                                  (double)(end - begin));
            }
        }
    }
    const char *matrix = transposed ? hl_onnx_matrix(x, a.size, rows, m) : hl_onnx_matrix(x, rows, a.size, m);
    hl_free(m);
    return matrix;
}

/* x [B,C,H,W] -> [B,C,h*kh,w*kw] */
static const char *pool_axes(hl_onnx *x, axis rows, axis columns)
{
    const char *narrow = hl_onnx_emit(x, "MatMul", NULL, hl_onnx_in(x, 0), averages(x, columns, true));
    return hl_onnx_emit(x, "MatMul", NULL, averages(x, rows, false), narrow);
}

const char *hl_onnx_lower_avg_pool(hl_onnx *x, const hl_node *n)
{
    const hl_pool_params *p = n->params;
    hl_shape s = hl_shape_of(x->two, n->in[0]);
    if (p->height == 1 && p->width == 1)
        return hl_onnx_emit(x, "GlobalAveragePool", NULL, hl_onnx_in(x, 0));
    if (s.dim[2] % p->height == 0 && s.dim[3] % p->width == 0)
        return average_pool(x, s.dim[2] / p->height, s.dim[3] / p->width);
    return pool_axes(x, (axis){s.dim[2], 1, 1, 0, p->height}, (axis){s.dim[3], 1, 1, 0, p->width});
}

/* [B,C,h*kh,w*kw] -> [B,C,h,kh,w,kw] -> [B,h,w,C,kh,kw] -> [B,h,w,C*kh*kw] */
const char *hl_onnx_lower_patch_mean(hl_onnx *x, const hl_node *n)
{
    const hl_patch_params *p = n->params;
    hl_shape s = hl_shape_of(x->two, n->in[0]);
    const char *pooled = pool_axes(x, (axis){s.dim[2], p->kernel_h, p->stride, p->padding, p->pool_h},
                                   (axis){s.dim[3], p->kernel_w, p->stride, p->padding, p->pool_w});
    hl_onnx_dims in = hl_onnx_dims_of(x, n->in[0]);
    hl_onnx_dims apart = {6,
                          {in.dim[0], in.dim[1], hl_onnx_fixed(p->pool_h), hl_onnx_fixed(p->kernel_h),
                           hl_onnx_fixed(p->pool_w), hl_onnx_fixed(p->kernel_w)}};
    hl_onnx_dims places = {6, {in.dim[0], apart.dim[2], apart.dim[4], in.dim[1], apart.dim[3], apart.dim[5]}};
    const char *cells = hl_onnx_reshape(x, pooled, in, apart);
    cells = hl_onnx_transpose(x, cells, 6, (int[]){0, 2, 4, 1, 3, 5});
    return hl_onnx_reshape(x, cells, places, hl_onnx_dims_of(x, hl_node_output(n, 0)));
}
