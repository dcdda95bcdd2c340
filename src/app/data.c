/* hl data: describe demonstrations, or export those of the simulated world. */
#include "app/command.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/json.h"
#include "data/describe.h"
#include "data/reach.h"
#include "data/robomimic_write.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ info */

static void print_value(const json_t *v)
{
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
    printf("%s", text ? text : "?");
    free(text);
}

static void print_keys(const json_t *keys)
{
    size_t i;
    json_t *k;
    json_array_foreach(keys, i, k)
    {
        printf("  %-34s %-9s ", json_string_value(json_object_get(k, "key")),
               json_string_value(json_object_get(k, "dtype")));
        print_value(json_object_get(k, "shape"));
        if (json_object_get(k, "demonstrations"))
            printf("  in %lld", (long long)json_integer_value(json_object_get(k, "demonstrations")));
        printf("\n");
    }
}

static void print_description(const json_t *d)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)d, name, v)
    {
        if (!strcmp(name, "keys")) {
            printf("keys\n");
            print_keys(v);
        } else {
            printf("%-16s ", name);
            if (json_is_string(v))
                printf("%s", json_string_value(v));
            else
                print_value(v);
            printf("\n");
        }
    }
}

int hl_command_data_info(int argc, char **argv)
{
    bool json = false;
    const hl_flag flags[] = {{"json", HL_FLAG_BOOL, &json, NULL, "print JSON"}, {0}};
    const hl_usage usage = {
        "hl data info FILE [--json]",
        "Describes an HDF5 file of demonstrations: layout, lengths, keys with shapes and types, range of\n"
        "the actions, masks, a guess at which key is which sense, and what looks wrong.",
        flags, 1, 1};
    int n, code = hl_parse_arguments(&usage, argc, argv, &n);
    if (code != HL_GO_ON)
        return code;
    hl_error err = {0};
    json_t *d = hl_data_describe(argv[1], &err);
    if (d && json)
        hl_json_print(stdout, d, &err);
    else if (d)
        print_description(d);
    json_decref(d);
    return err.status == HL_OK ? HL_EXIT_OK : hl_report(&err);
}

/* ------------------------------------------------------------------ export */

typedef struct exporter {
    const hl_config *cfg;
    hl_robomimic_writer *writer;
    hl_data_shape shape;
    hl_field fields[HL_SENSES];
    int sense[HL_SENSES]; /* of each field */
    int n_fields;
    float *values[HL_SENSES]; /* [steps, size] of each field */
    float *actions;           /* [steps, 19] */
} exporter;

static hl_status describe_fields(exporter *e, hl_error *err)
{
    int64_t steps = e->cfg->data.reach.steps;
    for (int s = 0; s < HL_SENSES; s++) {
        if (!e->shape.size[s])
            continue;
        int k = e->n_fields++;
        e->sense[k] = s;
        e->fields[k] = (hl_field){.key = hl_sense_name((hl_sense)s),
                                  .kind = s == HL_VISUAL  ? HL_FIELD_RGB
                                          : s == HL_DEPTH ? HL_FIELD_DEPTH
                                                          : HL_FIELD_VECTOR,
                                  .height = e->shape.image,
                                  .width = e->shape.image,
                                  .size = e->shape.size[s]};
        e->values[k] = hl_alloc((size_t)steps, (size_t)e->shape.size[s] * sizeof(float));
        if (!e->values[k])
            return hl_fail(err, HL_ERR_MEMORY, "no memory for %lld steps of %s", (long long)steps,
                           e->fields[k].key);
    }
    e->actions = hl_alloc((size_t)steps, HL_REACH_ACTION * sizeof(float));
    return e->actions ? HL_OK : hl_fail(err, HL_ERR_MEMORY, "no memory for %lld actions", (long long)steps);
}

/* The samples of a data set, one after the other, are the demonstrations: `steps` to an episode. */
static hl_status export_split(exporter *e, hl_dataset *data, hl_split split, hl_error *err)
{
    int64_t steps = e->cfg->data.reach.steps;
    float mask[HL_REACH_ACTION], previous[HL_REACH_ACTION], presence[HL_SENSES];
    for (int64_t first = 0; first < data->count[split]; first += steps) {
        for (int64_t t = 0; t < steps; t++) {
            hl_sample sample = {.presence = presence,
                                .action = e->actions + t * HL_REACH_ACTION,
                                .action_mask = mask,
                                .previous = previous};
            for (int k = 0; k < e->n_fields; k++)
                sample.sense[e->sense[k]] = e->values[k] + t * e->fields[k].size;
            hl_status status = data->read(data, split, first + t, &sample, err);
            if (status != HL_OK)
                return status;
        }
        hl_demo demo = {.steps = steps,
                        .actions = e->actions,
                        .fields = (const float *const *)e->values,
                        .valid = split == HL_VALID};
        hl_status status = hl_robomimic_write_demo(e->writer, &demo, err);
        if (status != HL_OK)
            return status;
    }
    return HL_OK;
}

static hl_status export_all(exporter *e, const char *path, bool overwrite, hl_error *err)
{
    hl_reach_options o = hl_reach_defaults();
    o.episodes = e->cfg->data.reach.episodes;
    o.steps = e->cfg->data.reach.steps;
    o.noise = e->cfg->data.reach.noise;
    o.noise_memory = e->cfg->data.reach.noise_memory;
    o.seed = e->cfg->data.reach.seed;
    o.raw = true; /* whoever reads the file normalises */
    hl_status status = describe_fields(e, err);
    hl_dataset *data = status == HL_OK ? hl_reach_dataset_open(&o, e->shape, err) : NULL;
    if (!data)
        return err->status;
    hl_robomimic_writer_options w = {.fields = e->fields,
                                     .n_fields = e->n_fields,
                                     .action = HL_REACH_ACTION,
                                     .env_args = "{\"env_name\": \"reach\", \"type\": 0, \"env_kwargs\": {}}",
                                     .gzip = 1,
                                     .overwrite = overwrite};
    e->writer = hl_robomimic_writer_new(path, &w, err);
    status = e->writer ? export_split(e, data, HL_TRAIN, err) : err->status;
    if (status == HL_OK)
        status = export_split(e, data, HL_VALID, err);
    if (status == HL_OK)
        status = hl_robomimic_writer_finish(e->writer, err);
    if (status == HL_OK)
        fprintf(stderr, "hl: %lld demonstrations in %s\n", (long long)o.episodes, path);
    hl_robomimic_writer_free(e->writer);
    hl_dataset_close(data);
    return status;
}

int hl_command_data_export(int argc, char **argv)
{
    const char *output = NULL;
    bool overwrite = false;
    const hl_flag flags[] = {
        {"output", HL_FLAG_TEXT, &output, "FILE.hdf5", "where to write"},
        {"overwrite", HL_FLAG_BOOL, &overwrite, NULL, "replace FILE.hdf5 if it is there"},
        {0}};
    const hl_usage usage = {
        "hl data export CONFIG [key=value ...] --output FILE.hdf5 [--overwrite]",
        "Writes the demonstrations of the simulated world (data.reach of CONFIG) in robomimic's layout.",
        flags, 1, -1};
    int n, code = hl_parse_arguments(&usage, argc, argv, &n);
    if (code != HL_GO_ON)
        return code;
    if (!output) {
        fprintf(stderr, "hl: --output is missing\nusage: %s\n", usage.synopsis);
        return HL_EXIT_USAGE;
    }
    hl_error err = {0};
    hl_config cfg;
    hl_status status = hl_config_load(&cfg, argv[1], n - 1, argv + 2, &err);
    if (status == HL_OK && cfg.data.format != HL_FORMAT_REACH)
        status = hl_fail(&err, HL_ERR_CONFIG, "%s: data.format is not reach; there is nothing to export",
                         argv[1]);
    if (status == HL_OK) {
        hl_model_options model = hl_config_model(&cfg);
        exporter e = {.cfg = &cfg, .shape = hl_setup_data_shape(&model)};
        e.shape.frames = 1;
        status = export_all(&e, output, overwrite, &err);
        for (int k = 0; k < HL_SENSES; k++)
            hl_free(e.values[k]);
        hl_free(e.actions);
    }
    hl_config_free(&cfg);
    return status == HL_OK ? HL_EXIT_OK : hl_report(&err);
}
