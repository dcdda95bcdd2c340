#include "base/memory_internal.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

bool hl_size_mul(size_t a, size_t b, size_t *out)
{
    size_t r;
    if (__builtin_mul_overflow(a, b, &r))
        return false;
    *out = r;
    return true;
}

bool hl_size_add(size_t a, size_t b, size_t *out)
{
    size_t r;
    if (__builtin_add_overflow(a, b, &r))
        return false;
    *out = r;
    return true;
}

size_t hl_size_align(size_t n, size_t unit)
{
    return (n + unit - 1) & ~(unit - 1);
}

static atomic_uint_fast64_t allocations;
static atomic_int_fast64_t until_failure; /* 0: never */
static atomic_bool environment_read;

bool hl_memory_must_fail(void)
{
    if (!atomic_exchange(&environment_read, true)) {
        const char *n = getenv("HL_FAIL_ALLOC");
        if (n)
            atomic_store(&until_failure, strtoll(n, NULL, 10));
    }
    atomic_fetch_add(&allocations, 1);
    if (atomic_load(&until_failure) <= 0)
        return false;
    return atomic_fetch_sub(&until_failure, 1) == 1;
}

uint64_t hl_alloc_count(void)
{
    return atomic_load(&allocations);
}

void hl_alloc_fail_at(uint64_t n)
{
    atomic_store(&environment_read, true);
    atomic_store(&until_failure, (int_fast64_t)n);
}

static atomic_size_t heap, heap_peak;

/* The C library knows the size of each block, so none has to be remembered. */
static void *counted(void *block)
{
    size_t live = atomic_fetch_add(&heap, malloc_usable_size(block)) + malloc_usable_size(block);
    size_t peak = atomic_load(&heap_peak);
    while (peak < live && !atomic_compare_exchange_weak(&heap_peak, &peak, live))
        ;
    return block;
}

size_t hl_heap_live(void)
{
    return atomic_load(&heap);
}

size_t hl_heap_peak(void)
{
    return atomic_load(&heap_peak);
}

void hl_heap_new_peak(void)
{
    atomic_store(&heap_peak, atomic_load(&heap));
}

void *hl_alloc(size_t count, size_t size)
{
    size_t bytes;
    if (hl_memory_must_fail() || !hl_size_mul(count, size, &bytes))
        return NULL;
    return counted(calloc(1, bytes ? bytes : 1));
}

void *hl_realloc(void *block, size_t count, size_t size)
{
    size_t bytes, before = malloc_usable_size(block);
    if (hl_memory_must_fail() || !hl_size_mul(count, size, &bytes))
        return NULL;
    void *got = realloc(block, bytes ? bytes : 1);
    if (!got)
        return NULL;
    atomic_fetch_sub(&heap, before);
    return counted(got);
}

void hl_free(void *block)
{
    atomic_fetch_sub(&heap, malloc_usable_size(block));
    free(block);
}

char *hl_strdup(const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = hl_alloc(n, 1);
    return copy ? memcpy(copy, text, n) : NULL;
}

void hl_poison(void *block, size_t bytes)
{
    const char *on = getenv("HL_POISON_ARENA");
    if (on && !strcmp(on, "1"))
        memset(block, 0xff, bytes);
}

/* ------------------------------------------------------------------ arena */

enum { BLOCK = 64 * 1024 };

typedef struct block {
    struct block *next;
    size_t used, size;
    _Alignas(16) unsigned char data[];
} block;

struct hl_arena {
    block *top;
};

hl_arena *hl_arena_new(void)
{
    return hl_alloc(1, sizeof(hl_arena));
}

void hl_arena_free(hl_arena *arena)
{
    if (!arena)
        return;
    for (block *b = arena->top, *next; b; b = next) {
        next = b->next;
        hl_free(b);
    }
    hl_free(arena);
}

void *hl_arena_alloc(hl_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (!hl_size_mul(count, size, &bytes) || bytes > SIZE_MAX / 2)
        return NULL;
    bytes = hl_size_align(bytes ? bytes : 1, 16);
    block *b = arena->top;
    if (!b || b->size - b->used < bytes) {
        size_t room = bytes > BLOCK ? bytes : BLOCK;
        b = hl_alloc(1, sizeof *b + room);
        if (!b)
            return NULL;
        b->size = room;
        b->next = arena->top;
        arena->top = b;
    }
    void *p = b->data + b->used;
    b->used += bytes;
    return p;
}

char *hl_arena_strdup(hl_arena *arena, const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = hl_arena_alloc(arena, n, 1);
    return copy ? memcpy(copy, text, n) : NULL;
}
