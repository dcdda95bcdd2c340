/* Where a session's time goes, beside what the device could do. */
#include "app/bench/bench.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* One call, or all of one op and kernel. */
typedef struct cost {
    hl_call_info call; /* of several: the first */
    int calls;
    double seconds, flops, bytes; /* per run */
    hl_roof roof;
} cost;

static int dearest_first(const void *a, const void *b)
{
    const cost *x = a, *y = b;
    return x->seconds < y->seconds ? 1 : x->seconds > y->seconds ? -1 : x->call.index - y->call.index;
}

static cost cost_of(const hl_session *s, int index, hl_precision precision, const hl_ceilings *ceilings)
{
    cost c = {.call = hl_session_call(s, index), .calls = 1};
    c.seconds = c.call.runs ? c.call.seconds / (double)c.call.runs : 0;
    c.flops = c.call.flops;
    c.bytes = c.call.bytes_read + c.call.bytes_written;
    hl_roof_add(&c.roof, ceilings, c.call.op, precision, c.flops, c.bytes);
    return c;
}

static void add_cost(cost *sum, const cost *c)
{
    sum->calls += c->calls;
    sum->seconds += c->seconds;
    sum->flops += c->flops;
    sum->bytes += c->bytes;
    hl_roof_join(&sum->roof, &c->roof);
}

/* Sums by op and kernel; returns how many there are. */
static int sum_by_op(const cost *calls, int n, cost *sums)
{
    int found = 0;
    for (int i = 0; i < n; i++) {
        int k = 0;
        while (k < found && (strcmp(sums[k].call.op, calls[i].call.op) ||
                             strcmp(sums[k].call.kernel, calls[i].call.kernel)))
            k++;
        if (k == found)
            sums[found++] = calls[i];
        else
            add_cost(&sums[k], &calls[i]);
    }
    return found;
}

/* What calls and sums have in common. Takes `row`, which may be NULL, as the result then is. */
static json_t *with_rates(json_t *row, const cost *c, double total)
{
    const char *bound;
    double percent = hl_roof_percent(&c->roof, c->seconds, &bound), rate = 1e-9 / c->seconds;
    json_t *rates = json_pack("{s:f, s:o, s:f, s:f, s:o, s:o, s:o, s:s}", "ms", 1e3 * c->seconds,
                              "share_percent", hl_json_number(100 * c->seconds / total), "gflop",
                              1e-9 * c->flops, "gbyte", 1e-9 * c->bytes, "gflop_per_s",
                              hl_json_number(c->flops * rate), "gbyte_per_s", hl_json_number(c->bytes * rate),
                              "ceiling_percent", hl_json_number(percent), "bound", bound);
    if (json_object_update(row, rates)) {
        json_decref(row);
        row = NULL;
    }
    json_decref(rates);
    return row;
}

static json_t *rows_of(const cost *costs, int n, double total, bool sums)
{
    json_t *rows = json_array();
    for (int i = 0; i < n; i++) {
        const cost *c = &costs[i];
        json_t *row = sums ? json_pack("{s:s, s:s, s:i}", "op", c->call.op, "kernel", c->call.kernel, "calls",
                                       c->calls)
                           : json_pack("{s:i, s:s, s:s, s:s}", "call", c->call.index, "op", c->call.op,
                                       "kernel", c->call.kernel, "shapes", c->call.shapes);
        if (json_array_append_new(rows, with_rates(row, c, total))) {
            json_decref(rows);
            return NULL;
        }
    }
    return rows;
}

json_t *hl_bench_profile(const hl_session *s, hl_precision precision, const hl_ceilings *ceilings)
{
    int n = hl_session_calls(s);
    cost *calls = hl_alloc((size_t)n, sizeof *calls), *sums = hl_alloc((size_t)n, sizeof *sums);
    json_t *profile = NULL;
    if (calls && sums) {
        double total = 0;
        for (int i = 0; i < n; i++) {
            calls[i] = cost_of(s, i, precision, ceilings);
            total += calls[i].seconds;
        }
        int ops = sum_by_op(calls, n, sums);
        qsort(calls, (size_t)n, sizeof *calls, dearest_first);
        qsort(sums, (size_t)ops, sizeof *sums, dearest_first);
        profile = json_pack("{s:f, s:o, s:o}", "ms", 1e3 * total, "ops", rows_of(sums, ops, total, true),
                            "calls", rows_of(calls, n, total, false));
    }
    hl_free(calls);
    hl_free(sums);
    return profile;
}

#define RATES                                                                                                \
    {.key = "ms", .title = "ms", .decimals = 4},                                                             \
        {.key = "share_percent", .title = "% of time", .decimals = 1},                                       \
        {.key = "gflop_per_s", .title = "GFLOP/s", .decimals = 2},                                           \
        {.key = "gbyte_per_s", .title = "GB/s", .decimals = 2},                                              \
        {.key = "ceiling_percent", .title = "% of ceiling", .decimals = 1},                                  \
    {                                                                                                        \
        .key = "bound", .title = "bound by"                                                                  \
    }

const hl_column hl_bench_op_columns[] = {{.key = "op", .title = "op"},
                                         {.key = "kernel", .title = "kernel"},
                                         {.key = "calls", .title = "calls"},
                                         RATES,
                                         {0}};

const hl_column hl_bench_call_columns[] = {{.key = "call", .title = "call"},     {.key = "op", .title = "op"},
                                           {.key = "kernel", .title = "kernel"}, RATES,
                                           {.key = "shapes", .title = "shapes"}, {0}};
