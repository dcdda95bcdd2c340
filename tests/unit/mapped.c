/* Parameters whose values lie in a mapped file: read where they are, never written, never let go. */
#include "base/memory.h"
#include "io/checkpoint.h"
#include "tests/mapped_store.h"
#include "tests/newest_values.h"
#include "tests/small_session.h"
#include "tests/temporary.h"

#include <stdlib.h>

enum { BATCH = 3, ACTIONS = 3 };

#define SHAPE(...) hl_shape_make(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[]){__VA_ARGS__})

static hl_session *open_acting(hl_params *params, bool frozen, hl_precision precision)
{
    return small_session(acting_graph(params, BATCH), params,
                         &(hl_session_options){.frozen = frozen, .precision = precision});
}

static void run_acting(hl_session *s, float *action)
{
    hl_error err = {0};
    small_model_inputs(s, 0, 1);
    if (hl_session_run(s, &err) != HL_OK)
        fail_msg("%s", err.message);
    memcpy(action, hl_session_output(s, "action"), BATCH * ACTIONS * sizeof *action);
}

static void act(hl_params *params, bool frozen, hl_precision precision, float *action)
{
    hl_session *s = open_acting(params, frozen, precision);
    run_acting(s, action);
    hl_session_free(s);
}

/* ------------------------------------------------------------------ reading */

/* Whatever dtype they are mapped in and read in, numbers are those of a store that has the same values in
 * memory of its own. */
static void numbers_are_those_of_a_plain_store(void **state)
{
    (void)state;
    const hl_precision precisions[] = {HL_PRECISION_FP32, HL_PRECISION_BF16, HL_PRECISION_FP16};
    for (int mapped = HL_F32; mapped < HL_FLOATS; mapped++)
        for (int k = 0; k < 3; k++)
            for (int frozen = 0; frozen < 2; frozen++) {
                float got[BATCH * ACTIONS], want[BATCH * ACTIONS];
                mapped_store m = mapped_small_model((hl_dtype)mapped);
                hl_params *plain = plain_store((hl_dtype)mapped);
                act(plain, frozen, precisions[k], want);
                act(m.params, frozen, precisions[k], got);
                assert_memory_equal(got, want, sizeof got);
                act(m.params, !frozen, precisions[k], got); /* nothing has been let go */
                act(m.params, frozen, precisions[(k + 1) % 3], got);
                hl_params_free(plain);
                free_mapped(&m);
            }
}

static size_t entry_bytes(const hl_params *params, hl_dtype dtype)
{
    size_t sum = 0;
    for (int i = 0; i < hl_params_count(params); i++)
        sum += (size_t)hl_params_at(params, i).count * hl_dtype_size(dtype);
    return sum;
}

static size_t live_of_the_store(void)
{
    const hl_allocated now = hl_allocated_now();
    return now.live[HL_USE_PARAMETERS] + now.live[HL_USE_COPIES];
}

static void f32_is_read_where_it_lies(void **state)
{
    (void)state;
    float action[BATCH * ACTIONS];
    mapped_store m = mapped_small_model(HL_F32);
    const size_t before = live_of_the_store();
    hl_session *s = open_acting(m.params, false, HL_PRECISION_FP32);
    run_acting(s, action);
    assert_int_equal(live_of_the_store(), before);
    const hl_memory plan = hl_session_memory(s);
    assert_int_equal(plan.by_kind[HL_MEM_PARAMETERS], 0);
    assert_true(plan.by_kind[HL_MEM_MAPPED] > 0);
    assert_true(plan.by_kind[HL_MEM_MAPPED] <= entry_bytes(m.params, HL_F32));
    assert_int_equal(plan.total, plan.arena + plan.by_kind[HL_MEM_PACKED]);
    for (int i = 0; i < hl_params_count(m.params); i++) {
        const unsigned char *data = (const unsigned char *)hl_params_at(m.params, i).data;
        assert_true(data > m.memory && data < m.memory + m.bytes);
    }
    hl_session_free(s);
    free_mapped(&m);
}

/* What products read is there in 16 bits: f32 values are made of the rest alone. */
static void f32_of_what_16_bits_read_is_never_made(void **state)
{
    (void)state;
    for (int dtype = HL_F16; dtype <= HL_BF16; dtype++)
        for (int frozen = 0; frozen < 2; frozen++) {
            float action[BATCH * ACTIONS];
            mapped_store m = mapped_small_model((hl_dtype)dtype);
            hl_allocated_new_peaks();
            const size_t before = live_of_the_store();
            hl_session *s = open_acting(m.params, frozen,
                                        dtype == HL_BF16 ? HL_PRECISION_BF16 : HL_PRECISION_FP16);
            run_acting(s, action);
            const hl_memory plan = hl_session_memory(s);
            const hl_allocated now = hl_allocated_now();
            assert_int_equal(plan.by_kind[HL_MEM_COPIES], 0);
            assert_true(plan.by_kind[HL_MEM_MAPPED] > 4 * plan.by_kind[HL_MEM_PARAMETERS]);
            assert_int_equal(live_of_the_store() - before, plan.by_kind[HL_MEM_PARAMETERS]);
            assert_int_equal(now.peak[HL_USE_PARAMETERS] + now.peak[HL_USE_COPIES] - before,
                             plan.by_kind[HL_MEM_PARAMETERS]); /* not for a while, either */
            int wide = 0;
            for (int i = 0; i < hl_params_count(m.params); i++)
                wide += hl_params_at(m.params, i).shape.rank >= 2 && hl_params_at(m.params, i).data;
            assert_int_equal(wide, 0);
            hl_session_free(s);
            free_mapped(&m);
        }
}

static void f32_is_made_when_somebody_asks(void **state)
{
    (void)state;
    hl_error err = {0};
    mapped_store m = mapped_small_model(HL_BF16);
    hl_params *want = plain_store(HL_BF16);
    for (int i = 0; i < hl_params_count(m.params); i++) {
        assert_null(hl_params_at(m.params, i).data);
        assert_int_equal(hl_params_mapped(m.params, i), HL_BF16);
    }
    assert_int_equal(hl_params_materialize(m.params, &err), HL_OK);
    for (int i = 0; i < hl_params_count(m.params); i++) {
        const hl_param_info got = hl_params_at(m.params, i), expected = hl_params_at(want, i);
        assert_int_equal(got.dtype, HL_F32);
        assert_memory_equal(got.data, expected.data, (size_t)got.count * sizeof(float));
        hl_params_release_data(m.params, i, HL_F32);
        hl_params_release_data(m.params, i, HL_BF16);
        assert_null(hl_params_at(m.params, i).data);
    }
    assert_int_equal(hl_params_materialize(m.params, &err), HL_OK); /* again */
    assert_memory_equal(hl_params_at(m.params, 0).data, hl_params_at(want, 0).data, sizeof(float));
    hl_params_free(want);
    free_mapped(&m);
}

static void snapshots_and_checkpoints_have_the_values(void **state)
{
    (void)state;
    for (int dtype = HL_F32; dtype < HL_FLOATS; dtype++) {
        hl_error err = {0};
        mapped_store m = mapped_small_model((hl_dtype)dtype);
        hl_params *want = plain_store((hl_dtype)dtype), *back = plain_store(HL_F32);
        hl_snapshot *snapshot = hl_snapshot_take(m.params, &err);
        assert_non_null(snapshot);
        for (int i = 0; i < hl_snapshot_count(snapshot); i++) {
            const hl_param_info p = hl_snapshot_at(snapshot, i);
            assert_memory_equal(p.data, hl_params_at(want, i).data, (size_t)p.count * sizeof(float));
        }
        hl_snapshot_free(snapshot);
        const char *path = temporary_path("mapped.h5");
        assert_int_equal(
            hl_checkpoint_write(path, m.params, &(hl_checkpoint_meta){.step = 1}, HL_CHECKPOINT_ALL, &err),
            HL_OK);
        assert_int_equal(hl_checkpoint_read(path, back, HL_CHECKPOINT_ALL, &err), HL_OK);
        assert_memory_equal(hl_params_at(back, 1).data, hl_params_at(want, 1).data,
                            (size_t)hl_params_at(back, 1).count * sizeof(float));
        assert_int_equal(hl_checkpoint_read(path, m.params, HL_CHECKPOINT_ALL, &err), HL_ERR_USAGE);
        assert_non_null(strstr(err.message, "is only read"));
        hl_params_free(back);
        hl_params_free(want);
        free_mapped(&m);
    }
}

/* ------------------------------------------------------------------ integers */

static void i8_lies_where_it_is_mapped(void **state)
{
    (void)state;
    static const int8_t values[3 * 17 + 1] = {0, -127, 5, 127};
    hl_error err = {0};
    int index;
    void *got = NULL;
    hl_params *params = hl_params_new(1);
    assert_int_equal(hl_params_map(params, "q", HL_I8, SHAPE(3, 17), values + 1, &index, &err), HL_OK);
    hl_graph *g = hl_graph_new();
    hl_tensor leaf = hl_param_leaf(g, params, "q", HL_I8, SHAPE(3, 17));
    assert_true(leaf.id && hl_dtype_of(g, leaf) == HL_I8);
    assert_int_equal(hl_param_leaf(g, params, "q", HL_I8, SHAPE(3, 17)).id, leaf.id);
    assert_int_equal(hl_param_leaf(g, params, "q", HL_F32, SHAPE(3, 17)).id, 0);
    assert_non_null(strstr(hl_graph_error(g), "is declared as f32, but the store has it as i8"));
    hl_graph_free(g);
    const hl_param_info p = hl_params_at(params, index);
    assert_true(p.dtype == HL_I8 && !p.data && p.bytes == values + 1 && p.count == 51);
    assert_int_equal(hl_params_materialize(params, &err), HL_OK);
    assert_int_equal(newest_values(params, index, HL_I8, &got, &err), HL_OK);
    assert_ptr_equal(got, values + 1);
    hl_snapshot *snapshot = hl_snapshot_take(params, &err);
    assert_ptr_equal(hl_snapshot_at(snapshot, 0).bytes, values + 1);
    hl_snapshot_free(snapshot);
    hl_params_free(params);
}

static void i8_may_be_memory_of_the_store(void **state)
{
    (void)state;
    hl_error err = {0};
    int index;
    hl_params *params = hl_params_new(1);
    const size_t before = hl_allocated_now().live[HL_USE_PARAMETERS];
    assert_int_equal(hl_params_declare(params, "q", HL_PARAMETER, HL_I8, SHAPE(3, 17),
                                       (hl_init_rule){.kind = HL_FILLED, .value = -3}, &index, &err),
                     HL_OK);
    hl_graph *g = hl_graph_new();
    assert_true(hl_param_leaf(g, params, "zeros", HL_I8, SHAPE(5)).id);
    hl_graph_free(g);
    assert_int_equal(hl_params_materialize(params, &err), HL_OK);
    assert_int_equal(hl_allocated_now().live[HL_USE_PARAMETERS] - before, 51 + 5);
    const hl_param_info p = hl_params_at(params, index);
    assert_int_equal(hl_params_mapped(params, index), HL_DTYPES);
    assert_null(p.data);
    for (int i = 0; i < 51; i++)
        assert_int_equal(((const int8_t *)p.bytes)[i], -3);
    assert_int_equal(*(const int8_t *)hl_params_at(params, 1).bytes, 0);
    ((int8_t *)p.bytes)[50] = 127;
    hl_params_touch(params, index);
    hl_snapshot *snapshot = hl_snapshot_take(params, &err);
    assert_int_equal(hl_params_allocate(params, index, &err), HL_OK); /* elsewhere: those are held */
    ((int8_t *)hl_params_at(params, index).bytes)[50] = 1;
    assert_int_equal(((const int8_t *)hl_snapshot_at(snapshot, index).bytes)[50], 127);
    assert_null(hl_snapshot_at(snapshot, index).data);
    hl_snapshot_free(snapshot);
    const char *path = temporary_path("integers.h5");
    assert_int_equal(hl_checkpoint_write(path, params, &(hl_checkpoint_meta){0}, HL_CHECKPOINT_ALL, &err),
                     HL_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "'q' is i8"));
    hl_params_free(params);
}

static void a_checkpoint_of_floats_is_not_read_into_integers(void **state)
{
    (void)state;
    hl_error err = {0};
    int index;
    hl_params *floats = hl_params_new(1), *integers = hl_params_new(1);
    const hl_init_rule zeros = {.kind = HL_FILLED};
    assert_int_equal(hl_params_declare(floats, "q", HL_PARAMETER, HL_F32, SHAPE(4), zeros, &index, &err),
                     HL_OK);
    assert_int_equal(hl_params_declare(integers, "q", HL_PARAMETER, HL_I8, SHAPE(4), zeros, &index, &err),
                     HL_OK);
    assert_int_equal(hl_params_materialize(floats, &err), HL_OK);
    const char *path = temporary_path("floats.h5");
    assert_int_equal(hl_checkpoint_write(path, floats, &(hl_checkpoint_meta){0}, HL_CHECKPOINT_ALL, &err),
                     HL_OK);
    assert_int_equal(hl_checkpoint_read(path, integers, HL_CHECKPOINT_ALL, &err), HL_ERR_DATA);
    assert_non_null(strstr(err.message, "q: found f32, expected i8"));
    hl_params_free(floats);
    hl_params_free(integers);
}

/* ------------------------------------------------------------------ what is refused */

static void training_is_refused(void **state)
{
    (void)state;
    for (int dtype = HL_F32; dtype < HL_FLOATS; dtype++) {
        hl_error err = {0};
        mapped_store m = mapped_small_model((hl_dtype)dtype);
        hl_graph *g = acting_graph(m.params, BATCH);
        hl_tensor weights[200];
        const int n = hl_graph_params(g, weights, NULL, 200);
        assert_true(n > 10 && n <= 200);
        hl_adamw(g, m.params, hl_sum_all(g, weights[0]), (hl_adamw_options){.clip = 1});
        assert_null(hl_session_new(g, m.params, NULL, &err));
        assert_int_equal(err.status, HL_ERR_USAGE);
        assert_non_null(strstr(err.message, "lies in a mapped file and is only read"));
        hl_graph_free(g);
        float action[BATCH * ACTIONS];
        act(m.params, true, HL_PRECISION_FP32, action); /* the store is as it was */
        free_mapped(&m);
    }
}

static void refuse(hl_params *params, const char *name, hl_dtype dtype, hl_shape shape, const void *values,
                   hl_status status, const char *why)
{
    hl_error err = {0};
    int index = -7;
    const int before = hl_params_count(params);
    assert_int_equal(hl_params_map(params, name, dtype, shape, values, &index, &err), status);
    if (!strstr(err.message, why))
        fail_msg("'%s' does not say '%s'", err.message, why);
    assert_true(hl_params_count(params) == before && index == -7);
}

static void bad_mappings_are_refused(void **state)
{
    (void)state;
    static const float values[64];
    const char *at = (const char *)values;
    hl_error err = {0};
    int index;
    hl_params *params = hl_params_new(1);
    for (int k = 1; k < 4; k++)
        refuse(params, "w", HL_F32, SHAPE(3), at + k, HL_ERR_USAGE,
               "its f32 values begin at an address that is no multiple of 4");
    refuse(params, "w", HL_BF16, SHAPE(3), at + 1, HL_ERR_USAGE, "its bf16 values begin");
    refuse(params, "w", HL_F16, SHAPE(3), at + 3, HL_ERR_USAGE, "no multiple of 2");
    refuse(params, "w", HL_F32, SHAPE(3, -1), at, HL_ERR_SHAPE, "a negative dimension");
    refuse(params, "w", HL_I8, SHAPE(INT64_MAX, 3), at, HL_ERR_SHAPE, "too large");
    refuse(params, "a/b", HL_F32, SHAPE(3), at, HL_ERR_USAGE, "'a/b'");
    refuse(params, "", HL_F32, SHAPE(3), at, HL_ERR_USAGE, "1 to 255 bytes");
    assert_int_equal(hl_params_map(params, "w", HL_BF16, SHAPE(3), at + 2, &index, &err), HL_OK);
    refuse(params, "w", HL_BF16, SHAPE(3), at, HL_ERR_USAGE, "has one of that name already");
    assert_int_equal(hl_params_map(params, "empty", HL_F32, SHAPE(0, 4), at, &index, &err), HL_OK);
    assert_int_equal(hl_params_map(params, "number", HL_F32, (hl_shape){0}, at, &index, &err), HL_OK);
    assert_int_equal(hl_params_materialize(params, &err), HL_OK);
    assert_int_equal(hl_params_allocate(params, index, &err), HL_ERR_USAGE);
    assert_non_null(strstr(err.message, "'number' lies in a mapped file and is only read"));
    hl_params_free(params);
}

/* ------------------------------------------------------------------ no memory */

static void every_allocation_may_fail(void **state)
{
    (void)state;
    const hl_allocated before = hl_allocated_now();
    const uint64_t to_bind = 400; /* the last ones, each of which is tried */
    uint64_t total = 0;
    int failed = 0;
    for (uint64_t n = 0; n <= total; n += n + to_bind < total ? 1 + n / 20 : 1) {
        hl_error err = {0};
        mapped_store m = mapped_small_model(HL_BF16);
        hl_graph *g = acting_graph(m.params, 1);
        const uint64_t built = hl_alloc_count();
        hl_alloc_fail_at(n);
        hl_session *s = hl_session_open(g, m.params, &(hl_session_options){.frozen = true}, &err);
        hl_alloc_fail_at(0);
        total = n ? total : hl_alloc_count() - built;
        assert_true(s || (err.status != HL_OK && err.message[0]));
        failed += !s;
        hl_session_free(s);
        s = hl_session_open(g, m.params, &(hl_session_options){.frozen = true}, &err); /* nothing is lost */
        assert_non_null(s);
        hl_session_free(s);
        hl_graph_free(g);
        free_mapped(&m);
    }
    assert_true(failed > (int)to_bind / 2);
    assert_int_equal(hl_allocated_now().blocks, before.blocks);
}

static void mapping_may_find_no_memory(void **state)
{
    (void)state;
    static const float values[2];
    int failures = 0;
    for (uint64_t n = 1;; n++, failures++) {
        hl_error err = {0};
        int index;
        hl_params *params = hl_params_new(1);
        hl_alloc_fail_at(n);
        hl_status status = hl_params_map(params, "w", HL_F32, SHAPE(2), values, &index, &err);
        hl_alloc_fail_at(0);
        assert_int_equal(hl_params_count(params), status == HL_OK);
        assert_int_equal(hl_params_find(params, "w"), status == HL_OK ? 0 : -1);
        hl_params_free(params);
        if (status == HL_OK)
            break;
        assert_int_equal(status, HL_ERR_MEMORY);
    }
    assert_int_equal(failures, 3); /* slots, the list, the entry */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_those_of_a_plain_store),
        cmocka_unit_test(f32_is_read_where_it_lies),
        cmocka_unit_test(f32_of_what_16_bits_read_is_never_made),
        cmocka_unit_test(f32_is_made_when_somebody_asks),
        cmocka_unit_test(snapshots_and_checkpoints_have_the_values),
        cmocka_unit_test(i8_lies_where_it_is_mapped),
        cmocka_unit_test(i8_may_be_memory_of_the_store),
        cmocka_unit_test(a_checkpoint_of_floats_is_not_read_into_integers),
        cmocka_unit_test(training_is_refused),
        cmocka_unit_test(bad_mappings_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(mapping_may_find_no_memory),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_drop);
}
