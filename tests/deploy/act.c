/* Prints the actions of an exported model for observations that are the same everywhere:  act
 * FILE.safetensors */
#include <hl.h>

#include <stdio.h>

enum { STEPS = 5, MOST = 64 };

int main(int argc, char **argv)
{
    hl_error err = {0};
    float action[MOST];
    hl_model *m = argc == 2 ? hl_model_open(argv[1], &err) : NULL;
    hl_policy *p = m ? hl_policy_new(m, &(hl_policy_options){.smoothing = 0.25f}, &err) : NULL;
    hl_shape shape = p ? hl_session_shape(hl_policy_session(p), "action") : (hl_shape){0};
    for (int step = 0; step < STEPS && shape.dim[1] <= MOST && err.status == HL_OK && p; step++) {
        for (int i = 0; i < hl_model_inputs(m); i++) {
            hl_model_value in = hl_model_input(m, i);
            float *sense = hl_policy_sense(p, in.name);
            int64_t n = 1;
            for (int d = 0; d < in.shape.rank; d++)
                n *= in.shape.dim[d];
            for (int64_t k = 0; sense && k < n; k++)
                sense[k] = (float)((k * 7 + i * 31 + step * 101) % 64) / 64;
        }
        if (hl_policy_act(p, action, &err) == HL_OK)
            for (int64_t k = 0; k < shape.dim[1]; k++)
                printf("%.9g\n", (double)action[k]);
    }
    if (!p || err.status != HL_OK)
        fprintf(stderr, "act: %s\n", err.message);
    hl_policy_free(p);
    hl_model_free(m);
    return !p || err.status != HL_OK;
}
