/* Statistics of observations and actions as text. */
#include "app/convert/convert.h"

#include "base/error.h"
#include "base/json.h"

#include <math.h>
#include <string.h>

char *hl_convert_statistics_print(const hl_normalization *n)
{
    hl_checkpoint_array arrays[HL_SETUP_ARRAYS];
    const int count = hl_normalization_arrays(n, arrays);
    hl_text text = {0};
    json_t *all = json_object();
    text.failed = !all;
    for (int i = 0; i < count; i++) {
        json_t *values = json_array();
        for (size_t k = 0; k < arrays[i].count; k++)
            text.failed |= json_array_append_new(values, hl_json_number(arrays[i].values[k])) != 0;
        text.failed |= json_object_set_new(all, arrays[i].name, values) != 0;
    }
    hl_json_append(&text, all, HL_JSON_COMPACT); /* 12 digits: a float reads back as it was */
    json_decref(all);
    return hl_text_take(&text);
}

static hl_status parse_array(const char *path, const char *name, const json_t *values,
                             hl_checkpoint_array *out, hl_error *err)
{
    const size_t n = json_array_size(values);
    float *copy = hl_alloc(n, sizeof *copy);
    if (!copy)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory for its normalization", path);
    *out = (hl_checkpoint_array){name, n, copy};
    if (!json_is_array(values))
        return hl_fail(err, HL_ERR_DATA, "%s: normalization '%s': expected an array of numbers", path,
                       hl_long_excerpt_of(name).text);
    for (size_t k = 0; k < n; k++) {
        const json_t *value = json_array_get(values, k);
        copy[k] = (float)json_number_value(value);
        if (!json_is_number(value) || !isfinite(copy[k]))
            return hl_fail(err, HL_ERR_DATA,
                           "%s: normalization '%s': element %zu is no number that a float holds", path,
                           hl_long_excerpt_of(name).text, k);
    }
    return HL_OK;
}

static hl_status parse_arrays(json_t *all, const char *path, const hl_model_options *o,
                              hl_checkpoint_array *arrays, hl_normalization *n, hl_error *err)
{
    const char *name;
    json_t *values;
    hl_checkpoint_meta meta = {.arrays = arrays};
    hl_checkpoint_array taken[HL_SETUP_ARRAYS];
    hl_status status = HL_OK;
    json_object_foreach(all, name, values)
    {
        if (status == HL_OK)
            status = parse_array(path, name, values, &arrays[meta.n_arrays++], err);
    }
    if (status == HL_OK)
        status = hl_normalization_from(&meta, o, path, n, err);
    if (status == HL_OK && hl_normalization_arrays(n, taken) != meta.n_arrays)
        status = hl_fail(err, HL_ERR_DATA,
                         "%s: normalization has %d arrays, of which the model knows %d; is it of a newer hl?",
                         path, meta.n_arrays, hl_normalization_arrays(n, taken));
    return status;
}

hl_status hl_convert_statistics_parse(const char *json, const char *path, const hl_model_options *o,
                                      hl_normalization *n, hl_error *err)
{
    json_t *all = hl_json_parse(json, strlen(json), "normalization", err);
    if (!all)
        return hl_fail_prefix(err, "%s", path);
    const size_t most = json_object_size(all); /* 0 if it is an array */
    hl_checkpoint_array *arrays = hl_alloc(most, sizeof *arrays);
    hl_status status = HL_OK;
    if (!arrays)
        status = hl_fail(err, HL_ERR_MEMORY, "%s: no memory for its normalization", path);
    else if (!json_is_object(all))
        status = hl_fail(err, HL_ERR_DATA, "%s: normalization: expected an object of arrays", path);
    else
        status = parse_arrays(all, path, o, arrays, n, err);
    for (size_t i = 0; arrays && i < most; i++)
        hl_free((void *)arrays[i].values);
    hl_free(arrays);
    json_decref(all);
    return status;
}
