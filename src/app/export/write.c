#include "app/export/write.h"

#include "base/error.h"
#include "base/memory.h"
#include "export/onnx.h"
#include "export/write.h"
#include "io/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

hl_status hl_export_format_of(const char *path, hl_export_format *format, hl_error *err)
{
    static const char *const suffixes[HL_EXPORT_FORMATS] = {".h5", ".safetensors", ".onnx"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (int f = 0; f < HL_EXPORT_FORMATS; f++) {
        *format = (hl_export_format)f;
        if (hl_ends_in(name, suffixes[f]))
            return HL_OK;
    }
    return hl_fail(err, HL_ERR_USAGE,
                   "--to %s: a name ends in .safetensors, .onnx or .h5, which says what is written", path);
}

hl_status hl_export_precision_named(const char *name, hl_export_precision *out, hl_error *err)
{
    static const hl_export_precision all[] = {{"fp32", HL_PRECISION_FP32, false},
                                              {"bf16", HL_PRECISION_BF16, false},
                                              {"fp16", HL_PRECISION_FP16, false},
                                              {"int8", HL_PRECISION_FP32, true}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        *out = all[i];
        if (!strcmp(name, all[i].name))
            return HL_OK;
    }
    return hl_fail(err, HL_ERR_USAGE, "--precision %s: it is fp32, bf16, fp16 or int8", name);
}

/* ------------------------------------------------------------------ .h5 */

bool hl_export_keeps(const hl_param_info *p, bool decoder)
{
    const bool decodes = !strncmp(p->name, HL_MODEL_DECODER ".", sizeof HL_MODEL_DECODER);
    return p->role == HL_PARAMETER && (decoder || !decodes);
}

/* Of the trained model's parameters those that are exported, where they lie. */
static hl_status select_parameters(const hl_trained *t, bool decoder, hl_params *to, hl_error *err)
{
    hl_status status = hl_params_materialize(t->params, err);
    for (int i = 0; i < hl_params_count(t->params) && status == HL_OK; i++) {
        const hl_param_info p = hl_params_at(t->params, i);
        int index;
        if (hl_export_keeps(&p, decoder))
            status = hl_params_map(to, p.name, p.dtype, p.shape, p.bytes, &index, err);
    }
    return status;
}

hl_status hl_export_checkpoint(const char *to, const char *from, const hl_trained *t, bool decoder,
                               hl_error *err)
{
    hl_checkpoint *c = NULL;
    hl_params *params = hl_params_new(hl_params_seed(t->params));
    hl_status status = params ? select_parameters(t, decoder, params, err)
                              : hl_fail(err, HL_ERR_MEMORY, "no memory to export %s", from);
    if (status == HL_OK)
        status = hl_checkpoint_open(from, &c, err);
    if (status == HL_OK)
        status = hl_checkpoint_write(to, params, hl_checkpoint_meta_of(c), HL_CHECKPOINT_PARAMETERS_ONLY,
                                     err);
    hl_checkpoint_close(c);
    hl_params_free(params);
    return status;
}

/* ------------------------------------------------------------------ .safetensors and .onnx */

enum { TEXTS = 4 };

/* What every exported model tells of itself besides its graph. */
typedef struct about {
    char step[24];
    char *config; /* hl_free */
    hl_safetensors_text texts[TEXTS];
} about;

static hl_status tell_of(const char *from, const hl_trained *t, const hl_export_precision *numbers, about *a,
                         hl_error *err)
{
    const char *slash = strrchr(from, '/');
    if (!(a->config = hl_config_print(&t->config)))
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the configuration of %s", from);
    snprintf(a->step, sizeof a->step, "%" PRIu64, t->step);
    a->texts[0] = (hl_safetensors_text){"exported_from", slash ? slash + 1 : from};
    a->texts[1] = (hl_safetensors_text){"step", a->step};
    a->texts[2] = (hl_safetensors_text){"config", a->config};
    a->texts[3] = (hl_safetensors_text){"numbers", numbers->name};
    return HL_OK;
}

hl_status hl_export_graph(hl_export_format format, const char *to, const char *from, const hl_stage *s,
                          const hl_trained *t, const hl_export_precision *numbers, uint64_t *bytes,
                          hl_error *err)
{
    about a;
    hl_graph *const *g = s->graph;
    hl_status status = tell_of(from, t, numbers, &a, err);
    const hl_onnx_options onnx = {
        .precision = numbers->precision, .n_metadata = TEXTS, .metadata = a.texts, .bytes = bytes};
    if (status == HL_OK && format == HL_EXPORT_ONNX)
        status = hl_onnx_write(to, g[0], g[1], s->params, &onnx, err);
    else if (status == HL_OK) /* the file itself says in which numbers it is */
        status = hl_model_write(to, g[0], g[1], s->params, numbers->precision, TEXTS - 1, a.texts, err);
    hl_free(a.config);
    return status;
}
