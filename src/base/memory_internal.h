/* What the two halves of src/base/memory.h share: the heap (memory.c) and tensors (tensor_memory.c). */
#ifndef HL_BASE_MEMORY_INTERNAL_H
#define HL_BASE_MEMORY_INTERNAL_H

#include "base/memory.h"

/* Counts an allocation; true if a test wants it to fail. */
bool hl_memory_must_fail(void);

size_t hl_heap_live(void);
size_t hl_heap_peak(void);
void hl_heap_new_peak(void);

#endif
