#include "compile/place.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>

static int by_size(const void *a, const void *b)
{
    const hl_block *x = *(hl_block *const *)a, *y = *(hl_block *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : x > y; /* ties in a fixed order: plans are reproducible */
}

/* Placed blocks are kept sorted by offset, so that gaps come in order. */
static size_t best_gap(hl_block *const *placed, int n, const hl_block *b)
{
    size_t end = 0, best = 0, best_size = SIZE_MAX;
    for (int i = 0; i < n; i++) {
        const hl_block *p = placed[i];
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

static void insert(hl_block **placed, int n, hl_block *b)
{
    int i = n;
    for (; i > 0 && placed[i - 1]->offset > b->offset; i--)
        placed[i] = placed[i - 1];
    placed[i] = b;
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

static size_t most_alive(const hl_block *blocks, int n, int steps)
{
    size_t most = 0;
    for (int s = 0; s < steps; s++) {
        size_t alive = 0;
        for (int i = 0; i < n; i++)
            if (blocks[i].first <= s && s <= blocks[i].last)
                alive += blocks[i].bytes;
        most = alive > most ? alive : most;
    }
    return most;
}

hl_status hl_place(hl_block *blocks, int n, int steps, bool reuse, size_t *arena, size_t *lower_bound,
                   hl_error *err)
{
    for (int i = 0; i < n; i++)
        blocks[i].bytes = hl_size_align(blocks[i].bytes ? blocks[i].bytes : 1, HL_ALIGN);
    if (check_sizes(blocks, n, err) != HL_OK)
        return err ? err->status : HL_ERR_MEMORY;
    hl_block **order = hl_alloc((size_t)n, sizeof(hl_block *)),
             **placed = hl_alloc((size_t)n, sizeof(hl_block *));
    *arena = 0;
    *lower_bound = most_alive(blocks, n, steps);
    if (order && placed) {
        for (int i = 0; i < n; i++)
            order[i] = &blocks[i];
        qsort(order, (size_t)n, sizeof *order, by_size);
        for (int i = 0; i < n; i++) {
            hl_block *b = order[i];
            b->offset = reuse ? best_gap(placed, i, b) : *arena;
            insert(placed, i, b);
            if (b->offset + b->bytes > *arena)
                *arena = b->offset + b->bytes;
        }
    }
    bool ok = order && placed;
    hl_free((void *)order);
    hl_free((void *)placed);
    return ok ? HL_OK : hl_fail(err, HL_ERR_MEMORY, "no memory to place %d tensors", n);
}
