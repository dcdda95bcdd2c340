/* Frozen sessions of one store: what their kernels pack is there once. */
#include "base/memory.h"
#include "tests/frozen_session.h"

static size_t live_packed(void)
{
    return hl_allocated_now().live[HL_USE_PACKED];
}

static void assert_acts(hl_session *s, const float want[MOST])
{
    float got[MOST] = {0};
    assert_true(act(s, got));
    assert_memory_equal(got, want, sizeof got);
}

/* ------------------------------------------------------------------ one after the other */

static void the_plan_says_what_is_packed(void **state)
{
    (void)state;
    mapped_store m = mapped_small_model(HL_F32);
    const size_t before = live_packed();
    hl_session *s = need_frozen(m.params, 1);
    assert_int_equal(live_packed() - before, hl_session_memory(s).by_kind[HL_MEM_PACKED]);
    hl_session_free(s);
    assert_int_equal(live_packed(), before);
    free_mapped(&m);
}

static void sessions_share_and_the_last_one_frees(void **state)
{
    (void)state;
    float want[MOST], large[MOST];
    act_alone(1, want);
    act_alone(LARGE, large);
    for (int last = 0; last < 3; last++) { /* whoever goes last */
        mapped_store m = mapped_small_model(HL_F32);
        const size_t before = live_packed();
        hl_session *s[3] = {need_frozen(m.params, 1)};
        const size_t one = live_packed() - before;
        s[1] = need_frozen(m.params, 1);
        assert_int_equal(live_packed() - before, one);
        s[2] = need_frozen(m.params, LARGE);
        assert_true(live_packed() - before <= one + hl_session_memory(s[2]).by_kind[HL_MEM_PACKED]);
        for (int i = 0; i < 3; i++)
            assert_acts(s[i], i < 2 ? want : large);
        for (int i = 0; i < 3; i++)
            if (i != last)
                hl_session_free(s[i]);
        assert_int_equal(live_packed() - before, hl_session_memory(s[last]).by_kind[HL_MEM_PACKED]);
        assert_acts(s[last], last < 2 ? want : large);
        hl_session_free(s[last]);
        assert_int_equal(live_packed(), before);
        s[0] = need_frozen(m.params, 1); /* packs again: mapped values are there */
        assert_acts(s[0], want);
        hl_session_free(s[0]);
        free_mapped(&m);
    }
}

/* One convolution whose weights are packed, or two that share them. */
static hl_graph *convolutions(hl_params *params, int n)
{
    hl_graph *g = hl_graph_new();
    hl_tensor x = hl_input(g, "x", HL_F32, 4, (int64_t[]){1, 16, 8, 8});
    hl_tensor w = hl_param(g, params, "w", 4, (int64_t[]){16, 16, 3, 3}, (hl_init_rule){.kind = HL_FAN_IN});
    for (int i = 0; i < n; i++)
        x = hl_conv2d(g, x, w, (hl_tensor){0}, 1, 1);
    hl_output(g, "y", x);
    return g;
}

static hl_session *open_convolutions(hl_params *params, int n, bool frozen, hl_error *err)
{
    hl_graph *g = convolutions(params, n);
    hl_session *s = hl_session_open(g, params, &(hl_session_options){.frozen = frozen}, err);
    hl_graph_free(g);
    return s;
}

static float run_convolutions(hl_session *s)
{
    hl_error err = {0};
    for (int i = 0; i < 16 * 64; i++)
        hl_session_input(s, "x")[i] = (float)(i % 13) - 6;
    assert_int_equal(hl_session_run(s, &err), HL_OK);
    return hl_session_output(s, "y")[777];
}

/* Where kernels of this machine pack nothing, nothing can be shared. */
static void skip_unless_packed(const hl_session *s)
{
    if (!hl_session_memory(s).by_kind[HL_MEM_PACKED])
        skip();
}

static void calls_of_one_session_share(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    const size_t before = live_packed();
    hl_session *one = open_convolutions(params, 1, true, &err);
    skip_unless_packed(one);
    const size_t bytes = live_packed() - before;
    hl_session *two = open_convolutions(params, 2, true, &err); /* finds them packed: values are gone */
    assert_non_null(two);
    assert_null(hl_params_at(params, 0).data);
    assert_int_equal(live_packed() - before, bytes);
    assert_int_equal(hl_session_memory(two).by_kind[HL_MEM_PACKED], bytes);
    hl_session_free(one);
    run_convolutions(two);
    hl_session_free(two);
    assert_int_equal(live_packed(), before);
    hl_params_free(params);
}

/* Layouts differ where a kernel says so by its key, whatever else is the same. */
static void every_part_of_a_packing_counts(void **state)
{
    (void)state;
    static const char one[] = "8i8o", same[] = "8i8o", other[] = "16i16o";
    const hl_kernel kernels[2] = {{.op = "conv2d"}, {.op = "conv2d"}};
    const hl_packing p = {.shape = hl_shape_make(2, (int64_t[]){3, 4}),
                          .kernel = &kernels[0],
                          .bytes = 48,
                          .key = one,
                          .key_bytes = 4};
    hl_packing q[10];
    for (int i = 0; i < 10; i++)
        q[i] = p;
    q[0].key = same;
    assert_true(hl_packing_equal(&p, &q[0]));
    q[1].key = other;
    q[2].key_bytes = 3;
    q[3].param = 1;
    q[4].dtype = HL_BF16;
    q[5].on_device = true;
    q[6].offset = 4;
    q[7].shape.dim[1] = 5;
    q[8].kernel = &kernels[1];
    q[9].bytes = 64;
    for (int i = 1; i < 10; i++)
        assert_false(hl_packing_equal(&p, &q[i]));
    q[1].key_bytes = q[2].key_bytes = 0; /* no key */
    q[2].key = NULL;
    assert_true(hl_packing_equal(&q[1], &q[2]));
}

/* Values of the store's own are let go when they are packed; who needs them as they lie is told so. */
static void what_was_let_go_is_told(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    hl_session *frozen = open_convolutions(params, 1, true, &err);
    skip_unless_packed(frozen);
    const float want = run_convolutions(frozen);
    assert_null(open_convolutions(params, 1, false, &err));
    assert_int_equal(err.status, HL_ERR_USAGE);
    assert_non_null(strstr(err.message, "'w' was let go by a frozen session"));
    hl_session *second = open_convolutions(params, 1, true, &err);
    assert_non_null(second);
    assert_true(run_convolutions(second) == want);
    hl_session_free(frozen);
    hl_session_free(second);
    assert_null(open_convolutions(params, 1, true, &err)); /* nobody has them any more */
    assert_int_equal(err.status, HL_ERR_USAGE);
    hl_params_free(params);
}

/* A session that is opened after the values have changed does not get those that were packed before. */
static void new_values_are_packed_anew(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    hl_session *old = open_convolutions(params, 1, true, &err);
    skip_unless_packed(old);
    const float before = run_convolutions(old);
    const size_t one = live_packed();
    assert_int_equal(hl_params_allocate(params, 0, &err), HL_OK);
    for (int i = 0; i < 16 * 16 * 9; i++)
        hl_params_at(params, 0).data[i] = 0.5f;
    hl_params_touch(params, 0);
    hl_session *now = open_convolutions(params, 1, true, &err);
    assert_non_null(now);
    assert_true(run_convolutions(now) != before);
    assert_true(run_convolutions(old) == before);
    assert_int_equal(live_packed() - one, hl_session_memory(now).by_kind[HL_MEM_PACKED]);
    hl_session_free(old);
    assert_true(run_convolutions(now) != before);
    hl_session_free(now);
    hl_params_free(params);
}

/* A second session in 16 bits finds the copies, whose f32 values the first has let go. */
static void sessions_in_16_bits_share_copies(void **state)
{
    (void)state;
    hl_error err = {0};
    float action[2][MOST] = {0};
    hl_params *params = hl_params_new(5);
    hl_session *s[2];
    for (int i = 0; i < 2; i++) {
        hl_graph *g = acting_graph(params, 1);
        s[i] = hl_session_open(g, params,
                               &(hl_session_options){.frozen = true, .precision = HL_PRECISION_BF16}, &err);
        hl_graph_free(g);
        if (!s[i])
            fail_msg("%s", err.message);
        assert_true(act(s[i], action[i]));
    }
    assert_memory_equal(action[0], action[1], sizeof action[0]);
    hl_session_free(s[0]);
    hl_session_free(s[1]);
    hl_params_free(params);
}

/* ------------------------------------------------------------------ no memory */

static void a_session_that_fails_leaves_the_others_theirs(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    hl_session *first = open_convolutions(params, 1, true, &err);
    const float want = run_convolutions(first);
    const hl_allocated before = hl_allocated_now();
    int failed = 0;
    for (uint64_t n = 1;; n++) {
        hl_graph *g = convolutions(params, 1);
        hl_alloc_fail_at(n);
        hl_session *s = hl_session_open(g, params, &(hl_session_options){.frozen = true}, &err);
        hl_alloc_fail_at(0);
        hl_graph_free(g);
        const bool done = s != NULL;
        failed += !s;
        hl_session_free(s);
        assert_true(hl_allocated_now().blocks == before.blocks);
        assert_true(run_convolutions(first) == want);
        if (done)
            break;
    }
    assert_true(failed > 20);
    hl_session_free(first);
    hl_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_plan_says_what_is_packed),
        cmocka_unit_test(sessions_share_and_the_last_one_frees),
        cmocka_unit_test(calls_of_one_session_share),
        cmocka_unit_test(every_part_of_a_packing_counts),
        cmocka_unit_test(what_was_let_go_is_told),
        cmocka_unit_test(new_values_are_packed_anew),
        cmocka_unit_test(sessions_in_16_bits_share_copies),
        cmocka_unit_test(a_session_that_fails_leaves_the_others_theirs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
