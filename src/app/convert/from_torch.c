#include "app/convert/convert.h"
#include "app/convert/weights.h"

#include "base/error.h"
#include "base/shape.h"
#include "base/text.h"
#include "run/params.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A checkpoint in the making. */
typedef struct conversion {
    const char *from;
    hl_weights *weights;
    hl_config config;
    hl_model_options model;
    hl_normalization normalization;
    hl_params *params;
    hl_checkpoint_meta meta;
} conversion;

/* ------------------------------------------------------------------ what the model is */

static hl_status read_config(conversion *c, const char *config, int n, char *const *overrides, hl_error *err)
{
    const char *own = hl_weights_metadata(c->weights, "config");
    char name[512];
    if (hl_weights_metadata(c->weights, "program"))
        return hl_fail(err, HL_ERR_DATA,
                       "%s: is an exported model, whose weights are folded; convert the checkpoint that it "
                       "was exported from",
                       c->from);
    if (config)
        return hl_config_load(&c->config, config, n, overrides, err);
    if (!own)
        return hl_fail(err, HL_ERR_USAGE,
                       "%s: does not say which model it is of; name its configuration: --config CONFIG.yaml",
                       c->from);
    snprintf(name, sizeof name, "%s: its configuration", c->from);
    return hl_config_parse_text(&c->config, own, name, n, overrides, err);
}

/* A number that our files have and PyTorch's have not. */
static hl_status read_number(const conversion *c, const char *key, uint64_t *out, hl_error *err)
{
    const char *text = hl_weights_metadata(c->weights, key);
    if (!text || hl_parse_whole(text, out))
        return HL_OK;
    return hl_fail(err, HL_ERR_DATA, "%s: metadata '%s': found '%s', expected a whole number", c->from, key,
                   hl_excerpt_of(text).text);
}

static hl_status read_metadata(conversion *c, hl_error *err)
{
    const char *version = hl_weights_metadata(c->weights, "hl_version");
    const char *statistics = hl_weights_metadata(c->weights, "normalization");
    c->meta = (hl_checkpoint_meta){.hl_version = version ? version : HL_VERSION, .seed = c->config.seed};
    hl_status status = read_number(c, "step", &c->meta.step, err);
    if (status == HL_OK)
        status = read_number(c, "epoch", &c->meta.epoch, err);
    if (status == HL_OK)
        status = read_number(c, "seed", &c->meta.seed, err);
    if (status == HL_OK && statistics)
        status = hl_convert_statistics_parse(statistics, c->from, &c->model, &c->normalization, err);
    if (status == HL_OK && !statistics)
        fprintf(stderr,
                "hl: %s has no statistics of observations and actions: the model gets and gives them as they "
                "are\n",
                c->from);
    return status;
}

/* ------------------------------------------------------------------ parameters */

static hl_status unknown(const conversion *c, const hl_weight *w, hl_error *err)
{
    const int n = hl_params_count(c->params);
    const char **names = hl_alloc((size_t)n, sizeof *names);
    if (!names)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to read it", c->from);
    for (int i = 0; i < n; i++)
        names[i] = hl_params_at(c->params, i).name;
    const char *nearest = hl_nearest(w->tensor.name, names, (size_t)n);
    hl_free(names);
    return hl_fail(err, HL_ERR_DATA, "%s: tensor '%s': found %s, but the model has no such parameter; %s%s%s",
                   w->path, hl_long_excerpt_of(w->tensor.name).text, hl_shape_print(w->tensor.shape).text,
                   nearest ? "did you mean '" : "is it of another configuration", nearest ? nearest : "",
                   nearest ? "'?" : "?");
}

static hl_status check_tensor(const hl_weight *w, const hl_param_info *p, hl_error *err)
{
    const hl_safetensor *t = &w->tensor;
    if (!hl_shape_equal(t->shape, p->shape))
        return hl_fail(err, HL_ERR_DATA,
                       "%s: tensor '%s': found shape %s, expected %s; is it of another configuration?",
                       w->path, p->name, hl_shape_print(t->shape).text, hl_shape_print(p->shape).text);
    if (!t->known || (int)t->dtype >= HL_FLOATS)
        return hl_fail(err, HL_ERR_DATA,
                       "%s: tensor '%s': found %s, expected F32, F16 or BF16; save it by model.float()",
                       w->path, p->name, t->type);
    return HL_OK;
}

/* All of the file and all of the model, before memory is taken for them. */
static hl_status check_tensors(const conversion *c, hl_error *err)
{
    for (int i = 0; i < hl_weights_count(c->weights); i++) {
        hl_weight w = hl_weights_at(c->weights, i);
        int index = hl_params_find(c->params, w.tensor.name);
        if (index < 0)
            return unknown(c, &w, err);
        hl_param_info p = hl_params_at(c->params, index);
        hl_status status = check_tensor(&w, &p, err);
        if (status != HL_OK)
            return status;
    }
    for (int i = 0; i < hl_params_count(c->params); i++) {
        hl_param_info p = hl_params_at(c->params, i);
        hl_weight w;
        if (!hl_weights_find(c->weights, p.name, &w))
            return hl_fail(err, HL_ERR_DATA,
                           "%s: tensor '%s' is missing, expected shape %s; is it of another configuration?",
                           c->from, p.name, hl_shape_print(p.shape).text);
    }
    return HL_OK;
}

static hl_status take_tensors(const conversion *c, int64_t *count, hl_error *err)
{
    *count = 0;
    for (int i = 0; i < hl_params_count(c->params); i++) {
        hl_weight w;
        bool there = hl_weights_find(c->weights, hl_params_at(c->params, i).name, &w);
        HL_ASSERT(there); /* check_tensors */
        hl_status status = hl_params_allocate(c->params, i, err);
        if (status != HL_OK)
            return status;
        hl_param_info p = hl_params_at(c->params, i);
        hl_safetensor_widen(&w.tensor, p.data);
        status = hl_convert_check_finite(w.path, p.name, p.count, p.data, err);
        if (status != HL_OK)
            return status;
        *count += p.count;
    }
    return HL_OK;
}

/* ------------------------------------------------------------------ the checkpoint */

static hl_status write_checkpoint(conversion *c, const char *to, hl_error *err)
{
    hl_checkpoint_array arrays[HL_SETUP_ARRAYS];
    char *config = hl_config_print(&c->config);
    if (!config)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory for its configuration", to);
    c->meta.config = config;
    c->meta.n_arrays = hl_normalization_arrays(&c->normalization, arrays);
    c->meta.arrays = arrays;
    hl_status status = hl_checkpoint_write(to, c->params, &c->meta, HL_CHECKPOINT_PARAMETERS_ONLY, err);
    hl_free(config);
    return status;
}

static hl_status convert(conversion *c, const char *to, int64_t *count, hl_error *err)
{
    c->model = hl_config_model(&c->config);
    c->params = hl_params_new(c->config.seed);
    if (!c->params)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the parameters of %s", c->from);
    hl_status status = hl_setup_declare(&c->model, true, c->params, err);
    if (status == HL_OK)
        status = check_tensors(c, err);
    if (status == HL_OK)
        status = read_metadata(c, err);
    if (status == HL_OK)
        status = take_tensors(c, count, err);
    return status == HL_OK ? write_checkpoint(c, to, err) : status;
}

hl_status hl_convert_from_torch(const char *from, const char *to, const char *config, int n_overrides,
                                char *const *overrides, hl_error *err)
{
    int64_t count = 0;
    conversion c = {.from = from, .weights = hl_weights_open(from, err)};
    hl_status status = c.weights ? read_config(&c, config, n_overrides, overrides, err) : err->status;
    if (status == HL_OK)
        status = convert(&c, to, &count, err);
    hl_params_free(c.params);
    hl_normalization_free(&c.normalization);
    hl_config_free(&c.config);
    hl_weights_close(c.weights);
    if (status == HL_OK)
        fprintf(stderr, "hl: the %" PRId64 " parameters of %s are in %s\n", count, from, to);
    return status;
}
