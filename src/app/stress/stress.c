/* hl stress: inference and training on one set of weights, measured phase by phase, and judged. */
#include "app/command.h"
#include "app/report/report.h"
#include "app/setup.h"
#include "app/stopping.h"
#include "app/stress/phase.h"
#include "app/stress/preset.h"
#include "app/stress/summary.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct stress {
    const char *preset, *report, *config;
    bool json;
    hl_config cfg;
    hl_dataset *data;
    hl_monitor *monitor;
    hl_tracing *tracing;
    json_t *phases, *failed; /* failed: [{"name", "error"}] */
    hl_figures worst;
    hl_verdict *verdicts; /* of the phases, then of the whole run */
    int n_verdicts;
    hl_status status; /* of the first phase that failed */
} stress;

/* ------------------------------------------------------------------ running */

static void tell_phase(const hl_stress_phase *p, int index, int n)
{
    char until[96] = "";
    if (p->seconds > 0 && p->iterations)
        snprintf(until, sizeof until, "%g s or %lld iterations", p->seconds, (long long)p->iterations);
    else if (p->seconds > 0)
        snprintf(until, sizeof until, "%g s", p->seconds);
    else
        snprintf(until, sizeof until, "%lld iterations", (long long)p->iterations);
    fprintf(stderr, "hl: phase %d of %d: %s, %s\n", index + 1, n, hl_config_phase_name(p), until);
}

/* A phase that cannot run is told of, and the others go on. */
static hl_status run_phase(stress *s, const hl_stress_phase *phase, hl_error *err)
{
    const hl_phase_setup setup = {.cfg = &s->cfg,
                                  .phase = phase,
                                  .data = s->data,
                                  .monitor = s->monitor,
                                  .stop = &hl_stop_asked,
                                  .tracing = s->tracing};
    hl_phase_result result;
    hl_error why = {0};
    hl_status status = hl_phase_run(&setup, &result, &why);
    if (status == HL_OK) {
        s->verdicts[s->n_verdicts++] = result.verdict;
        s->worst = hl_figures_worse(s->worst, result.figures);
        status = json_array_append_new(s->phases, result.json) ? HL_ERR_MEMORY : HL_OK;
    } else {
        fprintf(stderr, "hl: %s\n", why.message);
        s->status = s->status == HL_OK ? status : s->status;
        json_t *entry = json_pack("{s:s, s:s}", "name", hl_config_phase_name(phase), "error", why.message);
        status = json_array_append_new(s->failed, entry) ? HL_ERR_MEMORY : HL_OK;
    }
    return status == HL_OK ? HL_OK : hl_fail(err, status, "no memory for the results");
}

static hl_status run_phases(stress *s, hl_error *err)
{
    hl_status status = HL_OK;
    for (int i = 0; i < s->cfg.stress.phases.n && status == HL_OK && !hl_stop_asked; i++) {
        tell_phase(&s->cfg.stress.phases.at[i], i, s->cfg.stress.phases.n);
        status = run_phase(s, &s->cfg.stress.phases.at[i], err);
    }
    return status;
}

/* ------------------------------------------------------------------ the result */

static json_t *machine_json(const json_t *phases)
{
    hl_device_info cpu;
    hl_describe_processor(&cpu);
    const json_t *system = json_object_get(json_array_get(phases, 0), "system"),
                 *gpu = json_object_get(system, "gpu"), *absent = json_object_get(system, "gpu_absent");
    const char *name = json_string_value(json_object_get(gpu, "name"));
    json_t *j = json_pack("{s:s, s:i, s:I, s:o}", "processor", cpu.name, "cores", cpu.processors,
                          "memory_bytes", (json_int_t)cpu.memory, "gpu",
                          name ? json_string(name) : json_null());
    if (!name)
        json_object_set_new(j, "gpu_absent",
                            json_string(absent ? json_string_value(absent) : "no phase has run"));
    return j;
}

static int64_t count_parameters(const hl_config *cfg)
{
    hl_error err = {0};
    hl_model_options model = hl_config_model(cfg);
    hl_params *params = hl_params_new(cfg->seed);
    int64_t sum = 0;
    if (params && hl_setup_declare(&model, true, params, &err) == HL_OK)
        for (int i = 0; i < hl_params_count(params); i++)
            sum += hl_params_at(params, i).count;
    hl_params_free(params);
    return sum;
}

/* A phase that could not run has kept nothing. */
static const char *verdict_of(const stress *s)
{
    return json_array_size(s->failed) ? "fail" : hl_verdict_name(s->n_verdicts + 1, s->verdicts);
}

static json_t *result_of(stress *s, const char *started)
{
    const hl_verdict whole = hl_judge(&s->cfg.stress.limits, &s->worst);
    s->verdicts[s->n_verdicts] = whole;
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:o, s:b, s:O, s:O, s:o, s:s}", "hl",
                          HL_VERSION, "kind", "stress", "started", started, "config", s->config,
                          "model_parameters", (json_int_t)count_parameters(&s->cfg), "device", s->cfg.device,
                          "precision", hl_precision_name((hl_precision)s->cfg.precision), "machine",
                          machine_json(s->phases), "interrupted", (int)hl_stop_asked, "phases", s->phases,
                          "failed", s->failed, "limits", hl_verdict_json(&whole), "verdict", verdict_of(s));
    return j;
}

static bool all_pass(const stress *s)
{
    bool pass = true;
    for (int i = 0; i <= s->n_verdicts; i++)
        pass = pass && s->verdicts[i].pass;
    return pass;
}

/* The page of the result as it is printed, with as many digits: that of a saved one is the same. */
static hl_status write_page(const json_t *result, const char *path, hl_error *err)
{
    hl_text text = {0};
    hl_json_append(&text, result, HL_JSON_LINE);
    json_t *printed = text.failed ? NULL : hl_json_parse(text.at, text.size, "the result", err);
    hl_status status = printed       ? hl_report_write(printed, path, err)
                       : text.failed ? hl_fail(err, HL_ERR_MEMORY, "no memory for the report")
                                     : err->status;
    json_decref(printed);
    hl_text_free(&text);
    return status;
}

static hl_status tell(const stress *s, const json_t *result, hl_error *err)
{
    hl_status status = s->json ? hl_json_print(stdout, result, err) : hl_stress_print(stdout, result, err);
    if (status == HL_OK && s->report)
        status = write_page(result, s->report, err);
    if (status == HL_OK && s->report)
        fprintf(stderr, "hl: report %s\n", s->report);
    return status;
}

/* ------------------------------------------------------------------ the command */

/* "cuda:N" is number N; else the first is watched, if there is one. */
static int gpu_of(const char *device)
{
    int n;
    return sscanf(device, "cuda:%d", &n) == 1 && n >= 0 ? n : 0;
}

static hl_status open_all(stress *s, hl_error *err)
{
    if (!s->cfg.stress.phases.n)
        return hl_fail(err, HL_ERR_CONFIG,
                       "%s: stress.phases is empty: there is nothing to run; list phases there, or name a "
                       "preset, as in --preset published",
                       s->config);
    s->data = hl_setup_dataset(&s->cfg, err);
    if (!s->data)
        return err->status;
    s->monitor = hl_monitor_new(&(hl_monitor_options){.gpu = gpu_of(s->cfg.device)}, err);
    s->phases = json_array();
    s->failed = json_array();
    s->verdicts = hl_alloc((size_t)s->cfg.stress.phases.n + 1, sizeof *s->verdicts);
    if (!s->monitor || !s->phases || !s->failed || !s->verdicts)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the results");
    s->worst = hl_figures_none();
    hl_setup_tell_data(&s->cfg, s->data);
    return HL_OK;
}

static hl_status run(stress *s, hl_error *err)
{
    char started[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(started, sizeof started, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    hl_stop_listen("\nhl: ending this phase (once more: at once, without results)\n");
    hl_status status = open_all(s, err);
    if (status == HL_OK)
        status = run_phases(s, err);
    json_t *result = status == HL_OK ? result_of(s, started) : NULL;
    if (status == HL_OK && !result)
        status = hl_fail(err, HL_ERR_MEMORY, "no memory for the result");
    if (status == HL_OK)
        status = tell(s, result, err);
    if (status == HL_OK)
        status = hl_tracing_write(s->tracing, err);
    json_decref(result);
    return status;
}

static void close_all(stress *s)
{
    json_decref(s->phases);
    json_decref(s->failed);
    hl_free(s->verdicts);
    hl_monitor_free(s->monitor);
    hl_tracing_free(s->tracing);
    hl_dataset_close(s->data);
    hl_config_free(&s->cfg);
}

static hl_status load(stress *s, const char *path, int n, char *const *overrides, hl_error *err)
{
    hl_config_layer layers[2] = {{.name = path}};
    hl_status status = s->preset ? hl_preset_find(s->preset, &layers[1], err) : HL_OK;
    s->config = path;
    return status == HL_OK ? hl_config_load_layers(&s->cfg, s->preset ? 2 : 1, layers, n, overrides, err)
                           : status;
}

/* A place that cannot be written to is told of before an hour of measuring. */
static hl_status check_report(const char *path, hl_error *err)
{
    hl_file *file;
    hl_status status = path ? hl_file_replace(path, &file, err) : HL_OK;
    if (path && status == HL_OK)
        hl_file_abort(file);
    return status;
}

int hl_command_stress(int argc, char **argv)
{
    stress s = {0};
    hl_tracing_request traced = {0};
    const hl_flag flags[] = {
        {"preset", HL_FLAG_TEXT, &s.preset, "NAME", "run the phases of a preset: published, cpu, quick"},
        {"report", HL_FLAG_TEXT, &s.report, "FILE", "write the result as a page, FILE.html"},
        HL_TRACING_FLAGS(traced),
        {"json", HL_FLAG_BOOL, &s.json, NULL, "print JSON (docs/stress.md), for hl report and scripts"},
        {0},
    };
    const hl_usage usage = {
        "hl stress CONFIG [key=value ...] [--preset published] [--json] [--report out.html]",
        "Runs inference and training on one set of weights at the same time, phase by phase as\n"
        "stress.phases says, and tells latency, throughput and memory of each. Limits that are set\n"
        "(stress.limits, stress.phases[0].limits) are judged: exit code 1 when one does not hold.\n"
        "Ctrl-C ends the phase and tells what was measured.",
        flags, 1, -1};
    int n, code = hl_parse_arguments(&usage, argc, argv, &n);
    if (code != HL_GO_ON)
        return code;
    hl_error err = {0};
    hl_status status = load(&s, argv[1], n - 1, argv + 2, &err);
    if (status == HL_OK)
        status = check_report(s.report, &err);
    if (status == HL_OK)
        status = hl_tracing_open(&traced, argv[1], &s.tracing, &err);
    if (status == HL_OK)
        status = run(&s, &err);
    code = status != HL_OK ? hl_report(&err) : HL_EXIT_OK;
    if (status == HL_OK && s.status != HL_OK)
        code = hl_exit_code(s.status);
    else if (status == HL_OK && (hl_stop_asked || !all_pass(&s)))
        code = HL_EXIT_FAILED;
    close_all(&s);
    return code;
}
