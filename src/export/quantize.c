#include "export/quantize.h"

#include "base/error.h"
#include "base/quantize.h"
#include "ops/ops.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ layers */

static bool turned(const hl_node *product)
{
    return product->op == &hl_op_matmul && !((const hl_matmul_params *)product->params)->transpose_b;
}

/* How many products an element of the result is the sum of. */
static int64_t terms(const hl_node *product, const hl_param_params *w)
{
    return turned(product) ? w->shape.dim[0] : hl_shape_span(w->shape, 1, w->shape.rank);
}

/* The parameter that a product reads as its weight, or NULL: its weight is computed, or not in floats, or its
 * sums may be too large for integers. */
static const hl_param_params *weight_of(const hl_graph *g, const hl_node *n)
{
    if (n->op != &hl_op_matmul && n->op != &hl_op_conv2d)
        return NULL;
    if (n->op == &hl_op_matmul && ((const hl_matmul_params *)n->params)->transpose_a)
        return NULL;
    const hl_node *leaf = hl_made_by(g, n->in[1], &hl_op_param);
    const hl_param_params *p = leaf ? leaf->params : NULL;
    return p && p->role == HL_PARAMETER && p->dtype == HL_F32 && terms(n, p) <= HL_QUANTIZED_TERMS ? p : NULL;
}

hl_status hl_layers_of(const hl_graph *g, hl_layers *layers, hl_error *err)
{
    *layers = (hl_layers){.at = hl_alloc((size_t)g->n_nodes + 1, sizeof *layers->at)};
    if (!layers->at)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for a list of %d layers", g->n_nodes);
    for (int i = 0; i < g->n_nodes; i++) {
        const hl_param_params *p = weight_of(g, g->nodes[i]);
        if (!p)
            continue;
        hl_layer *l = &layers->at[layers->n++];
        *l = (hl_layer){.param = p->index, .weights = hl_shape_count(p->shape), .error = NAN};
        snprintf(l->name, sizeof l->name, "%s", p->name);
    }
    return HL_OK;
}

void hl_layers_free(hl_layers *layers)
{
    hl_free(layers->at);
    *layers = (hl_layers){0};
}

/* ------------------------------------------------------------------ weights */

/* A weight as rows, one per output channel: element (o, k) of it is at o * row + k * step. */
typedef struct rows {
    const char *name;
    const float *data;
    int64_t n, width, row, step;
} rows;

static rows rows_of(const hl_node *product, const hl_param_info *w)
{
    const bool columns = turned(product);
    const int64_t n = w->shape.dim[columns], width = w->count / (n ? n : 1);
    return (rows){w->name, w->data, n, width, columns ? 1 : width, columns ? n : 1};
}

/* The largest element of a row; NAN if one is not finite. */
static float largest(const rows *w, int64_t o)
{
    float most = 0;
    for (int64_t k = 0; k < w->width; k++) {
        float x = fabsf(w->data[o * w->row + k * w->step]);
        if (!isfinite(x))
            return NAN;
        most = x > most ? x : most;
    }
    return most;
}

static hl_status quantize_rows(const rows *w, int8_t *integers, float *scales, hl_error *err)
{
    for (int64_t o = 0; o < w->n; o++) {
        const float most = largest(w, o);
        if (isnan(most))
            return hl_fail(err, HL_ERR_NUMERIC, "'%s': row %lld has an element that is not finite", w->name,
                           (long long)o);
        const float scale = most > 0 ? most / HL_QUANTIZED_MOST : 1;
        scales[o] = scale;
        for (int64_t k = 0; k < w->width; k++)
            integers[o * w->width + k] = (int8_t)hl_quantize(w->data[o * w->row + k * w->step], scale);
    }
    return HL_OK;
}

/* ------------------------------------------------------------------ the new store */

typedef struct quantizing {
    hl_params *from, *to;
    const hl_layers *layers;
    const int *layer_of; /* by node; -1: none */
    const bool *read;    /* by node: a parameter that something reads in floats */
    bool probe;
    hl_error *err;
} quantizing;

static hl_status declare(hl_params *to, const char *weight, const char *what, hl_dtype dtype, hl_shape shape,
                         int *index, bool *is_new, hl_error *err)
{
    char name[HL_PARAM_NAME_MAX + 32];
    snprintf(name, sizeof name, "%s.%s", weight, what);
    *is_new = hl_params_find(to, name) < 0;
    hl_status status = hl_params_declare(to, name, HL_PARAMETER, dtype, shape,
                                         (hl_init_rule){HL_FILLED, 0, 0}, index, err);
    return status == HL_OK && *is_new ? hl_params_allocate(to, *index, err) : status;
}

/* What the entry of a layer's operand is called after its weight, which layers before it may read too. */
static void name_operand(const hl_layers *layers, const hl_layer *l, char name[24])
{
    int before = 0;
    for (const hl_layer *other = layers->at; other < l; other++)
        before += other->param == l->param;
    snprintf(name, 24, before ? "operand%d" : "operand", before);
}

/* Entries of a layer in the new store: integers, their scales, and perhaps the operand's. */
typedef struct quantized {
    int integers, scale, operand; /* operand -1: none */
} quantized;

static hl_status quantize_weight(const quantizing *q, const hl_node *product, const hl_layer *l,
                                 quantized *out, hl_error *err)
{
    hl_status status = hl_params_materialize_at(q->from, l->param, err);
    if (status != HL_OK)
        return status;
    const hl_param_info w = hl_params_at(q->from, l->param);
    const rows all = rows_of(product, &w);
    const hl_shape shape = product->op == &hl_op_matmul ? (hl_shape){2, {all.n, all.width}} : w.shape;
    bool is_new, scale_is_new;
    *out = (quantized){.operand = -1};
    status = declare(q->to, l->name, "int8", HL_I8, shape, &out->integers, &is_new, err);
    if (status == HL_OK)
        status = declare(q->to, l->name, "scale", HL_F32, (hl_shape){1, {all.n}}, &out->scale, &scale_is_new,
                         err);
    if (status == HL_OK && (is_new || scale_is_new))
        status = quantize_rows(&all, hl_params_at(q->to, out->integers).bytes,
                               hl_params_at(q->to, out->scale).data, err);
    if (status != HL_OK || l->scale <= 0)
        return status;
    char operand[24];
    name_operand(q->layers, l, operand);
    status = declare(q->to, l->name, operand, HL_F32, (hl_shape){1, {1}}, &out->operand, &is_new, err);
    if (status == HL_OK)
        hl_params_at(q->to, out->operand).data[0] = l->scale;
    return status;
}

static hl_tensor leaf(hl_graph *g, hl_params *params, int index)
{
    hl_param_info p = hl_params_at(params, index);
    return hl_param_leaf(g, params, p.name, p.dtype, p.shape);
}

/* ------------------------------------------------------------------ the graph */

/* The product in integers; in: operands in the new graph. */
static hl_tensor in_integers(hl_graph *g, const quantizing *q, const hl_node *n, const hl_tensor *in)
{
    hl_error err = {0};
    quantized w;
    if (quantize_weight(q, n, &q->layers->at[q->layer_of[n->index]], &w, &err) != HL_OK) {
        *q->err = err;
        return hl_graph_fail(g, "%s", err.message);
    }
    hl_tensor integers = leaf(g, q->to, w.integers), scale = leaf(g, q->to, w.scale);
    hl_tensor operand = w.operand >= 0 ? leaf(g, q->to, w.operand) : (hl_tensor){0};
    if (n->op == &hl_op_matmul)
        return hl_quantized_matmul(g, in[0], integers, scale, in[2], operand);
    const hl_conv_params *p = n->params;
    return hl_quantized_conv2d(g, in[0], integers, scale, in[2], operand, p->stride, p->padding);
}

/* A parameter as an entry of the new store, at the same place in memory. */
static hl_tensor map_param(hl_graph *g, const quantizing *q, const hl_param_params *p)
{
    hl_error err = {0};
    int index = hl_params_find(q->to, p->name);
    hl_status status = index >= 0 ? HL_OK : hl_params_materialize_at(q->from, p->index, &err);
    if (status == HL_OK && index < 0)
        status = hl_params_map(q->to, p->name, p->dtype, p->shape, hl_params_at(q->from, p->index).bytes,
                               &index, &err);
    if (status == HL_OK)
        return leaf(g, q->to, index);
    *q->err = err;
    return hl_graph_fail(g, "%s", err.message);
}

static bool quantize_node(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out)
{
    const quantizing *q = r->context;
    const int layer = q->layer_of[n->index];
    if (n->op == &hl_op_param) {
        out[0] = q->read[n->index] ? map_param(r->g, q, n->params) : (hl_tensor){0};
        return true;
    }
    if (layer < 0 || q->layers->at[layer].kept)
        return false;
    if (!q->probe) {
        out[0] = in_integers(r->g, q, n, in);
        return true;
    }
    const struct {
        const char *what;
        hl_tensor t;
    } told[] = {{"operand", in[0]},
                {"integers", in_integers(r->g, q, n, in)},
                {"floats", out[0] = hl_graph_apply(r->g, n->op, n->n_in, in, n->params)}};
    for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d.%s", layer, told[i].what);
        hl_output(r->g, name, told[i].t);
    }
    return true;
}

/* Which layer each node is. */
static void find_layers(const hl_graph *g, const hl_layers *layers, int *layer_of)
{
    int n = 0;
    for (int i = 0; i < g->n_nodes; i++)
        layer_of[i] = weight_of(g, g->nodes[i]) ? n++ : -1;
    HL_ASSERT(n == layers->n);
}

/* Which nodes something reads besides products in integers, of which they are the weight. */
static void find_read(const hl_graph *g, const quantizing *q, bool *read)
{
    for (int i = 0; i < g->n_outputs; i++)
        read[hl_info(g, g->outputs[i].tensor)->node->index] = true;
    for (int i = 0; i < g->n_nodes; i++) {
        const hl_node *n = g->nodes[i];
        const int layer = q->layer_of[i];
        const int weight = layer >= 0 && !q->layers->at[layer].kept && !q->probe ? 1 : -1;
        for (int k = 0; k < n->n_in; k++)
            if (n->in[k].id && k != weight)
                read[hl_info(g, n->in[k])->node->index] = true;
    }
}

static hl_graph *rewrite(const hl_graph *g, hl_params *from, hl_params *to, const hl_layers *layers,
                         bool probe, hl_error *err)
{
    hl_error why = {0};
    int *layer_of = hl_alloc((size_t)g->n_nodes + 1, sizeof *layer_of);
    bool *read = hl_alloc((size_t)g->n_nodes + 1, sizeof *read);
    quantizing q = {from, to, layers, layer_of, read, probe, &why};
    hl_graph *out = NULL;
    if (layer_of && read) {
        find_layers(g, layers, layer_of);
        find_read(g, &q, read);
        out = hl_graph_rewrite(g, quantize_node, &q);
    }
    hl_free(layer_of);
    hl_free(read);
    if (out && !out->failed)
        return out;
    if (why.status != HL_OK)
        hl_fail(err, why.status, "%s", why.message);
    else if (out)
        hl_fail(err, HL_ERR_SHAPE, "%s", out->error);
    else
        hl_fail(err, HL_ERR_MEMORY, "no memory to quantize a graph of %d nodes", g->n_nodes);
    hl_graph_free(out);
    return NULL;
}

hl_graph *hl_quantize_layers(const hl_graph *g, hl_params *from, hl_params *to, const hl_layers *layers,
                             hl_error *err)
{
    return rewrite(g, from, to, layers, false, err);
}

hl_graph *hl_quantize_probe(const hl_graph *g, hl_params *from, hl_params *to, const hl_layers *layers,
                            hl_error *err)
{
    return rewrite(g, from, to, layers, true, err);
}
