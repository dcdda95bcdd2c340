/* One face for the C API of oneDNN 2.x and 3.x. Between them descriptors became handles and the
 * operation descriptors went away; nothing else that we use changed. Every function returns the
 * library's own status. No other file includes dnnl.h. */
#ifndef HL_KERNELS_CPU_ONEDNN_DNNL_COMPAT_H
#define HL_KERNELS_CPU_ONEDNN_DNNL_COMPAT_H

#include <dnnl.h>
#include <dnnl_debug.h>

#include <stdbool.h>
#include <string.h>

#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t dc_cmd; /* a borrowed memory descriptor */
typedef dnnl_memory_desc_t dc_md;        /* an owned one */
#define DC_MD_INIT NULL
static inline dc_cmd dc_borrow(const dc_md *md)
{
    return *md;
}
#else
typedef const dnnl_memory_desc_t *dc_cmd;
typedef dnnl_memory_desc_t dc_md;
/* clang-format off */
#define DC_MD_INIT {0}
/* clang-format on */
static inline dc_cmd dc_borrow(const dc_md *md)
{
    return md;
}
#endif

/* Dense float descriptor; dnnl_format_tag_any lets the primitive choose the layout. */
static inline dnnl_status_t dc_md_create(dc_md *md, int ndims, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_memory_desc_create_with_tag(md, ndims, dims, dnnl_f32, tag);
#else
    return dnnl_memory_desc_init_by_tag(md, ndims, dims, dnnl_f32, tag);
#endif
}

static inline void dc_md_destroy(dc_md *md)
{
#if DNNL_VERSION_MAJOR >= 3
    if (*md != NULL) {
        dnnl_memory_desc_destroy(*md);
        *md = NULL;
    }
#else
    (void)md;
#endif
}

/* A layout of blocks, exactly. What a tensor does not have is 0, so equal bytes are equal layouts. */
typedef struct dc_layout {
    int64_t dims, blocks;
    dnnl_dims_t padded, strides;
    dnnl_dims_t block, along; /* each block's size and dimension, the outermost first */
} dc_layout;

static inline void dc_layout_set(dc_layout *l, int dims, const dnnl_dim_t *padded, const dnnl_dim_t *strides,
                                 int blocks, const dnnl_dim_t *block, const dnnl_dim_t *along)
{
    memset(l, 0, sizeof *l);
    l->dims = dims;
    l->blocks = blocks;
    memcpy(l->padded, padded, (size_t)dims * sizeof *padded);
    memcpy(l->strides, strides, (size_t)dims * sizeof *strides);
    memcpy(l->block, block, (size_t)blocks * sizeof *block);
    memcpy(l->along, along, (size_t)blocks * sizeof *along);
}

/* False: the layout is not known to be of plain blocks. */
static inline bool dc_layout_of(dc_layout *l, dc_cmd md)
{
#if DNNL_VERSION_MAJOR >= 3
    dnnl_format_kind_t kind;
    int dims, blocks;
    const dnnl_dims_t *padded, *strides, *block, *along;
    if (dnnl_memory_desc_query(md, dnnl_query_format_kind, &kind) != dnnl_success || kind != dnnl_blocked ||
        dnnl_memory_desc_query(md, dnnl_query_ndims_s32, &dims) != dnnl_success ||
        dnnl_memory_desc_query(md, dnnl_query_padded_dims, (void *)&padded) != dnnl_success ||
        dnnl_memory_desc_query(md, dnnl_query_strides, (void *)&strides) != dnnl_success ||
        dnnl_memory_desc_query(md, dnnl_query_inner_nblks_s32, &blocks) != dnnl_success ||
        dnnl_memory_desc_query(md, dnnl_query_inner_blks, (void *)&block) != dnnl_success ||
        dnnl_memory_desc_query(md, dnnl_query_inner_idxs, (void *)&along) != dnnl_success)
        return false;
    dc_layout_set(l, dims, *padded, *strides, blocks, *block, *along);
#else
    const dnnl_blocking_desc_t *b = &md->format_desc.blocking;
    if (md->format_kind != dnnl_blocked || md->extra.flags != dnnl_memory_extra_flag_none)
        return false;
    dc_layout_set(l, md->ndims, md->padded_dims, b->strides, b->inner_nblks, b->inner_blks, b->inner_idxs);
#endif
    return true;
}

static inline dnnl_status_t dc_append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha,
                                              float beta)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_post_ops_append_eltwise(ops, kind, alpha, beta);
#else
    return dnnl_post_ops_append_eltwise(ops, 1.0f, kind, alpha, beta);
#endif
}

/* bias may be NULL. The dilates of oneDNN count skipped elements: 0 is a dense kernel. */
static inline dnnl_status_t dc_conv_forward(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                            dnnl_prop_kind_t prop, dc_cmd src, dc_cmd weights, dc_cmd bias,
                                            dc_cmd dst, const dnnl_dims_t strides, const dnnl_dims_t dilates,
                                            const dnnl_dims_t pad_l, const dnnl_dims_t pad_r,
                                            const_dnnl_primitive_attr_t attr)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_convolution_forward_primitive_desc_create(pd, engine, prop, dnnl_convolution_direct, src,
                                                          weights, bias, dst, strides, dilates, pad_l, pad_r,
                                                          attr);
#else
    dnnl_convolution_desc_t d;
    dnnl_status_t s = dnnl_dilated_convolution_forward_desc_init(
        &d, prop, dnnl_convolution_direct, src, weights, bias, dst, strides, dilates, pad_l, pad_r);
    return s != dnnl_success ? s : dnnl_primitive_desc_create(pd, &d, attr, engine, NULL);
#endif
}

static inline dnnl_status_t dc_conv_backward_data(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                                  dc_cmd diff_src, dc_cmd weights, dc_cmd diff_dst,
                                                  const dnnl_dims_t strides, const dnnl_dims_t dilates,
                                                  const dnnl_dims_t pad_l, const dnnl_dims_t pad_r,
                                                  const_dnnl_primitive_desc_t forward,
                                                  const_dnnl_primitive_attr_t attr)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_convolution_backward_data_primitive_desc_create(pd, engine, dnnl_convolution_direct, diff_src,
                                                                weights, diff_dst, strides, dilates, pad_l,
                                                                pad_r, forward, attr);
#else
    dnnl_convolution_desc_t d;
    dnnl_status_t s = dnnl_dilated_convolution_backward_data_desc_init(
        &d, dnnl_convolution_direct, diff_src, weights, diff_dst, strides, dilates, pad_l, pad_r);
    return s != dnnl_success ? s : dnnl_primitive_desc_create(pd, &d, attr, engine, forward);
#endif
}

/* diff_bias may be NULL. */
static inline dnnl_status_t
dc_conv_backward_filter(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, dc_cmd src, dc_cmd diff_weights,
                        dc_cmd diff_bias, dc_cmd diff_dst, const dnnl_dims_t strides,
                        const dnnl_dims_t dilates, const dnnl_dims_t pad_l, const dnnl_dims_t pad_r,
                        const_dnnl_primitive_desc_t forward, const_dnnl_primitive_attr_t attr)
{
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_convolution_backward_weights_primitive_desc_create(pd, engine, dnnl_convolution_direct, src,
                                                                   diff_weights, diff_bias, diff_dst, strides,
                                                                   dilates, pad_l, pad_r, forward, attr);
#else
    dnnl_convolution_desc_t d;
    dnnl_status_t s = dnnl_dilated_convolution_backward_weights_desc_init(
        &d, dnnl_convolution_direct, src, diff_weights, diff_bias, diff_dst, strides, dilates, pad_l, pad_r);
    return s != dnnl_success ? s : dnnl_primitive_desc_create(pd, &d, attr, engine, forward);
#endif
}

#endif
