/* A plan's memory as a snapshot for https://pytorch.org/memory_viz: JSON in the form of PyTorch's
 * torch.cuda.memory._snapshot(). */
#ifndef HL_IO_MEMORY_VIZ_H
#define HL_IO_MEMORY_VIZ_H

#include "run/memory_map.h"

/* The state between two steps, with the allocations of one step before it: what lies in the arena comes and
 * goes call by call; parameters, optimizer and packed weights stay. Frames say what a block is for, the call
 * that makes it, and its section. */
hl_status hl_memory_viz_save(const char *path, const hl_memory_map *map, hl_error *err);

#endif
