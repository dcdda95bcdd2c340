#include "export/write.h"

#include "base/error.h"
#include "base/memory.h"
#include "deploy/model.h"
#include "deploy/program.h"
#include "export/stored.h"
#include "ops/ops.h"
#include "run/params.h"

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
    hl_status status = hl_stored_values(&info, 0, info.count, dtype, w->converted[w->n], w->err);
    w->tensors[w->n++] = hl_safetensor_make(info.name, dtype, info.shape, values);
    return status == HL_OK ? HL_OK : hl_fail_prefix(w->err, "%s", w->path);
}

static hl_status collect(writer *w)
{
    const size_t n = (size_t)hl_params_count(w->params);
    hl_dtype *dtypes = hl_alloc(n + 1, sizeof *dtypes);
    w->tensors = hl_alloc(n + 1, sizeof *w->tensors);
    w->converted = hl_alloc(n + 1, sizeof *w->converted);
    hl_status status = dtypes && w->tensors && w->converted ? HL_OK : no_memory(w);
    if (status == HL_OK &&
        (status = hl_stored_dtypes(w->two, w->params, w->precision, dtypes, w->err)) != HL_OK)
        status = hl_fail_prefix(w->err, "%s", w->path);
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
