#include "app/train/records.h"

#include "app/draw/chart.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/process.h"
#include "io/tensorboard.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The points of one curve of loss.svg. */
typedef struct curve {
    double *x, *y;
    int n, room;
} curve;

enum { TRAIN, VALID, CURVES };

struct hl_records {
    char *metrics_path, *chart_path;
    hl_file *metrics;
    hl_tensorboard *events; /* NULL: not wanted */
    curve curves[CURVES];
};

static bool add_point(curve *c, double x, double y)
{
    if (c->n == c->room) {
        int room = 2 * c->room + 256;
        double *bx = hl_realloc(c->x, (size_t)room, sizeof *bx);
        c->x = bx ? bx : c->x;
        double *by = bx ? hl_realloc(c->y, (size_t)room, sizeof *by) : NULL;
        if (!by)
            return false;
        c->y = by;
        c->room = room;
    }
    c->x[c->n] = x;
    c->y[c->n++] = y;
    return true;
}

/* ------------------------------------------------------------------ opening */

static hl_status take_line(hl_records *r, const char *line, size_t n, int64_t resumed_step, bool *keep,
                           hl_error *err)
{
    json_error_t fault;
    json_t *j = json_loadb(line, n, JSON_REJECT_DUPLICATES, &fault);
    *keep = j && json_integer_value(json_object_get(j, "step")) <= resumed_step;
    bool ok = true;
    if (*keep) {
        const char *split = json_string_value(json_object_get(j, "split"));
        const json_t *loss = json_object_get(j, "loss");
        ok = add_point(&r->curves[split && !strcmp(split, "valid") ? VALID : TRAIN],
                       (double)json_integer_value(json_object_get(j, "step")),
                       json_is_number(loss) ? json_number_value(loss) : NAN);
    }
    json_decref(j);
    return ok ? HL_OK : hl_fail(err, HL_ERR_MEMORY, "no memory for the metrics of the run so far");
}

/* Keeps the lines up to the resumed step: a killed run may have written later ones, and a torn one. */
static hl_status take_up(hl_records *r, int64_t resumed_step, hl_error *err)
{
    enum { LIMIT = 1 << 30 };
    char *text = NULL;
    size_t size = 0, kept = 0;
    hl_status status = hl_file_read_text(r->metrics_path, LIMIT, &text, &size, err);
    for (size_t at = 0; status == HL_OK && at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t n = end ? (size_t)(end - (text + at)) + 1 : size - at;
        bool keep = false;
        if (end)
            status = take_line(r, text + at, n, resumed_step, &keep, err);
        if (keep) {
            memmove(text + kept, text + at, n);
            kept += n;
        }
        at += n;
    }
    if (status == HL_OK)
        status = hl_file_save(r->metrics_path, text, kept, err);
    hl_free(text);
    return status;
}

static hl_status save_config(const hl_config *cfg, hl_error *err)
{
    char *text = hl_config_print(cfg), *path = hl_file_join(cfg->run.dir, "config.yaml");
    hl_status status = text && path ? hl_file_save(path, text, strlen(text), err)
                                    : hl_fail(err, HL_ERR_MEMORY, "no memory for config.yaml");
    hl_free(text);
    hl_free(path);
    return status;
}

static hl_status open_files(hl_records *r, const hl_config *cfg, int64_t resumed_step, hl_error *err)
{
    hl_status status = hl_file_mkdirs(cfg->run.dir, err);
    if (status != HL_OK)
        return status;
    r->metrics_path = hl_file_join(cfg->run.dir, "metrics.jsonl");
    r->chart_path = hl_file_join(cfg->run.dir, "loss.svg");
    if (!r->metrics_path || !r->chart_path)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the records of a run");
    bool there = access(r->metrics_path, F_OK) == 0;
    if (there && resumed_step < 0)
        return hl_fail(err, HL_ERR_USAGE,
                       "%s: there is a run here already; go on with --resume auto, or choose another run.dir",
                       cfg->run.dir);
    status = save_config(cfg, err);
    if (status == HL_OK && there)
        status = take_up(r, resumed_step, err);
    if (status == HL_OK)
        status = hl_file_append(r->metrics_path, &r->metrics, err);
    if (status == HL_OK && cfg->train.tensorboard)
        status = hl_tensorboard_open(cfg->run.dir, hl_tensorboard_now(), &r->events, err);
    return status;
}

hl_status hl_records_open(const hl_config *cfg, int64_t resumed_step, hl_records **out, hl_error *err)
{
    hl_records *r = hl_alloc(1, sizeof *r);
    if (!r)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the records of a run");
    hl_status status = open_files(r, cfg, resumed_step, err);
    if (status != HL_OK) {
        hl_records_close(r, NULL);
        r = NULL;
    }
    *out = r;
    return status;
}

/* ------------------------------------------------------------------ adding */

static json_t *as_json(const hl_metrics *m)
{
    const hl_losses *l = &m->losses;
    bool train = !strcmp(m->split, "train");
    json_t *j = json_pack("{s:I, s:I, s:s}", "step", (json_int_t)m->step, "epoch", (json_int_t)m->epoch,
                          "split", m->split);
    const struct {
        const char *key;
        double value;
        bool wanted;
    } numbers[] = {
        {"loss", l->total, true},
        {"action", l->action, true},
        {"reconstruction", l->reconstruction, true},
        {"kl", l->kl, true},
        {"information_retained", l->information_retained, true},
        {"lr", m->lr, train},
        {"grad_norm", l->grad_norm, train},
        {"skipped", l->skipped, train},
        {"loss_scale", l->loss_scale, train && isfinite(l->loss_scale)},
        {"samples_per_s", m->samples_per_s, train},
        {"rss_bytes", hl_resident_bytes(), true},
        {"seconds", m->seconds, true},
    };
    bool ok = j != NULL;
    for (size_t i = 0; ok && i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].wanted)
            ok = !json_object_set_new(j, numbers[i].key, hl_json_number(numbers[i].value));
    if (!ok) {
        json_decref(j);
        return NULL;
    }
    return j;
}

static hl_status add_events(hl_records *r, const hl_metrics *m, hl_error *err)
{
    const hl_losses *l = &m->losses;
    const struct {
        const char *name;
        double value;
    } scalars[] = {{"loss", l->total},
                   {"action", l->action},
                   {"reconstruction", l->reconstruction},
                   {"kl", l->kl},
                   {"information_retained", l->information_retained},
                   {"grad_norm", l->grad_norm},
                   {"lr", m->lr}};
    double now = hl_tensorboard_now();
    int n = strcmp(m->split, "train") ? 5 : 7;
    hl_status status = HL_OK;
    for (int i = 0; r->events && i < n && status == HL_OK; i++) {
        char tag[64];
        snprintf(tag, sizeof tag, "%s/%s", m->split, scalars[i].name);
        status = hl_tensorboard_scalar(r->events, now, m->step, tag, (float)scalars[i].value, err);
    }
    return status;
}

hl_status hl_records_add(hl_records *r, const hl_metrics *m, hl_error *err)
{
    json_t *j = as_json(m);
    hl_text line = {0};
    hl_json_append(&line, j, HL_JSON_LINE);
    json_decref(j);
    curve *c = &r->curves[strcmp(m->split, "valid") ? TRAIN : VALID];
    if (line.failed || !add_point(c, (double)m->step, m->losses.total)) {
        hl_text_free(&line);
        return hl_fail(err, HL_ERR_MEMORY, "no memory for a line of metrics");
    }
    hl_status status = hl_file_write(r->metrics, line.at, line.size, err);
    hl_text_free(&line);
    return status == HL_OK ? add_events(r, m, err) : status;
}

hl_status hl_records_draw(hl_records *r, hl_error *err)
{
    const curve *train = &r->curves[TRAIN], *valid = &r->curves[VALID];
    hl_chart_series series[] = {{"training", (size_t)train->n, train->x, train->y},
                                {"validation", (size_t)valid->n, valid->x, valid->y}};
    hl_chart chart = {"Loss", "step", "loss", true, valid->n ? 2 : 1, series};
    return hl_chart_save(&chart, r->chart_path, err);
}

hl_status hl_records_close(hl_records *r, hl_error *err)
{
    hl_status status = HL_OK;
    if (!r)
        return HL_OK;
    if (r->metrics)
        status = hl_file_close(r->metrics, err);
    if (r->events) {
        hl_status closed = hl_tensorboard_close(r->events, status == HL_OK ? err : NULL);
        status = status == HL_OK ? closed : status;
    }
    for (int i = 0; i < CURVES; i++) {
        hl_free(r->curves[i].x);
        hl_free(r->curves[i].y);
    }
    hl_free(r->metrics_path);
    hl_free(r->chart_path);
    hl_free(r);
    return status;
}
