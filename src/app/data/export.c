/* hl data export: the simulated world's demonstrations, in a layout of real ones. */
#include "app/command.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/file.h"
#include "base/text.h"
#include "data/aloha_write.h"
#include "data/reach.h"
#include "data/robomimic_write.h"

#include <stdio.h>
#include <string.h>

/* A field of the file: elements [first, first + size) of a sense, size 0: all of them. */
typedef struct column {
    const char *key;
    hl_sense sense;
    int64_t first, size;
} column;

static const column robomimic_columns[] = {{"visual", HL_VISUAL, 0, 0},
                                           {"depth", HL_DEPTH, 0, 0},
                                           {"audio", HL_AUDIO, 0, 0},
                                           {"tactile", HL_TACTILE, 0, 0},
                                           {"proprioceptive", HL_PROPRIOCEPTIVE, 0, 0}};
/* What an arm of ALOHA tells of itself is qpos and qvel; the fingertip, and the zeros after it, stand apart.
 */
static const column aloha_columns[] = {{"images/top", HL_VISUAL, 0, 0},
                                       {"depth", HL_DEPTH, 0, 0},
                                       {"audio", HL_AUDIO, 0, 0},
                                       {"tactile", HL_TACTILE, 0, 0},
                                       {"qpos", HL_PROPRIOCEPTIVE, 0, 2 * HL_REACH_ACTION},
                                       {"qvel", HL_PROPRIOCEPTIVE, 2 * HL_REACH_ACTION, HL_REACH_ACTION},
                                       {"tip", HL_PROPRIOCEPTIVE, 3 * HL_REACH_ACTION, 7}};
enum { MOST_FIELDS = sizeof aloha_columns / sizeof *aloha_columns };

typedef struct exporter {
    const hl_config *cfg;
    const char *output;
    bool aloha, overwrite;
    int quality; /* of JPEG; 0: frames as arrays */
    hl_data_shape shape;
    hl_robomimic_writer *writer; /* NULL for aloha */
    int64_t written;
    hl_field fields[MOST_FIELDS];
    const column *columns[MOST_FIELDS]; /* of each field */
    int n_fields;
    float *values[MOST_FIELDS]; /* [steps, size] of each field */
    float *row[HL_SENSES];      /* one sample */
    float *actions;             /* [steps, 19] */
} exporter;

/* ------------------------------------------------------------------ fields */

static hl_status add_field(exporter *e, const column *c, hl_error *err)
{
    int64_t all = e->shape.size[c->sense], steps = e->cfg->data.reach.steps;
    if (!all)
        return HL_OK; /* the model does not use it */
    int k = e->n_fields++;
    e->columns[k] = c;
    e->fields[k] = (hl_field){.key = c->key,
                              .kind = c->sense == HL_VISUAL  ? HL_FIELD_RGB
                                      : c->sense == HL_DEPTH ? HL_FIELD_DEPTH
                                                             : HL_FIELD_VECTOR,
                              .height = e->shape.image,
                              .width = e->shape.image,
                              .size = c->size ? c->size : all};
    e->values[k] = hl_alloc((size_t)steps, (size_t)e->fields[k].size * sizeof(float));
    if (!e->row[c->sense])
        e->row[c->sense] = hl_alloc((size_t)all, sizeof(float));
    if (!e->values[k] || !e->row[c->sense])
        return hl_fail(err, HL_ERR_MEMORY, "no memory for %lld steps of %s", (long long)steps, c->key);
    return HL_OK;
}

static hl_status describe_fields(exporter *e, hl_error *err)
{
    const column *columns = e->aloha ? aloha_columns : robomimic_columns;
    int n = e->aloha ? (int)(sizeof aloha_columns / sizeof *aloha_columns)
                     : (int)(sizeof robomimic_columns / sizeof *robomimic_columns);
    int64_t steps = e->cfg->data.reach.steps;
    hl_status status = HL_OK;
    for (int i = 0; status == HL_OK && i < n; i++)
        status = add_field(e, &columns[i], err);
    e->actions = hl_alloc((size_t)steps, HL_REACH_ACTION * sizeof(float));
    if (status == HL_OK && !e->actions)
        status = hl_fail(err, HL_ERR_MEMORY, "no memory for %lld actions", (long long)steps);
    return status;
}

/* ------------------------------------------------------------------ demonstrations */

static hl_status write_demo(exporter *e, const hl_demo *demo, hl_error *err)
{
    if (!e->aloha)
        return hl_robomimic_write_demo(e->writer, demo, err);
    hl_aloha_options o = {.fields = e->fields,
                          .n_fields = e->n_fields,
                          .action = HL_REACH_ACTION,
                          .sim = true,
                          .quality = e->quality,
                          .overwrite = e->overwrite};
    char name[64];
    snprintf(name, sizeof name, "episode_%lld.hdf5", (long long)e->written);
    char *path = hl_file_join(e->output, name);
    hl_status status = path ? hl_aloha_write(path, &o, demo, err)
                            : hl_fail(err, HL_ERR_MEMORY, "%s: no memory for its name", name);
    hl_free(path);
    return status;
}

static hl_status read_step(exporter *e, hl_dataset *data, hl_split split, int64_t index, int64_t t,
                           hl_error *err)
{
    float mask[HL_REACH_ACTION], previous[HL_REACH_ACTION], presence[HL_SENSES];
    hl_sample sample = {.presence = presence,
                        .action = e->actions + t * HL_REACH_ACTION,
                        .action_mask = mask,
                        .previous = previous};
    memcpy(sample.sense, e->row, sizeof e->row);
    hl_status status = data->read(data, split, index, &sample, err);
    for (int k = 0; status == HL_OK && k < e->n_fields; k++)
        memcpy(e->values[k] + t * e->fields[k].size, e->row[e->columns[k]->sense] + e->columns[k]->first,
               (size_t)e->fields[k].size * sizeof(float));
    return status;
}

/* The samples of a data set, one after the other, are the demonstrations: `steps` to an episode. */
static hl_status export_split(exporter *e, hl_dataset *data, hl_split split, hl_error *err)
{
    int64_t steps = e->cfg->data.reach.steps;
    for (int64_t first = 0; first < data->count[split]; first += steps) {
        hl_status status = HL_OK;
        for (int64_t t = 0; status == HL_OK && t < steps; t++)
            status = read_step(e, data, split, first + t, t, err);
        hl_demo demo = {.steps = steps,
                        .actions = e->actions,
                        .fields = (const float *const *)e->values,
                        .valid = split == HL_VALID};
        if (status == HL_OK)
            status = write_demo(e, &demo, err);
        if (status != HL_OK)
            return status;
        e->written++;
    }
    return HL_OK;
}

static hl_status begin(exporter *e, hl_error *err)
{
    if (e->aloha)
        return hl_file_mkdirs(e->output, err);
    hl_robomimic_writer_options w = {.fields = e->fields,
                                     .n_fields = e->n_fields,
                                     .action = HL_REACH_ACTION,
                                     .env_args = "{\"env_name\": \"reach\", \"type\": 0, \"env_kwargs\": {}}",
                                     .gzip = 1,
                                     .overwrite = e->overwrite};
    e->writer = hl_robomimic_writer_new(e->output, &w, err);
    return e->writer ? HL_OK : err->status;
}

static hl_status export_all(exporter *e, hl_error *err)
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
    status = begin(e, err);
    if (status == HL_OK)
        status = export_split(e, data, HL_TRAIN, err);
    if (status == HL_OK)
        status = export_split(e, data, HL_VALID, err);
    if (status == HL_OK && e->writer)
        status = hl_robomimic_writer_finish(e->writer, err);
    if (status == HL_OK)
        fprintf(stderr, "hl: %lld demonstrations in %s\n", (long long)o.episodes, e->output);
    hl_robomimic_writer_free(e->writer);
    hl_dataset_close(data);
    return status;
}

static hl_status export_config(exporter *e, const char *path, int n, char *const *overrides, hl_error *err)
{
    hl_config cfg;
    hl_status status = hl_config_load(&cfg, path, n, overrides, err);
    if (status == HL_OK && cfg.data.format != HL_FORMAT_REACH)
        status = hl_fail(err, HL_ERR_CONFIG, "%s: data.format is not reach; there is nothing to export",
                         path);
    if (status == HL_OK) {
        hl_model_options model = hl_config_model(&cfg);
        e->cfg = &cfg;
        e->shape = hl_setup_data_shape(&model);
        e->shape.frames = 1;
        status = export_all(e, err);
        for (int k = 0; k < e->n_fields; k++)
            hl_free(e->values[k]);
        for (int s = 0; s < HL_SENSES; s++)
            hl_free(e->row[s]);
        hl_free(e->actions);
    }
    hl_config_free(&cfg);
    return status;
}

/* ------------------------------------------------------------------ arguments */

static const char *choose(exporter *e, const char *format, const char *compress)
{
    e->aloha = !strcmp(format, "aloha");
    if (!e->aloha && strcmp(format, "robomimic") != 0)
        return "--format is neither robomimic nor aloha";
    if (compress && strcmp(compress, "jpeg") != 0)
        return "--compress takes jpeg alone";
    if (compress && !e->aloha)
        return "--compress jpeg is for --format aloha; robomimic has no such frames";
    e->quality = compress ? 95 : 0;
    return e->output ? NULL : "--output is missing";
}

int hl_command_data_export(int argc, char **argv)
{
    exporter e = {0};
    const char *format = "robomimic", *compress = NULL;
    const hl_flag flags[] = {
        {"output", HL_FLAG_TEXT, &e.output, "PATH", "where to write: a file; for aloha a folder"},
        {"format", HL_FLAG_TEXT, &format, "FORMAT", "robomimic (default) or aloha"},
        {"compress", HL_FLAG_TEXT, &compress, "jpeg", "frames as JPEG, for aloha"},
        {"overwrite", HL_FLAG_BOOL, &e.overwrite, NULL, "replace what is there under its name"},
        {0}};
    const hl_usage usage = {"hl data export CONFIG [key=value ...] --output PATH [--format FORMAT] "
                            "[--compress jpeg] [--overwrite]",
                            "Writes the demonstrations of the simulated world (data.reach of CONFIG) in "
                            "robomimic's layout, all in\n"
                            "one file, or in ALOHA's, PATH/episode_<i>.hdf5.",
                            flags, 1, -1};
    int n, code = hl_parse_arguments(&usage, argc, argv, &n);
    if (code != HL_GO_ON)
        return code;
    const char *wrong = choose(&e, format, compress);
    if (wrong)
        return hl_wrong_arguments(&usage, wrong);
    hl_error err = {0};
    hl_status status = export_config(&e, argv[1], n - 1, argv + 2, &err);
    return status == HL_OK ? HL_EXIT_OK : hl_report(&err);
}
