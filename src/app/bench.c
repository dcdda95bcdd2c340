/* hl bench: latency and throughput of inference, and of a training step, with random weights. */
#include "app/command.h"
#include "app/policy.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/process.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { MAX_RUNS = 100000, MAX_BATCHES = 32 };

typedef struct timing {
    const char *what;
    int64_t batch;
    int runs;
    double warmup_ms, median_ms, p95_ms, p99_ms, min_ms, samples_per_s;
    size_t planned_bytes;
    double rss_bytes; /* of the process while it ran */
    char device[32];
} timing;

typedef struct bench {
    const hl_config *cfg;
    double seconds; /* per measurement */
    bool profile;
    double *samples;
    timing rows[2 * MAX_BATCHES];
    int n;
} bench;

static double now_ms(void)
{
    return 1e3 * hl_seconds();
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The nearest-rank percentile of a sorted array. */
static double percentile(const double *sorted, int n, double p)
{
    int rank = (int)ceil(p / 100 * n);
    return sorted[rank < 1 ? 0 : rank - 1];
}

static void fill_inputs(hl_session *s, const char *const *names, int n)
{
    for (int k = 0; k < n; k++) {
        float *x = hl_session_input(s, names[k]);
        hl_shape shape = hl_session_shape(s, names[k]);
        int64_t count = 1;
        for (int i = 0; i < shape.rank; i++)
            count *= shape.dim[i];
        for (int64_t i = 0; x && i < count; i++)
            x[i] = (float)((i * 2654435761u + (unsigned)k) >> 8 & 0xffff) / 65536.0f - 0.5f;
    }
}

static void print_profile(hl_session *s, const timing *t)
{
    size_t size = hl_session_profile_print(s, NULL, 0) + 1;
    char *text = hl_alloc(size, 1);
    if (!text)
        return;
    hl_session_profile_print(s, text, size);
    fprintf(stderr, "\n%s, batch %lld: time per call, dearest first\n%s\n", t->what, (long long)t->batch,
            text);
    hl_free(text);
}

static hl_status measure(bench *b, hl_session *s, timing *t, hl_error *err)
{
    enum { WARMUP = 3, LEAST = 5 };
    double began = now_ms();
    hl_status status = HL_OK;
    for (int i = 0; i < WARMUP && status == HL_OK; i++)
        status = hl_session_run(s, err);
    t->warmup_ms = now_ms() - began;
    snprintf(t->device, sizeof t->device, "%s", hl_session_device(s));
    hl_session_profile(s, b->profile);
    double start = now_ms(), last = start;
    while (status == HL_OK && t->runs < MAX_RUNS && (t->runs < LEAST || last - start < 1e3 * b->seconds)) {
        double before = last;
        status = hl_session_run(s, err);
        last = now_ms();
        b->samples[t->runs++] = last - before;
    }
    if (status != HL_OK)
        return status;
    t->samples_per_s = (double)t->runs * (double)t->batch / ((last - start) * 1e-3);
    qsort(b->samples, (size_t)t->runs, sizeof *b->samples, ascending);
    t->min_ms = b->samples[0];
    t->median_ms = percentile(b->samples, t->runs, 50);
    t->p95_ms = percentile(b->samples, t->runs, 95);
    t->p99_ms = percentile(b->samples, t->runs, 99);
    t->rss_bytes = hl_resident_bytes();
    t->planned_bytes = hl_session_memory(s).total;
    if (b->profile)
        print_profile(s, t);
    return HL_OK;
}

static hl_status bench_one(bench *b, bool training, int64_t batch, hl_error *err)
{
    static const char *const names[] = {"visual",         "depth",   "audio",   "tactile",
                                        "proprioceptive", "history", "target",  "previous",
                                        "smoothing",      "mask",    "presence"};
    timing *t = &b->rows[b->n];
    *t = (timing){.what = training ? "training" : "inference", .batch = batch};
    hl_trainer_options o = hl_setup_trainer(b->cfg);
    o.batch = batch;
    hl_params *params = hl_params_new(b->cfg->seed);
    hl_graph *g = NULL;
    if (params)
        g = training ? hl_training_graph(params, &o)
                     : hl_policy_graph(params, &o.model, batch, b->cfg->model.head.smoothing > 0);
    const hl_session_options options = {.device = o.device, .frozen = !training, .precision = o.precision};
    hl_session *s = g ? hl_session_open(g, params, &options, err) : NULL;
    hl_graph_free(g);
    hl_status status = s ? HL_OK : g ? err->status : hl_fail(err, HL_ERR_MEMORY, "no memory for a graph");
    if (s) {
        fill_inputs(s, names, (int)(sizeof names / sizeof *names));
        if (training)
            hl_session_set(s, "lr", (float)b->cfg->optim.lr);
        status = measure(b, s, t, err);
    }
    b->n += status == HL_OK;
    hl_session_free(s);
    hl_params_free(params);
    return status;
}

/* ------------------------------------------------------------------ output */

static void print_text(const bench *b)
{
    printf("%-10s %6s %6s %10s %10s %10s %10s %12s %12s\n", "", "batch", "runs", "median ms", "p95 ms",
           "p99 ms", "samples/s", "planned MiB", "RSS MiB");
    for (int i = 0; i < b->n; i++) {
        const timing *t = &b->rows[i];
        printf("%-10s %6lld %6d %10.2f %10.2f %10.2f %10.1f %12.1f %12.1f\n", t->what, (long long)t->batch,
               t->runs, t->median_ms, t->p95_ms, t->p99_ms, t->samples_per_s,
               (double)t->planned_bytes / (1 << 20), t->rss_bytes / (1 << 20));
    }
}

static hl_status print_json(const bench *b, hl_error *err)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    json_t *rows = json_array();
    for (int i = 0; i < b->n; i++) {
        const timing *t = &b->rows[i];
        json_array_append_new(
            rows, json_pack("{s:s, s:I, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:o}", "what", t->what,
                            "batch", (json_int_t)t->batch, "runs", t->runs, "warmup_ms", t->warmup_ms,
                            "min_ms", t->min_ms, "median_ms", t->median_ms, "p95_ms", t->p95_ms, "p99_ms",
                            t->p99_ms, "samples_per_s", t->samples_per_s, "planned_bytes",
                            (json_int_t)t->planned_bytes, "rss_bytes", hl_json_number(t->rss_bytes)));
    }
    json_t *j = json_pack("{s:s, s:s, s:s, s:I, s:o}", "version", HL_VERSION, "device",
                          b->n ? b->rows[0].device : b->cfg->device, "precision",
                          hl_precision_name((hl_precision)b->cfg->precision), "peak_rss_bytes",
                          (json_int_t)usage.ru_maxrss * 1024, "results", rows);
    hl_status status = hl_json_print(stdout, j, err);
    json_decref(j);
    return status;
}

/* "1,16,32" */
static int parse_batches(const char *text, int64_t *out, hl_error *err)
{
    int n = 0;
    while (*text) {
        char *end;
        long long value = strtoll(text, &end, 10);
        if (end == text || value < 1 || value > 65536 || (*end && *end != ',') || n == MAX_BATCHES) {
            hl_fail(err, HL_ERR_USAGE,
                    "--batch: '%s' is not a list of 1..%d numbers from 1 to 65536, as in 1,16", text,
                    MAX_BATCHES);
            return 0;
        }
        out[n++] = value;
        text = *end ? end + 1 : end;
    }
    if (!n)
        hl_fail(err, HL_ERR_USAGE, "--batch: there is no number");
    return n;
}

static hl_status run_all(bench *b, const char *batches, bool train, hl_error *err)
{
    int64_t sizes[MAX_BATCHES];
    int n = parse_batches(batches, sizes, err);
    hl_status status = n ? HL_OK : err->status;
    b->samples = hl_alloc(MAX_RUNS, sizeof *b->samples);
    if (!b->samples)
        status = hl_fail(err, HL_ERR_MEMORY, "no memory for samples");
    hl_setup_threads(b->cfg);
    for (int i = 0; i < n && status == HL_OK; i++)
        status = bench_one(b, train, sizes[i], err);
    hl_free(b->samples);
    return status;
}

int hl_command_bench(int argc, char **argv)
{
    const char *batches = NULL;
    bool train = false, json = false, profile = false;
    int64_t seconds = 5;
    const hl_flag flags[] = {
        {"batch", HL_FLAG_TEXT, &batches, "N,N,...",
         "batch sizes (default: 1,16; with --train: train.batch)"},
        {"train", HL_FLAG_BOOL, &train, NULL, "time training steps instead of inference"},
        {"seconds", HL_FLAG_INT, &seconds, "N", "least time per batch size (default 5)"},
        {"profile", HL_FLAG_BOOL, &profile, NULL, "tell the time of every kernel call on stderr"},
        {"json", HL_FLAG_BOOL, &json, NULL, "print JSON"},
        {0},
    };
    const hl_usage usage = {
        "hl bench CONFIG [key=value ...] [--batch 1,16] [--train] [--json]",
        "Times inference (a frozen session) or training steps with random weights and inputs, after a\n"
        "warm-up: median, 95th and 99th percentile, samples per second.",
        flags, 1, -1};
    int n, code = hl_parse_arguments(&usage, argc, argv, &n);
    if (code != HL_GO_ON)
        return code;
    hl_error err = {0};
    hl_config cfg;
    char train_batch[32];
    hl_status status = hl_config_load(&cfg, argv[1], n - 1, argv + 2, &err);
    if (status == HL_OK) {
        bench b = {.cfg = &cfg, .seconds = (double)seconds, .profile = profile};
        snprintf(train_batch, sizeof train_batch, "%lld", (long long)cfg.train.batch);
        status = run_all(&b, batches ? batches : train ? train_batch : "1,16", train, &err);
        if (status == HL_OK && json)
            status = print_json(&b, &err);
        else if (status == HL_OK)
            print_text(&b);
    }
    hl_config_free(&cfg);
    return status == HL_OK ? HL_EXIT_OK : hl_report(&err);
}
