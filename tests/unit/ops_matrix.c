/* Every op that runs has a kernel in every backend built in, in every storage type it takes; and CUDA's list
 * names every op, built in or not. */
#include "app/ops.h"
#include "run/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Ops that never reach a backend. */
static bool is_compiled_away(const hl_op_def *op)
{
    return op == &hl_op_input || op == &hl_op_param || op == &hl_op_reshape || op == &hl_op_gradient;
}

static void every_op_has_kernels(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_op_samples *s = hl_op_samples_new(&err);
    if (!s)
        fail_msg("%s", err.message);
    int n;
    const hl_backend *const *backends = hl_backends(&n);
    assert_true(n >= 2);
    for (int i = 0; i < hl_op_count(); i++) {
        const hl_op_def *op = hl_op_at(i);
        assert_int_equal(hl_op_runs(s, op), !is_compiled_away(op)); /* the sample has them all */
        for (int b = 0; b < n && hl_op_runs(s, op); b++) {
            for (int t = 0; t < HL_FLOATS; t++) {
                bool wanted = t == HL_F32 || (hl_op_takes_low(op) && !(op == &hl_op_adamw && t == HL_F16));
                if (wanted != (hl_op_kernel(s, op, (hl_dtype)t, backends[b]) != NULL))
                    fail_msg("%s, %s: %s kernel", backends[b]->name, op->name,
                             wanted ? "no" : "an unexpected");
            }
        }
    }
    hl_op_samples_free(s);
}

static void cuda_names_every_op(void **state)
{
    (void)state;
    static const char *const cuda[] = {
#define HL_KERNEL(name) #name,
#include "kernels/cuda/kernels.def"
#undef HL_KERNEL
    };
    for (int i = 0; i < hl_op_count(); i++) {
        const char *name = hl_op_at(i)->name;
        bool found = false;
        for (size_t k = 0; k < sizeof cuda / sizeof *cuda; k++)
            found = found || !strcmp(cuda[k], name);
        if (!found && !is_compiled_away(hl_op_at(i)))
            fail_msg("kernels/cuda/kernels.def has no line for %s", name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_has_kernels),
        cmocka_unit_test(cuda_names_every_op),
    };
    return cmocka_run_group_tests_name("ops_matrix", tests, NULL, NULL);
}
