#include "app/loaded.h"

#include "app/policy.h"
#include "base/error.h"
#include "base/file.h"
#include "base/shape.h"
#include "base/text.h"
#include "deploy/model.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* .safetensors files are a length, below 2^56 in any case, and then JSON; text has no zero byte. */
hl_status hl_loaded_is_exported(const char *path, bool *exported, hl_error *err)
{
    enum { LENGTH = 8 };
    char begin[LENGTH + 1];
    int fd;
    uint64_t size;
    hl_status status = hl_file_open(path, &fd, &size, err);
    if (status != HL_OK)
        return status;
    *exported = false;
    if (size >= sizeof begin) {
        status = hl_file_read(fd, path, 0, begin, sizeof begin, err);
        *exported = status == HL_OK && begin[LENGTH] == '{' && memchr(begin, 0, LENGTH);
    }
    close(fd);
    return status;
}

/* Elements of one row of an input or output; 0: there is none of that name. */
static int64_t row_size(int n, hl_model_value (*at)(const hl_model *, int), const hl_model *m,
                        const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(at(m, i).name, name))
            return hl_shape_count(at(m, i).shape);
    return 0;
}

static hl_status want(const char *path, const char *what, int64_t is, int64_t says, hl_error *err)
{
    if (is == says)
        return HL_OK;
    return hl_fail(err, HL_ERR_CONFIG,
                   "%s: its graph has %lld elements in '%s', its configuration says %lld; what an exported "
                   "model is (model.*) stays as it was exported",
                   path, (long long)is, what, (long long)says);
}

/* Who acts with it makes room by its configuration: the graph must agree. */
static hl_status check_interface(const hl_loaded *l, const char *path, hl_error *err)
{
    const hl_model *m = l->exported;
    const hl_model_options *o = &l->trained.model;
    const int n_in = hl_model_inputs(m), n_out = hl_model_outputs(m);
    hl_status status = HL_OK;
    for (int s = 0; s < HL_SENSES && status == HL_OK; s++) {
        const char *name = hl_sense_name((hl_sense)s);
        status = want(path, name, row_size(n_in, hl_model_input, m, name), hl_model_sense_size(o, s), err);
    }
    if (status == HL_OK)
        status = want(path, "history", row_size(n_in, hl_model_input, m, "history"),
                      o->history * hl_model_non_temporal(o), err);
    if (status == HL_OK)
        status = want(path, "action", row_size(n_out, hl_model_output, m, "action"), o->action, err);
    if (status == HL_OK)
        status = want(path, "compressed", row_size(n_out, hl_model_output, m, "compressed"), o->compressed,
                      err);
    return status;
}

static hl_status open_exported(hl_loaded *l, const char *path, int n, char *const *overrides, hl_error *err)
{
    char name[512];
    l->exported = hl_model_open(path, err);
    const char *config = l->exported ? hl_model_about(l->exported, "config") : NULL;
    if (!l->exported)
        return err->status;
    if (!config)
        return hl_fail(err, HL_ERR_DATA, "%s: it does not tell its configuration; export it with hl export",
                       path);
    snprintf(name, sizeof name, "%s: its configuration", path);
    hl_status status = hl_config_parse_text(&l->trained.config, config, name, n, overrides, err);
    if (status != HL_OK)
        return status;
    const char *step = hl_model_about(l->exported, "step");
    if (step && !hl_parse_whole(step, &l->trained.step))
        return hl_fail(err, HL_ERR_DATA, "%s: metadata 'step': found '%s', expected a whole number", path,
                       hl_excerpt_of(step).text);
    l->trained.model = hl_config_model(&l->trained.config);
    status = check_interface(l, path, err);
    if (status == HL_OK)
        status = hl_model_check_batch(l->exported, err);
    return status == HL_OK ? hl_model_check(l->exported, err) : status;
}

hl_status hl_loaded_open(hl_loaded *l, const char *path, int n_overrides, char *const *overrides,
                         hl_error *err)
{
    bool exported;
    *l = (hl_loaded){0};
    hl_status status = hl_loaded_is_exported(path, &exported, err);
    if (status == HL_OK && exported)
        status = open_exported(l, path, n_overrides, overrides, err);
    else if (status == HL_OK)
        status = hl_trained_load(&l->trained, path, n_overrides, overrides, err);
    if (status != HL_OK)
        hl_loaded_close(l);
    return status;
}

void hl_loaded_close(hl_loaded *l)
{
    hl_model_free(l->exported);
    hl_trained_free(&l->trained);
    *l = (hl_loaded){0};
}

hl_policy *hl_loaded_policy(const hl_loaded *l, const hl_policy_options *options, hl_error *err)
{
    const hl_trained *t = &l->trained;
    hl_policy_options own = *options;
    own.precision = HL_PRECISION_FP32;
    return l->exported ? hl_policy_new(l->exported, &own, err)
                       : hl_trained_policy(t->params, &t->model, &t->normalization, options, true, err);
}
