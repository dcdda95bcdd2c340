/* Plans and profiles as text. */
#include "run/session.h"

#include "ops/ops.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct writer {
    char *text;
    size_t size, used;
} writer;

static void put(writer *w, const char *format, ...) HL_PRINTF(2, 3);

static void put(writer *w, const char *format, ...)
{
    size_t room = w->used < w->size ? w->size - w->used : 0;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(room ? w->text + w->used : NULL, room, format, args);
    va_end(args);
    w->used += n > 0 ? (size_t)n : 0;
}

static void put_shapes(writer *w, const hl_view *v, int n)
{
    for (int k = 0; k < n; k++)
        put(w, w->used ? " %s" : "%s", v[k].count || v[k].shape.rank ? hl_shape_print(v[k].shape).text : "-");
}

size_t hl_call_print_shapes(const hl_call *c, char *text, size_t size)
{
    writer w = {text, size, 0};
    put_shapes(&w, c->in, c->n_in);
    put(&w, c->n_in ? " ->" : "->");
    put_shapes(&w, c->out, c->n_out);
    return w.used;
}

static void put_label(writer *w, const hl_node *n)
{
    put(w, "%-10s %-8s %-5s ", n->label.section[0] ? n->label.section : "-", hl_phase_name(n->label.phase),
        n->label.again ? "again" : "");
}

size_t hl_plan_print(const hl_plan *p, char *text, size_t size)
{
    writer w = {text, size, 0};
    for (int i = 0; i < p->n_calls; i++) {
        const hl_call *c = &p->calls[i];
        put(&w, "%4d ", i);
        put_label(&w, p->call_nodes[i]);
        put(&w, "%-24s %-10s ", c->kernel->op, c->kernel->name);
        size_t room = w.used < w.size ? w.size - w.used : 0;
        w.used += hl_call_print_shapes(c, room ? w.text + w.used : NULL, room);
        put(&w, "\n");
    }
    return w.used;
}

size_t hl_graph_print(const hl_graph *g, char *text, size_t size)
{
    writer w = {text, size, 0};
    for (int i = 0; i < g->n_nodes; i++) {
        const hl_node *n = g->nodes[i];
        put_label(&w, n);
        put(&w, "%-24s", n->op->name);
        for (int k = 0; k < n->n_in; k++)
            put(&w, " %%%d", n->in[k].id);
        put(&w, " ->");
        for (int k = 0; k < n->n_out; k++)
            put(&w, " %%%d %s", n->first_out + k, hl_shape_print(hl_shape_of(g, hl_node_output(n, k))).text);
        if (n->op == &hl_op_input)
            put(&w, " '%s'", ((hl_input_params *)n->params)->name);
        if (n->op == &hl_op_param)
            put(&w, " '%s'", ((hl_param_params *)n->params)->name);
        put(&w, "\n");
    }
    return w.used;
}

static int dearest_first(const void *a, const void *b)
{
    const hl_call_info *x = a, *y = b;
    return x->seconds < y->seconds ? 1 : x->seconds > y->seconds ? -1 : x->index - y->index;
}

size_t hl_session_profile_print(const hl_session *s, char *text, size_t size)
{
    writer w = {text, size, 0};
    int n = hl_session_calls(s);
    hl_call_info *calls = hl_alloc((size_t)n, sizeof *calls);
    for (int i = 0; calls && i < n; i++)
        calls[i] = hl_session_call(s, i);
    if (calls)
        qsort(calls, (size_t)n, sizeof *calls, dearest_first);
    put(&w, "%10s %9s %9s  call op\n", "ms", "GFLOP/s", "GB/s");
    for (int i = 0; calls && i < n; i++) {
        const hl_call_info *c = &calls[i];
        double seconds = c->runs ? c->seconds / (double)c->runs : 0, rate = seconds > 0 ? 1e-9 / seconds : 0;
        put(&w, "%10.4f %9.2f %9.2f  %4d %s/%s %s\n", 1e3 * seconds, c->flops * rate,
            (c->bytes_read + c->bytes_written) * rate, c->index, c->op, c->kernel, c->shapes);
    }
    hl_free(calls);
    return w.used;
}
