/* What the files of the planner ask of each other. */
#ifndef HL_RUN_PLAN_PARTS_H
#define HL_RUN_PLAN_PARTS_H

#include "run/plan.h"

/* The index of a new storage, alive from a call on. */
int hl_plan_add_storage(hl_plan *p, hl_place_kind kind, size_t bytes, hl_memory_kind category, int first);
/* False for leaves and views: nothing runs for them. */
bool hl_plan_makes_call(const hl_graph *g, const hl_node *n);
/* Every value gets a storage (plan_locate.c). uses: how many nodes and outputs read each tensor. */
void hl_plan_locate(hl_plan *p, const int *order, const int *uses);
/* Every storage of the arena gets its offset; then bytes are counted by category (plan_memory.c). */
hl_status hl_plan_place(hl_plan *p, hl_error *err);
void hl_plan_account(hl_plan *p);

#endif
