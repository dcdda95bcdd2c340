/* Every op against its reference on every backend, in every storage type it takes, and every gradient against
 * central differences.
 *     ops_test [--device NAME ...] [OP ...]
 * Prints one line per failure and a summary; exit 1 if anything failed. */
#include "tests/gpu_skip.h"
#include "tests/ops/cases.h"

#include "base/half.h"
#include "base/philox.h"
#include "compile/passes.h"
#include "kernels/cpu/threads.h"
#include "ops/reference.h"
#include "run/params.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Largest |kernel - reference| / (1 + |reference|) for fp32 kernels. Sums of up to some hundred
 * products of values in [-1,1] stay well below. */
static const double TOLERANCE_F32 = 3e-6;
/* The same where results are of 16 bits: one rounding, and now and then an operand that a chain of f32 and
 * one of double have rounded to different neighbours. */
static const double TOLERANCE_F16 = 1e-3, TOLERANCE_BF16 = 8e-3;
/* Largest relative difference of the two projections; references and differences are in double. */
static const double TOLERANCE_GRADIENT = 1e-6;

static int checks, failures;

static void fail(const char *op, const hl_case *c, const char *format, ...) HL_PRINTF(3, 4);

static void fail(const char *op, const hl_case *c, const char *format, ...)
{
    va_list args;
    printf("FAIL %s / %s: ", op, c->name);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    failures++;
}

static uint32_t name_stream(const char *name)
{
    uint32_t h = 2166136261u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return h;
}

/* Uniform in [-1,1], a float, from a name. */
static double value_at(const char *name, int64_t i)
{
    return 2.0 * hl_uniform_float(hl_philox_block(7, 0, name_stream(name), (uint64_t)i / 4).v[i % 4]) - 1;
}

/* What leaves hold: x + h v, v a direction drawn per input. */
typedef struct point {
    const hl_params *params;
    double h;
} point;

static bool is_differentiable(const hl_node *leaf)
{
    return leaf->op == &hl_op_input && !((const hl_input_params *)leaf->params)->scalar &&
           ((const hl_input_params *)leaf->params)->dtype == HL_F32;
}

static double direction(const char *name, int64_t i)
{
    char other[80];
    snprintf(other, sizeof other, "direction of %s", name);
    return value_at(other, i);
}

static double element(const void *data, hl_dtype dtype, int64_t i)
{
    if (dtype == HL_I8)
        return ((const int8_t *)data)[i];
    if (dtype == HL_F32)
        return ((const float *)data)[i];
    uint16_t bits = ((const uint16_t *)data)[i];
    return dtype == HL_F16 ? hl_f16_to_float(bits) : hl_bf16_to_float(bits);
}

static void leaf_value(void *context, const hl_node *leaf, double *data, int64_t count)
{
    const point *at = context;
    if (leaf->op == &hl_op_param) {
        const hl_param_params *p = leaf->params;
        hl_param_info info = hl_params_at(at->params, p->index);
        for (int64_t i = 0; i < count; i++)
            data[i] = element(info.bytes, info.dtype, i);
        return;
    }
    const hl_input_params *p = leaf->params;
    for (int64_t i = 0; i < count; i++) {
        data[i] = p->scalar ? p->value : value_at(p->name, i);
        if (is_differentiable(leaf) && strncmp(p->name, "projection", 10))
            data[i] += at->h * direction(p->name, i);
    }
}

/* ------------------------------------------------------------------ kernels */

static void fill_session(hl_session *s, const hl_graph *g)
{
    for (int i = 0; i < g->n_nodes; i++) {
        const hl_input_params *p = g->nodes[i]->params;
        if (g->nodes[i]->op != &hl_op_input || p->scalar || p->dtype != HL_F32)
            continue;
        float *x = hl_session_input(s, p->name);
        for (int64_t k = 0; k < hl_shape_count(p->shape); k++)
            x[k] = (float)value_at(p->name, k);
    }
}

/* One way to run a case. */
typedef struct variant {
    const char *device;
    hl_dtype dtype; /* of the op's operands that may be of 16 bits */
    hl_dtype out;   /* of products: of the result */
} variant;

static double tolerance_of(const variant *v, const hl_case *c)
{
    double low = v->out == HL_F16 ? TOLERANCE_F16 : v->out == HL_BF16 ? TOLERANCE_BF16 : 0;
    double f32 = TOLERANCE_F32 * (c->loosen > 0 ? c->loosen : 1);
    return low > f32 ? low : f32;
}

/* What f16 cannot hold is infinity, and a product on the way may have overflowed before the result would. */
static bool overflows(const variant *v, double got, double want)
{
    return v->dtype == HL_F16 && isinf(got) && fabs(want) > 1000 && (got > 0) == (want > 0);
}

static void compare(const char *op, const hl_case *c, const variant *v, const char *output, const float *got,
                    const double *want, int64_t count)
{
    double limit = tolerance_of(v, c);
    for (int64_t i = 0; i < count; i++) {
        double error = fabs(got[i] - want[i]) / (1 + fabs(want[i]));
        bool same = got[i] == want[i] || (isnan(got[i]) && isnan(want[i])) || overflows(v, got[i], want[i]);
        if (!same && !(error <= limit)) {
            fail(op, c, "%s, %s -> %s: %s[%lld] is %.9g, the reference says %.9g", v->device,
                 hl_dtype_name(v->dtype), hl_dtype_name(v->out), output, (long long)i, got[i], want[i]);
            return;
        }
    }
    checks++;
}

/* 16-bit outputs are checked through a cast back, which cases append themselves. */
static void check_kernels(const char *op, const hl_case *c, const hl_graph *g, hl_params *params,
                          const hl_reference *want, const variant *v)
{
    hl_error err = {0};
    hl_session *s = hl_session_new(g, params, v->device, &err);
    if (!s) {
        fail(op, c, "%s, %s: %s", v->device, hl_dtype_name(v->dtype), err.message);
        return;
    }
    fill_session(s, g);
    if (hl_session_run(s, &err) != HL_OK)
        fail(op, c, "%s, %s: %s", v->device, hl_dtype_name(v->dtype), err.message);
    for (int i = 0; i < g->n_outputs && !err.status; i++) {
        const hl_tensor_info *t = hl_info(g, g->outputs[i].tensor);
        if (t->dtype == HL_F32)
            compare(op, c, v, g->outputs[i].name, hl_session_output(s, g->outputs[i].name),
                    want->value[g->outputs[i].tensor.id], t->count);
    }
    hl_session_free(s);
}

/* ------------------------------------------------------------------ storage types */

typedef struct lowering {
    const hl_op_def *op;
    const variant *v;
    bool any;
} lowering;

static const void *params_with_out(hl_graph *g, const hl_node *n, hl_dtype out)
{
    unsigned char *params = hl_arena_alloc(g->arena, 1, n->op->params_size);
    memcpy(params, n->params, n->op->params_size);
    memcpy(params + n->op->out_dtype, &out, sizeof out);
    return params;
}

/* The op's own nodes get operands of 16 bits and give back f32. */
static bool lower(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out)
{
    lowering *l = r->context;
    if (n->op != l->op)
        return false;
    hl_tensor operand[64];
    if (n->n_in > 64 || n->op->updates)
        return false;
    for (int k = 0; k < n->n_in; k++) {
        hl_dtype want = hl_low_operand(n->op, k) ? l->v->dtype : n->op->out_dtype ? l->v->out : HL_F32;
        operand[k] = in[k].id ? hl_cast(r->g, in[k], want) : in[k];
    }
    const void *params = n->op->out_dtype ? params_with_out(r->g, n, l->v->out) : n->params;
    const hl_node *now = hl_graph_append(r->g, n->op, n->n_in, operand, params);
    for (int k = 0; now && k < n->n_out; k++)
        out[k] = hl_cast(r->g, hl_node_output(now, k), HL_F32);
    l->any = true;
    return true;
}

static void check_lowered(const hl_op_def *op, const hl_case *c, const hl_graph *expanded, hl_params *params,
                          const variant *v)
{
    hl_error err = {0};
    hl_reference want = {0};
    lowering l = {op, v, false};
    hl_graph *g = hl_graph_rewrite(expanded, lower, &l);
    point at = {params, 0};
    if (hl_graph_error(g) ||
        hl_reference_run(g, leaf_value, &at, hl_params_seed(params), 0, &want, &err) != HL_OK)
        fail(op->name, c, "%s: %s", hl_dtype_name(v->dtype),
             hl_graph_error(g) ? hl_graph_error(g) : err.message);
    else if (l.any)
        check_kernels(op->name, c, g, params, &want, v);
    hl_reference_free(&want);
    hl_graph_free(g);
}

/* Integers have no initial values of their own: all of -128..127, from the name. */
static void fill_integers(hl_params *params)
{
    for (int i = 0; i < hl_params_count(params); i++) {
        hl_param_info p = hl_params_at(params, i);
        for (int64_t k = 0; p.dtype == HL_I8 && k < p.count; k++)
            ((int8_t *)p.bytes)[k] = (int8_t)fmin(127, floor(128 * value_at(p.name, k)));
        if (p.dtype == HL_I8)
            hl_params_touch(params, i);
    }
}

/* Parameters as they are before a session updates them, to start every backend from the same. */
static float **save_params(const hl_params *params)
{
    int n = hl_params_count(params);
    float **saved = calloc((size_t)n + 1, sizeof *saved);
    for (int i = 0; i < n; i++) {
        hl_param_info p = hl_params_at(params, i);
        saved[i] = malloc((size_t)p.count * 4 + 1);
        memcpy(saved[i], p.bytes, (size_t)p.count * hl_dtype_size(p.dtype));
    }
    return saved;
}

static void restore_params(hl_params *params, float **saved, bool last)
{
    for (int i = 0; i < hl_params_count(params); i++) {
        hl_param_info p = hl_params_at(params, i);
        memcpy(p.bytes, saved[i], (size_t)p.count * hl_dtype_size(p.dtype));
        hl_params_touch(params, i);
        if (last)
            free(saved[i]);
    }
    if (last)
        free(saved);
}

/* ------------------------------------------------------------------ gradients */

/* Sum over outputs of <projection k, output k>. */
static hl_tensor projected(hl_graph *g)
{
    hl_tensor sum = {0};
    int n = g->n_outputs;
    for (int k = 0; k < n; k++) {
        hl_tensor y = g->outputs[k].tensor;
        hl_shape s = hl_shape_of(g, y);
        char name[40];
        snprintf(name, sizeof name, "projection %d", k);
        hl_tensor w = hl_input(g, name, HL_F32, s.rank, s.dim);
        hl_tensor part = hl_sum_all(g, hl_mul(g, y, w));
        sum = sum.id ? hl_add(g, sum, part) : part;
    }
    return sum;
}

static int differentiable_inputs(const hl_graph *g, hl_tensor *wrt, const char **names)
{
    int n = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        if (!is_differentiable(g->nodes[i]))
            continue;
        wrt[n] = hl_node_output(g->nodes[i], 0);
        names[n++] = ((const hl_input_params *)g->nodes[i]->params)->name;
    }
    return n;
}

enum { MAX_INPUTS = 16 };

static double loss_at(const hl_graph *g, hl_tensor loss, const hl_params *params, double h, hl_error *err)
{
    hl_reference r;
    point at = {params, h};
    if (hl_reference_run(g, leaf_value, &at, hl_params_seed(params), 0, &r, err) != HL_OK)
        return NAN;
    double value = r.value[loss.id][0];
    hl_reference_free(&r);
    return value;
}

/* <w, J v> by central differences of the forward graph. */
static double by_differences(const hl_case *c, hl_params *params, hl_error *err)
{
    const double h = 1e-5;
    hl_graph *g = hl_graph_new();
    c->build(g, params, c->size);
    hl_tensor loss = projected(g);
    double value = NAN;
    if (!hl_graph_error(g))
        value = (loss_at(g, loss, params, h, err) - loss_at(g, loss, params, -h, err)) / (2 * h);
    hl_graph_free(g);
    return value;
}

static double dot_directions(const hl_reference *r, hl_tensor gradient, const char *name, int64_t count,
                             double *scale)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double part = r->value[gradient.id][i] * direction(name, i);
        sum += part;
        *scale += fabs(part);
    }
    return sum;
}

/* The outputs of the case and, beside them, the gradient of their projection by every input. */
static void append_gradients(hl_graph *g)
{
    hl_tensor wrt[MAX_INPUTS], d[MAX_INPUTS];
    const char *names[MAX_INPUTS];
    int n = differentiable_inputs(g, wrt, names);
    hl_gradient(g, projected(g), n, wrt, d);
    for (int i = 0; i < n; i++) {
        char name[80];
        snprintf(name, sizeof name, "d %s", names[i]);
        hl_output(g, name, d[i]);
    }
}

static void check_gradient(const char *op, const hl_case *c, hl_params *params, const hl_graph *expanded,
                           const hl_reference *r)
{
    hl_error err = {0};
    double differences = by_differences(c, params, &err), nodes = 0, scale = 1e-3;
    for (int i = 0; i < expanded->n_outputs; i++) {
        const char *name = expanded->outputs[i].name;
        if (!strncmp(name, "d ", 2))
            nodes += dot_directions(r, expanded->outputs[i].tensor, name + 2,
                                    hl_info(expanded, expanded->outputs[i].tensor)->count, &scale);
    }
    checks++;
    if (err.status)
        fail(op, c, "%s", err.message);
    else if (!(fabs(nodes - differences) <= TOLERANCE_GRADIENT * scale))
        fail(op, c, "gradient: nodes give %.12g, central differences %.12g", nodes, differences);
}

/* ------------------------------------------------------------------ cases */

enum { MAX_DEVICES = 8 };
static const char *devices[MAX_DEVICES + 1] = {"cpu:portable", "cpu"}; /* ends with NULL */

static bool has_inputs(const hl_graph *g)
{
    hl_tensor wrt[MAX_INPUTS];
    const char *names[MAX_INPUTS];
    return differentiable_inputs(g, wrt, names) > 0;
}

static void run_case(const hl_op_def *op, const hl_case *c)
{
    hl_error err = {0};
    hl_params *params = hl_params_new(11);
    hl_graph *g = hl_graph_new(), *expanded = NULL;
    hl_reference want = {0};
    c->build(g, params, c->size);
    if (c->error) {
        const char *message = hl_graph_error(g);
        checks++;
        if (!message || !strstr(message, c->error))
            fail(op->name, c, "expected an error with '%s', got '%s'", c->error, message ? message : "none");
        goto done;
    }
    bool differentiate = op->gradient && !c->no_gradient && !hl_graph_error(g) && has_inputs(g);
    if (differentiate)
        append_gradients(g);
    if (hl_graph_error(g)) {
        fail(op->name, c, "%s", hl_graph_error(g));
        goto done;
    }
    expanded = hl_pass_differentiate(g);
    point at = {params, 0};
    bool ready = hl_params_materialize(params, &err) == HL_OK;
    if (ready)
        fill_integers(params);
    if (!ready || hl_graph_error(expanded) ||
        hl_reference_run(expanded, leaf_value, &at, hl_params_seed(params), 0, &want, &err) != HL_OK) {
        fail(op->name, c, "%s", hl_graph_error(expanded) ? hl_graph_error(expanded) : err.message);
        goto done;
    }
    if (differentiate)
        check_gradient(op->name, c, params, expanded, &want);
    float **saved = save_params(params);
    for (int d = 0; devices[d]; d++) {
        const variant plain = {devices[d], HL_F32, HL_F32};
        check_kernels(op->name, c, expanded, params, &want, &plain);
        restore_params(params, saved, false);
        for (int t = HL_F16; t < HL_FLOATS && op->low_in && !c->loosen; t++) {
            const variant low = {devices[d], (hl_dtype)t, op->low_out ? (hl_dtype)t : HL_F32};
            const variant wide = {devices[d], (hl_dtype)t, HL_F32};
            check_lowered(op, c, expanded, params, &low);
            if (op->out_dtype)
                check_lowered(op, c, expanded, params, &wide);
        }
    }
    restore_params(params, saved, true);
done:
    hl_reference_free(&want);
    hl_graph_free(expanded);
    hl_graph_free(g);
    hl_params_free(params);
}

static const hl_case *const all_cases[] = {
#define HL_OP(name) cases_##name,
#include "ops/ops.def"
#undef HL_OP
};

static bool wanted(const char *op, int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (!strcmp(argv[i], op))
            return true;
    return argc == 0;
}

int main(int argc, char **argv)
{
    int first = 1;
    hl_cpu_grain = (hl_grain){0};
    for (int n = 0; first + 1 < argc && n < MAX_DEVICES && !strcmp(argv[first], "--device"); first += 2) {
        devices[n++] = argv[first + 1];
        devices[n] = NULL;
    }
    int cases = 0;
    for (int i = 0; i < hl_op_count(); i++)
        for (const hl_case *c = all_cases[i];
             c->name && wanted(hl_op_at(i)->name, argc - first, argv + first); c++)
            cases++;
    if (gpu_is_missing(devices[0], cases))
        return EXIT_SKIPPED;
    for (int i = 0; i < hl_op_count(); i++) {
        const hl_op_def *op = hl_op_at(i);
        int before = checks;
        if (!wanted(op->name, argc - first, argv + first))
            continue;
        for (const hl_case *c = all_cases[i]; c->name; c++)
            run_case(op, c);
        if (checks == before) {
            printf("FAIL %s: no check ran\n", op->name);
            failures++;
        }
    }
    printf("%d checks, %d failures\n", checks, failures);
    return failures || !checks;
}
