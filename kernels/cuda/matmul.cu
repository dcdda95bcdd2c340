/* The op: which way a product is formed. */
#include "kernels/cuda/matmul.h"

#include "base/memory.h"

static bool accepts(const hl_call *c)
{
    return hl_mixed_dtypes(c, static_cast<const hl_matmul_params *>(c->params)->out);
}

static hl_product_path path_of(const hl_matmul_params *p, const hl_product *product)
{
    if (product->M <= HL_FEW_ROWS && !p->transpose_a && p->transpose_b)
        return HL_BY_ROWS;
    return product->K ? HL_BY_LIBRARY : HL_BY_TILES;
}

static hl_status prepare(hl_call *c, hl_error *err)
{
    const hl_matmul_params *p = static_cast<const hl_matmul_params *>(c->params);
    hl_product *product = static_cast<hl_product *>(hl_alloc(1, sizeof *product));
    if (!product)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the plan of a product");
    product->M = c->out[0].shape.dim[0];
    product->N = c->out[0].shape.dim[1];
    product->K = c->in[HL_MATMUL_A].shape.dim[!p->transpose_a];
    product->path = path_of(p, product);
    if (product->path == HL_BY_LIBRARY && c->out[0].count)
        c->workspace_bytes = hl_product_scratch(product) + HL_SCRATCH_ALIGN;
    c->state = product;
    return HL_OK;
}

static void release(hl_call *c)
{
    hl_product *product = static_cast<hl_product *>(c->state);
    if (product)
        hl_product_release(product);
    hl_free(product);
    c->state = NULL;
}

static hl_status run(const hl_call *c, hl_error *err)
{
    hl_product *product = static_cast<hl_product *>(c->state);
    if (!c->out[0].count)
        return HL_OK;
    if (product->path == HL_BY_LIBRARY && !product->chosen) {
        hl_status status = hl_product_choose(c, product, err);
        if (status != HL_OK)
            return status;
    }
    switch (product->path) {
    case HL_BY_ROWS:
        return hl_product_by_rows(c, product, err);
    case HL_BY_TILES:
        return hl_product_by_tiles(c, product, err);
    default:
        return hl_product_by_library(c, product, err);
    }
}

extern "C" {
extern const hl_kernel hl_cuda_matmul;
const hl_kernel hl_cuda_matmul = {
    .op = "matmul", .name = "cuda", .accepts = accepts, .prepare = prepare, .run = run, .release = release};
}
