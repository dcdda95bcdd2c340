/* The order in which nodes run. */
#ifndef HL_COMPILE_SCHEDULE_H
#define HL_COMPILE_SCHEDULE_H

#include "graph/graph.h"

/* order: g->n_nodes indices. Creation order, but an update waits until every other reader of what
 * it overwrites has run. Asserts that there is such an order. */
hl_status hl_schedule(const hl_graph *g, int *order, hl_error *err);

#endif
