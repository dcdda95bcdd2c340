/* hl inspect: what a checkpoint, an exported model or a configuration holds. */
#include "app/command.h"
#include "app/loaded.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "deploy/model.h"
#include "graph/graph.h"
#include "run/params.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef enum kind { CONFIGURATION, CHECKPOINT, EXPORTED } kind;

static const char *const kinds[] = {"configuration", "checkpoint", "exported model"};

typedef struct subject {
    const char *path;
    kind kind;
    hl_config config;
    hl_params *declared;     /* what a configuration or checkpoint has */
    const hl_params *params; /* that, or those of an exported model */
    bool decoder;
    uint64_t step, epoch, seed; /* of a checkpoint */
    hl_model *model;            /* of an exported one */
} subject;

static bool looks_like_yaml(const char *path)
{
    return hl_ends_in(path, ".yaml") || hl_ends_in(path, ".yml");
}

static hl_status open_checkpoint(subject *s, hl_error *err)
{
    hl_checkpoint *c = NULL;
    hl_status status = hl_checkpoint_open(s->path, &c, err);
    if (status != HL_OK)
        return status;
    const hl_checkpoint_meta *meta = hl_checkpoint_meta_of(c);
    s->kind = CHECKPOINT;
    s->decoder = hl_setup_has_decoder(c);
    s->step = meta->step;
    s->epoch = meta->epoch;
    s->seed = meta->seed;
    status = hl_config_parse_text(&s->config, meta->config, s->path, 0, NULL, err);
    if (status == HL_OK)
        status = hl_checkpoint_check(c, err); /* every byte: what is shown is what can be loaded */
    hl_checkpoint_close(c);
    return status;
}

static hl_status open_exported(subject *s, hl_error *err)
{
    hl_loaded l;
    hl_status status = hl_loaded_open(&l, s->path, 0, NULL, err);
    if (status != HL_OK)
        return status;
    s->kind = EXPORTED;
    s->config = l.trained.config;
    s->model = l.exported;
    s->params = hl_model_params(s->model);
    return HL_OK;
}

static hl_status open_subject(subject *s, int n_overrides, char *const *overrides, hl_error *err)
{
    bool exported = false;
    hl_status status = HL_OK;
    if (!(s->params = s->declared = hl_params_new(0)))
        return hl_fail(err, HL_ERR_MEMORY, "no memory to list parameters");
    s->decoder = true;
    if (looks_like_yaml(s->path))
        status = hl_config_load(&s->config, s->path, n_overrides, overrides, err);
    else if ((status = hl_loaded_is_exported(s->path, &exported, err)) == HL_OK)
        status = exported ? open_exported(s, err) : open_checkpoint(s, err);
    if (status != HL_OK || exported)
        return status;
    hl_model_options o = hl_config_model(&s->config);
    return hl_setup_declare(&o, s->decoder, s->declared, err);
}

/* ------------------------------------------------------------------ modules */

/* The first `depth` parts of a dotted name. */
static size_t module_length(const char *name, int depth)
{
    size_t n = 0;
    for (; name[n]; n++)
        if (name[n] == '.' && --depth == 0)
            break;
    return n;
}

/* Parameters of the module that entry `first` begins; entries of one module are declared together, those
 * met again later were counted with the first. */
static int64_t module_count(const hl_params *p, int first, size_t length)
{
    const char *name = hl_params_at(p, first).name;
    int64_t sum = 0;
    for (int i = 0; i < hl_params_count(p); i++) {
        hl_param_info e = hl_params_at(p, i);
        bool inside = !strncmp(e.name, name, length) && (e.name[length] == '.' || !e.name[length]);
        if (inside && i < first)
            return -1;
        sum += inside ? e.count : 0;
    }
    return sum;
}

static int64_t total_count(const hl_params *p)
{
    int64_t sum = 0;
    for (int i = 0; i < hl_params_count(p); i++)
        sum += hl_params_at(p, i).count;
    return sum;
}

static void print_modules(const hl_params *p)
{
    for (int i = 0; i < hl_params_count(p); i++) {
        const char *name = hl_params_at(p, i).name;
        size_t length = module_length(name, 3);
        int64_t count = module_count(p, i, length);
        if (count >= 0)
            printf("  %13" PRId64 "  %.*s\n", count, (int)length, name);
    }
}

static void print_value(const char *what, hl_model_value v)
{
    hl_shape_text shape = hl_shape_print(v.shape);
    printf("  %-8s %-20s %s\n", what, hl_long_excerpt_of(v.name).text, shape.text);
}

static void print_exported(const hl_model *m)
{
    const char *const keys[] = {"precision", "exported_from", "step", "hl_version"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (hl_model_about(m, keys[i]))
            printf("  %-14s %s\n", keys[i], hl_long_excerpt_of(hl_model_about(m, keys[i])).text);
    printf("\nfor a batch of 1\n");
    for (int i = 0; i < hl_model_inputs(m); i++)
        print_value("input", hl_model_input(m, i));
    for (int i = 0; i < hl_model_outputs(m); i++)
        print_value("output", hl_model_output(m, i));
}

static hl_status print_text(const subject *s, bool shapes, hl_error *err)
{
    static const char *const verified[] = {"", ", every byte verified", ", every weight is finite"};
    char *config = hl_config_print(&s->config);
    if (!config)
        return hl_fail(err, HL_ERR_MEMORY, "no memory to print the configuration");
    printf("%s: %s%s\n", s->path, kinds[s->kind], verified[s->kind]);
    if (s->kind == CHECKPOINT)
        printf("step %" PRIu64 ", epoch %" PRIu64 ", seed %" PRIu64 "\n", s->step, s->epoch, s->seed);
    if (s->kind == EXPORTED)
        print_exported(s->model);
    printf("\nparameters  %" PRId64, total_count(s->params));
    printf(s->kind == EXPORTED ? "\n" : " (%.1f MB in fp32)\n", 4e-6 * (double)total_count(s->params));
    print_modules(s->params);
    for (int i = 0; shapes && i < hl_params_count(s->params); i++) {
        hl_param_info p = hl_params_at(s->params, i);
        printf("  %-70s %s\n", p.name, hl_shape_print(p.shape).text);
    }
    printf("\n%s", config);
    hl_free(config);
    return HL_OK;
}

static json_t *shape_json(hl_shape shape)
{
    json_t *j = json_array();
    for (int k = 0; k < shape.rank; k++)
        json_array_append_new(j, json_integer(shape.dim[k]));
    return j;
}

static json_t *exported_json(const hl_model *m)
{
    json_t *inputs = json_object(), *outputs = json_object();
    for (int i = 0; i < hl_model_inputs(m); i++)
        json_object_set_new(inputs, hl_model_input(m, i).name, shape_json(hl_model_input(m, i).shape));
    for (int i = 0; i < hl_model_outputs(m); i++)
        json_object_set_new(outputs, hl_model_output(m, i).name, shape_json(hl_model_output(m, i).shape));
    return json_pack("{s:s?, s:s?, s:s?, s:s?, s:o, s:o}", "precision", hl_model_about(m, "precision"),
                     "exported_from", hl_model_about(m, "exported_from"), "step", hl_model_about(m, "step"),
                     "hl_version", hl_model_about(m, "hl_version"), "inputs", inputs, "outputs", outputs);
}

static hl_status print_json(const subject *s, hl_error *err)
{
    char *config = hl_config_print(&s->config);
    json_t *j = json_pack("{s:s, s:s, s:I, s:s}", "path", s->path, "kind", kinds[s->kind], "parameters",
                          (json_int_t)total_count(s->params), "config", config ? config : "");
    hl_free(config);
    if (s->kind == CHECKPOINT)
        json_object_update_new(j, json_pack("{s:I, s:I, s:I}", "step", (json_int_t)s->step, "epoch",
                                            (json_int_t)s->epoch, "seed", (json_int_t)s->seed));
    if (s->kind == EXPORTED)
        json_object_set_new(j, "exported", exported_json(s->model));
    json_t *tensors = json_object();
    for (int i = 0; i < hl_params_count(s->params); i++) {
        hl_param_info p = hl_params_at(s->params, i);
        json_object_set_new(tensors, p.name, shape_json(p.shape));
    }
    json_object_set_new(j, "shapes", tensors);
    hl_status status = hl_json_print(stdout, j, err);
    json_decref(j);
    return status;
}

int hl_command_inspect(int argc, char **argv)
{
    bool json = false, shapes = false;
    const hl_flag flags[] = {
        {"shapes", HL_FLAG_BOOL, &shapes, NULL, "list every parameter with its shape"},
        {"json", HL_FLAG_BOOL, &json, NULL, "print JSON"},
        {0},
    };
    const hl_usage usage = {
        "hl inspect CHECKPOINT|MODEL.safetensors|CONFIG.yaml [key=value ...] [--shapes] [--json]",
        "Shows parameters by module, step and configuration, and what an exported model reads and gives.\n"
        "Of a checkpoint every byte is verified, of an exported model that every weight is finite;\n"
        "key=value overrides keys of a CONFIG.yaml.",
        flags, 1, -1};
    int n, code = hl_parse_arguments(&usage, argc, argv, &n);
    if (code != HL_GO_ON)
        return code;
    hl_error err = {0};
    subject s = {.path = argv[1]};
    hl_status status = HL_OK;
    if (n > 1 && !looks_like_yaml(s.path))
        status = hl_fail(&err, HL_ERR_USAGE,
                         "'%s': the configuration of a model is what it is; only that of a "
                         ".yaml file takes overrides",
                         argv[2]);
    if (status == HL_OK)
        status = open_subject(&s, n - 1, argv + 2, &err);
    if (status == HL_OK)
        status = json ? print_json(&s, &err) : print_text(&s, shapes, &err);
    hl_config_free(&s.config);
    hl_params_free(s.declared);
    hl_model_free(s.model);
    return status == HL_OK ? HL_EXIT_OK : hl_report(&err);
}
