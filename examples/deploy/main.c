/* Runs an exported model as a robot would: observes and acts 10 times a second, and tells how long it took.
 *     deploy MODEL.safetensors [SECONDS] [OBSERVATIONS.f32]
 * OBSERVATIONS: the senses of every moment in the model's order, floats; without it they are made up. */
#include <hl.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HZ = 10, PERIOD = 1000000000 / HZ };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Fills in what the robot senses; false at the end of the file. */
static bool observe(const hl_model *m, hl_policy *p, FILE *from, int moment)
{
    for (int i = 0; i < hl_model_inputs(m); i++) {
        hl_model_value in = hl_model_input(m, i);
        float *sense = hl_policy_sense(p, in.name);
        size_t n = 1;
        for (int d = 0; d < in.shape.rank; d++)
            n *= (size_t)in.shape.dim[d];
        if (sense && from && fread(sense, sizeof *sense, n, from) != n)
            return false;
        for (size_t k = 0; sense && !from && k < n; k++)
            sense[k] = 0.5f + 0.5f * sinf(0.1f * (float)moment + (float)(k % 97));
    }
    return true;
}

static int ascending(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

int main(int argc, char **argv)
{
    hl_error err = {0};
    int most = HZ * (argc > 2 ? atoi(argv[2]) : 5), n = 0, missed = 0;
    FILE *from = argc > 3 ? fopen(argv[3], "rb") : NULL;
    if (argc < 2 || most < 1 || (argc > 3 && !from))
        return fprintf(stderr, "usage: deploy MODEL.safetensors [SECONDS] [OBSERVATIONS.f32]\n"), 2;
    hl_model *m = hl_model_open(argv[1], &err);
    hl_policy *p = m ? hl_policy_new(m, &(hl_policy_options){.smoothing = 0.2f}, &err) : NULL;
    if (!p || hl_session_warm_up(hl_policy_session(p), NULL, &err) != HL_OK)
        return fprintf(stderr, "%s\n", err.message), 1;
    hl_shape shape = hl_session_shape(hl_policy_session(p), "action"); /* [1, A] */
    float *action = malloc((size_t)shape.dim[1] * sizeof *action);
    double *seconds = malloc((size_t)most * sizeof *seconds), start = now();
    while (action && seconds && n < most && observe(m, p, from, n)) {
        double began = now();
        if (hl_policy_act(p, action, &err) != HL_OK)
            return fprintf(stderr, "%s\n", err.message), 1;
        double left = start + ++n / (double)HZ - now();
        seconds[n - 1] = now() - began;
        missed += left < 0; /* here the robot moves by `action` */
        if (left > 0)
            nanosleep(&(struct timespec){.tv_nsec = left < 1.0 / HZ ? (long)(1e9 * left) : PERIOD - 1}, NULL);
    }
    if (!n)
        return fprintf(stderr, "there are no observations\n"), 1;
    qsort(seconds, (size_t)n, sizeof *seconds, ascending);
    printf("%d actions; latency p50 %.3f ms, p99 %.3f ms, max %.3f ms; missed %d\n", n, 1e3 * seconds[n / 2],
           1e3 * seconds[(size_t)n * 99 / 100], 1e3 * seconds[n - 1], missed);
    free(seconds);
    free(action);
    hl_policy_free(p);
    hl_model_free(m);
    return from ? fclose(from) : 0;
}
