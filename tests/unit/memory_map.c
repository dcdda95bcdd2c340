/* The map of a plan's memory: it accounts for every byte, and nothing lies on anything else. */
#include "app/train/trainer.h"
#include "run/memory_map.h"
#include "run/plan.h"
#include "tests/small_model.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static hl_plan *plan_of(hl_graph *g, const hl_session_options *o)
{
    hl_error err = {0};
    hl_plan *p = hl_plan_new(g, o, &err);
    if (!p)
        fail_msg("%s", err.message);
    hl_graph_free(g);
    return p;
}

static hl_plan *training(hl_params *params, hl_precision precision, const char *recompute)
{
    hl_trainer_options o = {.model = small_model(HL_HYBRID),
                            .weights = {1, 0.1f, 0.01f},
                            .adamw = {.clip = 1, .loss_scale = precision == HL_PRECISION_FP16 ? 256 : 0},
                            .batch = 3,
                            .accumulate = 1};
    return plan_of(hl_training_graph(params, &o),
                   &(hl_session_options){.precision = precision, .recompute = recompute});
}

static hl_plan *inference(hl_params *params, hl_precision precision)
{
    hl_model_options o = small_model(HL_HYBRID);
    hl_graph *g = hl_graph_new();
    hl_model_nodes m = hl_model_build(g, params, &o, &(hl_model_mode){.batch = 3});
    hl_output(g, "action", m.action);
    return plan_of(g, &(hl_session_options){.precision = precision, .frozen = true});
}

static hl_memory_map *map_of(const hl_plan *p)
{
    hl_error err = {0};
    hl_memory_map *m = hl_memory_map_new(p, &err);
    if (!m)
        fail_msg("%s", err.message);
    return m;
}

static const hl_piece *find(const hl_memory_map *m, const char *name)
{
    const hl_piece *found = NULL;
    for (int i = 0; i < m->n; i++) {
        if (strcmp(m->pieces[i].name, name))
            continue;
        assert_null(found);
        found = &m->pieces[i];
    }
    if (!found)
        fail_msg("there is no piece '%s'", name);
    return found;
}

/* ------------------------------------------------------------------ bytes */

static void assert_apart(const hl_piece *a, const hl_piece *b)
{
    bool one_place = a->in_arena ? b->in_arena : !b->in_arena && a->kind == b->kind;
    bool at_once = a->first <= b->last && b->first <= a->last;
    if (one_place && at_once && a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes)
        fail_msg("%s and %s overlap", a->name, b->name);
}

static void assert_accounted(const hl_memory_map *m, const hl_memory *memory)
{
    size_t most = 0;
    for (int call = 0; call < m->n_calls; call++) {
        size_t arena = m->alive[call][HL_MEM_GRADIENTS] + m->alive[call][HL_MEM_ACTIVATIONS] +
                       m->alive[call][HL_MEM_WORKSPACE] + m->alive[call][HL_MEM_IO];
        most = arena > most ? arena : most;
    }
    assert_true(most == memory->lower_bound);
    for (int k = 0; k < HL_MEM_KINDS; k++)
        if (m->alive[memory->peak_step][k] != memory->by_kind[k])
            fail_msg("%s: %zu bytes mapped, %zu planned", hl_memory_kind_name((hl_memory_kind)k),
                     m->alive[memory->peak_step][k], memory->by_kind[k]);
    for (int i = 0; i < m->n; i++) {
        const hl_piece *piece = &m->pieces[i];
        assert_true(piece->name[0] && piece->section && piece->first <= piece->last);
        assert_true(piece->first >= 0 && piece->last < m->n_calls);
        assert_true(!piece->in_arena || piece->offset + piece->bytes <= memory->arena);
        for (int k = 0; k < i; k++)
            assert_apart(piece, &m->pieces[k]);
    }
}

static void every_byte_is_on_the_map(void **state)
{
    (void)state;
    for (int precision = 0; precision < HL_PRECISIONS; precision++)
        for (int kind = 0; kind < 3 && precision != HL_PRECISION_TF32; kind++) {
            hl_params *params = hl_params_new(1);
            hl_plan *p = kind == 0 ? inference(params, (hl_precision)precision)
                                   : training(params, (hl_precision)precision, kind == 2 ? "*" : NULL);
            hl_memory_map *m = map_of(p);
            hl_memory memory = hl_plan_memory(p);
            assert_accounted(m, &memory);
            hl_memory_map_free(m);
            hl_plan_free(p);
            hl_params_free(params);
        }
}

static void a_switched_off_planner_is_mapped_too(void **state)
{
    (void)state;
    setenv("HL_DISABLE_PASSES", "in_place,reuse", 1);
    hl_params *params = hl_params_new(1);
    hl_plan *p = training(params, HL_PRECISION_BF16, NULL);
    unsetenv("HL_DISABLE_PASSES");
    hl_memory_map *m = map_of(p);
    hl_memory memory = hl_plan_memory(p);
    assert_accounted(m, &memory);
    assert_true(hl_memory_fragmentation(&memory) > 0.1); /* nothing was used twice */
    hl_memory_map_free(m);
    hl_plan_free(p);
    hl_params_free(params);
}

/* ------------------------------------------------------------------ names */

static void pieces_have_the_names_that_people_know(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    hl_graph *g = hl_graph_new();
    hl_section(g, "first");
    hl_tensor x = hl_input(g, "x", HL_F32, 2, (int64_t[]){16, 64});
    hl_tensor w = hl_param(g, params, "w", 2, (int64_t[]){128, 64}, (hl_init_rule){HL_FAN_IN, 0, 0});
    hl_tensor h = hl_gelu(g, hl_exp(g, hl_linear(g, x, w, (hl_tensor){0})));
    hl_section(g, "second");
    hl_tensor loss = hl_mean(g, hl_mul(g, h, h));
    hl_output(g, "loss", loss);
    hl_adamw(g, params, loss, (hl_adamw_options){.clip = 1});
    hl_plan *p = plan_of(g, NULL);
    hl_memory_map *m = map_of(p);
    assert_int_equal(find(m, "x")->kind, HL_MEM_IO);
    assert_int_equal(find(m, "loss")->kind, HL_MEM_IO);
    assert_int_equal(find(m, "lr")->kind, HL_MEM_IO);
    assert_int_equal(find(m, "seed and step")->offset, 0);
    const hl_piece *weight = find(m, "w"), *gradient = find(m, "gradient of w"),
                   *made = find(m, "matmul [16,128]");
    assert_true(weight->kind == HL_MEM_PARAMETERS && weight->bytes == 4 * 128 * 64 && !weight->in_arena);
    assert_true(weight->first == 0 && weight->last == m->n_calls - 1);
    assert_true(gradient->kind == HL_MEM_GRADIENTS && gradient->bytes == 4 * 128 * 64 && gradient->in_arena);
    assert_string_equal(gradient->section, "first");
    assert_int_equal(gradient->phase, HL_PHASE_BACKWARD);
    assert_true(made->kind == HL_MEM_ACTIVATIONS && made->bytes == 4 * 16 * 128);
    assert_string_equal(made->section, "first");
    assert_true(made->first < made->last && gradient->first > made->first);
    hl_memory_map_free(m);
    hl_plan_free(p);
    hl_params_free(params);
}

static void copies_scratch_and_packed_weights_are_named(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    hl_plan *p = training(params, HL_PRECISION_BF16, "*");
    hl_memory_map *m = map_of(p);
    int copies = 0, scratch = 0, again = 0;
    for (int i = 0; i < m->n; i++) {
        const hl_piece *piece = &m->pieces[i];
        copies += piece->kind == HL_MEM_COPIES && strstr(piece->name, ".weight in bf16");
        scratch += piece->kind == HL_MEM_WORKSPACE && !strncmp(piece->name, "scratch of ", 11);
        again += strstr(piece->name, "] again") != NULL;
        assert_true(piece->kind != HL_MEM_WORKSPACE || piece->first == piece->last);
    }
    int scratches = 0, agains = 0; /* which depends on the kernels that are built in */
    for (int i = 0; i < p->n_calls; i++) {
        scratches += p->workspaces[i] >= 0;
        agains += p->call_nodes[i]->label.again;
    }
    assert_true(copies > 5 && scratch == scratches && scratch > 0 && (again > 0) == (agains > 0));
    hl_memory_map_free(m);
    hl_plan_free(p);
    p = inference(params, HL_PRECISION_FP32);
    m = map_of(p);
    for (int i = 0; i < m->n; i++)
        if (m->pieces[i].kind == HL_MEM_PACKED)
            assert_non_null(strstr(m->pieces[i].name, "weight packed for "));
    hl_memory_map_free(m);
    hl_plan_free(p);
    hl_params_free(params);
}

/* ------------------------------------------------------------------ the largest */

static void the_largest_are_told_in_order(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    hl_plan *p = training(params, HL_PRECISION_FP32, NULL);
    hl_memory_map *m = map_of(p);
    int all[2000], ten[10];
    assert_true(m->n < 2000);
    for (int call = 0; call < m->n_calls; call += 7) {
        int n = hl_memory_map_largest(m, call, 2000, all), alive = 0;
        size_t bytes = 0, sum = 0;
        for (int i = 0; i < m->n; i++)
            alive += m->pieces[i].first <= call && call <= m->pieces[i].last;
        assert_int_equal(n, alive);
        for (int i = 0; i < n; i++) {
            const hl_piece *piece = &m->pieces[all[i]];
            assert_true(i == 0 || piece->bytes <= m->pieces[all[i - 1]].bytes);
            assert_true(piece->first <= call && call <= piece->last);
            bytes += piece->bytes;
        }
        for (int k = 0; k < HL_MEM_KINDS; k++)
            sum += m->alive[call][k];
        assert_true(bytes == sum); /* so none is told twice */
        assert_int_equal(hl_memory_map_largest(m, call, 10, ten), 10);
        assert_memory_equal(ten, all, sizeof ten);
        assert_int_equal(hl_memory_map_largest(m, call, 1, ten), 1);
        assert_int_equal(ten[0], all[0]);
        assert_int_equal(hl_memory_map_largest(m, call, 0, NULL), 0);
    }
    assert_int_equal(hl_memory_map_largest(m, m->n_calls, 10, ten), 0);
    hl_memory memory = hl_plan_memory(p);
    assert_string_equal(m->peak_section, p->call_nodes[memory.peak_step]->label.section);
    assert_true(hl_memory_fragmentation(&memory) >= 0 && hl_memory_fragmentation(&memory) < 0.5);
    hl_memory_map_free(m);
    hl_plan_free(p);
    hl_params_free(params);
}

static void a_plan_without_calls_has_a_map(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    hl_graph *g = hl_graph_new();
    hl_output(g, "y", hl_input(g, "x", HL_F32, 1, (int64_t[]){3}));
    hl_plan *p = plan_of(g, NULL);
    hl_memory_map *m = map_of(p);
    int one;
    assert_int_equal(m->n_calls, 0);
    assert_int_equal(hl_memory_map_largest(m, 0, 1, &one), 0);
    assert_string_equal(m->peak_section, "");
    hl_memory_map_free(m);
    hl_plan_free(p);
    hl_params_free(params);
    assert_true(hl_memory_fragmentation(&(hl_memory){0}) == 0);
    assert_true(hl_memory_fragmentation(&(hl_memory){.arena = 4, .lower_bound = 3}) == 0.25);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    hl_plan *p = training(params, HL_PRECISION_FP32, NULL);
    for (uint64_t n = 1;; n++) {
        hl_error err = {0};
        hl_alloc_fail_at(n);
        hl_memory_map *m = hl_memory_map_new(p, &err);
        hl_alloc_fail_at(0);
        hl_memory_map_free(m);
        if (m) {
            assert_true(n > 4);
            break;
        }
        assert_int_equal(err.status, HL_ERR_MEMORY);
    }
    hl_plan_free(p);
    hl_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_on_the_map),
        cmocka_unit_test(a_switched_off_planner_is_mapped_too),
        cmocka_unit_test(pieces_have_the_names_that_people_know),
        cmocka_unit_test(copies_scratch_and_packed_weights_are_named),
        cmocka_unit_test(the_largest_are_told_in_order),
        cmocka_unit_test(a_plan_without_calls_has_a_map),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("memory map", tests, NULL, NULL);
}
