/* Holds the model at full size against what PyTorch computes in float64.
 *     parity [--device NAME] [--precision NAME] FIXTURE.h5 ...
 * Prints per fixture its worst relative errors and ok or FAILED; exit 1 if a bound is broken, 2 if a
 * fixture cannot be read. */
#include "tests/gpu_skip.h"
#include "tests/parity/fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct bounds {
    double forward;   /* relative L2 */
    double loss;      /* relative */
    double gradient;  /* of the gradient's norm; worst parameter */
    double median;    /* the same; median parameter */
    double norm;      /* relative; gradient norm before clipping */
    double parameter; /* of lr * steps * sqrt(n/3) */
} bounds;

/* PyTorch's own fp32 meets all of the first line but the norm, which it sums in fp32. Where products round
 * their operands, the loss is bounded and the rest is told. */
static const bounds bounds_of[HL_PRECISIONS] = {
    [HL_PRECISION_FP32] = {5e-6, 1e-5, 1e-3, 1e-5, 1e-4, 5e-3},
    [HL_PRECISION_TF32] = {INFINITY, 2e-3, INFINITY, INFINITY, INFINITY, INFINITY},
    [HL_PRECISION_BF16] = {INFINITY, 1e-2, INFINITY, INFINITY, INFINITY, INFINITY},
    [HL_PRECISION_FP16] = {INFINITY, 2e-3, INFINITY, INFINITY, INFINITY, INFINITY},
};

typedef struct run {
    fixture f;
    hl_model_options options;
    hl_params *params;
    hl_session_options session;
    const bounds *bounds;
    bool ok;
} run;

/* Keeps the worst of several errors; NaN is the worst of all. */
static void worst(double *w, double error)
{
    if (!(error <= *w))
        *w = error;
}

static void report(run *r, const char *what, double error, double bound)
{
    bool ok = isinf(bound) ? isfinite(error) : error <= bound;
    if (isinf(bound))
        printf("  %-22s %9.2e\n", what, error);
    else
        printf("  %-22s %9.2e  (bound %.0e)%s\n", what, error, bound, ok ? "" : "  BROKEN");
    r->ok = r->ok && ok;
}

static bool die(const char *what, const hl_error *err)
{
    fprintf(stderr, "parity: %s: %s\n", what, err->message);
    return false;
}

/* ------------------------------------------------------------------ values from names */

static void fill_stream(float *out, const char *key, int64_t n, double scale)
{
    uint64_t seed = stream_seed(key);
#pragma omp parallel for schedule(static) if (n > 100000)
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)(stream_uniform(seed, i) * scale);
}

/* As `fill` of hl_reference.py does. */
static void fill_parameter(const char *salt, hl_param_info p)
{
    char key[256];
    size_t length = strlen(p.name);
    bool gain = p.shape.rank == 1 && length > 7 && !strcmp(p.name + length - 7, ".weight");
    double fan_in = (double)p.count / (double)(p.shape.rank ? p.shape.dim[0] : 1);
    double scale = p.shape.rank > 1 ? 1 / sqrt(fan_in) : 0.1, offset = gain ? 1.0 : 0.0;
    snprintf(key, sizeof key, "%s/%s", salt, p.name);
    uint64_t seed = stream_seed(key);
#pragma omp parallel for schedule(static) if (p.count > 100000)
    for (int64_t i = 0; i < p.count; i++) {
        double u = stream_uniform(seed, i);
        p.data[i] = (float)(p.shape.rank > 1 ? u / sqrt(fan_in) : offset + scale * u);
    }
}

static void fill_parameters(run *r)
{
    for (int i = 0; i < hl_params_count(r->params); i++) {
        hl_param_info p = hl_params_at(r->params, i);
        if (p.role != HL_PARAMETER)
            continue;
        fill_parameter(r->f.salt, p);
        hl_params_touch(r->params, i);
    }
}

static void fill_input(hl_session *s, const char *name, const char *key)
{
    float *x = hl_session_input(s, name);
    hl_shape shape = hl_session_shape(s, name);
    int64_t n = 1;
    for (int i = 0; i < shape.rank; i++)
        n *= shape.dim[i];
    if (x)
        fill_stream(x, key, n, sqrt(3.0));
}

static void fill_inputs(const run *r, hl_session *s, int step)
{
    static const char *const names[] = {"history", "eps", "target"};
    char key[128];
    for (int i = 0; i < HL_MODEL_SENSES; i++) {
        snprintf(key, sizeof key, "%s/%d/obs.%s", r->f.salt, step, hl_model_sense(i));
        fill_input(s, hl_model_sense(i), key);
    }
    for (int i = 0; i < 3; i++) {
        snprintf(key, sizeof key, "%s/%d/%s", r->f.salt, step, names[i]);
        fill_input(s, names[i], key);
    }
}

/* L2 norm of x, and its dot product with the probe of its name. */
static void probe(const float *x, const char *name, int64_t n, double out[2])
{
    char key[256];
    snprintf(key, sizeof key, "probe/%s", name);
    uint64_t seed = stream_seed(key);
    double squares = 0, dot = 0;
#pragma omp parallel for schedule(static) reduction(+ : squares, dot) if (n > 100000)
    for (int64_t i = 0; i < n; i++) {
        squares += (double)x[i] * x[i];
        dot += (double)x[i] * (float)stream_uniform(seed, i);
    }
    out[0] = sqrt(squares);
    out[1] = dot;
}

/* ------------------------------------------------------------------ forward */

static bool compare_forward(run *r, const hl_session *s, const char *name, double *error)
{
    char path[64];
    hl_shape shape = hl_session_shape(s, name);
    int64_t n = shape.dim[0] * (shape.rank > 1 ? shape.dim[1] : 1);
    const float *got = hl_session_output(s, name);
    double *want = malloc((size_t)n * sizeof *want), difference = 0, size = 0;
    snprintf(path, sizeof path, "forward/%s", name);
    bool ok = want && fixture_read(&r->f, path, want, n);
    for (int64_t i = 0; ok && i < n; i++) {
        difference += (got[i] - want[i]) * (got[i] - want[i]);
        size += want[i] * want[i];
    }
    free(want);
    worst(error, sqrt(difference / size));
    return ok;
}

static bool check_forward(run *r)
{
    hl_error err = {0};
    hl_graph *g = hl_graph_new();
    hl_model_mode mode = {.batch = r->f.batch, .decode = true};
    hl_model_nodes m = hl_model_build(g, r->params, &r->options, &mode);
    hl_output(g, "context", m.context);
    hl_output(g, "compressed", m.compressed);
    hl_output(g, "reconstructed", m.reconstructed);
    hl_output(g, "action", m.action);
    if (m.kl.id)
        hl_output(g, "kl", m.kl);
    hl_session *s = hl_session_open(g, r->params, &r->session, &err);
    hl_graph_free(g);
    if (!s)
        return die("forward", &err);
    bool ok = hl_params_materialize(r->params, &err) == HL_OK || die("forward", &err);
    if (ok) {
        fill_parameters(r);
        fill_inputs(r, s, 0);
        ok = hl_session_run(s, &err) == HL_OK || die("forward", &err);
    }
    double error = 0;
    static const char *const names[] = {"context", "compressed", "reconstructed", "action", "kl"};
    for (int i = 0; ok && i < 5; i++)
        if (i < 4 || m.kl.id)
            ok = compare_forward(r, s, names[i], &error);
    hl_session_free(s);
    if (ok)
        report(r, "forward", error, r->bounds->forward);
    return ok;
}

/* ------------------------------------------------------------------ loss and gradients */

static hl_loss build_training(run *r, hl_graph *g)
{
    hl_model_mode mode = {.batch = r->f.batch, .training = true, .given_noise = true, .decode = true};
    hl_model_nodes m = hl_model_build(g, r->params, &r->options, &mode);
    hl_tensor target = hl_input(g, "target", HL_F32, 2, (int64_t[]){r->f.batch, r->options.action});
    hl_loss_weights w = {(float)r->f.w_action, (float)r->f.w_recon, (float)r->f.w_kl};
    return hl_model_loss(g, &m, target, (hl_tensor){0}, w);
}

static bool compare_losses(run *r, const hl_session *s, bool with_kl)
{
    static const char *const names[] = {"total", "action", "reconstruction", "information_retained", "kl"};
    double error = 0;
    for (int i = 0; i < 4 + with_kl; i++) {
        char path[64];
        double want;
        snprintf(path, sizeof path, "loss/%s", names[i]);
        if (!fixture_read(&r->f, path, &want, 1))
            return false;
        worst(&error, fabs(*hl_session_output(s, names[i]) - want) / fabs(want));
    }
    report(r, "losses", error, r->bounds->loss);
    return true;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static bool compare_gradients(run *r, const hl_session *s, int n, const char *const *names, double *errors)
{
    double most = 0;
    for (int i = 0; i < n; i++) {
        char path[256];
        double want[2], got[2];
        snprintf(path, sizeof path, "gradient/%s", names[i]);
        if (!fixture_read(&r->f, path, want, 2))
            return false;
        snprintf(path, sizeof path, "d %s", names[i]);
        probe(hl_session_output(s, path), names[i],
              hl_params_at(r->params, hl_params_find(r->params, names[i])).count, got);
        double difference = fmax(fabs(got[0] - want[0]), fabs(got[1] - want[1]));
        errors[i] = want[0] > 0 ? difference / want[0] : difference; /* where it is zero it must be zero */
        worst(&most, errors[i]);
    }
    qsort(errors, (size_t)n, sizeof *errors, ascending);
    report(r, "gradients, worst", most, r->bounds->gradient);
    report(r, "gradients, median", errors[n / 2], r->bounds->median);
    return true;
}

static bool check_gradients(run *r)
{
    hl_error err = {0};
    hl_graph *g = hl_graph_new();
    hl_loss l = build_training(r, g);
    int n = hl_graph_params(g, NULL, NULL, 0);
    hl_tensor *p = calloc(2 * (size_t)n, sizeof *p);
    const char **names = calloc((size_t)n, sizeof *names);
    double *errors = calloc((size_t)n, sizeof *errors);
    hl_graph_params(g, p, names, n);
    hl_gradient(g, l.total, n, p, p + n);
    hl_output(g, "total", l.total);
    hl_output(g, "action", l.action);
    hl_output(g, "reconstruction", l.reconstruction);
    hl_output(g, "information_retained", l.information_retained);
    if (l.kl.id)
        hl_output(g, "kl", l.kl);
    for (int i = 0; i < n; i++) {
        char name[256];
        snprintf(name, sizeof name, "d %s", names[i]);
        hl_output(g, name, p[n + i]);
    }
    hl_session *s = hl_session_open(g, r->params, &r->session, &err);
    bool ok = s || die("gradients", &err);
    if (ok) {
        fill_inputs(r, s, 0);
        ok = (hl_session_run(s, &err) == HL_OK || die("gradients", &err)) && compare_losses(r, s, l.kl.id) &&
             compare_gradients(r, s, n, names, errors);
    }
    hl_session_free(s);
    hl_graph_free(g);
    free(p);
    free(names);
    free(errors);
    return ok;
}

/* ------------------------------------------------------------------ AdamW */

static bool compare_parameters(run *r)
{
    hl_error err = {0};
    double error = 0;
    int64_t total = 0;
    if (hl_params_pull(r->params, &err) != HL_OK)
        return die("parameters", &err);
    for (int i = 0; i < hl_params_count(r->params); i++) {
        hl_param_info p = hl_params_at(r->params, i);
        char path[256];
        double want[2], got[2];
        if (p.role != HL_PARAMETER)
            continue;
        total += p.count;
        snprintf(path, sizeof path, "adamw/parameter/%s", p.name);
        if (!fixture_read(&r->f, path, want, 2))
            return false;
        probe(p.data, p.name, p.count, got);
        double e = fabs(got[1] - want[1]) / (r->f.lr * (double)r->f.steps * sqrt((double)p.count / 3));
        worst(&error, e);
        if (!(e <= r->bounds->parameter))
            printf("  %-70s %9.2e\n", p.name, e);
    }
    report(r, "parameters after AdamW", error, r->bounds->parameter);
    if (total != r->f.parameters) {
        printf("  %lld parameters, the fixture has %lld  BROKEN\n", (long long)total,
               (long long)r->f.parameters);
        r->ok = false;
    }
    return true;
}

static bool train(run *r, hl_session *s)
{
    double norm_error = 0, loss_error = 0;
    double *losses = calloc(2 * (size_t)r->f.steps, sizeof *losses), *norms = losses + r->f.steps;
    bool ok = losses && fixture_read(&r->f, "adamw/loss", losses, r->f.steps) &&
              fixture_read(&r->f, "adamw/grad_norm", norms, r->f.steps);
    ok = ok && hl_session_set(s, "lr", (float)r->f.lr) == HL_OK;
    for (int step = 0; ok && step < r->f.steps; step++) {
        hl_error err = {0};
        fill_inputs(r, s, step);
        ok = hl_session_run(s, &err) == HL_OK || die("training", &err);
        worst(&loss_error, fabs(*hl_session_output(s, "total") - losses[step]) / fabs(losses[step]));
        worst(&norm_error, fabs(*hl_session_output(s, "grad_norm") - norms[step]) / norms[step]);
    }
    if (ok) {
        report(r, "losses of steps", loss_error, r->bounds->loss);
        report(r, "gradient norm", norm_error, r->bounds->norm);
    }
    free(losses);
    return ok && compare_parameters(r);
}

static bool check_training(run *r)
{
    hl_error err = {0};
    hl_graph *g = hl_graph_new();
    hl_loss l = build_training(r, g);
    hl_output(g, "total", l.total);
    hl_adamw(g, r->params, l.total,
             (hl_adamw_options){.beta1 = (float)r->f.beta1,
                                .beta2 = (float)r->f.beta2,
                                .eps = (float)r->f.eps,
                                .weight_decay = (float)r->f.weight_decay,
                                .clip = (float)r->f.clip});
    hl_session *s = hl_session_open(g, r->params, &r->session, &err);
    hl_graph_free(g);
    bool ok = s ? train(r, s) : die("training", &err);
    hl_session_free(s);
    return ok;
}

/* 0 ok, 1 a bound is broken, 2 cannot be read */
static int run_fixture(const char *path, const hl_session_options *session)
{
    run r = {.session = *session, .bounds = &bounds_of[session->precision], .ok = true};
    printf("%s\n", path);
    bool readable = fixture_open(&r.f, path) && fixture_options(&r.f, &r.options);
    r.params = hl_params_new(0);
    if (readable)
        readable = check_forward(&r) && check_gradients(&r) && check_training(&r);
    hl_params_free(r.params);
    fixture_close(&r.f);
    printf("  %s\n", !readable ? "unreadable" : r.ok ? "ok" : "FAILED");
    return !readable ? 2 : !r.ok;
}

static bool find_precision(const char *name, hl_precision *precision)
{
    for (int p = 0; p < HL_PRECISIONS; p++) {
        if (strcmp(name, hl_precision_name((hl_precision)p)))
            continue;
        *precision = (hl_precision)p;
        return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    hl_session_options session = {.device = "cpu"};
    int first = 1, code = 0;
    bool understood = true;
    for (; first + 1 < argc && !strncmp(argv[first], "--", 2); first += 2) {
        if (!strcmp(argv[first], "--device"))
            session.device = argv[first + 1];
        else
            understood = !strcmp(argv[first], "--precision") &&
                         find_precision(argv[first + 1], &session.precision);
    }
    if (first >= argc || !understood) {
        fprintf(stderr, "usage: parity [--device NAME] [--precision fp32|tf32|bf16|fp16] FIXTURE.h5 ...\n");
        return 2;
    }
    if (gpu_is_missing(session.device, argc - first))
        return EXIT_SKIPPED;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = first; i < argc; i++) {
        int result = run_fixture(argv[i], &session);
        code = result > code ? result : code;
    }
    return code;
}
