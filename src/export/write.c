#include "export/write.h"

#include "base/error.h"
#include "base/half.h"
#include "base/memory.h"
#include "compile/passes.h"
#include "deploy/model.h"
#include "deploy/program.h"
#include "ops/ops.h"
#include "run/params.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct writer {
    const char *path;
    const hl_graph *two, *three; /* at these batches */
    hl_params *params;
    hl_precision precision;
    hl_text program;
    int n;
    hl_safetensor *tensors;
    void **converted; /* by tensor: its values in 16 bits, or NULL */
    hl_error *err;
} writer;

static hl_status no_memory(const writer *w)
{
    return hl_fail(w->err, HL_ERR_MEMORY, "%s: no memory to write it", w->path);
}

static const hl_param_params *param_of(const hl_node *n)
{
    return n->op == &hl_op_param ? n->params : NULL;
}

/* ------------------------------------------------------------------ tensors */

/* The dtype that a session of the graph reads each entry in, by place in the store: what its compiler
 * decides. An entry that anything reads in f32 stays so. */
static hl_status choose_dtypes(const writer *w, hl_dtype *dtypes)
{
    hl_graph *g = hl_graph_rewrite(w->two, NULL, NULL), *low = NULL;
    if (g) {
        g->precision = w->precision;
        low = hl_pass_lower_precision(g);
    }
    const char *fault = hl_graph_error(low);
    hl_status status = fault ? hl_fail(w->err, HL_ERR_MEMORY, "%s: %s", w->path, fault) : HL_OK;
    int *uses = fault ? NULL : hl_graph_uses(low);
    if (!fault && !uses)
        status = no_memory(w);
    for (int i = 0; i < hl_params_count(w->params); i++)
        dtypes[i] = HL_DTYPES; /* not read */
    for (int i = 0; status == HL_OK && i < low->n_nodes; i++) {
        const hl_param_params *p = param_of(low->nodes[i]);
        if (p && uses[low->nodes[i]->first_out] && dtypes[p->index] != HL_F32)
            dtypes[p->index] = p->dtype;
    }
    hl_free(uses);
    hl_graph_free(low);
    hl_graph_free(g);
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

/* Values that are finite, and stay so in the dtype. to NULL: they are only looked at. */
static hl_status convert(const writer *w, const hl_param_info *info, hl_dtype dtype, uint16_t *to)
{
    for (int64_t i = 0; i < info->count && dtype != HL_I8; i++) {
        const float x = info->data[i];
        const uint16_t low = to ? narrow(x, dtype) : 0;
        if (!isfinite(x) || (to && !finite_in(low, dtype)))
            return hl_fail(w->err, HL_ERR_NUMERIC, "%s: element %lld of '%s' is %g, which %s cannot hold",
                           w->path, (long long)i, info->name, (double)x, hl_dtype_name(dtype));
        if (to)
            to[i] = low;
    }
    return HL_OK;
}

static hl_status add_tensor(writer *w, int index, hl_dtype dtype)
{
    if (hl_params_materialize_at(w->params, index, w->err) != HL_OK)
        return hl_fail_prefix(w->err, "%s", w->path);
    hl_param_info info = hl_params_at(w->params, index);
    const void *values = info.bytes;
    if (dtype != info.dtype) {
        values = w->converted[w->n] = hl_alloc((size_t)info.count + 1, sizeof(uint16_t));
        if (!values)
            return no_memory(w);
    }
    hl_status status = convert(w, &info, dtype, w->converted[w->n]);
    w->tensors[w->n++] = hl_safetensor_make(info.name, dtype, info.shape, values);
    return status;
}

static hl_status collect(writer *w)
{
    const size_t n = (size_t)hl_params_count(w->params);
    hl_dtype *dtypes = hl_alloc(n + 1, sizeof *dtypes);
    w->tensors = hl_alloc(n + 1, sizeof *w->tensors);
    w->converted = hl_alloc(n + 1, sizeof *w->converted);
    hl_status status = dtypes && w->tensors && w->converted ? HL_OK : no_memory(w);
    if (status == HL_OK)
        status = choose_dtypes(w, dtypes);
    if (status == HL_OK)
        status = hl_params_pull(w->params, w->err);
    for (int i = 0; i < w->two->n_nodes && status == HL_OK; i++) {
        const hl_param_params *p = param_of(w->two->nodes[i]);
        if (p)
            status = add_tensor(w, p->index, dtypes[p->index] == HL_DTYPES ? p->dtype : dtypes[p->index]);
    }
    hl_free(dtypes);
    return status;
}

/* ------------------------------------------------------------------ the graph */

/* The text, read at both batches and written again, is itself. */
static hl_status check_program(const writer *w)
{
    hl_text again = {0};
    hl_graph *two = hl_program_read(w->program.at, w->path, w->params, 2, w->err);
    hl_graph *three = two ? hl_program_read(w->program.at, w->path, w->params, 3, w->err) : NULL;
    hl_status status = three ? hl_program_write(two, three, &again, w->err) : w->err->status;
    if (status == HL_OK && strcmp(again.at, w->program.at) != 0)
        status = hl_fail(w->err, HL_ERR_DATA, "%s: the graph does not read back as it was written", w->path);
    hl_text_free(&again);
    hl_graph_free(two);
    hl_graph_free(three);
    return status;
}

static hl_status write_program(writer *w)
{
    hl_status status = hl_program_write(w->two, w->three, &w->program, w->err);
    if (status != HL_OK)
        return hl_fail_prefix(w->err, "%s", w->path);
    return check_program(w);
}

/* ------------------------------------------------------------------ the file */

static bool has_integers(const hl_graph *g)
{
    bool found = false;
    for (int i = 0; i < g->n_nodes; i++)
        found = found || (param_of(g->nodes[i]) && param_of(g->nodes[i])->dtype == HL_I8);
    return found;
}

/* Before the file takes its place: it opens, and every weight is finite. */
static hl_status check_file(const char *written, void *context, hl_error *err)
{
    (void)context;
    hl_model *m = hl_model_open(written, err);
    hl_status status = m ? hl_model_check(m, err) : err->status;
    hl_model_free(m);
    return status;
}

static hl_status write_file(const writer *w, int n_about, const hl_safetensors_text *about)
{
    char version[16];
    snprintf(version, sizeof version, "%d", HL_MODEL_FORMAT_VERSION);
    const hl_safetensors_text own[] = {
        {"format", HL_MODEL_FORMAT},
        {"format_version", version},
        {"hl_version", HL_VERSION},
        {"precision", has_integers(w->two) ? HL_MODEL_INT8 : hl_precision_name(w->precision)},
        {"program", w->program.at}};
    const int n_own = (int)(sizeof own / sizeof *own);
    hl_safetensors_text *all = hl_alloc((size_t)(n_own + n_about), sizeof *all);
    if (!all)
        return no_memory(w);
    memcpy(all, own, sizeof own);
    if (n_about)
        memcpy(all + n_own, about, (size_t)n_about * sizeof *all);
    hl_status status = hl_safetensors_write_checked(w->path, w->n, w->tensors, n_own + n_about, all,
                                                    check_file, NULL, w->err);
    hl_free(all);
    return status;
}

static hl_status check_precision(const writer *w)
{
    if (w->precision == HL_PRECISION_TF32)
        return hl_fail(w->err, HL_ERR_USAGE,
                       "%s: a model is not written in tf32, which is a way to run fp32; sessions choose it",
                       w->path);
    if (has_integers(w->two) && w->precision != HL_PRECISION_FP32)
        return hl_fail(w->err, HL_ERR_USAGE, "%s: a model with int8 weights is written with fp32, not %s",
                       w->path, hl_precision_name(w->precision));
    return HL_OK;
}

hl_status hl_model_write(const char *path, const hl_graph *at_two, const hl_graph *at_three,
                         hl_params *params, hl_precision precision, int n_about,
                         const hl_safetensors_text *about, hl_error *err)
{
    hl_error own = {0};
    writer w = {.path = path,
                .two = at_two,
                .three = at_three,
                .params = params,
                .precision = precision,
                .err = err ? err : &own};
    hl_status status = write_program(&w);
    if (status == HL_OK)
        status = check_precision(&w);
    if (status == HL_OK)
        status = collect(&w);
    if (status == HL_OK)
        status = write_file(&w, n_about, about);
    for (int i = 0; i < w.n; i++)
        hl_free(w.converted[i]);
    hl_free((void *)w.converted);
    hl_free(w.tensors);
    hl_text_free(&w.program);
    return status;
}
