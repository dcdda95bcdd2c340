/* hl plan: the memory a configuration needs, by arithmetic. */
#include "app/command.h"
#include "app/plan/planned.h"
#include "app/setup.h"
#include "app/subject.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/text.h"

#include <stdio.h>

enum { INFERENCE, TRAINING, USES };

static const char *const use_names[USES] = {"inference", "training"};

static double mib(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

static void print_text(const hl_planned p[USES], int uses)
{
    printf("%-14s", "MiB");
    for (int i = 0; i < uses; i++)
        printf("  %10s %-3lld", use_names[i], (long long)p[i].batch);
    printf("\n");
    for (int k = 0; k < HL_MEM_KINDS; k++) {
        printf("%-14s", hl_memory_kind_name((hl_memory_kind)k));
        for (int i = 0; i < uses; i++)
            printf("  %14.1f", mib(p[i].memory.by_kind[k]));
        printf("\n");
    }
    printf("%-14s", "total");
    for (int i = 0; i < uses; i++)
        printf("  %14.1f", mib(p[i].memory.total));
    printf("\n");
    for (int i = 0; i < uses; i++)
        printf("\n%s, batch %lld: fullest at call %d (%s); arena %.1f MiB, no placement needs less than %.1f "
               "MiB\n",
               use_names[i], (long long)p[i].batch, p[i].memory.peak_step, p[i].peak_op,
               mib(p[i].memory.arena), mib(p[i].memory.lower_bound));
    for (int i = 0; i < uses; i++)
        if (p[i].calls)
            printf("\n%s, batch %lld\n%s", use_names[i], (long long)p[i].batch, p[i].calls);
}

static hl_status print_json(const hl_planned p[USES], int uses, hl_error *err)
{
    json_t *j = json_object();
    for (int i = 0; i < uses; i++) {
        const hl_memory *m = &p[i].memory;
        json_t *by_kind = json_object();
        for (int k = 0; k < HL_MEM_KINDS; k++)
            json_object_set_new(by_kind, hl_memory_kind_name((hl_memory_kind)k),
                                json_integer((json_int_t)m->by_kind[k]));
        json_object_set_new(j, use_names[i],
                            json_pack("{s:I, s:o, s:I, s:I, s:I, s:i, s:s}", "batch", (json_int_t)p[i].batch,
                                      "bytes", by_kind, "total", (json_int_t)m->total, "arena",
                                      (json_int_t)m->arena, "lower_bound", (json_int_t)m->lower_bound,
                                      "peak_call", m->peak_step, "peak_op", p[i].peak_op));
    }
    hl_status status = hl_json_print(stdout, j, err);
    json_decref(j);
    return status;
}

typedef struct question {
    int64_t batch; /* -1: not given */
    const char *budget_text;
    size_t budget; /* 0: not given */
    bool json, calls;
    const char *picture; /* NULL: not given */
} question;

static hl_status plan(const hl_plan_of *of, const question *q, hl_error *err)
{
    hl_planned p[USES] = {{0}};
    const int uses = of->exported ? 1 : USES;
    hl_trainer_options o = hl_setup_trainer(of->cfg);
    o.batch = q->batch > 0 ? q->batch : o.batch;
    hl_status status = hl_plan_inference(of, q->batch > 0 ? q->batch : 1, q->calls, &p[INFERENCE], err);
    if (status == HL_OK && !of->exported)
        status = hl_plan_training(&o, q->calls, &p[TRAINING], err);
    if (status == HL_OK && q->picture)
        status = hl_plan_picture(&o, q->picture, err);
    if (status == HL_OK && q->json)
        status = print_json(p, uses, err);
    else if (status == HL_OK)
        print_text(p, uses);
    for (int i = 0; i < USES; i++)
        hl_free(p[i].calls);
    return status;
}

/* False after a sentence on stderr. */
static bool makes_sense(question *q, const char *config)
{
    if (q->batch == 0 || q->batch > HL_PLANNED_MOST)
        fprintf(stderr, "hl: --batch: %lld is not in 1..%d\n", (long long)q->batch, HL_PLANNED_MOST);
    else if (q->budget_text && (!hl_parse_size(q->budget_text, &q->budget) || !q->budget))
        fprintf(stderr, "hl: --budget: '%s' is not a size such as 8GiB, 512MiB or 1e9\n",
                hl_excerpt_of(q->budget_text).text);
    else if (q->budget && (q->batch > 0 || q->calls || q->picture))
        fprintf(stderr, "hl: --budget looks for the batch: leave out --%s\n",
                q->calls     ? "calls"
                : q->picture ? "memory-viz"
                             : "batch");
    else if (q->picture && hl_same_file(q->picture, config))
        fprintf(stderr, "hl: --memory-viz: %s is what is read; write to another file\n",
                hl_excerpt_of(q->picture).text);
    else
        return true;
    return false;
}

int hl_command_plan(int argc, char **argv)
{
    question q = {.batch = -1};
    const hl_flag flags[] = {
        {"batch", HL_FLAG_INT, &q.batch, "N",
         "batch of both (default: 1 for inference, train.batch for training)"},
        {"calls", HL_FLAG_BOOL, &q.calls, NULL, "list the kernel calls"},
        {"budget", HL_FLAG_TEXT, &q.budget_text, "SIZE",
         "instead: the largest batches that fit in 8GiB, 512MiB, ... in each precision (exported: its own)"},
        {"memory-viz", HL_FLAG_TEXT, &q.picture, "FILE.json",
         "write the memory of a training step for pytorch.org/memory_viz (docs/profiling.md)"},
        {"json", HL_FLAG_BOOL, &q.json, NULL, "print JSON (bytes)"},
        {0},
    };
    const hl_usage usage = {
        "hl plan CONFIG|MODEL.safetensors [key=value ...] [--batch N] [--budget SIZE] [--memory-viz FILE] "
        "[--json]",
        "Tells the memory that inference and a training step need, by category, before anything\n"
        "is allocated: bytes that are alive at the fullest moment. Each alone: where both run at once (hl\n"
        "stress) or a checkpoint is written in the background, a second version of the weights adds to it.\n"
        "Of an exported model what acting needs; weights that stay in its mapped file are told apart.",
        flags, 1, -1};
    int n, code = hl_parse_arguments(&usage, argc, argv, &n);
    if (code != HL_GO_ON)
        return code;
    if (!makes_sense(&q, argv[1]))
        return HL_EXIT_USAGE;
    hl_error err = {0};
    hl_subject subject;
    hl_status status = hl_subject_open(&subject, argv[1], n - 1, argv + 2, &err);
    const hl_plan_of of = {subject.cfg, subject.exported};
    if (status == HL_OK && q.picture && of.exported)
        status = hl_fail(&err, HL_ERR_USAGE,
                         "--memory-viz shows a training step; %s is an exported model, which only acts",
                         argv[1]);
    if (status == HL_OK) {
        hl_setup_threads(of.cfg);
        status = q.budget ? hl_plan_budget(&of, q.budget, q.json, &err) : plan(&of, &q, &err);
    }
    hl_subject_close(&subject);
    return status == HL_OK ? HL_EXIT_OK : hl_report(&err);
}
