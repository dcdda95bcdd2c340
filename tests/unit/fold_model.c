/* The acting graph in the robot's units, and what is left of it when it is folded: every compressor, with and
 * without history, at several batches. */
#include "tests/acting_case.h"
#include "tests/fold_case.h"
#include "tests/small_model.h"

#include "app/policy.h"
#include "base/memory.h"

static hl_graph *acting(hl_params *params, const statistics_case *c, int64_t batch)
{
    hl_error err = {0};
    return need_graph(hl_acting_graph(params, &c->options, batch, &err), &err);
}

/* ------------------------------------------------------------------ the acting graph */

/* As the policy has it, which normalises outside the graph. */
static void test_same_actions_as_the_policy(void **state)
{
    (void)state;
    enum { ROWS = 3, ACTION = 3 };
    hl_error err = {0};
    hl_model_options o = small_model(HL_HYBRID);
    hl_params *params = hl_params_new(1);
    statistics_case c = with_statistics(&o);
    hl_graph *g = acting(params, &c, ROWS);
    hl_session *s = session_of(g, params);
    hl_policy_options options = {.rows = ROWS, .smoothing = 0.25f, .device = "cpu"};
    hl_policy *p = hl_trained_policy(params, &o, &c.normalization, &options, false, &err);
    assert_non_null(p);
    float action[ROWS * ACTION], *previous = hl_session_input(s, "previous");
    for (int step = 0; step < 3; step++) {
        small_model_inputs(s, step, 2);
        for (int i = 0; i < HL_MODEL_SENSES; i++)
            memcpy(hl_policy_sense(p, hl_model_sense(i)), hl_session_input(s, hl_model_sense(i)),
                   (size_t)(ROWS * hl_model_sense_size(&o, i)) * sizeof(float));
        for (int r = 0; r < ROWS; r++)
            hl_session_input(s, "smoothing")[r] = step ? 0.25f : 0;
        assert_int_equal(hl_policy_act(p, action, &err), HL_OK);
        run_session(s);
        for (int i = 0; i < ROWS * ACTION; i++)
            assert_true(fabsf(hl_session_output(s, "action")[i] - action[i]) < 1e-6f);
        memcpy(previous, action, sizeof action);
    }
    hl_policy_free(p);
    hl_session_free(s);
    hl_graph_free(g);
    hl_normalization_free(&c.normalization);
    hl_params_free(params);
}

static void assert_entry(const hl_params *params, const char *name, int rank, int64_t a, int64_t b, int64_t c)
{
    int index = hl_params_find(params, name);
    if (index < 0)
        fail_msg("there is no '%s'", name);
    hl_shape want = hl_shape_make(rank, (int64_t[]){a, b, c}), got = hl_params_at(params, index).shape;
    if (!hl_shape_equal(got, want))
        fail_msg("'%s' is %s", name, hl_shape_print(got).text);
}

static void test_statistics_are_as_few_numbers_as_say_them(void **state)
{
    (void)state;
    hl_model_options o = small_model(HL_HYBRID);
    o.senses[4] = false; /* its statistics are of no interest */
    hl_params *params = hl_params_new(1);
    statistics_case c = with_statistics(&o);
    hl_normalizer *visual = &c.normalization.sense[HL_VISUAL], *tactile = &c.normalization.sense[HL_TACTILE];
    for (int64_t i = 0; i < visual->count; i++)
        visual->offset[i] = (float)(i / (17 * 17));
    for (int64_t i = 0; i < tactile->count; i++) {
        tactile->offset[i] = 0;
        tactile->scale[i] = 1;
    }
    c.options.sense[4] = (hl_statistics){1000, NULL, NULL};
    hl_graph *g = acting(params, &c, 2);
    assert_entry(params, "normalization.visual.offset", 3, 3, 1, 1);
    assert_entry(params, "normalization.visual.scale", 1, 1, 0, 0);
    assert_entry(params, "normalization.depth.offset", 1, 1, 0, 0);
    assert_entry(params, "normalization.audio.offset", 1, 9, 0, 0);
    assert_entry(params, "normalization.action.scale", 1, 3, 0, 0);
    assert_int_equal(hl_params_find(params, "normalization.tactile.offset"), -1);
    assert_int_equal(hl_params_find(params, "normalization.tactile.scale"), -1);
    assert_int_equal(hl_params_find(params, "normalization.proprioceptive.offset"), -1);
    for (int i = 0; i < 3; i++)
        assert_true(value_of(params, "normalization.visual.offset")[i] == (float)i);
    assert_true(value_of(params, "normalization.action.scale")[2] == c.normalization.action.scale[2]);
    visual->offset[5] = 17; /* now per element, which is another model */
    hl_error err = {0};
    assert_null(hl_acting_graph(params, &c.options, 2, &err));
    assert_int_equal(err.status, HL_ERR_SHAPE);
    hl_graph_free(g);
    hl_normalization_free(&c.normalization);
    hl_params_free(params);
}

static void refuses(const statistics_case *c, hl_status status, const char *says)
{
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    assert_null(hl_acting_graph(params, &c->options, 2, &err));
    assert_int_equal(err.status, status);
    if (!strstr(err.message, says))
        fail_msg("'%s' does not say '%s'", err.message, says);
    hl_params_free(params);
}

static void test_bad_statistics(void **state)
{
    (void)state;
    hl_model_options o = small_model(HL_HYBRID);
    statistics_case c = with_statistics(&o);
    float *scale = c.normalization.sense[HL_AUDIO].scale, *offset = c.normalization.action.offset;
    scale[8] = 0;
    refuses(&c, HL_ERR_DATA, "normalization of audio: element 8 has offset");
    scale[8] = INFINITY;
    refuses(&c, HL_ERR_DATA, "both must be finite");
    scale[8] = 1;
    offset[0] = NAN;
    refuses(&c, HL_ERR_DATA, "normalization of action: element 0 has offset nan");
    offset[0] = 0;
    c.options.sense[HL_TACTILE].count = 6;
    refuses(&c, HL_ERR_SHAPE, "normalization of tactile: 6 elements, the model has 7");
    c.options.sense[HL_TACTILE].count = 0;
    c.options.model.tokens = 5;
    refuses(&c, HL_ERR_SHAPE, "model.tokens");
    hl_normalization_free(&c.normalization);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    hl_model_options o = small_model(HL_HYBRID);
    o.history = 2;
    statistics_case c = with_statistics(&o);
    hl_graph *g = NULL;
    uint64_t n = 1;
    for (; !g; n++) {
        hl_error err = {0};
        hl_params *params = hl_params_new(1);
        hl_alloc_fail_at(n);
        g = hl_acting_graph(params, &c.options, 2, &err);
        hl_alloc_fail_at(0);
        if (!g && !strstr(err.message, "memory"))
            fail_msg("allocation %llu: %s", (unsigned long long)n, err.message);
        hl_params_free(params);
    }
    assert_true(n > 100);
    hl_graph_free(g);
    hl_normalization_free(&c.normalization);
}

/* ------------------------------------------------------------------ folded */

/* Of entry `name` with n elements, how many there are after folding; what is folded into others counts there.
 */
static int64_t elements_after(const char *name, int64_t n, const hl_model_options *o)
{
    if (strstr(name, "historical_lstm"))
        return o->history && !strstr(name, "bias_hh") ? n : 0; /* two biases are one */
    if (strstr(name, "logvar_layer") || strstr(name, "self_attn.in_proj"))
        return 0; /* value and output have the size of the output alone */
    if (strstr(name, "latent_codes"))
        return o->tokens > 1 ? n : 0; /* as queries, of the same size */
    if (strstr(name, "cross_attention.in_proj"))
        return o->tokens > 1 ? n / 3 * 2 : 0; /* keys and values; the value of one token joins input_proj */
    if (strstr(name, "normalization."))
        return strstr(name, "visual.offset") || strstr(name, "depth.offset") ? n : 0; /* these pad */
    return n;
}

static int64_t expected_elements(const hl_params *from, const hl_model_options *o)
{
    int64_t count = 0;
    for (int i = 0; i < hl_params_count(from); i++) {
        hl_param_info p = hl_params_at(from, i);
        count += elements_after(p.name, p.count, o);
    }
    return count;
}

static void check_model(const hl_model_options *o)
{
    hl_params *from = hl_params_new(1), *to = hl_params_new(1);
    statistics_case c = with_statistics(o);
    hl_graph *first = NULL;
    for (int i = 0; i < 3; i++) {
        hl_error err = {0};
        hl_graph *g = acting(from, &c, (const int64_t[]){1, 3, 17}[i]);
        hl_graph *f = need_graph(hl_fold(g, from, to, NULL, &err), &err);
        assert_int_equal(elements_of(to), expected_elements(from, o));
        double worst = worst_difference(g, from, f, to);
        if (!(worst < 1e-5))
            fail_msg("compressor %d, history %lld, tokens %lld, batch %d: %g", (int)o->compressor,
                     (long long)o->history, (long long)o->tokens, i, worst);
        if (first)
            assert_same_structure(first, f);
        hl_graph_free(g);
        hl_graph_free(first ? f : NULL);
        first = first ? first : f;
    }
    assert_true(hl_params_find(to, "h_module.context_refiner.layers.1.self_attn.value_out_proj.weight") >= 0);
    assert_true(hl_params_find(to, "h_module.context_refiner.layers.1.linear2.weight") >= 0);
    assert_true(hl_params_find(to, "l_module.action_net.7.folded.bias") >= 0);
    hl_graph_free(first);
    hl_normalization_free(&c.normalization);
    hl_params_free(from);
    hl_params_free(to);
}

static void test_models(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        hl_model_options o = small_model((hl_compressor)(i / 4 % 4));
        o.history = i % 2 ? 2 : 0;
        o.tokens = i & 2 ? 1 : 4;
        o.hierarchy_aspects = i >= 16;
        check_model(&o);
    }
}

/* Senses that are not read are zeros; the decoder is there when it is asked for. */
static void test_senses_and_decoder(void **state)
{
    (void)state;
    for (int decoder = 0; decoder < 2; decoder++) {
        hl_error err = {0};
        hl_model_options o = small_model(HL_HYBRID);
        o.senses[HL_VISUAL] = o.senses[HL_AUDIO] = false;
        hl_params *from = hl_params_new(1), *to = hl_params_new(1);
        statistics_case c = with_statistics(&o);
        c.options.decoder = decoder;
        hl_graph *g = acting(from, &c, 3), *f = need_graph(hl_fold(g, from, to, NULL, &err), &err);
        assert_int_equal(f->n_outputs, 2 + decoder);
        assert_int_equal(hl_params_find(to, "compressor.decoder.6.weight") >= 0, decoder);
        assert_int_equal(elements_of(to), expected_elements(from, &o));
        assert_true(worst_difference(g, from, f, to) < 1e-5);
        hl_graph_free(g);
        hl_graph_free(f);
        hl_normalization_free(&c.normalization);
        hl_params_free(from);
        hl_params_free(to);
    }
}

/* What is quantized: products alone, in graphs that are folded already. Folding again finds nothing to do. */
static void test_folded_twice(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_model_options o = small_model(HL_HYBRID);
    hl_params *from = hl_params_new(1), *to = hl_params_new(1), *last = hl_params_new(1);
    statistics_case c = with_statistics(&o);
    const hl_fold_options pooled = {.pool_before_convolution = true};
    hl_graph *g = acting(from, &c, 3), *f = need_graph(hl_fold(g, from, to, &pooled, &err), &err);
    hl_graph *again = need_graph(hl_fold(f, to, last, &pooled, &err), &err);
    assert_same_structure(f, again);
    assert_int_equal(hl_params_count(to), hl_params_count(last));
    assert_true(worst_difference(g, from, again, last) < 1e-5);
    hl_graph_free(g);
    hl_graph_free(f);
    hl_graph_free(again);
    hl_normalization_free(&c.normalization);
    hl_params_free(from);
    hl_params_free(to);
    hl_params_free(last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_actions_as_the_policy),
        cmocka_unit_test(test_statistics_are_as_few_numbers_as_say_them),
        cmocka_unit_test(test_bad_statistics),
        cmocka_unit_test(test_allocation_failures),
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_senses_and_decoder),
        cmocka_unit_test(test_folded_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
