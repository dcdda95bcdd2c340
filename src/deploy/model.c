#include "deploy/model.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/shape.h"
#include "base/text.h"
#include "deploy/program.h"
#include "io/safetensors.h"
#include "ops/ops.h"
#include "run/params.h"

#include <stdlib.h>
#include <string.h>

struct hl_model {
    hl_safetensors *file;
    char *path, *graph_name; /* for messages */
    hl_precision precision;
    hl_params *params; /* its entries are the file's tensors, in that order */
    hl_graph *graph;   /* at a batch of 1 */
    void **copies;     /* by tensor: of one that may not be read where it lies, else NULL */
    hl_model_value *inputs, *outputs;
    int n_inputs, n_outputs;
};

static hl_status no_memory(const hl_model *m, hl_error *err)
{
    return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to open it", m->path);
}

/* ------------------------------------------------------------------ what the file says of itself */

static hl_status check_version(const hl_model *m, hl_error *err)
{
    const char *text = hl_safetensors_metadata(m->file, "format_version");
    char *end = NULL;
    long version = text && *text >= '1' && *text <= '9' ? strtol(text, &end, 10) : 0;
    if (version < 1 || *end)
        return hl_fail(err, HL_ERR_DATA, "%s: its format_version is '%s', it must be a number from 1 on",
                       m->path, hl_excerpt_of(text ? text : "").text);
    if (version > HL_MODEL_FORMAT_VERSION)
        return hl_fail(
            err, HL_ERR_UNSUPPORTED,
            "%s: its format_version is %s, hl %s reads up to %d; open it with a newer hl, or export it "
            "with this one",
            m->path, hl_excerpt_of(text).text, HL_VERSION, HL_MODEL_FORMAT_VERSION);
    return HL_OK;
}

static hl_status read_precision(hl_model *m, hl_error *err)
{
    static const hl_precision known[] = {HL_PRECISION_FP32, HL_PRECISION_BF16, HL_PRECISION_FP16};
    const char *text = hl_safetensors_metadata(m->file, "precision");
    for (size_t i = 0; text && i < sizeof known / sizeof *known; i++)
        if (!strcmp(text, hl_precision_name(known[i]))) {
            m->precision = known[i];
            return HL_OK;
        }
    m->precision = HL_PRECISION_FP32;
    return text && !strcmp(text, HL_MODEL_INT8)
               ? HL_OK
               : hl_fail(err, HL_ERR_DATA, "%s: its precision is '%s', it must be fp32, bf16, fp16 or int8",
                         m->path, hl_excerpt_of(text ? text : "").text);
}

static hl_status check_format(hl_model *m, hl_error *err)
{
    const char *format = hl_safetensors_metadata(m->file, "format");
    if (!format || strcmp(format, HL_MODEL_FORMAT) != 0)
        return hl_fail(
            err, HL_ERR_DATA,
            "%s: it is no exported model: its metadata has the format '%s', not '%s'; write one with "
            "'hl export'",
            m->path, hl_excerpt_of(format ? format : "").text, HL_MODEL_FORMAT);
    hl_status status = check_version(m, err);
    return status == HL_OK ? read_precision(m, err) : status;
}

/* ------------------------------------------------------------------ tensors */

/* The first element that is NaN or infinite; -1: there is none. */
static int64_t not_finite(const hl_safetensor *t, const void *data)
{
    const uint32_t *wide = data;
    const uint16_t *narrow = data;
    if (t->dtype == HL_I8)
        return -1;
    const uint32_t exponent = t->dtype == HL_F32 ? 0x7f800000u : t->dtype == HL_BF16 ? 0x7f80u : 0x7c00u;
    for (int64_t i = 0; i < t->count; i++)
        if (((t->dtype == HL_F32 ? wide[i] : narrow[i]) & exponent) == exponent)
            return i;
    return -1;
}

static hl_status check_finite(const hl_model *m, int index, hl_error *err)
{
    hl_safetensor t = hl_safetensors_at(m->file, index);
    int64_t at = not_finite(&t, m->copies[index] ? m->copies[index] : t.data);
    if (at < 0)
        return HL_OK;
    return hl_fail(err, HL_ERR_DATA, "%s: tensor '%s' has an element, %lld of %lld, that is NaN or infinite",
                   m->path, hl_long_excerpt_of(t.name).text, (long long)at, (long long)t.count);
}

/* Where the values may be read: in the file, or in a copy. */
static const void *readable(hl_model *m, int index, const hl_safetensor *t)
{
    if (hl_safetensor_aligned(t))
        return t->data;
    m->copies[index] = hl_alloc_tensor(t->bytes, HL_USE_PARAMETERS);
    if (m->copies[index])
        memcpy(m->copies[index], t->data, t->bytes);
    return m->copies[index];
}

static hl_status map_tensor(hl_model *m, int index, hl_error *err)
{
    hl_safetensor t = hl_safetensors_at(m->file, index);
    const hl_dtype low = m->precision == HL_PRECISION_BF16   ? HL_BF16
                         : m->precision == HL_PRECISION_FP16 ? HL_F16
                                                             : HL_F32;
    if (!t.known || (t.dtype != HL_F32 && t.dtype != HL_I8 && t.dtype != low))
        return hl_fail(err, HL_ERR_DATA, "%s: tensor '%s' is %s, which a model of precision %s does not have",
                       m->path, hl_long_excerpt_of(t.name).text, t.type, hl_model_about(m, "precision"));
    const void *values = readable(m, index, &t);
    int entry;
    if (!values)
        return no_memory(m, err);
    if (hl_params_map(m->params, t.name, t.dtype, t.shape, values, &entry, err) != HL_OK)
        return hl_fail_prefix(err, "%s", m->path);
    HL_ASSERT(entry == index);
    return t.shape.rank < 2 ? check_finite(m, index, err) : HL_OK;
}

static hl_status map_tensors(hl_model *m, hl_error *err)
{
    int n = hl_safetensors_count(m->file);
    hl_status status = HL_OK;
    m->params = hl_params_new(0);
    m->copies = hl_alloc((size_t)n, sizeof *m->copies);
    if (!m->params || !m->copies)
        return no_memory(m, err);
    for (int i = 0; i < n && status == HL_OK; i++)
        status = map_tensor(m, i, err);
    return status;
}

hl_status hl_model_check(const hl_model *m, hl_error *err)
{
    hl_status status = HL_OK;
    for (int i = 0; i < hl_safetensors_count(m->file) && status == HL_OK; i++)
        status = check_finite(m, i, err);
    return status;
}

/* ------------------------------------------------------------------ the graph */

static hl_graph *graph_at(const hl_model *m, int64_t batch, hl_error *err)
{
    const char *program = hl_safetensors_metadata(m->file, "program");
    if (program)
        return hl_program_read(program, m->graph_name, m->params, batch, err);
    hl_fail(err, HL_ERR_DATA, "%s: its metadata has no 'program'", m->path);
    return NULL;
}

/* A tensor that the graph does not read was meant for something else. */
static hl_status check_all_read(const hl_model *m, hl_error *err)
{
    const int n = hl_params_count(m->params);
    hl_status status = HL_OK;
    bool *read = hl_alloc((size_t)n, sizeof *read);
    if (!read)
        return no_memory(m, err);
    for (int i = 0; i < m->graph->n_nodes; i++)
        if (m->graph->nodes[i]->op == &hl_op_param)
            read[((const hl_param_params *)m->graph->nodes[i]->params)->index] = true;
    for (int i = 0; i < n && status == HL_OK; i++)
        if (!read[i])
            status = hl_fail(err, HL_ERR_DATA, "%s: its graph does not read tensor '%s'", m->path,
                             hl_long_excerpt_of(hl_params_at(m->params, i).name).text);
    hl_free(read);
    return status;
}

static hl_status describe(hl_model *m, hl_error *err)
{
    const hl_graph *g = m->graph;
    m->inputs = hl_alloc((size_t)g->n_nodes, sizeof *m->inputs);
    m->outputs = hl_alloc((size_t)g->n_outputs, sizeof *m->outputs);
    if (!m->inputs || !m->outputs)
        return no_memory(m, err);
    for (int i = 0; i < g->n_nodes; i++) {
        const hl_input_params *p = g->nodes[i]->params;
        if (g->nodes[i]->op == &hl_op_input)
            m->inputs[m->n_inputs++] = (hl_model_value){p->name, p->dtype, p->shape};
    }
    for (int i = 0; i < g->n_outputs; i++) {
        hl_tensor t = g->outputs[i].tensor;
        m->outputs[m->n_outputs++] = (hl_model_value){g->outputs[i].name, hl_dtype_of(g, t),
                                                      hl_shape_of(g, t)};
    }
    return HL_OK;
}

static hl_status read_graph(hl_model *m, hl_error *err)
{
    m->graph = graph_at(m, 1, err);
    hl_status status = m->graph ? check_all_read(m, err) : err->status;
    return status == HL_OK ? describe(m, err) : status;
}

static hl_status check_batch(const hl_model *m, const hl_model_value *one, hl_shape two, hl_error *err)
{
    if (one->shape.rank > 0 && one->shape.dim[0] == 1 && two.dim[0] == 2)
        return HL_OK;
    return hl_fail(err, HL_ERR_DATA,
                   "%s: '%s' is %s for a batch of 1 and %s for a batch of 2: its first dim must be the batch",
                   m->path, hl_long_excerpt_of(one->name).text, hl_shape_print(one->shape).text,
                   hl_shape_print(two).text);
}

hl_status hl_model_check_batch(const hl_model *m, hl_error *err)
{
    hl_graph *two = graph_at(m, 2, err);
    hl_status status = two ? HL_OK : err->status;
    for (int i = 0; i < m->n_inputs && status == HL_OK; i++) {
        const hl_node *n = hl_graph_input(two, m->inputs[i].name);
        if (!((const hl_input_params *)n->params)->scalar)
            status = check_batch(m, &m->inputs[i], hl_shape_of(two, hl_node_output(n, 0)), err);
    }
    for (int i = 0; i < m->n_outputs && status == HL_OK; i++)
        status = check_batch(m, &m->outputs[i], hl_shape_of(two, two->outputs[i].tensor), err);
    hl_graph_free(two);
    return status;
}

/* ------------------------------------------------------------------ */

/* "model.safetensors: graph" */
static char *name_of_graph(const char *path)
{
    hl_text name = {0};
    hl_text_append(&name, path);
    hl_text_append(&name, ": graph");
    return hl_text_take(&name);
}

hl_model *hl_model_open(const char *path, hl_error *err)
{
    hl_error own = {0};
    hl_model *m = hl_alloc(1, sizeof *m);
    err = err ? err : &own;
    hl_status status = HL_OK;
    if (m) {
        m->path = hl_strdup(path);
        m->graph_name = name_of_graph(path);
    }
    if (!m || !m->path || !m->graph_name)
        status = hl_fail(err, HL_ERR_MEMORY, "%s: no memory to open it", path);
    if (status == HL_OK) {
        m->file = hl_safetensors_open(path, err);
        status = m->file ? check_format(m, err) : err->status;
    }
    if (status == HL_OK)
        status = map_tensors(m, err);
    if (status == HL_OK)
        status = read_graph(m, err);
    if (status == HL_OK)
        return m;
    hl_model_free(m);
    return NULL;
}

void hl_model_free(hl_model *m)
{
    if (!m)
        return;
    hl_graph_free(m->graph);
    hl_params_free(m->params);
    for (int i = 0; m->copies && i < hl_safetensors_count(m->file); i++)
        hl_free_tensor(m->copies[i], hl_safetensors_at(m->file, i).bytes);
    hl_safetensors_close(m->file);
    hl_free((void *)m->copies);
    hl_free(m->inputs);
    hl_free(m->outputs);
    hl_free(m->path);
    hl_free(m->graph_name);
    hl_free(m);
}

const char *hl_model_about(const hl_model *m, const char *key)
{
    return hl_safetensors_metadata(m->file, key);
}

int hl_model_inputs(const hl_model *m)
{
    return m->n_inputs;
}

hl_model_value hl_model_input(const hl_model *m, int index)
{
    return index >= 0 && index < m->n_inputs ? m->inputs[index] : (hl_model_value){0};
}

int hl_model_outputs(const hl_model *m)
{
    return m->n_outputs;
}

hl_model_value hl_model_output(const hl_model *m, int index)
{
    return index >= 0 && index < m->n_outputs ? m->outputs[index] : (hl_model_value){0};
}

const hl_params *hl_model_params(const hl_model *m)
{
    return m->params;
}

/* How a session of the model runs. */
static hl_session_options own_options(const hl_model *m, const hl_session_options *options)
{
    hl_session_options o = options ? *options : (hl_session_options){0};
    o.frozen = true;
    if (o.precision == HL_PRECISION_FP32)
        o.precision = m->precision;
    return o;
}

hl_plan *hl_model_plan(const hl_model *m, int64_t batch, const hl_session_options *options, hl_error *err)
{
    const hl_session_options o = own_options(m, options);
    hl_graph *g = graph_at(m, batch, err);
    hl_plan *p = g ? hl_plan_new(g, &o, err) : NULL;
    hl_graph_free(g);
    return p;
}

hl_session *hl_model_session(hl_model *m, int64_t batch, const hl_session_options *options, hl_error *err)
{
    const hl_session_options o = own_options(m, options);
    hl_graph *g = graph_at(m, batch, err);
    hl_session *s = g ? hl_session_open(g, m->params, &o, err) : NULL;
    hl_graph_free(g);
    return s;
}
