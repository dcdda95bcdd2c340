/* Folding, rule by rule on graphs of a few nodes: what must fire, what must not, and that results stay. */
#include "tests/fold_case.h"

#include "base/memory.h"

/* ------------------------------------------------------------------ graphs */

static hl_tensor x_of(hl_graph *g, int64_t B, int64_t n)
{
    return hl_input(g, "x", HL_F32, 2, (int64_t[]){B, n});
}

static hl_tensor image_of(hl_graph *g, int64_t B, int64_t channels)
{
    return hl_input(g, "x", HL_F32, 4, (int64_t[]){B, channels, 9, 7});
}

static hl_tensor vec(hl_graph *g, hl_params *p, const char *name, int rank, int64_t a, int64_t b, int64_t c)
{
    return hl_param(g, p, name, rank, (int64_t[]){a, b, c}, (hl_init_rule){HL_NORMAL, 0, 0});
}

static void two_linear(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor h = hl_dense(g, p, "net.first", x_of(g, B, 6), 6);
    hl_output(g, "y", hl_dense(g, p, "net.second", h, 5));
}

static void three_linear(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor h = hl_dense(g, p, "a", x_of(g, B, 6), 6);
    hl_output(g, "y", hl_dense(g, p, "c", hl_dense(g, p, "b", h, 6), 6));
}

/* As PyTorch's MultiheadAttention has it: the value's rows of in_proj. */
static void sliced(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor x = hl_input(g, "x", HL_F32, 3, (int64_t[]){B, 1, 8});
    hl_output(g, "y", hl_multihead(g, p, "attn", x, x, 2, 0));
}

static void no_biases(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor h = hl_matmul(g, x_of(g, B, 6), false, vec(g, p, "first.weight", 2, 6, 6, 0), false);
    hl_output(g, "y", hl_matmul(g, h, false, vec(g, p, "second.weight", 2, 5, 6, 0), true));
}

static void activation_between(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor h = hl_relu(g, hl_dense(g, p, "a", x_of(g, B, 6), 6));
    hl_output(g, "y", hl_dense(g, p, "b", h, 5));
}

static void dropout_between(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor h = hl_dropout(g, hl_dense(g, p, "a", x_of(g, B, 6), 6), 0.5f);
    hl_output(g, "y", hl_dense(g, p, "b", h, 5));
}

static void second_reader(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor h = hl_dense(g, p, "a", x_of(g, B, 6), 6);
    hl_output(g, "y", hl_dense(g, p, "b", h, 5));
    hl_output(g, "h", h);
}

static void larger_product(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor h = hl_dense(g, p, "a", x_of(g, B, 6), 2);
    hl_output(g, "y", hl_dense(g, p, "b", h, 7));
}

/* The same weights twice: a product of them would be a third. */
static void tied(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor w = vec(g, p, "a.weight", 2, 6, 6, 0);
    hl_tensor h = hl_linear(g, x_of(g, B, 6), w, (hl_tensor){0});
    hl_output(g, "y", hl_linear(g, h, w, (hl_tensor){0}));
}

/* Rows of the second are not rows of the first. */
static void regrouped(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor h = hl_dense(g, p, "a", x_of(g, B, 6), 6);
    hl_tensor pairs = hl_reshape(g, h, 2, (int64_t[]){2 * B, 3});
    hl_output(g, "y", hl_dense(g, p, "b", pairs, 3));
}

static void normalized(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor x = hl_sub(g, x_of(g, B, 6), vec(g, p, "x.offset", 1, 6, 0, 0));
    hl_output(g, "y", hl_dense(g, p, "a", hl_div(g, x, vec(g, p, "x.scale", 1, 6, 0, 0)), 5));
}

static void scaled_then_moved(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor x = hl_mul(g, vec(g, p, "x.scale", 1, 6, 0, 0), x_of(g, B, 6));
    x = hl_affine(g, hl_add(g, x, vec(g, p, "x.offset", 1, 1, 0, 0)), 0.7f, 0.3f);
    hl_output(g, "y", hl_dense(g, p, "a", x, 5));
}

/* No bias to take the offset; the image is read as one row. */
static void flattened(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor x = hl_sub(g, image_of(g, B, 2), vec(g, p, "x.offset", 3, 2, 9, 7));
    x = hl_reshape(g, x, 2, (int64_t[]){B, 2 * 9 * 7});
    hl_output(g, "y", hl_linear(g, x, vec(g, p, "a.weight", 2, 5, 2 * 9 * 7, 0), (hl_tensor){0}));
}

/* Not one number per feature of the product: per channel of an image that is read as one row. */
static void per_channel_row(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor x = hl_mul(g, image_of(g, B, 2), vec(g, p, "x.scale", 3, 2, 1, 1));
    x = hl_reshape(g, x, 2, (int64_t[]){B, 2 * 9 * 7});
    hl_output(g, "y", hl_dense(g, p, "a", x, 5));
}

/* Per row, not per feature. */
static void per_token(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor x = hl_input(g, "x", HL_F32, 3, (int64_t[]){B, 6, 6});
    hl_output(g, "y", hl_dense(g, p, "a", hl_mul(g, x, vec(g, p, "x.scale", 2, 6, 1, 0)), 5));
}

static void not_constant(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor x = hl_mul(g, x_of(g, B, 6), hl_input(g, "s", HL_F32, 1, (int64_t[]){6}));
    hl_output(g, "y", hl_dense(g, p, "a", x, 5));
}

static void denormalized(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor y = hl_dense(g, p, "a", x_of(g, B, 6), 5);
    y = hl_mul(g, y, vec(g, p, "y.scale", 1, 5, 0, 0));
    y = hl_div(g, y, vec(g, p, "y.scale2", 1, 1, 0, 0));
    y = hl_affine(g, hl_add(g, y, vec(g, p, "y.offset", 1, 5, 0, 0)), 2, -1);
    hl_output(g, "y", hl_sub(g, y, vec(g, p, "y.offset2", 1, 1, 0, 0)));
}

static void denormalized_without_bias(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor y = hl_linear(g, x_of(g, B, 6), vec(g, p, "a.weight", 2, 5, 6, 0), (hl_tensor){0});
    y = hl_mul(g, y, vec(g, p, "y.scale", 1, 5, 0, 0));
    hl_output(g, "y", hl_sub(g, y, vec(g, p, "y.offset", 1, 5, 0, 0)));
}

static void denormalized_activation(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor y = hl_relu(g, hl_dense(g, p, "a", x_of(g, B, 6), 5));
    hl_output(g, "y", hl_mul(g, y, vec(g, p, "y.scale", 1, 5, 0, 0)));
}

static void denormalized_and_read(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor y = hl_dense(g, p, "a", x_of(g, B, 6), 5);
    hl_output(g, "stored", y);
    hl_output(g, "y", hl_mul(g, y, vec(g, p, "y.scale", 1, 5, 0, 0)));
}

/* The result is larger than the product's. */
static void broadcast_after(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor y = hl_reshape(g, hl_dense(g, p, "a", x_of(g, B, 6), 1), 2, (int64_t[]){B, 1});
    hl_output(g, "y", hl_mul(g, y, vec(g, p, "y.scale", 1, 5, 0, 0)));
}

static hl_tensor convolved(hl_graph *g, hl_params *p, hl_tensor x, int padding)
{
    return hl_conv(g, p, "conv", x, 4, 3, 2, padding);
}

static void conv_scaled(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor x = hl_div(g, image_of(g, B, 3), vec(g, p, "x.scale", 3, 3, 1, 1));
    hl_output(g, "y", convolved(g, p, hl_mul(g, x, vec(g, p, "x.scale2", 1, 1, 0, 0)), 1));
}

static void conv_moved(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor x = hl_sub(g, image_of(g, B, 3), vec(g, p, "x.offset", 3, 3, 1, 1));
    hl_output(g, "y", convolved(g, p, hl_div(g, x, vec(g, p, "x.scale", 3, 3, 1, 1)), 0));
}

/* What is padded is zero, not the offset: the scale folds, the offset stays. */
static void conv_padded(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor x = hl_sub(g, image_of(g, B, 3), vec(g, p, "x.offset", 3, 3, 1, 1));
    hl_output(g, "y", convolved(g, p, hl_div(g, x, vec(g, p, "x.scale", 3, 3, 1, 1)), 1));
}

static void conv_affine(hl_graph *g, hl_params *p, int64_t B)
{
    hl_output(g, "y", convolved(g, p, hl_affine(g, image_of(g, B, 3), 2, 0.5f), 0));
}

static void conv_affine_padded(hl_graph *g, hl_params *p, int64_t B)
{
    hl_output(g, "y", convolved(g, p, hl_affine(g, image_of(g, B, 3), 2, 0.5f), 1));
}

static void conv_per_pixel(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor x = hl_mul(g, image_of(g, B, 3), vec(g, p, "x.scale", 3, 3, 9, 7));
    hl_output(g, "y", convolved(g, p, x, 1));
}

static void conv_after(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor y = hl_mul(g, convolved(g, p, image_of(g, B, 3), 1), vec(g, p, "y.scale", 3, 4, 1, 1));
    hl_output(g, "y", hl_add(g, y, vec(g, p, "y.offset", 3, 4, 1, 1)));
}

/* The bias of a gate is two vectors. */
static void lstm(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor x = hl_input(g, "x", HL_F32, 3, (int64_t[]){B, 2, 3});
    hl_output(g, "y", hl_bidirectional_lstm(g, p, "lstm", x, 1, 2));
}

/* Queries of learned latents: they depend on parameters alone. */
static void latents(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor x = hl_input(g, "x", HL_F32, 3, (int64_t[]){B, 3, 8});
    hl_tensor codes = vec(g, p, "read.latent_codes", 3, 1, 2, 8);
    hl_output(g, "y", hl_multihead(g, p, "read.attn", codes, x, 2, 0));
}

static void only_constants(hl_graph *g, hl_params *p, int64_t B)
{
    (void)B;
    hl_tensor v = vec(g, p, "v", 2, 3, 6, 0);
    hl_output(g, "y", hl_gelu(g, hl_dense(g, p, "a", v, 5)));
    hl_output(g, "v", v);
}

/* A constant repeated for every row, of which there is no entry per batch. */
static void expanded(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor v = hl_exp(g, vec(g, p, "v", 2, 1, 6, 0));
    v = hl_expand(g, v, 2, (int64_t[]){B, 6});
    hl_output(g, "y", hl_dense(g, p, "a", hl_concat(g, 2, (hl_tensor[]){v, x_of(g, B, 6)}, 1), 5));
}

/* Nobody reads it. */
static void unread(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor x = x_of(g, B, 6);
    hl_dense(g, p, "gone", x, 17);
    hl_output(g, "y", hl_dense(g, p, "a", x, 5));
}

/* ------------------------------------------------------------------ what becomes of them */

static const fold_case cases[] = {
    {"two linear", two_linear, 1, 0, 5 * 6 + 5, "net.first_second.weight", "net.first_second.bias"},
    {"three linear", three_linear, 1, 0, 6 * 6 + 6, "a_b_c.weight", "a_b_c.bias"},
    {"value and output", sliced, 1, 0, 8 * 8 + 8, "attn.value_out_proj.weight", "attn.value_out_proj.bias"},
    {"without biases", no_biases, 1, 0, 5 * 6, "first_second.weight", NULL},
    {"activation between", activation_between, 2, 0, 6 * 6 + 6 + 5 * 6 + 5, "a.weight", "b.bias"},
    {"dropout between", dropout_between, 2, 0, 6 * 6 + 6 + 5 * 6 + 5, "a.weight", "b.bias"},
    {"second reader", second_reader, 2, 0, 6 * 6 + 6 + 5 * 6 + 5, "a.weight", "b.bias"},
    {"larger product", larger_product, 2, 0, 2 * 6 + 2 + 7 * 2 + 7, "a.weight", "b.bias"},
    {"tied weights", tied, 2, 0, 36, "a.weight", NULL},
    {"regrouped", regrouped, 2, 0, 6 * 6 + 6 + 3 * 3 + 3, "a.weight", "b.weight"},
    {"normalized", normalized, 1, 0, 5 * 6 + 5, "a.folded.weight", "a.folded.bias"},
    {"scaled then moved", scaled_then_moved, 1, 0, 5 * 6 + 5, "a.folded.weight", "a.folded.bias"},
    {"flattened", flattened, 1, 0, 5 * 126 + 5, "a.weight", "a.bias"},
    {"per channel of a row", per_channel_row, 1, 1, 5 * 126 + 5 + 2, "a.weight", "x.scale"},
    {"per token", per_token, 1, 1, 5 * 6 + 5 + 6, "a.weight", "x.scale"},
    {"not constant", not_constant, 1, 1, 5 * 6 + 5, "a.weight", "a.bias"},
    {"denormalized", denormalized, 1, 0, 5 * 6 + 5, "a.folded.weight", "a.folded.bias"},
    {"denormalized, no bias", denormalized_without_bias, 1, 0, 5 * 6 + 5, "a.folded.weight", "a.folded.bias"},
    {"denormalized activation", denormalized_activation, 1, 1, 5 * 6 + 5 + 5, "a.weight", "y.scale"},
    {"denormalized and read", denormalized_and_read, 1, 1, 5 * 6 + 5 + 5, "a.weight", "y.scale"},
    {"broadcast after", broadcast_after, 1, 1, 6 + 1 + 5, "a.weight", "y.scale"},
    {"convolution scaled", conv_scaled, 1, 0, 4 * 27 + 4, "conv.folded.weight", "conv.bias"},
    {"convolution moved", conv_moved, 1, 0, 4 * 27 + 4, "conv.folded.weight", "conv.folded.bias"},
    {"convolution padded", conv_padded, 1, 1, 4 * 27 + 4 + 3, "conv.folded.weight", "x.offset"},
    {"convolution affine", conv_affine, 1, 0, 4 * 27 + 4, "conv.folded.weight", "conv.folded.bias"},
    {"convolution affine padded", conv_affine_padded, 1, 1, 4 * 27 + 4, "conv.weight", "conv.bias"},
    {"convolution per pixel", conv_per_pixel, 1, 1, 4 * 27 + 4 + 189, "conv.weight", "x.scale"},
    {"after a convolution", conv_after, 1, 0, 4 * 27 + 4, "conv.folded.weight", "conv.folded.bias"},
    {"lstm", lstm, 2, 0, 2 * (8 * 3 + 8 * 2 + 8), "lstm.weight_ih_l0", "lstm.folded.bias_ih_l0"},
    {"latents", latents, 3, 0, 3 * (8 * 8 + 8) + 2 * 8, "read.attn.query.latent_codes",
     "read.attn.key.weight"},
    {"only constants", only_constants, 0, 0, 3 * 5 + 3 * 6, "a.v", "v"},
    {"expanded", expanded, 1, 0, 5 * 12 + 5 + 6, "folded.v", "a.weight"},
    {"unread", unread, 1, 0, 5 * 6 + 5, "a.weight", "a.bias"},
};

static void test_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_case(&cases[i]);
}

/* ------------------------------------------------------------------ large offsets */

/* (x - offset) / scale with x near the offset: what is folded only where it loses no digits. */
static int elementwise_left(float offset, float scale)
{
    hl_error err = {0};
    hl_params *from = hl_params_new(1), *to = hl_params_new(1);
    hl_graph *g = hl_graph_new();
    normalized(g, from, 1);
    materialize(from);
    for (int i = 0; i < 6; i++) {
        value_of(from, "x.offset")[i] = offset;
        value_of(from, "x.scale")[i] = scale;
    }
    hl_graph *folded = need_graph(hl_fold(g, from, to, NULL, &err), &err);
    int left = count_elementwise(folded);
    hl_graph_free(g);
    hl_graph_free(folded);
    hl_params_free(from);
    hl_params_free(to);
    return left;
}

static void test_large_offsets_stay(void **state)
{
    (void)state;
    assert_int_equal(elementwise_left(0.5f, 0.1f), 0);
    assert_int_equal(elementwise_left(32, 1), 0);
    assert_int_equal(elementwise_left(33, 1), 2);
    assert_int_equal(elementwise_left(-33, 1), 2);
    assert_int_equal(elementwise_left(1, 0.01f), 2);
    assert_int_equal(elementwise_left(1000, 100), 0);
    assert_int_equal(elementwise_left(NAN, 1), 2);
}

/* ------------------------------------------------------------------ the pool of a convolution */

static void pooled(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor x = hl_div(g, image_of(g, B, 3), vec(g, p, "x.scale", 3, 3, 1, 1));
    hl_output(g, "y", hl_adaptive_avg_pool(g, convolved(g, p, x, 1), 2, 2));
}

static void test_pool_before_convolution(void **state)
{
    (void)state;
    hl_error err = {0};
    for (int before = 0; before < 2; before++) {
        hl_params *from = hl_params_new(1), *to = hl_params_new(1);
        hl_graph *g = hl_graph_new();
        pooled(g, from, 3);
        materialize(from);
        hl_graph *f = need_graph(
            hl_fold(g, from, to, &(hl_fold_options){.pool_before_convolution = before}, &err), &err);
        assert_int_equal(count_op(f, "patch_mean"), before);
        assert_int_equal(count_op(f, "conv2d"), !before);
        assert_true(worst_difference(g, from, f, to) < 1e-5);
        hl_graph_free(g);
        hl_graph_free(f);
        hl_params_free(from);
        hl_params_free(to);
    }
}

/* ------------------------------------------------------------------ where values lie */

static void test_shared_entries(void **state)
{
    (void)state;
    for (int share = 0; share < 2; share++) {
        hl_error err = {0};
        hl_params *from = hl_params_new(1), *to = hl_params_new(1);
        hl_graph *g = hl_graph_new();
        denormalized_activation(g, from, 3);
        materialize(from);
        hl_graph *f = need_graph(hl_fold(g, from, to, &(hl_fold_options){.share = share}, &err), &err);
        assert_int_equal(value_of(from, "a.weight") == value_of(to, "a.weight"), share);
        assert_true(worst_difference(g, from, f, to) == 0);
        hl_graph_free(f); /* and again, over entries that are there */
        f = need_graph(hl_fold(g, from, to, &(hl_fold_options){.share = share}, &err), &err);
        assert_true(worst_difference(g, from, f, to) == 0);
        hl_graph_free(g);
        hl_graph_free(f);
        hl_params_free(to);
        hl_params_free(from);
    }
}

/* Of a mapped file in 16 bits there are no f32 values until somebody reads them. */
static void test_mapped_in_16_bits(void **state)
{
    (void)state;
    static const uint16_t ones[36] = {
        [0] = 0x3F80, [7] = 0x3F80, [14] = 0x3F80, [21] = 0x4000, [35] = 0xBF80};
    hl_error err = {0};
    hl_params *from = hl_params_new(1), *to = hl_params_new(1);
    int index;
    assert_int_equal(hl_params_map(from, "a.weight", HL_BF16, (hl_shape){2, {6, 6}}, ones, &index, &err),
                     HL_OK);
    hl_graph *g = hl_graph_new();
    activation_between(g, from, 3);
    materialize(from);
    hl_graph *f = need_graph(hl_fold(g, from, to, NULL, &err), &err);
    assert_true(value_of(to, "a.weight")[21] == 2 && value_of(to, "a.weight")[1] == 0);
    assert_true(worst_difference(g, from, f, to) == 0);
    hl_graph_free(g);
    hl_graph_free(f);
    hl_params_free(from);
    hl_params_free(to);
}

/* ------------------------------------------------------------------ errors */

static void refuses(const hl_graph *g, hl_params *from, hl_params *to, hl_status status, const char *says)
{
    hl_error err = {0};
    assert_null(hl_fold(g, from, to, NULL, &err));
    assert_int_equal(err.status, status);
    if (!strstr(err.message, says))
        fail_msg("'%s' does not say '%s'", err.message, says);
    assert_null(hl_fold(g, from, to, NULL, NULL));
}

static void test_refusals(void **state)
{
    (void)state;
    hl_params *from = hl_params_new(1), *other = hl_params_new(1), *to = hl_params_new(1);
    hl_graph *g = hl_graph_new(), *training = hl_graph_new(), *wrong = hl_graph_new();
    two_linear(g, from, 3);
    refuses(g, from, from, HL_ERR_USAGE, "not to the same");
    refuses(g, other, to, HL_ERR_USAGE, "is not of the store");
    hl_tensor loss = hl_mean(training, hl_dense(training, from, "a", x_of(training, 3, 6), 6));
    hl_adamw(training, from, loss, (hl_adamw_options){0});
    refuses(training, from, to, HL_ERR_USAGE, "a graph that trains");
    hl_add(wrong, x_of(wrong, 3, 6), hl_fill(wrong, 1, (int64_t[]){7}, 0));
    refuses(wrong, from, to, HL_ERR_SHAPE, "do not broadcast");
    vec(wrong = (hl_graph_free(wrong), hl_graph_new()), to, "net.first_second.weight", 2, 4, 4, 0);
    refuses(g, from, to, HL_ERR_SHAPE, "net.first_second.weight");
    hl_graph_free(g);
    hl_graph_free(training);
    hl_graph_free(wrong);
    hl_params_free(from);
    hl_params_free(other);
    hl_params_free(to);
}

/* Weights that a frozen session has let go cannot be folded, and the error names one. */
static void test_released_weights(void **state)
{
    (void)state;
    hl_params *from = hl_params_new(1), *to = hl_params_new(1);
    hl_graph *g = hl_graph_new();
    two_linear(g, from, 3);
    materialize(from);
    for (int i = 0; i < hl_params_count(from); i++)
        hl_params_release_data(from, i, HL_F32);
    refuses(g, from, to, HL_ERR_USAGE, "was let go by a frozen session");
    assert_int_equal(hl_params_count(to), 0);
    hl_graph_free(g);
    hl_params_free(from);
    hl_params_free(to);
}

static void every_rule(hl_graph *g, hl_params *p, int64_t B)
{
    hl_tensor x = hl_sub(g, x_of(g, B, 6), vec(g, p, "x.offset", 1, 6, 0, 0));
    x = hl_div(g, x, vec(g, p, "x.scale", 1, 6, 0, 0));
    x = hl_dense(g, p, "c", hl_relu(g, hl_dense(g, p, "b", hl_dense(g, p, "a", x, 6), 6)), 3);
    hl_output(g, "y", hl_mul(g, x, vec(g, p, "y.scale", 1, 3, 0, 0)));
}

/* Whatever allocation fails, the error says so, and the next fold over the same stores is whole. */
static void test_allocation_failures(void **state)
{
    (void)state;
    hl_params *from = hl_params_new(1);
    hl_graph *g = hl_graph_new(), *f = NULL;
    uint64_t n = 1;
    every_rule(g, from, 3);
    materialize(from);
    for (; !f; n++) {
        hl_error err = {0};
        hl_params *to = hl_params_new(1);
        hl_alloc_fail_at(n);
        f = hl_fold(g, from, to, NULL, &err);
        hl_alloc_fail_at(0);
        if (!f && !strstr(err.message, "memory"))
            fail_msg("allocation %llu: %s", (unsigned long long)n, err.message);
        if (f) {
            hl_params_free(to);
            continue;
        }
        hl_graph *again = need_graph(hl_fold(g, from, to, NULL, &err), &err);
        assert_int_equal(hl_params_count(to), 4);
        assert_true(worst_difference(g, from, again, to) < 1e-5);
        hl_graph_free(again);
        hl_params_free(to);
    }
    assert_true(n > 100);
    hl_graph_free(g);
    hl_graph_free(f);
    hl_params_free(from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_large_offsets_stay),
        cmocka_unit_test(test_pool_before_convolution),
        cmocka_unit_test(test_shared_entries),
        cmocka_unit_test(test_mapped_in_16_bits),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_released_weights),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
