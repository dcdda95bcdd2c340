/* All memory comes from here: checked sizes, an arena, an account of what is allocated for which use, and a
 * switch that makes the n-th allocation fail in tests. */
#ifndef HL_BASE_MEMORY_H
#define HL_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* a*b and a+b without overflow: false (and *out untouched) if the result does not fit. */
bool hl_size_mul(size_t a, size_t b, size_t *out);
bool hl_size_add(size_t a, size_t b, size_t *out);
/* Bytes that tensors begin at multiples of: a cache line, and the widest vector. */
enum { HL_ALIGN = 64 };
/* Rounds up to a multiple of unit (a power of two). */
size_t hl_size_align(size_t n, size_t unit);

/* Zeroed memory, NULL if there is none or count*size overflows. hl_free accepts NULL. */
void *hl_alloc(size_t count, size_t size);
/* As realloc; new bytes are not zeroed. On failure NULL, and the old block stays. */
void *hl_realloc(void *block, size_t count, size_t size);
void hl_free(void *block);
char *hl_strdup(const char *text);

/* What a block of tensors is for: memory is accounted by it. */
typedef enum hl_use {
    HL_USE_PARAMETERS,
    HL_USE_COPIES, /* of parameters in 16 bits */
    HL_USE_OPTIMIZER,
    HL_USE_ARENA, /* gradients, activations, workspace, and on the CPU inputs and outputs */
    HL_USE_PACKED,
    HL_USE_IO, /* batches that are read ahead, what crosses to a device */
    HL_USE_OTHER,
    HL_USES
} hl_use;
const char *hl_use_name(hl_use use);

/* 64-byte aligned and zeroed lazily by the operating system; for tensors. NULL if there is none. */
void *hl_alloc_tensor(size_t bytes, hl_use use);
/* bytes as they were asked for. Accepts NULL. */
void hl_free_tensor(void *block, size_t bytes);

/* Bytes that are allocated, whether they are resident or not. Peaks are since the last
 * hl_allocated_new_peaks. */
typedef struct hl_allocated {
    size_t live[HL_USES], peak[HL_USES];
    size_t tensors, tensors_peak; /* of all uses together; the peak is not the sum of the peaks */
    size_t blocks;                /* live ones of tensors */
    size_t heap, heap_peak;       /* through hl_alloc and hl_realloc, as the C library rounds them */
} hl_allocated;

/* Safe, and cheap, on any thread. */
hl_allocated hl_allocated_now(void);
/* Peaks become what is live now: a phase begins. */
void hl_allocated_new_peaks(void);

/* Calls visit for every live block of tensors; no block comes or goes meanwhile, so visit must not
 * allocate tensors. bytes: as asked for. */
typedef void hl_tensor_visit(void *context, const void *block, size_t bytes, hl_use use);
void hl_tensors_visit(hl_tensor_visit *visit, void *context);

/* How many allocations (all kinds) this process has made: steady state adds none. */
uint64_t hl_alloc_count(void);
/* The n-th allocation from now (1 is the next) fails, once; 0 switches it off. Also from the
 * environment: HL_FAIL_ALLOC=n. */
void hl_alloc_fail_at(uint64_t n);

/* Fills a block with NaN of every float width when the environment says HL_POISON_ARENA=1: a kernel that
 * reads what nobody wrote, or counts on zeros, then gives itself away. */
void hl_poison(void *block, size_t bytes);

/* Many small things that go away together. Zeroed memory, 16-byte aligned. */
typedef struct hl_arena hl_arena;
hl_arena *hl_arena_new(void);
void hl_arena_free(hl_arena *arena);
void *hl_arena_alloc(hl_arena *arena, size_t count, size_t size);
char *hl_arena_strdup(hl_arena *arena, const char *text);

#ifdef __cplusplus
}
#endif
#endif
