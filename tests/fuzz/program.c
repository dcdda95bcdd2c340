/* The input: the graph of an exported model, as JSON. */
#include "base/error.h"
#include "base/json.h"
#include "deploy/program.h"
#include "run/params.h"

#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 1 << 16 }; /* elements of a tensor: what fuzzing looks for is not size */

/* Declares what a node asks for, so that the graph is not refused for want of it. */
static void declare(hl_params *params, const json_t *node)
{
    const char *op = json_string_value(json_object_get(node, "op")),
               *name = json_string_value(json_object_get(node, "name")),
               *dtype = json_string_value(json_object_get(node, "dtype"));
    const json_t *dims = json_object_get(node, "shape");
    hl_shape shape = {.rank = (int)json_array_size(dims)};
    hl_error err = {0};
    int index;
    if (!op || strcmp(op, "param") != 0 || !name || !*name || json_array_size(dims) > HL_MAX_RANK)
        return;
    for (int i = 0; i < shape.rank; i++) {
        shape.dim[i] = json_integer_value(json_array_get(dims, (size_t)i));
        if (shape.dim[i] < 0 || shape.dim[i] > MOST)
            return;
    }
    const hl_dtype type = dtype && !strcmp(dtype, hl_dtype_name(HL_I8)) ? HL_I8 : HL_F32;
    if (hl_params_find(params, name) < 0)
        (void)hl_params_declare(params, name, HL_PARAMETER, type, shape, (hl_init_rule){HL_FILLED, 0, 0},
                                &index, &err);
}

static hl_params *declare_all(const char *text, size_t n)
{
    hl_params *params = hl_params_new(0);
    json_t *root = hl_json_parse(text, n, "fuzz", NULL), *nodes = json_object_get(root, "nodes");
    HL_ASSERT(params);
    for (size_t i = 0; i < json_array_size(nodes); i++)
        declare(params, json_array_get(nodes, i));
    json_decref(root);
    return params;
}

static bool small(const hl_graph *g)
{
    for (int i = 1; i < g->n_tensors; i++)
        if (g->tensors[i].count > MOST)
            return false;
    return true;
}

/* A graph that was read can be planned, or it is told why not. */
static void plan(const char *text, hl_params *params, int64_t batch, const char *device)
{
    hl_error err = {0};
    hl_graph *g = hl_program_read(text, "fuzz", params, batch, &err);
    HL_ASSERT(g || (err.status == HL_ERR_DATA && !strncmp(err.message, "fuzz:", 5)));
    if (g && small(g)) {
        hl_plan *p = hl_plan_new(g, &(hl_session_options){.device = device, .frozen = true}, &err);
        HL_ASSERT(p || *err.message);
        hl_plan_free(p);
    }
    hl_graph_free(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char *text = malloc(n + 1);
    HL_ASSERT(text);
    if (n)
        memcpy(text, bytes, n);
    text[n] = 0;
    hl_params *params = declare_all(text, strlen(text));
    plan(text, params, 1, "cpu");
    plan(text, params, 3, "cpu:portable");
    hl_params_free(params);
    free(text);
    return 0;
}
