/* hl inspect: what a checkpoint or configuration holds. */
#include "app/command.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/json.h"
#include "graph/graph.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct subject {
    const char *path;
    hl_config config;
    hl_params *params; /* declared only */
    bool is_checkpoint;
    uint64_t step, epoch, seed;
} subject;

static bool looks_like_yaml(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml"));
}

static hl_status open_checkpoint(subject *s, hl_error *err)
{
    hl_checkpoint *c = NULL;
    hl_status status = hl_checkpoint_open(s->path, &c, err);
    if (status != HL_OK)
        return status;
    const hl_checkpoint_meta *meta = hl_checkpoint_meta_of(c);
    s->is_checkpoint = true;
    s->step = meta->step;
    s->epoch = meta->epoch;
    s->seed = meta->seed;
    status = hl_config_parse_text(&s->config, meta->config, s->path, 0, NULL, err);
    if (status == HL_OK)
        status = hl_checkpoint_check(c, err); /* every byte: what is shown is what can be loaded */
    hl_checkpoint_close(c);
    return status;
}

static hl_status open_subject(subject *s, int n_overrides, char *const *overrides, hl_error *err)
{
    hl_status status = looks_like_yaml(s->path)
                           ? hl_config_load(&s->config, s->path, n_overrides, overrides, err)
                           : open_checkpoint(s, err);
    if (status != HL_OK)
        return status;
    hl_model_options o = hl_config_model(&s->config);
    s->params = hl_params_new(s->config.seed);
    return s->params ? hl_setup_declare(&o, s->params, err) : hl_fail(err, HL_ERR_MEMORY, "no memory");
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

static hl_status print_text(const subject *s, bool shapes, hl_error *err)
{
    char *config = hl_config_print(&s->config);
    if (!config)
        return hl_fail(err, HL_ERR_MEMORY, "no memory to print the configuration");
    printf("%s: %s\n", s->path, s->is_checkpoint ? "checkpoint, every byte verified" : "configuration");
    if (s->is_checkpoint)
        printf("step %" PRIu64 ", epoch %" PRIu64 ", seed %" PRIu64 "\n", s->step, s->epoch, s->seed);
    printf("\nparameters  %" PRId64 " (%.1f MB in fp32)\n", total_count(s->params),
           4e-6 * (double)total_count(s->params));
    print_modules(s->params);
    for (int i = 0; shapes && i < hl_params_count(s->params); i++) {
        hl_param_info p = hl_params_at(s->params, i);
        printf("  %-70s %s\n", p.name, hl_shape_print(p.shape).text);
    }
    printf("\n%s", config);
    hl_free(config);
    return HL_OK;
}

static hl_status print_json(const subject *s, hl_error *err)
{
    char *config = hl_config_print(&s->config);
    json_t *j = json_pack("{s:s, s:s, s:I, s:s}", "path", s->path, "kind",
                          s->is_checkpoint ? "checkpoint" : "configuration", "parameters",
                          (json_int_t)total_count(s->params), "config", config ? config : "");
    hl_free(config);
    if (s->is_checkpoint)
        json_object_update_new(j, json_pack("{s:I, s:I, s:I}", "step", (json_int_t)s->step, "epoch",
                                            (json_int_t)s->epoch, "seed", (json_int_t)s->seed));
    json_t *tensors = json_object();
    for (int i = 0; i < hl_params_count(s->params); i++) {
        hl_param_info p = hl_params_at(s->params, i);
        json_t *shape = json_array();
        for (int k = 0; k < p.shape.rank; k++)
            json_array_append_new(shape, json_integer(p.shape.dim[k]));
        json_object_set_new(tensors, p.name, shape);
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
        "hl inspect CHECKPOINT|CONFIG.yaml [key=value ...] [--shapes] [--json]",
        "Shows parameters by module, step and configuration. Of a checkpoint every byte is verified;\n"
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
                         "'%s': the configuration of a checkpoint is what it is; only that of a "
                         ".yaml file takes overrides",
                         argv[2]);
    if (status == HL_OK)
        status = open_subject(&s, n - 1, argv + 2, &err);
    if (status == HL_OK)
        status = json ? print_json(&s, &err) : print_text(&s, shapes, &err);
    hl_config_free(&s.config);
    hl_params_free(s.params);
    return status == HL_OK ? HL_EXIT_OK : hl_report(&err);
}
