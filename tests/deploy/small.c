/* Writes the small model, with random weights, as an exported file:  small_exported FILE.safetensors */
#include "export/acting.h"
#include "export/fold.h"
#include "export/write.h"
#include "tests/small_model.h"

#include <stdio.h>

static hl_graph *folded(hl_params *from, hl_params *to, int64_t batch, hl_error *err)
{
    hl_acting_options o = {.model = small_model(HL_HYBRID)};
    hl_graph *g = hl_acting_graph(from, &o, batch, err);
    hl_graph *f = g ? hl_fold(g, from, to, NULL, err) : NULL;
    hl_graph_free(g);
    return f;
}

int main(int argc, char **argv)
{
    hl_error err = {0};
    hl_params *from = hl_params_new(7), *to = hl_params_new(7);
    hl_graph *two = folded(from, to, 2, &err), *three = folded(from, to, 3, &err);
    bool written = argc == 2 && two && three &&
                   hl_model_write(argv[1], two, three, to, HL_PRECISION_FP32, 0, NULL, &err) == HL_OK;
    if (!written)
        fprintf(stderr, "small_exported: %s\n", err.message);
    hl_graph_free(two);
    hl_graph_free(three);
    hl_params_free(to);
    hl_params_free(from);
    return !written;
}
