/* hl export: the model alone, as it goes to the robot, and the proof that it is the same model. */
#include "app/command.h"
#include "app/export/parity_report.h"
#include "app/export/unproven.h"
#include "app/export/write.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "export/onnx.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A layer that loses more than this of what it gives stays in floats. */
static const double layer_most_error = 0.1;

typedef struct request {
    const char *from, *to, *precision, *calibrate, *range, *max_error;
    int64_t samples, episodes; /* episodes -1: as many as the configuration says */
    bool decoder, json;
    int n_overrides;
    char *const *overrides;
    hl_export_format format; /* from here on: what was read of it */
    hl_export_precision numbers;
    double most_error;
    int64_t parameters; /* of the checkpoint */
} request;

/* ------------------------------------------------------------------ what is asked for */

static hl_status read_most_error(request *r, hl_error *err)
{
    char *end = NULL;
    r->most_error = r->max_error ? strtod(r->max_error, &end) : 0;
    if (r->max_error && (end == r->max_error || *end || !(r->most_error > 0) || isinf(r->most_error)))
        return hl_fail(err, HL_ERR_USAGE, "--max-error %s: it is a number above 0", r->max_error);
    if (r->max_error && !r->samples)
        return hl_fail(err, HL_ERR_USAGE,
                       "--max-error needs samples to see the error on, and --samples is 0");
    return HL_OK;
}

static bool is_utf8(const char *name)
{
    json_t *text = json_string(name);
    json_decref(text);
    return text != NULL;
}

static hl_status read_request(request *r, hl_error *err)
{
    hl_status status = hl_export_format_of(r->to, &r->format, err);
    if (status == HL_OK)
        status = hl_export_precision_named(r->precision, &r->numbers, err);
    if (status == HL_OK)
        status = read_most_error(r, err);
    if (status != HL_OK)
        return status;
    if (hl_same_file(r->from, r->to))
        return hl_fail(
            err, HL_ERR_USAGE,
            "--to %s: it is the checkpoint, whose optimizer state would be lost; choose another name", r->to);
    if (!is_utf8(r->from) || !is_utf8(r->to))
        return hl_fail(err, HL_ERR_USAGE,
                       "%s: the name is not UTF-8, in which the report and the model tell of it",
                       hl_long_excerpt_of(is_utf8(r->from) ? r->to : r->from).text);
    struct stat to;
    if (stat(r->to, &to) == 0 && S_ISDIR(to.st_mode))
        return hl_fail(err, HL_ERR_USAGE, "--to %s: is a directory; name a file", r->to);
    if (r->format == HL_EXPORT_H5 && strcmp(r->numbers.name, "fp32"))
        return hl_fail(err, HL_ERR_USAGE,
                       "--precision %s: checkpoints (.h5) are in fp32; .safetensors and .onnx take it",
                       r->numbers.name);
    if ((r->calibrate || r->range) && !r->numbers.integers)
        return hl_fail(err, HL_ERR_USAGE, "--calibrate and --range are for --precision int8");
    if (r->range && !r->calibrate)
        return hl_fail(err, HL_ERR_USAGE, "--range says how to calibrate: give --calibrate too");
    if (r->range && strcmp(r->range, "largest") && strcmp(r->range, "percentile"))
        return hl_fail(err, HL_ERR_USAGE, "--range %s: it is largest or percentile", r->range);
    if (r->numbers.integers && !r->samples)
        return hl_fail(
            err, HL_ERR_USAGE,
            "--precision int8 needs samples to find the layers that lose too much, and --samples is 0");
    return HL_OK;
}

/* ------------------------------------------------------------------ the graph */

/* What operands are calibrated on: the training split of the checkpoint's data, or of files in its place. */
static hl_status calibration_data(const request *r, const hl_trained *t, hl_config *data, hl_error *err)
{
    if (strcmp(r->calibrate, "train") && t->config.data.format == HL_FORMAT_REACH)
        return hl_fail(
            err, HL_ERR_USAGE,
            "--calibrate %s: the model was trained in the world reach, which reads no files: --calibrate "
            "train, or data.format and data.obs for them",
            r->calibrate);
    hl_text files = {0};
    hl_text_append(&files, "data.files=[");
    hl_config_quote(&files, r->calibrate);
    hl_text_append(&files, "]");
    char *text = hl_config_print(&t->config), *override = hl_text_take(&files);
    hl_status status = HL_OK;
    if (!text || !override)
        status = hl_fail(err, HL_ERR_MEMORY, "no memory for a configuration");
    else
        status = hl_config_parse_text(data, text, "--calibrate", strcmp(r->calibrate, "train") ? 1 : 0,
                                      &override, err);
    hl_free(text);
    hl_free(override);
    return status;
}

static hl_stage *make_stage(const request *r, const hl_trained *t, hl_layers *layers, hl_error *err)
{
    const bool integers = r->numbers.integers;
    const hl_stage_options o = {.decoder = r->decoder, .pooled = integers && r->format != HL_EXPORT_ONNX};
    hl_config data = {0};
    hl_stage *folded = hl_stage_fold(t, &o, err);
    if (!folded || !integers)
        return folded;
    if (r->calibrate && calibration_data(r, t, &data, err) != HL_OK) {
        hl_stage_free(folded);
        return NULL;
    }
    const bool largest = r->range && !strcmp(r->range, "largest");
    const hl_stage_quantizing q = {.data = r->calibrate ? &data : NULL,
                                   .range = largest ? HL_RANGE_LARGEST : HL_RANGE_PERCENTILE,
                                   .samples = r->samples,
                                   .most_error = layer_most_error};
    hl_stage *s = hl_stage_quantize(folded, t, &q, layers, err);
    hl_config_free(&data);
    return s;
}

/* ------------------------------------------------------------------ the proof */

static int64_t count_parameters(const hl_trained *t, bool decoder)
{
    int64_t sum = 0;
    for (int i = 0; i < hl_params_count(t->params); i++) {
        const hl_param_info p = hl_params_at(t->params, i);
        sum += hl_export_keeps(&p, decoder) ? p.count : 0;
    }
    return sum;
}

static uint64_t bytes_of(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 ? (uint64_t)s.st_size : 0;
}

/* Beside what it tells of. Where it cannot be, no report of an earlier file stays there. */
static hl_status save_report(const char *to, const json_t *report, hl_error *err)
{
    hl_text text = {0}, name = {0};
    hl_text_appendf(&name, "%s.parity.json", to);
    hl_json_append(&text, report, HL_JSON_PRETTY);
    const size_t n = text.size;
    char *all = hl_text_take(&text), *path = hl_text_take(&name);
    hl_status status = all && path ? hl_file_save(path, all, n, err)
                                   : hl_fail(err, HL_ERR_MEMORY, "no memory for the report of the export");
    if (status != HL_OK) {
        status = hl_fail_prefix(err, "%s is complete, its report is not", to);
        if (path && access(path, F_OK) == 0 && hl_file_remove(path, NULL) != HL_OK)
            status = hl_fail_prefix(err, "%s tells of what stood there before, remove it", path);
    }
    hl_free(all);
    hl_free(path);
    return status;
}

static hl_status print_report(const request *r, const hl_export_told *told, const json_t *report,
                              hl_error *err)
{
    if (r->json)
        return hl_json_print(stdout, report, err);
    hl_parity_print(told);
    return HL_OK;
}

/* Acts with what was written, beside the checkpoint. */
static hl_status prove(const request *r, const char *written, const hl_trained *t, const hl_stage *stage,
                       hl_windows *held_out, hl_parity *parity, hl_error *err)
{
    const bool reach = t->config.data.format == HL_FORMAT_REACH;
    const hl_parity_request q = {.before = r->from,
                                 .after = written,
                                 .n_overrides = r->n_overrides,
                                 .overrides = r->overrides,
                                 .held_out = held_out,
                                 .episodes = !reach            ? 0
                                             : r->episodes < 0 ? t->config.eval.episodes
                                                               : r->episodes};
    hl_status status = hl_parity_measure(&q, &t->config, parity, err);
    parity->before.parameters = r->parameters;
    parity->after.parameters = stage ? hl_stage_parameters(stage) : count_parameters(t, r->decoder);
    parity->before.file_bytes = bytes_of(r->from);
    parity->after.file_bytes = r->format == HL_EXPORT_ONNX ? 0 : bytes_of(written);
    return status;
}

/* ------------------------------------------------------------------ the files */

static void print_tensorrt(const request *r, const hl_stage *s)
{
    hl_text text = {0};
    hl_onnx_tensorrt_command(&text, r->to, s->graph[0], s->graph[1], (hl_onnx_batches){1, 1, 16});
    char *command = hl_text_take(&text);
    if (command)
        fprintf(stderr, "hl: for TensorRT:\n%s\n", command);
    hl_free(command);
}

/* What was proven gets its name. An ONNX model is written only now: what was proven is the graph that it is
 * written from. */
static hl_status put_in_place(const request *r, const char *unproven, const hl_trained *t,
                              const hl_stage *stage, hl_parity *parity, hl_error *err)
{
    return r->format == HL_EXPORT_ONNX ? hl_export_graph(HL_EXPORT_ONNX, r->to, r->from, stage, t,
                                                         &r->numbers, &parity->after.file_bytes, err)
                                       : hl_file_rename(unproven, r->to, err);
}

/* Whether another file stands there now, which a rename leaves behind even where it fails to sync the folder.
 */
static bool is_replaced(const char *path, ino_t before)
{
    struct stat now;
    return stat(path, &now) == 0 && now.st_ino != before;
}

static ino_t file_at(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 ? s.st_ino : 0;
}

static hl_status prove_written(const request *r, const char *unproven, const hl_trained *t,
                               const hl_stage *stage, const hl_layers *layers, hl_windows *held_out,
                               bool *near, hl_error *err)
{
    hl_parity parity = {0};
    const hl_export_told told = {.from = r->from,
                                 .to = r->to,
                                 .precision = r->numbers.name,
                                 .range = r->calibrate ? r->range ? r->range : "percentile" : NULL,
                                 .parity = &parity,
                                 .layers = r->numbers.integers ? layers : NULL,
                                 .most_error = r->most_error};
    const ino_t stood = file_at(r->to);
    hl_status status = prove(r, unproven, t, stage, held_out, &parity, err);
    if (status == HL_OK && (*near = hl_parity_near(&told)))
        status = put_in_place(r, unproven, t, stage, &parity, err);
    json_t *report = hl_parity_json(&told);
    if (!report)
        status = hl_fail(err, HL_ERR_MEMORY, "no memory for the report of the export");
    hl_error more = {0};
    if (is_replaced(r->to, stood) && save_report(r->to, report, &more) != HL_OK)
        status = status == HL_OK ? hl_fail(err, more.status, "%s", more.message)
                                 : hl_fail_prefix(err, "%s; and", more.message);
    if (status == HL_OK)
        status = print_report(r, &told, report, err);
    json_decref(report);
    return status;
}

/* What is written stands under another name until it is proven. */
static hl_status write_proven(const request *r, const char *unproven, const hl_trained *t,
                              const hl_stage *stage, const hl_layers *layers, hl_windows *held_out,
                              bool *near, hl_error *err)
{
    hl_status status = stage ? hl_export_graph(HL_EXPORT_SAFETENSORS, unproven, r->from, stage, t,
                                               &r->numbers, NULL, err)
                             : hl_export_checkpoint(unproven, r->from, t, r->decoder, err);
    if (status == HL_OK)
        status = prove_written(r, unproven, t, stage, layers, held_out, near, err);
    if (access(unproven, F_OK) == 0) { /* it has not got its name; or only the folder's sync failed */
        hl_status removed = hl_file_remove(unproven, status == HL_OK ? err : NULL);
        status = status == HL_OK ? removed : status;
    }
    return status;
}

static hl_status export_trained(const request *r, const hl_trained *t, bool *near, hl_error *err)
{
    const char *unproven;
    hl_layers layers = {0};
    hl_stage *stage = NULL;
    hl_windows *held_out = NULL; /* opened before the work: then what is wrong with the data is known */
    hl_status status = hl_unproven_begin(r->to, r->format == HL_EXPORT_ONNX, &unproven, err);
    if (status != HL_OK)
        return status;
    if (r->samples && !(held_out = hl_windows_open(&t->config, HL_VALID, r->samples,
                                                   hl_parity_batches[HL_PARITY_BATCHES - 1], err)))
        status = err->status;
    if (status == HL_OK && r->format != HL_EXPORT_H5 && !(stage = make_stage(r, t, &layers, err)))
        status = err->status;
    if (status == HL_OK)
        status = write_proven(r, unproven, t, stage, &layers, held_out, near, err);
    if (status == HL_OK && *near && r->format == HL_EXPORT_ONNX)
        print_tensorrt(r, stage);
    hl_windows_close(held_out);
    hl_stage_free(stage);
    hl_layers_free(&layers);
    hl_unproven_end();
    return status;
}

static int run(request *r)
{
    hl_error err = {0};
    hl_trained t;
    bool near = false;
    hl_status status = read_request(r, &err);
    if (status != HL_OK)
        return hl_report(&err);
    status = hl_trained_load(&t, r->from, r->n_overrides, r->overrides, &err);
    if (status == HL_OK) {
        hl_setup_threads(&t.config);
        r->parameters = count_parameters(&t, true); /* exporting adds statistics to the store */
    }
    if (status == HL_OK)
        status = export_trained(r, &t, &near, &err);
    hl_trained_free(&t);
    if (status != HL_OK)
        return hl_report(&err);
    if (!near)
        fprintf(stderr, "hl: %s was not written: its actions are farther off than --max-error allows\n",
                r->to);
    return near ? HL_EXIT_OK : HL_EXIT_FAILED;
}

int hl_command_export(int argc, char **argv)
{
    request r = {.precision = "fp32", .samples = 256, .episodes = -1};
    const hl_flag flags[] = {
        {"to", HL_FLAG_TEXT, &r.to, "FILE", "where to: .safetensors (for hl), .onnx, or .h5 (a checkpoint)"},
        {"precision", HL_FLAG_TEXT, &r.precision, "P", "fp32 (default), bf16, fp16 or int8"},
        {"calibrate", HL_FLAG_TEXT, &r.calibrate, "DATA",
         "int8: set scales of operands on data: train (the checkpoint's), or files; default: each row's own"},
        {"range", HL_FLAG_TEXT, &r.range, "R", "of operands: percentile (99.99, default) or largest"},
        {"with-decoder", HL_FLAG_BOOL, &r.decoder, NULL, "keep what reconstructs the context"},
        {"samples", HL_FLAG_INT, &r.samples, "N", "validation samples to compare actions on (default 256)"},
        {"episodes", HL_FLAG_INT, &r.episodes, "N",
         "reach: episodes to compare success in (default: eval.episodes)"},
        {"max-error", HL_FLAG_TEXT, &r.max_error, "E",
         "write nothing, and exit 1, if an action is farther off"},
        {"json", HL_FLAG_BOOL, &r.json, NULL, "print the report as JSON"},
        {0}};
    const hl_usage usage = {
        "hl export CHECKPOINT --to FILE [key=value ...] [--precision P]",
        "Writes the model of a checkpoint without what only training needs, folded and perhaps in fewer\n"
        "bits, and proves it: acts with both on the same observations and episodes and tells how far\n"
        "apart they are, how fast and how large. FILE.parity.json keeps the report. key=value overrides\n"
        "keys of the checkpoint's configuration (where the data is now, say).",
        flags, 1, -1};
    int n, code = hl_parse_arguments(&usage, argc, argv, &n);
    if (code != HL_GO_ON)
        return code;
    if (!r.to)
        return hl_wrong_arguments(&usage, "--to is missing");
    r.from = argv[1];
    r.n_overrides = n - 1;
    r.overrides = argv + 2;
    return run(&r);
}
