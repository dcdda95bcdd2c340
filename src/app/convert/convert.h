/* A model as PyTorch has it, and as a checkpoint. Both keep every parameter under the name that it has in the
 * state_dict; what else a checkpoint tells of a model lies in the metadata of our .safetensors files, where
 * load_state_dict(strict=True) does not meet it:
 *
 *   format          "pt", as PyTorch's users expect it
 *   hl_version, step, epoch, seed
 *   config          the configuration, YAML
 *   normalization   statistics of observations and actions, JSON: {"action.offset": [...], ...} */
#ifndef HL_APP_CONVERT_H
#define HL_APP_CONVERT_H

#include "app/setup.h"

/* checkpoint -> .safetensors */
hl_status hl_convert_to_torch(const char *from, const char *to, int n_overrides, char *const *overrides,
                              hl_error *err);
/* .safetensors or an index -> checkpoint. config NULL: the file's own. */
hl_status hl_convert_from_torch(const char *from, const char *to, const char *config, int n_overrides,
                                char *const *overrides, hl_error *err);

/* The statistics as JSON (hl_free); NULL: no memory. */
char *hl_convert_statistics_print(const hl_normalization *n);
/* And back: what fits the model, all of them finite. path is for messages. */
hl_status hl_convert_statistics_parse(const char *json, const char *path, const hl_model_options *o,
                                      hl_normalization *n, hl_error *err);
/* HL_ERR_DATA names the tensor of `path` and the first of its values that is NaN or infinite. */
hl_status hl_convert_check_finite(const char *path, const char *name, int64_t count, const float *values,
                                  hl_error *err);

#endif
