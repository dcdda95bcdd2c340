#include "app/train/trainer.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct name {
    char text[32];
} name;

/* Inputs of micro-batch 0 have plain names, those of the others a prefix: "1/visual". */
static name input_prefix(int64_t micro)
{
    name n = {""};
    if (micro)
        snprintf(n.text, sizeof n.text, "%lld/", (long long)micro);
    return n;
}

static hl_tensor input(hl_graph *g, const char *prefix, const char *what, int64_t rows, int64_t columns)
{
    char full[64];
    snprintf(full, sizeof full, "%s%s", prefix, what);
    return hl_input(g, full, HL_F32, 2, (int64_t[]){rows, columns});
}

static hl_loss micro_batch(hl_graph *g, hl_params *params, const hl_trainer_options *o, int64_t micro,
                           bool training, hl_model_nodes *model)
{
    name prefix = input_prefix(micro);
    hl_model_mode mode = {.batch = o->batch,
                          .training = training,
                          .encode_history = o->model.history > 0,
                          .presence = o->presence,
                          .decode = true,
                          .prefix = prefix.text};
    *model = hl_model_build(g, params, &o->model, &mode);
    hl_tensor target = input(g, prefix.text, "target", o->batch, o->model.action), mask = {0};
    if (o->mask)
        mask = input(g, prefix.text, "mask", o->batch, o->model.action);
    return hl_model_loss(g, model, target, mask, o->weights);
}

/* sum += x / n, for the means over micro-batches. */
static void add_mean(hl_graph *g, hl_tensor *sum, hl_tensor x, int64_t n)
{
    if (!x.id)
        return;
    x = hl_scale(g, x, 1.0f / (float)n);
    *sum = sum->id ? hl_add(g, *sum, x) : x;
}

static void add_losses(hl_graph *g, hl_loss *sum, hl_loss l, int64_t n)
{
    add_mean(g, &sum->total, l.total, n);
    add_mean(g, &sum->action, l.action, n);
    add_mean(g, &sum->reconstruction, l.reconstruction, n);
    add_mean(g, &sum->kl, l.kl, n);
    add_mean(g, &sum->information_retained, l.information_retained, n);
}

static void declare_outputs(hl_graph *g, const hl_loss *l)
{
    hl_output(g, "total", l->total);
    hl_output(g, "action_loss", l->action);
    hl_output(g, "reconstruction_loss", l->reconstruction);
    hl_output(g, "information_retained", l->information_retained);
    if (l->kl.id)
        hl_output(g, "kl", l->kl);
}

hl_session_options hl_training_session(const hl_trainer_options *o)
{
    return (hl_session_options){.device = o->device,
                                .precision = o->precision,
                                .recompute = o->recompute[0] ? o->recompute : NULL,
                                .budget = o->budget};
}

hl_graph *hl_training_graph(hl_params *params, const hl_trainer_options *o)
{
    hl_graph *g = hl_graph_new();
    hl_loss sum = {0};
    hl_tensor *p = NULL;
    int n = 0;
    hl_section(g, "loss"); /* what is not the model's own: targets and means */
    for (int64_t micro = 0; g && micro < o->accumulate; micro++) {
        hl_model_nodes m;
        hl_loss l = micro_batch(g, params, o, micro, true, &m);
        if (!p) {
            n = hl_graph_params(g, NULL, NULL, 0);
            p = hl_alloc(3 * (size_t)n + 1, sizeof *p); /* parameters, their gradients, the sums */
        }
        if (!p) {
            hl_graph_reject(g, "no memory for the list of parameters");
            break;
        }
        hl_graph_params(g, p, NULL, n);
        hl_section(g, "optimizer");
        hl_gradient(g, hl_adamw_loss(g, params, l.total, o->adamw), n, p, p + n);
        for (int i = 0; i < n; i++)
            add_mean(g, &p[2 * n + i], p[n + i], o->accumulate);
        hl_section(g, "loss");
        add_losses(g, &sum, l, o->accumulate);
    }
    if (g && p) {
        declare_outputs(g, &sum);
        hl_adamw_apply(g, params, sum.total, n, p + 2 * n, o->adamw);
    }
    hl_free(p);
    return g;
}

hl_graph *hl_validation_graph(hl_params *params, const hl_trainer_options *o)
{
    hl_graph *g = hl_graph_new();
    if (g) {
        hl_model_nodes m;
        hl_section(g, "loss");
        hl_loss l = micro_batch(g, params, o, 0, false, &m);
        declare_outputs(g, &l);
        hl_output(g, "context", m.context);
        hl_output(g, "compressed", m.compressed);
        hl_output(g, "reconstructed", m.reconstructed);
    }
    return g;
}

static void copy_input(hl_session *s, const char *prefix, const char *what, const float *from)
{
    char full[64];
    snprintf(full, sizeof full, "%s%s", prefix, what);
    float *to = hl_session_input(s, full);
    hl_shape shape = hl_session_shape(s, full);
    size_t n = 1;
    for (int i = 0; i < shape.rank; i++)
        n *= (size_t)shape.dim[i];
    if (to && from)
        memcpy(to, from, n * sizeof *to);
}

void hl_feed(hl_session *s, const hl_trainer_options *o, int64_t micro, const hl_batch *batch)
{
    name prefix = input_prefix(micro);
    for (int sense = 0; sense < HL_MODEL_SENSES; sense++)
        if (o->model.senses[sense])
            copy_input(s, prefix.text, hl_model_sense(sense), batch->sense[sense]);
    copy_input(s, prefix.text, "presence", batch->presence);
    copy_input(s, prefix.text, "target", batch->action);
    copy_input(s, prefix.text, "mask", batch->action_mask);
}

static double output(const hl_session *s, const char *what)
{
    const float *x = hl_session_output(s, what);
    return x ? *x : NAN;
}

hl_losses hl_read_losses(const hl_session *s)
{
    return (hl_losses){output(s, "total"),
                       output(s, "action_loss"),
                       output(s, "reconstruction_loss"),
                       output(s, "kl"),
                       output(s, "information_retained"),
                       output(s, "grad_norm"),
                       output(s, "skipped"),
                       output(s, "loss_scale")};
}

hl_status hl_mean_losses(hl_session *s, const hl_trainer_options *o, hl_loader *loader, int64_t n,
                         hl_measure *measure, hl_losses *mean, hl_error *err)
{
    *mean = (hl_losses){0};
    for (int64_t i = 0; i < n; i++) {
        const hl_batch *batch;
        hl_status status = hl_loader_next(loader, &batch, err);
        if (status != HL_OK)
            return status;
        hl_feed(s, o, 0, batch);
        status = hl_session_run(s, err);
        if (status != HL_OK)
            return status;
        hl_losses l = hl_read_losses(s);
        if (measure)
            hl_measure_add(measure, o->batch, hl_session_output(s, "context"),
                           hl_session_output(s, "reconstructed"), hl_session_output(s, "compressed"));
        mean->total += l.total / (double)n;
        mean->action += l.action / (double)n;
        mean->reconstruction += l.reconstruction / (double)n;
        mean->kl += l.kl / (double)n;
        mean->information_retained += l.information_retained / (double)n;
    }
    return HL_OK;
}
