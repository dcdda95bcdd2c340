/* From a checkpoint's parameters to a file that acts: the graph in the robot's units, folded, written,
 * opened. */
#include "tests/acting_case.h"
#include "tests/small_model.h"
#include "tests/temporary.h"

#include "app/policy.h"
#include "export/fold.h"
#include "export/write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { ROWS = 2, A = 3, STEPS = 5 };

static hl_graph *folded(const statistics_case *c, hl_params *from, hl_params *to, int64_t batch)
{
    hl_error err = {0};
    hl_graph *g = hl_acting_graph(from, &c->options, batch, &err);
    hl_graph *f = g ? hl_fold(g, from, to, &(hl_fold_options){.share = true}, &err) : NULL;
    if (!f)
        fail_msg("%s", err.message);
    hl_graph_free(g);
    return f;
}

static hl_model *exported(const statistics_case *c, hl_params *from, hl_precision precision)
{
    hl_error err = {0};
    const char *path = temporary_path("exported.safetensors");
    hl_params *to = hl_params_new(1);
    hl_graph *two = folded(c, from, to, 2), *three = folded(c, from, to, 3);
    if (hl_model_write(path, two, three, to, precision, 0, NULL, &err) != HL_OK)
        fail_msg("%s", err.message);
    hl_graph_free(two);
    hl_graph_free(three);
    hl_params_free(to);
    hl_model *m = hl_model_open(path, &err);
    if (!m)
        fail_msg("%s", err.message);
    return m;
}

static void observe(const hl_model_options *o, hl_policy *p, int step)
{
    for (int s = 0; s < HL_MODEL_SENSES; s++)
        for (int64_t i = 0; i < ROWS * hl_model_sense_size(o, s); i++)
            hl_policy_sense(p,
                            hl_model_sense(s))[i] = (float)sin((double)(i * 7 + s * 31 + step * 101) * 0.7);
}

/* The largest difference between the actions of the checkpoint and of the file, over a few steps and a reset.
 */
static double distance(const statistics_case *c, hl_params *params, hl_model *m)
{
    hl_error err = {0};
    hl_policy_options how = {.rows = ROWS, .smoothing = 0.25f};
    hl_policy *before = hl_trained_policy(params, &c->options.model, &c->normalization, &how, false, &err);
    hl_policy *after = hl_policy_new(m, &how, &err);
    double worst = 0;
    if (!before || !after)
        fail_msg("%s", err.message);
    for (int step = 0; step < STEPS; step++) {
        float a[ROWS * A], b[ROWS * A];
        if (step == 3)
            hl_policy_reset(before, 1), hl_policy_reset(after, 1);
        observe(&c->options.model, before, step);
        observe(&c->options.model, after, step);
        assert_int_equal(hl_policy_act(before, a, &err), HL_OK);
        assert_int_equal(hl_policy_act(after, b, &err), HL_OK);
        for (int i = 0; i < ROWS * A; i++)
            worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
    }
    hl_policy_free(before);
    hl_policy_free(after);
    return worst;
}

static void a_file_acts_as_its_checkpoint(void **state)
{
    (void)state;
    static const double most[] = {
        [HL_PRECISION_FP32] = 5e-6, [HL_PRECISION_BF16] = 5e-2, [HL_PRECISION_FP16] = 5e-3};
    static const hl_precision precisions[] = {HL_PRECISION_FP32, HL_PRECISION_BF16, HL_PRECISION_FP16};
    for (int kind = 0; kind < 4; kind++)
        for (int64_t history = 0; history <= 3; history += 3)
            for (int p = 0; p < 3; p++) {
                hl_model_options o = small_model((hl_compressor)kind);
                o.history = history;
                statistics_case c = with_statistics(&o);
                hl_params *params = hl_params_new(5);
                hl_model *m = exported(&c, params, precisions[p]);
                double worst = distance(&c, params, m);
                if (!(worst <= most[precisions[p]]) || (p && worst == 0))
                    fail_msg("compressor %d, history %lld, %s: %g", kind, (long long)history,
                             hl_precision_name(precisions[p]), worst);
                hl_model_free(m);
                hl_normalization_free(&c.normalization);
                hl_params_free(params);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_file_acts_as_its_checkpoint)};
    return cmocka_run_group_tests(tests, temporary_make, temporary_drop);
}
