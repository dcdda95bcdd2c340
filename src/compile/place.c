#include "compile/place.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* Ties are in a fixed order: plans are reproducible. */
static int by_size(const void *a, const void *b)
{
    const hl_block *x = *(hl_block *const *)a, *y = *(hl_block *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : x > y;
}

/* What ends last lies lowest, as on a stack. */
static int by_end(const void *a, const void *b)
{
    const hl_block *x = *(hl_block *const *)a, *y = *(hl_block *const *)b;
    return x->last != y->last ? (x->last < y->last ? 1 : -1) : by_size(a, b);
}

/* Placed blocks are kept sorted by offset, so that gaps come in order. */
static size_t best_gap(const hl_block *placed, int n, const hl_block *b)
{
    size_t end = 0, best = 0, best_size = SIZE_MAX;
    for (int i = 0; i < n; i++) {
        const hl_block *p = &placed[i];
        if (p->last < b->first || p->first > b->last)
            continue;
        if (p->offset >= end && p->offset - end >= b->bytes && p->offset - end < best_size) {
            best = end;
            best_size = p->offset - end;
        }
        if (p->offset + p->bytes > end)
            end = p->offset + p->bytes;
    }
    return best_size == SIZE_MAX ? end : best;
}

static void insert(hl_block *placed, int n, const hl_block *b)
{
    int i = n;
    for (; i > 0 && placed[i - 1].offset > b->offset; i--)
        placed[i] = placed[i - 1];
    placed[i] = *b;
}

static hl_status check_sizes(const hl_block *blocks, int n, hl_error *err)
{
    size_t sum = 0;
    for (int i = 0; i < n; i++)
        if (!hl_size_add(sum, blocks[i].bytes, &sum) || sum > SIZE_MAX / 2)
            return hl_fail(err, HL_ERR_MEMORY,
                           "the tensors of this graph need more bytes than can be addressed");
    return HL_OK;
}

/* The last of the steps at which most bytes are alive. change: room for steps + 1. */
static void find_fullest(const hl_block *blocks, int n, int steps, size_t *change, hl_placement *p)
{
    for (int i = 0; i < n; i++) { /* differences from step to step, modulo 2^64 */
        change[blocks[i].first] += blocks[i].bytes;
        change[blocks[i].last + 1] -= blocks[i].bytes;
    }
    size_t alive = 0;
    for (int s = 0; s < steps; s++) {
        alive += change[s];
        if (alive >= p->lower_bound) {
            p->lower_bound = alive;
            p->fullest = s;
        }
    }
}

typedef struct placing {
    hl_block *blocks;
    int n;
    hl_block **order, *placed;
    size_t *best, least; /* the offsets of the smallest arena so far, and its size */
} placing;

/* Returns the size of the arena. */
static size_t place_in_order(placing *p)
{
    size_t arena = 0;
    for (int i = 0; i < p->n; i++) {
        hl_block *b = p->order[i];
        b->offset = best_gap(p->placed, i, b);
        insert(p->placed, i, b);
        arena = b->offset + b->bytes > arena ? b->offset + b->bytes : arena;
    }
    for (int i = 0; i < p->n && arena < p->least; i++)
        p->best[i] = p->blocks[i].offset;
    p->least = arena < p->least ? arena : p->least;
    return arena;
}

/* What ends where the arena does is placed first the next time. */
static void promote_highest(placing *p, size_t arena)
{
    int i = 0;
    while (p->order[i]->offset + p->order[i]->bytes != arena)
        i++;
    hl_block *b = p->order[i];
    memmove((void *)(p->order + 1), (const void *)p->order, (size_t)i * sizeof *p->order);
    p->order[0] = b;
}

static void place_all(placing *p, size_t lower_bound)
{
    enum { ATTEMPTS = 24 };
    for (int i = 0; i < p->n; i++)
        p->order[i] = &p->blocks[i];
    qsort((void *)p->order, (size_t)p->n, sizeof *p->order, by_size);
    place_in_order(p);
    if (p->least > lower_bound)
        qsort((void *)p->order, (size_t)p->n, sizeof *p->order, by_end);
    for (int i = 0; i < ATTEMPTS && p->least > lower_bound; i++)
        promote_highest(p, place_in_order(p));
    for (int i = 0; i < p->n; i++)
        p->blocks[i].offset = p->best[i];
}

/* Every block for itself. */
static size_t place_apart(hl_block *blocks, int n)
{
    size_t arena = 0;
    for (int i = 0; i < n; i++) {
        blocks[i].offset = arena;
        arena += blocks[i].bytes;
    }
    return arena;
}

hl_status hl_place(hl_block *blocks, int n, int steps, bool reuse, hl_placement *result, hl_error *err)
{
    *result = (hl_placement){0};
    for (int i = 0; i < n; i++)
        blocks[i].bytes = hl_size_align(blocks[i].bytes ? blocks[i].bytes : 1, HL_ALIGN);
    if (check_sizes(blocks, n, err) != HL_OK)
        return err ? err->status : HL_ERR_MEMORY;
    size_t count = (size_t)n, *numbers = hl_alloc(count + (size_t)steps + 1, sizeof *numbers);
    placing p = {.blocks = blocks, .n = n, .best = numbers, .least = SIZE_MAX};
    p.order = hl_alloc(count, sizeof(hl_block *));
    p.placed = hl_alloc(count, sizeof *p.placed);
    bool ok = numbers && p.order && p.placed;
    if (ok) {
        find_fullest(blocks, n, steps, numbers + n, result);
        if (reuse && n)
            place_all(&p, result->lower_bound);
        result->bytes = reuse && n ? p.least : place_apart(blocks, n);
    }
    hl_free(numbers);
    hl_free((void *)p.order);
    hl_free(p.placed);
    return ok ? HL_OK : hl_fail(err, HL_ERR_MEMORY, "no memory to place %d tensors", n);
}
