/* Exported models: files written, opened, run at any batch, and refused. */
#include "tests/program_graphs.h"

#include "app/policy.h"
#include "base/error.h"
#include "base/file.h"
#include "base/half.h"
#include "export/write.h"
#include "run/params.h"
#include "tests/small_model.h"
#include "tests/temporary.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

static const hl_precision precisions[] = {HL_PRECISION_FP32, HL_PRECISION_BF16, HL_PRECISION_FP16};

static hl_graph *acting(hl_params *params, int64_t batch, const void *context)
{
    return hl_policy_graph(params, context, batch, true);
}

static hl_status write_model(const char *path, graph_builder *build, hl_params *params, const void *context,
                             hl_precision precision, hl_error *err)
{
    const hl_safetensors_text about[] = {{"config", "model: {}\n"}, {"exported_from", "epoch 3"}};
    hl_graph *two = build(params, 2, context), *three = build(params, 3, context);
    hl_status status = hl_model_write(path, two, three, params, precision, 2, about, err);
    hl_graph_free(two);
    hl_graph_free(three);
    return status;
}

/* A file of the small model; its store. */
static hl_params *small_file(const char *path, hl_compressor kind, int64_t history, hl_precision precision)
{
    hl_error err = {0};
    hl_model_options o = small_model(kind);
    o.history = history;
    hl_params *params = hl_params_new(5);
    if (write_model(path, acting, params, &o, precision, &err) != HL_OK)
        fail_msg("%s", err.message);
    return params;
}

static hl_model *open_model(const char *path)
{
    hl_error err = {0};
    hl_model *m = hl_model_open(path, &err);
    if (!m)
        fail_msg("%s", err.message);
    return m;
}

static hl_session *session_of(hl_model *m, int64_t batch, const hl_session_options *o)
{
    hl_error err = {0};
    hl_plan *plan = hl_model_plan(m, batch, o, &err);
    hl_session *s = plan ? hl_model_session(m, batch, o, &err) : NULL;
    if (!s)
        fail_msg("%s", err.message);
    const hl_memory planned = hl_plan_memory(plan), is = hl_session_memory(s);
    assert_int_equal(planned.total, is.total);
    assert_memory_equal(planned.by_kind, is.by_kind, sizeof is.by_kind);
    hl_plan_free(plan);
    return s;
}

static void run(hl_session *s)
{
    hl_error err = {0};
    small_model_inputs(s, 1, 1);
    if (hl_session_run(s, &err) != HL_OK)
        fail_msg("%s", err.message);
}

/* ------------------------------------------------------------------ what is right */

static void assert_same_output(const hl_session *a, const hl_session *b, const char *name)
{
    hl_shape shape = hl_session_shape(a, name);
    assert_true(shape.rank > 0 && hl_shape_equal(shape, hl_session_shape(b, name)));
    assert_memory_equal(hl_session_output(a, name), hl_session_output(b, name),
                        (size_t)hl_shape_count(shape) * sizeof(float));
}

/* A file computes what a session of its precision over the store it was written from does, bit by bit. */
static void a_file_is_the_model(void **state)
{
    (void)state;
    static const int64_t batches[] = {1, 3, 17};
    for (int kind = 0; kind < 4; kind++)
        for (int p = 0; p < 3; p++) {
            const char *path = temporary_path("same.safetensors");
            hl_model_options o = small_model((hl_compressor)kind);
            o.history = 3;
            hl_params *params = small_file(path, o.compressor, o.history, precisions[p]);
            hl_model *m = open_model(path);
            for (int i = 0; i < 3; i++) {
                hl_error err = {0};
                hl_graph *g = acting(params, batches[i], &o);
                hl_session *direct = hl_session_open(g, params,
                                                     &(hl_session_options){.precision = precisions[p]}, &err);
                hl_session *s = session_of(m, batches[i], NULL);
                run(direct);
                run(s);
                assert_same_output(direct, s, "action");
                assert_same_output(direct, s, "compressed");
                assert_same_output(direct, s, "features");
                hl_session_free(direct);
                hl_session_free(s);
                hl_graph_free(g);
            }
            hl_model_free(m);
            hl_params_free(params);
        }
}

static void a_model_describes_itself(void **state)
{
    (void)state;
    const char *path = temporary_path("about.safetensors");
    hl_params *params = small_file(path, HL_HYBRID, 4, HL_PRECISION_BF16);
    hl_model *m = open_model(path);
    assert_string_equal(hl_model_about(m, "precision"), "bf16");
    assert_string_equal(hl_model_about(m, "hl_version"), HL_VERSION);
    assert_string_equal(hl_model_about(m, "exported_from"), "epoch 3");
    assert_null(hl_model_about(m, "nothing"));
    assert_int_equal(hl_model_inputs(m), 8); /* five senses, history, previous, smoothing */
    assert_int_equal(hl_model_outputs(m), 3);
    for (int i = 0; i < hl_model_inputs(m); i++) {
        hl_model_value v = hl_model_input(m, i);
        assert_int_equal(v.dtype, HL_F32);
        assert_int_equal(v.shape.dim[0], 1);
        if (!strcmp(v.name, "visual"))
            assert_true(hl_shape_equal(v.shape, (hl_shape){4, {1, 3, 17, 17}}));
        if (!strcmp(v.name, "history"))
            assert_true(v.shape.rank == 3 && v.shape.dim[1] == 4);
    }
    for (int i = 0; i < hl_model_outputs(m); i++)
        if (!strcmp(hl_model_output(m, i).name, "action"))
            assert_true(hl_shape_equal(hl_model_output(m, i).shape, (hl_shape){2, {1, 3}}));
    hl_model_free(m);
    hl_params_free(params);
}

/* In 16 bits is what products read: matrices, and biases that are added within them; rounded once. */
static void a_file_of_16_bits_holds_products_so(void **state)
{
    (void)state;
    hl_error err = {0};
    const char *path = temporary_path("low.safetensors");
    hl_params *params = small_file(path, HL_HYBRID, 2, HL_PRECISION_FP16);
    hl_safetensors *f = hl_safetensors_open(path, &err);
    int low = 0, wide = 0;
    for (int i = 0; i < hl_safetensors_count(f); i++) {
        hl_safetensor t = hl_safetensors_at(f, i);
        hl_param_info info = hl_params_at(params, hl_params_find(params, t.name));
        assert_true(hl_shape_equal(info.shape, t.shape));
        bool half = t.dtype == HL_F16;
        low += half;
        wide += !half;
        assert_true(half || t.shape.rank < 2 || strstr(t.name, "weight_hh")); /* recurrences run in f32 */
        for (int64_t k = 0; k < t.count; k++)
            assert_true(half ? ((const uint16_t *)t.data)[k] == hl_float_to_f16(info.data[k])
                             : ((const float *)t.data)[k] == info.data[k]);
    }
    assert_true(low > 20 && wide > 20);
    hl_safetensors_close(f);
    hl_params_free(params);
}

static void options_choose_the_precision(void **state)
{
    (void)state;
    const char *path = temporary_path("options.safetensors");
    hl_params *params = small_file(path, HL_HYBRID, 0, HL_PRECISION_FP32);
    hl_model *m = open_model(path);
    hl_session *full = session_of(m, 2, NULL);
    hl_session *low = session_of(m, 2, &(hl_session_options){.precision = HL_PRECISION_BF16});
    hl_session *portable = session_of(m, 2, &(hl_session_options){.device = "cpu:portable"});
    hl_session *sessions[] = {full, low, portable};
    for (int i = 0; i < 3; i++)
        run(sessions[i]);
    const float *a = hl_session_output(full, "action"), *b = hl_session_output(low, "action");
    const float *c = hl_session_output(portable, "action");
    bool differs = false;
    for (int i = 0; i < 6; i++) {
        assert_true(fabsf(a[i] - b[i]) < 0.05f && fabsf(a[i] - c[i]) < 1e-4f);
        differs = differs || a[i] != b[i];
    }
    assert_true(differs);
    for (int i = 0; i < 3; i++)
        hl_session_free(sessions[i]);
    hl_model_free(m);
    hl_params_free(params);
}

static hl_graph *every_op_f32(hl_params *params, int64_t batch, const void *context)
{
    return every_op(params, batch, context);
}

static void integers_are_an_int8_model(void **state)
{
    (void)state;
    hl_error err = {0};
    const char *path = temporary_path("int8.safetensors");
    hl_params *params = hl_params_new(5);
    assert_int_equal(write_model(path, every_op_f32, params, NULL, HL_PRECISION_BF16, &err), HL_ERR_USAGE);
    assert_non_null(strstr(err.message, "int8"));
    assert_int_equal(write_model(path, every_op_f32, params, NULL, HL_PRECISION_FP32, &err), HL_OK);
    hl_model *m = open_model(path);
    assert_string_equal(hl_model_about(m, "precision"), "int8");
    assert_int_equal(hl_model_check(m, &err), HL_OK);
    hl_session *s = session_of(m, 4, NULL);
    assert_int_equal(hl_session_run(s, &err), HL_OK);
    hl_session_free(s);
    hl_model_free(m);
    hl_params_free(params);
}

/* What is in use stays what it was when another file takes its name. */
static void a_model_outlives_its_name(void **state)
{
    (void)state;
    const char *path = temporary_path("name.safetensors");
    hl_params *params = small_file(path, HL_HYBRID, 0, HL_PRECISION_FP32);
    hl_model *m = open_model(path);
    hl_session *before = session_of(m, 1, NULL);
    hl_params_free(params);
    params = small_file(path, HL_BOTTLENECK, 0, HL_PRECISION_FP32);
    hl_session *after = session_of(m, 1, NULL);
    run(before);
    run(after);
    assert_same_output(before, after, "action");
    hl_session_free(before);
    hl_session_free(after);
    hl_model_free(m);
    hl_params_free(params);
}

/* Another tool may begin the data anywhere: here one byte later than we do. */
static void shift_data(const char *path)
{
    static unsigned char bytes[1 << 20];
    FILE *file = fopen(path, "r+b");
    size_t n = fread(bytes, 1, sizeof bytes, file);
    uint64_t header;
    assert_true(n > 8 && n < sizeof bytes);
    memcpy(&header, bytes, 8);
    memmove(bytes + 8 + header + 1, bytes + 8 + header, n - 8 - header);
    bytes[8 + header++] = ' ';
    memcpy(bytes, &header, 8);
    rewind(file);
    assert_int_equal(fwrite(bytes, 1, n + 1, file), n + 1);
    fclose(file);
}

static void weights_may_lie_anywhere(void **state)
{
    (void)state;
    for (int p = 0; p < 3; p++) {
        const char *path = temporary_path("even.safetensors");
        hl_params_free(small_file(path, HL_HYBRID, 2, precisions[p]));
        hl_model *even = open_model(path);
        path = temporary_path("odd.safetensors");
        hl_params_free(small_file(path, HL_HYBRID, 2, precisions[p]));
        shift_data(path);
        hl_model *odd = open_model(path);
        hl_error err = {0};
        assert_int_equal(hl_model_check(odd, &err), HL_OK);
        hl_session *a = session_of(even, 3, NULL), *b = session_of(odd, 3, NULL);
        run(a);
        run(b);
        assert_same_output(a, b, "action");
        hl_session_free(a);
        hl_session_free(b);
        hl_model_free(even);
        hl_model_free(odd);
    }
}

/* ------------------------------------------------------------------ threads */

typedef struct worker {
    hl_model *m;
    int64_t batch;
    const float *expected; /* of row 0 */
    atomic_int *wrong;
} worker;

static void *work(void *context)
{
    worker *w = context;
    for (int round = 0; round < 4; round++) {
        hl_error err = {0};
        hl_session *s = hl_model_session(w->m, w->batch + round % 2, NULL, &err);
        for (int step = 0; s && step < 5; step++) {
            small_model_inputs(s, 1, 1);
            if (hl_session_run(s, &err) != HL_OK)
                atomic_fetch_add(w->wrong, 1);
            for (int i = 0; i < 3; i++)
                if (fabsf(hl_session_output(s, "action")[i] - w->expected[i]) > 1e-5f)
                    atomic_fetch_add(w->wrong, 1);
        }
        if (!s)
            atomic_fetch_add(w->wrong, 1);
        hl_session_free(s);
    }
    return NULL;
}

static hl_graph *proprioceptive(hl_params *params, int64_t batch, const void *context)
{
    hl_model_options o = *(const hl_model_options *)context;
    for (int s = 0; s < HL_MODEL_SENSES; s++)
        o.senses[s] = s == HL_MODEL_SENSES - 1;
    return hl_policy_graph(params, &o, batch, false);
}

static void threads_share_a_model(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    hl_error err = {0};
    const char *path = temporary_path("threads.safetensors");
    hl_params *params = hl_params_new(5);
    hl_model_options o = small_model(HL_HYBRID);
    assert_int_equal(write_model(path, proprioceptive, params, &o, HL_PRECISION_FP32, &err), HL_OK);
    hl_model *m = open_model(path);
    hl_session *s = session_of(m, 1, NULL);
    run(s);
    float expected[3];
    memcpy(expected, hl_session_output(s, "action"), sizeof expected);
    hl_session_free(s);
    pthread_t threads[THREADS];
    worker workers[THREADS];
    atomic_int wrong = 0;
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){m, 1 + i % 2 * 3, expected, &wrong};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&wrong), 0);
    hl_model_free(m);
    hl_params_free(params);
}

/* ------------------------------------------------------------------ what is wrong */

/* A model of one weight [2,2] and one bias, as a file that a test may spoil. */
typedef struct piece {
    const char *format, *version, *precision, *program;
    hl_shape shape;
    hl_dtype dtype;
    const char *type; /* NULL: that of dtype */
    float bias;
    bool no_bias, more;
    const void *w; /* NULL: some */
} piece;

#define PROGRAM                                                                                              \
    "{\"nodes\":[{\"op\":\"input\",\"name\":\"x\",\"shape\":[\"B\",2]},"                                     \
    "{\"op\":\"param\",\"name\":\"w\",\"shape\":[2,2]},{\"op\":\"param\",\"name\":\"b\",\"shape\":[2]},"     \
    "{\"op\":\"matmul\",\"in\":[0,1,2,null]}],\"outputs\":{\"y\":3}}"

static hl_status write_piece(const char *path, const piece *p, hl_error *err)
{
    static const float w[4] = {1, 2, 3, 4};
    const float b[2] = {0.5f, p->bias};
    hl_safetensor tensors[3] = {hl_safetensor_make("w", p->dtype, p->shape, p->w ? p->w : w)};
    int n = 1, n_texts = 0;
    if (p->type)
        tensors[0].type = p->type;
    if (!p->no_bias)
        tensors[n++] = hl_safetensor_make("b", HL_F32, (hl_shape){1, {2}}, b);
    if (p->more)
        tensors[n++] = hl_safetensor_make("more", HL_F32, (hl_shape){1, {2}}, w);
    hl_safetensors_text texts[4];
    const char *const pairs[][2] = {{"format", p->format},
                                    {"format_version", p->version},
                                    {"precision", p->precision},
                                    {"program", p->program}};
    for (int i = 0; i < 4; i++)
        if (pairs[i][1])
            texts[n_texts++] = (hl_safetensors_text){pairs[i][0], pairs[i][1]};
    return hl_safetensors_write(path, n, tensors, n_texts, texts, err);
}

typedef struct bad_file {
    piece p;
    hl_status status;
    const char *says;
} bad_file;

#define W22                                    .shape = {2, {2, 2}}
#define SAYS(format, version, precision, text) format, version, precision, text
#define GOOD                                   SAYS("hl-model", "1", "fp32", PROGRAM)

static const bad_file bad_files[] = {
    {{GOOD, W22}, HL_OK, NULL},
    {{SAYS(NULL, "1", "fp32", PROGRAM), W22}, HL_ERR_DATA, "no exported model"},
    {{SAYS("pt", "1", "fp32", PROGRAM), W22}, HL_ERR_DATA, "'pt'"},
    {{SAYS("hl-model", NULL, "fp32", PROGRAM), W22}, HL_ERR_DATA, "format_version"},
    {{SAYS("hl-model", "0", "fp32", PROGRAM), W22}, HL_ERR_DATA, "format_version"},
    {{SAYS("hl-model", "1x", "fp32", PROGRAM), W22}, HL_ERR_DATA, "'1x'"},
    {{SAYS("hl-model", "2", "fp32", PROGRAM), W22},
     HL_ERR_UNSUPPORTED,
     "is 2, hl " HL_VERSION " reads up to 1"},
    {{SAYS("hl-model", "99999999999999999999", "fp32", PROGRAM), W22}, HL_ERR_UNSUPPORTED, "9999"},
    {{SAYS("hl-model", "1", NULL, PROGRAM), W22}, HL_ERR_DATA, "precision"},
    {{SAYS("hl-model", "1", "tf32", PROGRAM), W22}, HL_ERR_DATA, "'tf32'"},
    {{SAYS("hl-model", "1", "fp32", NULL), W22}, HL_ERR_DATA, "no 'program'"},
    {{SAYS("hl-model", "1", "fp32", "{"), W22}, HL_ERR_DATA, "graph:1"},
    {{GOOD, W22, .no_bias = true}, HL_ERR_DATA, "no tensor 'b'"},
    {{GOOD, W22, .more = true}, HL_ERR_DATA, "does not read tensor 'more'"},
    {{GOOD, .shape = {1, {4}}}, HL_ERR_DATA, "tensor 'w' is f32 [4], it must be f32 [2,2]"},
    {{GOOD, W22, .dtype = HL_I8}, HL_ERR_DATA, "tensor 'w' is i8"},
    {{GOOD, W22, .dtype = HL_BF16}, HL_ERR_DATA, "'w' is BF16"},
    {{SAYS("hl-model", "1", "fp16", PROGRAM), W22, .dtype = HL_BF16}, HL_ERR_DATA, "'w' is BF16"},
    {{SAYS("hl-model", "1", "bf16", PROGRAM), W22, .dtype = HL_BF16}, HL_OK, NULL},
    {{GOOD, W22, .type = "I32"}, HL_ERR_DATA, "'w' is I32"},
    {{GOOD, W22, .bias = NAN}, HL_ERR_DATA, "tensor 'b' has an element, 1 of 2"},
    {{GOOD, W22, .bias = -INFINITY}, HL_ERR_DATA, "tensor 'b' has an element, 1 of 2"},
};

static void bad_files_are_named(void **state)
{
    (void)state;
    const char *path = temporary_path("bad.safetensors");
    for (size_t i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
        const bad_file *b = &bad_files[i];
        hl_error err = {0};
        if (write_piece(path, &b->p, &err) != HL_OK)
            fail_msg("%zu: %s", i, err.message);
        hl_model *m = hl_model_open(path, &err);
        if (b->status == HL_OK && !m)
            fail_msg("%zu: %s", i, err.message);
        if (b->status != HL_OK && (m || err.status != b->status || !strstr(err.message, b->says) ||
                                   strncmp(err.message, path, strlen(path)) != 0))
            fail_msg("%zu: status %d: %s\n  expected: %s", i, err.status, err.message, b->says);
        hl_model_free(m);
        m = hl_model_open(path, NULL);
        assert_true((m != NULL) == (b->status == HL_OK));
        hl_model_free(m);
    }
    hl_error err = {0};
    assert_null(hl_model_open(temporary_path("absent"), &err));
    assert_int_equal(err.status, HL_ERR_IO);
    assert_null(hl_model_open(temporary_dir, &err));
    assert_non_null(strstr(err.message, temporary_dir));
}

/* A matrix is looked at when it is asked for. */
static void check_reads_every_weight(void **state)
{
    (void)state;
    static const float wide[][4] = {{1, -2, 3, 65504}, {0, 0, 0, -INFINITY}, {0, 0, 0, NAN}};
    static const char *const names[] = {"fp32", "fp16", "bf16"}; /* by hl_dtype */
    const char *path = temporary_path("check.safetensors");
    for (int dtype = HL_F32; dtype <= HL_BF16; dtype++)
        for (int i = 0; i < 3; i++) {
            hl_error err = {0};
            uint16_t low[4];
            for (int k = 0; k < 4; k++)
                low[k] = dtype == HL_F16 ? hl_float_to_f16(wide[i][k]) : hl_float_to_bf16(wide[i][k]);
            const piece p = {SAYS("hl-model", "1", names[dtype], PROGRAM), W22, .dtype = (hl_dtype)dtype,
                             .w = dtype == HL_F32 ? (const void *)wide[i] : low};
            assert_int_equal(write_piece(path, &p, &err), HL_OK);
            hl_model *m = open_model(path);
            assert_int_equal(hl_model_check(m, &err), i ? HL_ERR_DATA : HL_OK);
            if (i)
                assert_non_null(strstr(err.message, "tensor 'w' has an element, 3 of 4"));
            hl_model_free(m);
        }
}

static void values_that_do_not_fit_are_not_written(void **state)
{
    (void)state;
    hl_error err = {0};
    const char *path = temporary_path("unfit.safetensors");
    hl_params *params = small_file(path, HL_HYBRID, 0, HL_PRECISION_FP32);
    hl_model_options o = small_model(HL_HYBRID);
    int index = hl_params_find(params, "head.net.0.weight");
    for (int i = 0; index < 0 && i < hl_params_count(params); i++)
        if (hl_params_at(params, i).shape.rank == 2)
            index = i;
    hl_params_at(params, index).data[1] = 70000;
    hl_params_touch(params, index);
    assert_int_equal(write_model(path, acting, params, &o, HL_PRECISION_BF16, &err), HL_OK);
    assert_int_equal(write_model(path, acting, params, &o, HL_PRECISION_FP16, &err), HL_ERR_NUMERIC);
    assert_non_null(strstr(err.message, "element 1"));
    assert_non_null(strstr(err.message, hl_params_at(params, index).name));
    hl_params_at(params, index).data[1] = NAN;
    assert_int_equal(write_model(path, acting, params, &o, HL_PRECISION_FP32, &err), HL_ERR_NUMERIC);
    assert_int_equal(write_model(path, acting, params, &o, HL_PRECISION_TF32, &err), HL_ERR_USAGE);
    hl_model *m = open_model(path); /* the bf16 one, whole */
    assert_string_equal(hl_model_about(m, "precision"), "bf16");
    hl_model_free(m);
    assert_int_equal(temporary_count(temporary_dir, ".tmp"), 0);
    hl_params_free(params);
}

static void a_batch_must_be_possible(void **state)
{
    (void)state;
    hl_error err = {0};
    const char *path = temporary_path("batch.safetensors");
    hl_params *params = small_file(path, HL_HYBRID, 0, HL_PRECISION_FP32);
    hl_model *m = open_model(path);
    assert_null(hl_model_session(m, 0, NULL, &err));
    assert_int_equal(err.status, HL_ERR_USAGE);
    assert_null(hl_model_session(m, INT64_MAX / 2, NULL, &err));
    assert_null(hl_model_plan(m, 0, NULL, &err));
    assert_int_equal(err.status, HL_ERR_USAGE);
    assert_null(hl_model_session(m, 1, &(hl_session_options){.device = "abacus"}, &err));
    assert_non_null(strstr(err.message, "abacus"));
    hl_model_free(m);
    hl_params_free(params);
}

/* ------------------------------------------------------------------ memory and disk */

static void no_allocation_is_taken_for_granted(void **state)
{
    (void)state;
    const char *path = temporary_path("memory.safetensors");
    hl_params *params = small_file(path, HL_ATTENTION, 2, HL_PRECISION_BF16);
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        hl_error err = {0};
        hl_alloc_fail_at(n);
        hl_model *m = hl_model_open(path, &err);
        hl_session *s = m ? hl_model_session(m, 2, NULL, &err) : NULL;
        hl_alloc_fail_at(0);
        if (!s)
            assert_true(err.status != HL_OK && *err.message);
        failures += !s;
        hl_session_free(s);
        hl_model_free(m);
        if (s && n > 3000)
            break;
        n += n > 300 ? 7 : 0;
    }
    assert_true(failures > 100);
    hl_params_free(params);
}

static void a_disk_that_fails_leaves_what_was_there(void **state)
{
    (void)state;
    hl_error err = {0};
    const char *path = temporary_path("disk.safetensors");
    hl_params *params = small_file(path, HL_HYBRID, 0, HL_PRECISION_FP32);
    hl_model_options o = small_model(HL_HYBRID);
    uint64_t before = hl_file_calls();
    assert_int_equal(write_model(path, acting, params, &o, HL_PRECISION_BF16, &err), HL_OK);
    uint64_t calls = hl_file_calls() - before;
    assert_int_equal(write_model(path, acting, params, &o, HL_PRECISION_FP32, &err), HL_OK);
    for (uint64_t n = 1; n + 1 < calls; n++) { /* the last two are the directory's sync */
        hl_file_fail_at(n);
        assert_int_equal(write_model(path, acting, params, &o, HL_PRECISION_BF16, &err), HL_ERR_IO);
        hl_file_fail_at(0);
        hl_model *m = open_model(path);
        assert_string_equal(hl_model_about(m, "precision"), "fp32");
        hl_model_free(m);
        assert_int_equal(temporary_count(temporary_dir, ".tmp"), 0);
    }
    hl_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_the_model),
        cmocka_unit_test(a_model_describes_itself),
        cmocka_unit_test(a_file_of_16_bits_holds_products_so),
        cmocka_unit_test(options_choose_the_precision),
        cmocka_unit_test(integers_are_an_int8_model),
        cmocka_unit_test(a_model_outlives_its_name),
        cmocka_unit_test(weights_may_lie_anywhere),
        cmocka_unit_test(threads_share_a_model),
        cmocka_unit_test(bad_files_are_named),
        cmocka_unit_test(check_reads_every_weight),
        cmocka_unit_test(values_that_do_not_fit_are_not_written),
        cmocka_unit_test(a_batch_must_be_possible),
        cmocka_unit_test(no_allocation_is_taken_for_granted),
        cmocka_unit_test(a_disk_that_fails_leaves_what_was_there),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_drop);
}
