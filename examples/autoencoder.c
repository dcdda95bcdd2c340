#include <hl.h>

#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 32, WIDTH = 64, CODE = 8 };

/* Points on an 8-dimensional curved surface in 64 dimensions: what an autoencoder can find. */
static void draw_batch(float *x)
{
    for (int b = 0; b < BATCH; b++) {
        float u[CODE];
        for (int k = 0; k < CODE; k++)
            u[k] = (float)rand() / (float)RAND_MAX - 0.5f;
        for (int i = 0; i < WIDTH; i++)
            x[b * WIDTH + i] = u[i % CODE] * u[i / CODE] * 4 + u[(i * 3 + 1) % CODE];
    }
}

int main(void)
{
    hl_error err = {0};
    hl_params *params = hl_params_new(1); /* seed */
    hl_graph *g = hl_graph_new();

    hl_tensor x = hl_input(g, "x", HL_F32, 2, (int64_t[]){BATCH, WIDTH});
    hl_tensor z = hl_dense(g, params, "code", hl_gelu(g, hl_dense(g, params, "encoder", x, 64)), CODE);
    hl_tensor y = hl_dense(g, params, "decoder", hl_gelu(g, hl_dense(g, params, "hidden", z, 64)), WIDTH);
    hl_tensor loss = hl_mse(g, y, x);
    hl_adamw(g, params, loss, (hl_adamw_options){.clip = 1.0f});
    hl_output(g, "loss", loss);

    hl_session *train = hl_session_new(g, params, "cpu", &err); /* compiles; first error surfaces here */
    hl_graph_free(g);
    if (!train)
        return fprintf(stderr, "%s\n", err.message), 1;
    hl_session_set(train, "lr", 3e-3f);
    for (int step = 0; step < 2000; step++) {
        draw_batch(hl_session_input(train, "x"));
        if (hl_session_run(train, &err) != HL_OK)
            return fprintf(stderr, "%s\n", err.message), 1;
        if (step % 500 == 0 || step == 1999)
            printf("step %4d  loss %.4f\n", step, *hl_session_output(train, "loss"));
    }
    hl_session_free(train);
    hl_params_free(params);
}
