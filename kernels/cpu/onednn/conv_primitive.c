#include "kernels/cpu/onednn/conv_primitive.h"

#include "base/memory.h"

#include <string.h>

enum {
    X = HL_ONEDNN_CONV_X,
    W = HL_ONEDNN_CONV_W,
    Y = HL_ONEDNN_CONV_Y,
    BIAS = HL_ONEDNN_CONV_BIAS,
    TENSORS = HL_ONEDNN_CONV_TENSORS
};
enum { ALIGN = 64 };

/* What oneDNN calls each tensor, and where a call has it. */
typedef struct role {
    int arg;
    dnnl_query_t query;
    int index;    /* of the query: a bias is the second of the weights */
    int position; /* among the inputs; -1: the output */
} role;

static const role roles[][TENSORS] = {
    [HL_ONEDNN_CONV_FORWARD] = {[X] = {DNNL_ARG_SRC, dnnl_query_src_md, 0, 0},
                                [W] = {DNNL_ARG_WEIGHTS, dnnl_query_weights_md, 0, 1},
                                [Y] = {DNNL_ARG_DST, dnnl_query_dst_md, 0, -1},
                                [BIAS] = {DNNL_ARG_BIAS, dnnl_query_weights_md, 1, 2}},
    [HL_ONEDNN_CONV_BACKWARD_DATA] = {[X] = {DNNL_ARG_DIFF_SRC, dnnl_query_diff_src_md, 0, -1},
                                      [W] = {DNNL_ARG_WEIGHTS, dnnl_query_weights_md, 0, 1},
                                      [Y] = {DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md, 0, 0}},
    [HL_ONEDNN_CONV_BACKWARD_FILTER] = {[X] = {DNNL_ARG_SRC, dnnl_query_src_md, 0, 0},
                                        [W] = {DNNL_ARG_DIFF_WEIGHTS, dnnl_query_diff_weights_md, 0, -1},
                                        [Y] = {DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md, 0, 1}},
};

static const hl_view *view_of(const hl_call *c, const role *r)
{
    return r->position < 0 ? &c->out[0] : &c->in[r->position];
}

static bool has(const hl_call *c, const role *r)
{
    return r->arg != 0 && view_of(c, r)->shape.rank != 0;
}

/* ------------------------------------------------------------------ threads */

/* The convolution and the reorders around it wake threads one after the other. */
static bool is_small(const hl_call *c, hl_onednn_conv_kind kind)
{
    const hl_view *w = view_of(c, &roles[kind][W]), *y = view_of(c, &roles[kind][Y]);
    double products = (double)y->count * (double)w->count / (double)w->shape.dim[0];
    return hl_threads_for(products / 3, sizeof(float) * (double)w->count) == 1;
}

/* oneDNN takes as many threads as OpenMP has for the caller, who is not to wake them for little: 1 from here
 * on if alone. The result is for threads_back. */
static int threads_away(bool alone)
{
    int before = omp_get_max_threads();
    if (alone)
        omp_set_num_threads(1);
    return before;
}

static void threads_back(int before)
{
    if (omp_get_max_threads() != before)
        omp_set_num_threads(before);
}

/* ------------------------------------------------------------------ descriptors */

typedef struct descriptors {
    dc_md plain[TENSORS]; /* as the caller has them */
    dc_md free[TENSORS];  /* as the library may choose; a bias has one layout only */
    dnnl_dims_t strides, dilates, padding;
    dnnl_primitive_attr_t attributes;  /* scratch comes from us */
    dnnl_primitive_desc_t forward;     /* that a backward pass belongs to */
    dnnl_primitive_desc_t description; /* the result */
} descriptors;

static void clear_descriptors(descriptors *d)
{
    for (int i = 0; i < TENSORS; i++) {
        dc_md_destroy(&d->plain[i]);
        dc_md_destroy(&d->free[i]);
    }
    if (d->attributes)
        dnnl_primitive_attr_destroy(d->attributes);
    if (d->forward)
        dnnl_primitive_desc_destroy(d->forward);
    if (d->description)
        dnnl_primitive_desc_destroy(d->description);
}

static dnnl_status_t describe_tensors(descriptors *d, const hl_call *c, hl_onednn_conv_kind kind)
{
    /* Of an image of one channel the blocked backward filter is four times slower than the plain one. */
    bool plain = kind == HL_ONEDNN_CONV_BACKWARD_FILTER && view_of(c, &roles[kind][X])->shape.dim[1] == 1;
    for (int i = 0; i < TENSORS; i++) {
        if (!has(c, &roles[kind][i]))
            continue;
        hl_shape shape = view_of(c, &roles[kind][i])->shape;
        dnnl_dims_t dims = {0};
        for (int k = 0; k < shape.rank; k++)
            dims[k] = shape.dim[k];
        dnnl_format_tag_t tag = i == BIAS ? dnnl_a : i == W ? dnnl_oihw : dnnl_nchw;
        dnnl_status_t s = dc_md_create(&d->plain[i], shape.rank, dims, tag);
        if (s == dnnl_success)
            s = dc_md_create(&d->free[i], shape.rank, dims, plain || i == BIAS ? tag : dnnl_format_tag_any);
        if (s != dnnl_success)
            return s;
    }
    return dnnl_success;
}

/* Fills zeroed descriptors; clear them in any case. */
static dnnl_status_t describe(descriptors *d, dnnl_engine_t engine, const hl_call *c,
                              hl_onednn_conv_kind kind)
{
    const hl_conv_params *p = c->params;
    for (int i = 0; i < 2; i++) {
        d->strides[i] = p->stride;
        d->padding[i] = p->padding;
        d->dilates[i] = 0;
    }
    dnnl_status_t s = describe_tensors(d, c, kind);
    if (s == dnnl_success)
        s = dnnl_primitive_attr_create(&d->attributes);
    if (s == dnnl_success)
        s = dnnl_primitive_attr_set_scratchpad_mode(d->attributes, dnnl_scratchpad_mode_user);
    if (s != dnnl_success)
        return s;
    dc_cmd x = dc_borrow(&d->free[X]), w = dc_borrow(&d->free[W]), y = dc_borrow(&d->free[Y]);
    dc_cmd bias = has(c, &roles[kind][BIAS]) ? dc_borrow(&d->free[BIAS]) : NULL;
    if (kind == HL_ONEDNN_CONV_FORWARD)
        return dc_conv_forward(&d->description, engine, dnnl_forward_inference, x, w, bias, y, d->strides,
                               d->dilates, d->padding, d->padding, d->attributes);
    s = dc_conv_forward(&d->forward, engine, dnnl_forward_training, x, w, NULL, y, d->strides, d->dilates,
                        d->padding, d->padding, NULL);
    if (s != dnnl_success)
        return s;
    if (kind == HL_ONEDNN_CONV_BACKWARD_DATA)
        return dc_conv_backward_data(&d->description, engine, x, w, y, d->strides, d->dilates, d->padding,
                                     d->padding, d->forward, d->attributes);
    return dc_conv_backward_filter(&d->description, engine, x, w, NULL, y, d->strides, d->dilates, d->padding,
                                   d->padding, d->forward, d->attributes);
}

bool hl_onednn_conv_offered(const hl_call *c, hl_onednn_conv_kind kind)
{
    descriptors d;
    dnnl_engine_t engine;
    const char *name = "";
    memset(&d, 0, sizeof d);
    int threads = threads_away(is_small(c, kind));
    dnnl_status_t s = hl_onednn_engine(&engine);
    if (s == dnnl_success)
        s = describe(&d, engine, c, kind);
    threads_back(threads);
    if (s == dnnl_success)
        s = dnnl_primitive_desc_query(d.description, dnnl_query_impl_info_str, 0, (void *)&name);
    clear_descriptors(&d);
    /* Its reference loops are slower than ours. Other errors are for hl_onednn_conv_make to report. */
    return s != dnnl_unimplemented && s != dnnl_invalid_arguments && strncmp(name, "ref", 3) != 0;
}

/* ------------------------------------------------------------------ making */

static void want_scratchpad(hl_onednn_conv *v, const_dnnl_primitive_desc_t pd)
{
    size_t bytes = dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0));
    if (bytes > v->scratchpad_bytes)
        v->scratchpad_bytes = bytes;
}

static dnnl_status_t make_operand(hl_onednn_conv *v, const descriptors *d, int i, const role *r)
{
    hl_onednn_conv_operand *o = &v->operand[i];
    dc_cmd outside = dc_borrow(&d->plain[i]);
    dc_cmd inside = dnnl_primitive_desc_query_md(v->description, r->query, r->index);
    bool output = r->position < 0;
    dnnl_primitive_desc_t pd = NULL;
    o->arg = r->arg;
    o->position = r->position;
    dnnl_status_t s = dnnl_memory_create(&o->outside, outside, v->engine, DNNL_MEMORY_NONE);
    if (s != dnnl_success || dnnl_memory_desc_equal(inside, outside))
        return s;
    o->bytes = dnnl_memory_desc_get_size(inside);
    s = dnnl_memory_create(&o->inside, inside, v->engine, DNNL_MEMORY_NONE);
    if (s == dnnl_success)
        s = dnnl_reorder_primitive_desc_create(&pd, output ? inside : outside, v->engine,
                                               output ? outside : inside, v->engine, d->attributes);
    if (s == dnnl_success)
        s = dnnl_primitive_create(&o->reorder, pd);
    if (s == dnnl_success)
        want_scratchpad(v, pd);
    if (pd)
        dnnl_primitive_desc_destroy(pd);
    return s;
}

/* Offsets of what lies in scratch. */
static dnnl_status_t lay_out(hl_onednn_conv *v)
{
    size_t total = 0;
    for (int i = 0; i < TENSORS; i++) {
        hl_onednn_conv_operand *o = &v->operand[i];
        o->offset = total;
        if (!o->kept && !hl_size_add(total, hl_size_align(o->bytes, ALIGN), &total))
            return dnnl_out_of_memory;
    }
    v->scratchpad_offset = total;
    if (!hl_size_add(total, hl_size_align(v->scratchpad_bytes, ALIGN), &v->work_bytes))
        return dnnl_out_of_memory;
    if (v->scratchpad_bytes == 0)
        return dnnl_success;
    dc_md md = DC_MD_INIT;
    dnnl_dims_t dims = {(dnnl_dim_t)(hl_size_align(v->scratchpad_bytes, sizeof(float)) / sizeof(float))};
    dnnl_status_t s = dc_md_create(&md, 1, dims, dnnl_a);
    if (s == dnnl_success)
        s = dnnl_memory_create(&v->scratchpad, dc_borrow(&md), v->engine, DNNL_MEMORY_NONE);
    dc_md_destroy(&md);
    return s;
}

static dnnl_status_t make_primitives(hl_onednn_conv *v, const descriptors *d, const hl_call *c,
                                     hl_onednn_conv_kind kind, bool keep_weights)
{
    dnnl_status_t s = dnnl_stream_create(&v->stream, v->engine, dnnl_stream_default_flags);
    if (s == dnnl_success)
        s = dnnl_primitive_create(&v->primitive, v->description);
    if (s == dnnl_success)
        want_scratchpad(v, v->description);
    for (int i = 0; i < TENSORS && s == dnnl_success; i++)
        if (has(c, &roles[kind][i]))
            s = make_operand(v, d, i, &roles[kind][i]);
    if (s != dnnl_success)
        return s;
    dc_cmd weights = dnnl_primitive_desc_query_md(v->description, roles[kind][W].query, roles[kind][W].index);
    v->operand[W].kept = keep_weights && v->operand[W].reorder && dc_layout_of(&v->kept_layout, weights);
    return lay_out(v);
}

dnnl_status_t hl_onednn_conv_make(hl_onednn_conv *v, const hl_call *c, hl_onednn_conv_kind kind,
                                  bool keep_weights)
{
    descriptors d;
    memset(&d, 0, sizeof d);
    v->alone = is_small(c, kind);
    int threads = threads_away(v->alone);
    dnnl_status_t s = hl_onednn_engine(&v->engine);
    if (s == dnnl_success)
        s = describe(&d, v->engine, c, kind);
    if (s == dnnl_success) {
        v->description = d.description;
        d.description = NULL;
        s = make_primitives(v, &d, c, kind, keep_weights);
    }
    threads_back(threads);
    clear_descriptors(&d);
    return s;
}

void hl_onednn_conv_clear(hl_onednn_conv *v)
{
    for (int i = 0; i < TENSORS; i++) {
        hl_onednn_conv_operand *o = &v->operand[i];
        if (o->reorder)
            dnnl_primitive_destroy(o->reorder);
        if (o->inside)
            dnnl_memory_destroy(o->inside);
        if (o->outside)
            dnnl_memory_destroy(o->outside);
    }
    if (v->scratchpad)
        dnnl_memory_destroy(v->scratchpad);
    if (v->primitive)
        dnnl_primitive_destroy(v->primitive);
    if (v->description)
        dnnl_primitive_desc_destroy(v->description);
    if (v->stream)
        dnnl_stream_destroy(v->stream);
    memset(v, 0, sizeof *v);
}

/* ------------------------------------------------------------------ running */

static dnnl_status_t bind_scratchpad(const hl_onednn_conv *v, void *work)
{
    return v->scratchpad ? dnnl_memory_set_data_handle(v->scratchpad, (char *)work + v->scratchpad_offset)
                         : dnnl_success;
}

static dnnl_status_t reorder(const hl_onednn_conv *v, const hl_onednn_conv_operand *o)
{
    bool output = o->position < 0;
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, output ? o->inside : o->outside},
                              {DNNL_ARG_TO, output ? o->outside : o->inside},
                              {DNNL_ARG_SCRATCHPAD, v->scratchpad}};
    return dnnl_primitive_execute(o->reorder, v->stream, v->scratchpad ? 3 : 2, args);
}

dnnl_status_t hl_onednn_conv_keep(const hl_onednn_conv *v, const void *source, void *packed, void *work)
{
    const hl_onednn_conv_operand *w = &v->operand[W];
    int threads = threads_away(v->alone);
    dnnl_status_t s = bind_scratchpad(v, work);
    if (s == dnnl_success)
        s = dnnl_memory_set_data_handle(w->outside, (void *)source);
    if (s == dnnl_success)
        s = dnnl_memory_set_data_handle(w->inside, packed);
    if (s == dnnl_success)
        s = reorder(v, w);
    threads_back(threads);
    return s == dnnl_success ? dnnl_stream_wait(v->stream) : s;
}

/* Points the operand's memories at the call's, and brings an input into the primitive's layout. */
static dnnl_status_t bring(const hl_onednn_conv *v, const hl_onednn_conv_operand *o, const hl_call *c)
{
    if (o->kept)
        return dnnl_memory_set_data_handle(o->inside, c->packed);
    void *data = o->position < 0 ? c->out[0].data : c->in[o->position].data;
    dnnl_status_t s = dnnl_memory_set_data_handle(o->outside, data);
    if (s == dnnl_success && o->inside)
        s = dnnl_memory_set_data_handle(o->inside, (char *)c->workspace + o->offset);
    return s == dnnl_success && o->reorder && o->position >= 0 ? reorder(v, o) : s;
}

dnnl_status_t hl_onednn_conv_run(const hl_onednn_conv *v, const hl_call *c)
{
    dnnl_exec_arg_t args[TENSORS + 1];
    int count = 0, threads = threads_away(v->alone);
    dnnl_status_t s = bind_scratchpad(v, c->workspace);
    for (int i = 0; i < TENSORS && s == dnnl_success; i++) {
        const hl_onednn_conv_operand *o = &v->operand[i];
        if (o->arg == 0)
            continue;
        s = bring(v, o, c);
        args[count++] = (dnnl_exec_arg_t){o->arg, o->inside ? o->inside : o->outside};
    }
    if (v->scratchpad)
        args[count++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, v->scratchpad};
    if (s == dnnl_success)
        s = dnnl_primitive_execute(v->primitive, v->stream, count, args);
    for (int i = 0; i < TENSORS && s == dnnl_success; i++)
        if (v->operand[i].reorder && v->operand[i].position < 0)
            s = reorder(v, &v->operand[i]);
    threads_back(threads);
    return s == dnnl_success ? dnnl_stream_wait(v->stream) : s;
}
