#include "app/convert/convert.h"

#include "base/error.h"
#include "base/text.h"
#include "io/safetensors.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

hl_status hl_convert_check_finite(const char *path, const char *name, int64_t count, const float *values,
                                  hl_error *err)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return hl_fail(err, HL_ERR_DATA,
                           "%s: tensor '%s': element %" PRId64 " is %s, expected finite numbers; did the "
                           "training diverge?",
                           path, name, i, isnan(values[i]) ? "NaN" : "infinite");
    return HL_OK;
}

static hl_status check_statistics(const char *from, const hl_normalization *n, hl_error *err)
{
    hl_checkpoint_array arrays[HL_SETUP_ARRAYS];
    const int count = hl_normalization_arrays(n, arrays);
    hl_status status = HL_OK;
    for (int i = 0; i < count && status == HL_OK; i++)
        status = hl_convert_check_finite(from, arrays[i].name, (int64_t)arrays[i].count, arrays[i].values,
                                         err);
    return status;
}

/* The parameters of a store, which holds nothing else, where they lie. */
static hl_status list_tensors(const char *from, const hl_params *params, hl_safetensor *tensors,
                              int64_t *count, hl_error *err)
{
    *count = 0;
    for (int i = 0; i < hl_params_count(params); i++) {
        hl_param_info p = hl_params_at(params, i);
        hl_status status = hl_convert_check_finite(from, p.name, p.count, p.data, err);
        if (status != HL_OK)
            return status;
        tensors[i] = hl_safetensor_make(p.name, HL_F32, p.shape, p.data);
        *count += p.count;
    }
    return HL_OK;
}

static hl_status write_tensors(const char *to, const hl_trained *t, const hl_checkpoint_meta *meta,
                               const hl_safetensor *tensors, hl_error *err)
{
    char step[24], epoch[24], seed[24];
    char *config = hl_config_print(&t->config);
    char *statistics = hl_convert_statistics_print(&t->normalization);
    hl_status status = config && statistics
                           ? HL_OK
                           : hl_fail(err, HL_ERR_MEMORY, "%s: no memory for its metadata", to);
    snprintf(step, sizeof step, "%" PRIu64, meta->step);
    snprintf(epoch, sizeof epoch, "%" PRIu64, meta->epoch);
    snprintf(seed, sizeof seed, "%" PRIu64, meta->seed);
    const hl_safetensors_text texts[] = {
        {"format", "pt"},
        {"hl_version", meta->hl_version},
        {"step", step},
        {"epoch", epoch},
        {"seed", seed},
        {"config", config},
        {"normalization", statistics},
    };
    if (status == HL_OK)
        status = hl_safetensors_write(to, hl_params_count(t->params), tensors,
                                      (int)(sizeof texts / sizeof *texts), texts, err);
    hl_free(statistics);
    hl_free(config);
    return status;
}

hl_status hl_convert_to_torch(const char *from, const char *to, int n_overrides, char *const *overrides,
                              hl_error *err)
{
    hl_checkpoint *c = NULL;
    hl_trained t;
    hl_safetensor *tensors = NULL;
    int64_t count = 0;
    hl_status status = hl_trained_load(&t, from, n_overrides, overrides, err);
    if (status == HL_OK)
        status = hl_checkpoint_open(from, &c, err);
    if (status == HL_OK)
        status = check_statistics(from, &t.normalization, err);
    if (status == HL_OK) {
        tensors = hl_alloc((size_t)hl_params_count(t.params), sizeof *tensors);
        status = tensors ? list_tensors(from, t.params, tensors, &count, err)
                         : hl_fail(err, HL_ERR_MEMORY, "%s: no memory to list its tensors", to);
    }
    if (status == HL_OK)
        status = write_tensors(to, &t, hl_checkpoint_meta_of(c), tensors, err);
    hl_free(tensors);
    hl_checkpoint_close(c);
    hl_trained_free(&t);
    if (status == HL_OK)
        fprintf(stderr, "hl: the %" PRId64 " parameters of %s are in %s, as PyTorch names them\n", count,
                from, to);
    return status;
}
