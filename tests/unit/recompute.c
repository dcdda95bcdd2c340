/* Values that are computed again: the same numbers, bit by bit, in less memory. */
#include "tests/small_model.h"

#include "app/policy.h"
#include "app/train/trainer.h"
#include "base/memory.h"
#include "compile/passes.h"
#include "compile/recompute.h"
#include "ops/ops.h"
#include "run/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STEPS = 3 };

static const char all_sections[] = "H-module,compressor,decoder,L-module,loss";

/* ------------------------------------------------------------------ the numbers */

typedef struct setting {
    hl_compressor compressor;
    hl_precision precision;
    int64_t batch, accumulate;
    int history;
    const char *recompute;
    size_t budget;
    bool sure;  /* no dropout, so that sums join products */
    bool blind; /* no images: their convolutions' scratch is most of the memory */
} setting;

static hl_trainer_options trainer_of(const setting *s)
{
    hl_trainer_options o = {.model = small_model(s->compressor),
                            .weights = {1, 0.1f, 0.01f},
                            .adamw = {.eps = 1e-3f, .clip = 1},
                            .batch = s->batch,
                            .accumulate = s->accumulate,
                            .precision = s->precision,
                            .budget = s->budget};
    snprintf(o.recompute, sizeof o.recompute, "%s", s->recompute ? s->recompute : "");
    o.model.history = s->history;
    assert_true(o.model.dropout > 0);
    if (s->sure)
        o.model.dropout = 0;
    o.model.senses[0] = o.model.senses[1] = !s->blind;
    o.adamw.loss_scale = s->precision == HL_PRECISION_FP16 ? 256 : 0;
    return o;
}

static hl_graph *training_graph(hl_params *params, const setting *s)
{
    hl_trainer_options o = trainer_of(s);
    return hl_training_graph(params, &o);
}

static hl_session_options options_of(const setting *s)
{
    hl_trainer_options o = trainer_of(s);
    hl_session_options options = hl_training_session(&o);
    options.recompute = s->recompute; /* the same text, which outlives o */
    return options;
}

static int copies_of(const hl_plan *p)
{
    int n = 0;
    for (int i = 0; i < p->n_calls; i++)
        n += p->call_nodes[i]->label.again;
    return n;
}

/* What training leaves behind. */
typedef struct result {
    float loss[STEPS], norm[STEPS];
    hl_memory memory;
    int copies;
    hl_params *params;
} result;

static result train(hl_graph *g, hl_params *params, const hl_session_options *options)
{
    result r = {.params = params};
    hl_error err = {0};
    hl_session *s = hl_session_open(g, params, options, &err);
    if (!s)
        fail_msg("%s", err.message);
    hl_session_set(s, "lr", 1e-3f);
    for (int step = 0; step < STEPS; step++) {
        small_model_inputs(s, step, 1);
        assert_int_equal(hl_session_run(s, &err), HL_OK);
        r.loss[step] = *hl_session_output(s, "total");
        r.norm[step] = *hl_session_output(s, "grad_norm");
        assert_true(isfinite(r.loss[step]) && r.norm[step] > 0);
    }
    r.memory = hl_session_memory(s);
    r.copies = copies_of(s->plan);
    hl_session_free(s);
    return r;
}

static result train_as(const setting *s)
{
    hl_params *params = hl_params_new(5);
    hl_graph *g = training_graph(params, s);
    hl_session_options options = options_of(s);
    result r = train(g, params, &options);
    hl_graph_free(g);
    return r;
}

static void assert_same_bits(const result *a, const result *b)
{
    assert_memory_equal(a->loss, b->loss, sizeof a->loss);
    assert_memory_equal(a->norm, b->norm, sizeof a->norm);
    assert_int_equal(hl_params_count(a->params), hl_params_count(b->params));
    for (int i = 0; i < hl_params_count(a->params); i++) {
        hl_param_info p = hl_params_at(a->params, i), q = hl_params_at(b->params, i);
        assert_memory_equal(p.bytes, q.bytes, (size_t)p.count * (p.dtype == HL_F32 ? 4 : 2));
    }
}

/* Trains as the setting says and compares with `plain`; returns how much smaller the plan is. */
static size_t assert_saves(const setting *s, const result *plain)
{
    result r = train_as(s);
    assert_same_bits(&r, plain);
    assert_true(r.memory.total <= plain->memory.total);
    assert_int_equal(r.copies > 0, r.memory.total < plain->memory.total);
    if (s->budget)
        assert_true(r.memory.total <= s->budget);
    hl_params_free(r.params);
    return plain->memory.total - r.memory.total;
}

static void each_section_keeps_the_numbers(void **state)
{
    (void)state;
    static const char *const sections[] = {"H-module", "compressor", "L-module",
                                           "decoder",  "loss",       all_sections};
    static const hl_precision precisions[] = {HL_PRECISION_FP32, HL_PRECISION_BF16, HL_PRECISION_FP16};
    for (int p = 0; p < 3; p++) {
        setting s = {HL_HYBRID, precisions[p], 256, 1, 0, NULL, 0, false, p > 0};
        result plain = train_as(&s);
        size_t saved[6];
        for (int i = 0; i < 6; i++) {
            s.recompute = sections[i];
            saved[i] = assert_saves(&s, &plain);
        }
        for (int i = 0; i < 4; i++)
            assert_true(saved[i] > 0);
        assert_true(saved[0] > plain.memory.arena / 8 && saved[5] > plain.memory.arena / 4);
        hl_params_free(plain.params);
    }
}

static void every_model_keeps_its_numbers(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        setting s = {(hl_compressor)kind,
                     kind % 2 ? HL_PRECISION_FP32 : HL_PRECISION_BF16,
                     17,
                     3,
                     2,
                     NULL,
                     0,
                     false,
                     false};
        result plain = train_as(&s);
        s.recompute = all_sections;
        assert_true(assert_saves(&s, &plain) > 0);
        hl_params_free(plain.params);
    }
}

static void a_budget_is_kept_to(void **state)
{
    (void)state;
    setting s = {HL_HYBRID, HL_PRECISION_FP32, 64, 1, 0, NULL, 0, false, false};
    result plain = train_as(&s);
    s.recompute = all_sections;
    result least = train_as(&s);
    size_t most = plain.memory.total, range = most - least.memory.total;
    assert_true(range > 100000);
    int before = 0;
    for (int i = 0; i <= 4; i++) { /* without a list all sections may */
        s.recompute = i % 2 ? all_sections : NULL;
        s.budget = most - range * (size_t)i / 4;
        result r = train_as(&s);
        assert_same_bits(&r, &plain);
        assert_true(r.memory.total <= s.budget);
        assert_true(i ? r.copies >= before && r.copies > 0 : r.copies == 0); /* no more than is needed */
        before = r.copies;
        hl_params_free(r.params);
    }
    hl_params_free(plain.params);
    hl_params_free(least.params);
}

/* Any choice whatever, of a graph that has been compiled. */
static void arbitrary_choices_keep_the_numbers(void **state)
{
    (void)state;
    setting s = {HL_HYBRID, HL_PRECISION_FP32, 5, 2, 2, NULL, 0, false, false};
    hl_error err = {0};
    hl_params *params = hl_params_new(5);
    hl_graph *g = training_graph(params, &s), *compiled = hl_compile(g, HL_PRECISION_FP32, &err);
    hl_let_go *let_go = calloc((size_t)compiled->n_nodes, sizeof *let_go);
    setenv("HL_DISABLE_PASSES", "common_subexpressions,fuse,simplify", 1); /* they see copies as they are */
    result plain = train(compiled, params, NULL);
    srand(1);
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < compiled->n_nodes; i++) {
            const hl_node *n = compiled->nodes[i];
            bool may = !n->op->updates && n->op != &hl_op_input && n->op != &hl_op_param &&
                       n->label.phase <= HL_PHASE_BACKWARD && rand() % 6 <= round;
            let_go[i].n = may ? 1 + rand() % HL_RECOMPUTE_MOST : 0;
            for (int k = 0; k < let_go[i].n; k++)
                let_go[i].after[k] = i + rand() % (compiled->n_nodes - i);
        }
        hl_origin *origin;
        hl_graph *again = hl_recompute(compiled, let_go, &origin);
        hl_graph_verify(again);
        hl_params *own = hl_params_new(5);
        hl_graph_free(training_graph(own, &s)); /* declares the same in the same order */
        result r = train(again, own, NULL);
        assert_true(r.copies > 50);
        assert_same_bits(&r, &plain);
        hl_params_free(own);
        hl_graph_free(again);
        hl_free(origin);
    }
    unsetenv("HL_DISABLE_PASSES");
    free(let_go);
    hl_graph_free(compiled);
    hl_graph_free(g);
    hl_params_free(params);
}

static void inference_keeps_a_budget_too(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_model_options o = small_model(HL_HYBRID);
    float action[2][17 * 3];
    size_t budget = 0;
    for (int i = 0; i < 2; i++) {
        hl_params *params = hl_params_new(5);
        hl_graph *g = hl_policy_graph(params, &o, 17, false);
        hl_session *s = hl_session_open(g, params, &(hl_session_options){.budget = budget}, &err);
        assert_non_null(s);
        assert_int_equal(copies_of(s->plan), 0);
        small_model_inputs(s, 0, 1);
        assert_int_equal(hl_session_run(s, &err), HL_OK);
        memcpy(action[i], hl_session_output(s, "action"), sizeof action[i]);
        budget = hl_session_memory(s).total;
        hl_session_free(s);
        hl_graph_free(g);
        hl_params_free(params);
    }
    assert_memory_equal(action[0], action[1], sizeof action[0]);
}

/* ------------------------------------------------------------------ what is wrong */

static hl_plan *plan_as(const setting *s, hl_error *err)
{
    hl_params *params = hl_params_new(5);
    hl_graph *g = training_graph(params, s);
    hl_session_options options = options_of(s);
    hl_plan *p = hl_plan_new(g, &options, err);
    hl_graph_free(g);
    hl_params_free(params);
    return p;
}

static void assert_refused(const setting *s, hl_status status, const char *words)
{
    hl_error err = {0};
    assert_null(plan_as(s, &err));
    assert_int_equal(err.status, status);
    if (!strstr(err.message, words))
        fail_msg("'%s' is not in: %s", words, err.message);
}

static void an_impossible_budget_is_a_sentence(void **state)
{
    (void)state;
    hl_error err = {0};
    setting s = {HL_HYBRID, HL_PRECISION_FP32, 64, 1, 0, all_sections, 0, false, false};
    hl_plan *p = plan_as(&s, &err);
    size_t least = hl_plan_memory(p).total;
    hl_plan_free(p);
    s.budget = least;
    p = plan_as(&s, &err);
    assert_non_null(p);
    hl_plan_free(p);
    s.budget = least - (1 << 20);
    assert_refused(&s, HL_ERR_MEMORY, ", 1.0 MiB more than the budget of ");
    assert_refused(&s, HL_ERR_MEMORY, "(parameters 0.");
    char words[64];
    snprintf(words, sizeof words, "at least %.1f MiB", (double)least / (1 << 20));
    assert_refused(&s, HL_ERR_MEMORY, words);
    s.budget = 1;
    s.recompute = NULL;
    assert_refused(&s, HL_ERR_MEMORY, words);
    s.recompute = "loss";
    assert_refused(&s, HL_ERR_MEMORY, "more sections to compute again");
    s.recompute = NULL;
    s.budget = least;
    setenv("HL_DISABLE_PASSES", "recompute", 1);
    assert_refused(&s, HL_ERR_MEMORY, "at least");
    unsetenv("HL_DISABLE_PASSES");
}

static void the_switch_keeps_everything(void **state)
{
    (void)state;
    hl_error err = {0};
    setting s = {HL_HYBRID, HL_PRECISION_FP32, 256, 1, 0, all_sections, 0, false, false};
    setenv("HL_DISABLE_PASSES", "recompute", 1);
    hl_plan *p = plan_as(&s, &err);
    unsetenv("HL_DISABLE_PASSES");
    assert_non_null(p);
    assert_int_equal(copies_of(p), 0);
    hl_plan_free(p);
}

static void an_unknown_section_is_a_sentence(void **state)
{
    (void)state;
    setting s = {HL_HYBRID, HL_PRECISION_FP32, 3, 1, 0, "H-module,L-modul", 0, false, false};
    assert_refused(&s, HL_ERR_USAGE, "no section 'L-modul'");
    assert_refused(&s, HL_ERR_USAGE, "H-module, compressor, decoder, L-module");
    s.recompute = "H-module,,loss";
    assert_refused(&s, HL_ERR_USAGE, "no section ''");
    s.recompute = "h-module";
    assert_refused(&s, HL_ERR_USAGE, "no section 'h-module'");
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    setting s = {HL_BOTTLENECK, HL_PRECISION_FP32, 64, 1, 0, all_sections, 0, false, false};
    hl_params *params = hl_params_new(5);
    hl_graph *g = training_graph(params, &s);
    hl_session_options options = options_of(&s);
    int failed = 0;
    for (uint64_t n = 1; n < 1000000; n += 1 + n / 20) {
        hl_error err = {0};
        hl_alloc_fail_at(n);
        hl_plan *p = hl_plan_new(g, &options, &err);
        hl_alloc_fail_at(0);
        if (p) {
            assert_true(copies_of(p) > 0);
            hl_plan_free(p);
            break;
        }
        assert_true(err.status != HL_OK && err.message[0]);
        failed++;
    }
    assert_true(failed > 100);
    hl_graph_free(g);
    hl_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_section_keeps_the_numbers),
        cmocka_unit_test(every_model_keeps_its_numbers),
        cmocka_unit_test(a_budget_is_kept_to),
        cmocka_unit_test(arbitrary_choices_keep_the_numbers),
        cmocka_unit_test(inference_keeps_a_budget_too),
        cmocka_unit_test(an_impossible_budget_is_a_sentence),
        cmocka_unit_test(the_switch_keeps_everything),
        cmocka_unit_test(an_unknown_section_is_a_sentence),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("recompute", tests, NULL, NULL);
}
