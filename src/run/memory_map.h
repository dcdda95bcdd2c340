/* What lies in the memory of a plan, and when: told to people and to their tools. */
#ifndef HL_RUN_MEMORY_MAP_H
#define HL_RUN_MEMORY_MAP_H

#include "hl.h"

/* A block of memory: a value (or several that follow each other there), scratch of a kernel, packed weights.
 */
typedef struct hl_piece {
    char name[128];      /* "h.visual.0.weight", "gradient of ...", "matmul [16,256]", "scratch of conv2d" */
    const char *section; /* that it is computed in; "": none */
    hl_phase phase;
    hl_memory_kind kind;
    bool in_arena;
    size_t bytes, offset; /* offset: in the arena, or among all of its kind */
    int first, last;      /* calls at which it is alive */
} hl_piece;

/* Fields are for reading. Refers to the plan's texts: goes before it does. */
typedef struct hl_memory_map {
    const hl_plan *plan;
    hl_memory memory;
    const char *peak_section; /* of call memory.peak_step */
    int n;
    hl_piece *pieces;
    int n_calls;
    size_t (*alive)[HL_MEM_KINDS]; /* bytes at each call; parameters, optimizer and packed are always alive */
} hl_memory_map;

/* NULL with a sentence. */
hl_memory_map *hl_memory_map_new(const hl_plan *plan, hl_error *err);
void hl_memory_map_free(hl_memory_map *map);
/* Writes which pieces, at most `most`, are the largest that are alive at a call, largest first; returns how
 * many it wrote. */
int hl_memory_map_largest(const hl_memory_map *map, int call, int most, int *pieces);
/* Of an arena: the part that no lifetime asks for, 1 - lower bound / size. 0 for an empty one. */
double hl_memory_fragmentation(const hl_memory *memory);

#endif
