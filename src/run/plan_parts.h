/* What the files of the planner ask of each other. */
#ifndef HL_RUN_PLAN_PARTS_H
#define HL_RUN_PLAN_PARTS_H

#include "run/plan.h"

/* Where a plan is to run, and how. */
typedef struct hl_plan_target {
    const hl_backend *backend;
    int ordinal; /* of the device */
    bool frozen;
} hl_plan_target;

/* The plan of a compiled graph, which it takes. NULL with a sentence. */
hl_plan *hl_plan_graph(hl_graph *g, const hl_plan_target *target, hl_error *err);
/* Takes a plan and gives the one that options ask for: with values computed again, within the budget
 * (plan_shrink.c). NULL with a sentence. */
hl_plan *hl_plan_shrink(hl_plan *p, const hl_plan_target *target, const hl_session_options *options,
                        hl_error *err);

/* The index of a new storage, alive from a call on. */
int hl_plan_add_storage(hl_plan *p, hl_place_kind kind, size_t bytes, hl_memory_kind category, int first);
/* False for leaves and views: nothing runs for them. */
bool hl_plan_makes_call(const hl_graph *g, const hl_node *n);
/* To how many nodes and outputs read each tensor: those that read a view of it. */
void hl_plan_add_view_reads(const hl_graph *g, int *uses);
/* Every value gets a storage (plan_locate.c). reads: of each tensor and its views. */
void hl_plan_locate(hl_plan *p, const int *order, const int *reads);
/* Every storage of the arena gets its offset; then bytes are counted by category (plan_memory.c). */
hl_status hl_plan_place(hl_plan *p, hl_error *err);
void hl_plan_account(hl_plan *p);

#endif
