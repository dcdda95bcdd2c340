#include "kernels/cpu/skinny_tiles.h"

#include "base/error.h"
#include "base/memory.h"

/* Floats of an operand packed as rows of n elements, n padded by up to pad: false on overflow. */
static bool packed(size_t rows, size_t n, size_t pad, size_t *floats)
{
    return hl_size_add(n, pad, floats) && hl_size_mul(*floats, rows, floats) &&
           hl_size_add(*floats, LINE, floats);
}

/* What the packed operands take together, and what each thread takes beside. */
static bool scratch(hl_skinny_product product, size_t m, size_t n_out, size_t n_in, size_t *shared,
                    size_t *each)
{
    size_t other, rows = round_up(m, NN_ROWS);
    switch (product) {
    case HL_SKINNY_NT:
        *shared = *each = 0;
        if (m == 1) /* read as it lies */
            return true;
        *each = 2 * NT_SUMS; /* doubles */
        return packed(round_up(m, V), n_in, 0, shared);
    case HL_SKINNY_NN:
        *each = 2 * NN_BLOCK * rows;
        return packed(rows, n_out, 0, shared);
    case HL_SKINNY_TN:
        *each = 0;
        return packed(m, n_out, TN_ROWS, shared) && packed(m, n_in, TN_STRIP, &other) &&
               hl_size_add(*shared, other, shared);
    }
    return false;
}

bool hl_skinny_prepare(hl_skinny *plan, hl_skinny_product product, size_t m, size_t n_out, size_t n_in,
                       int threads)
{
    HL_ASSERT(m >= 1 && m <= HL_SKINNY_MAX && n_out >= 1 && n_in >= 1 && threads >= 1);
    size_t shared, each, bytes;
    if (!scratch(product, m, n_out, n_in, &shared, &each) || !hl_size_mul(each, (size_t)threads, &each) ||
        !hl_size_add(shared, each, &bytes) || !hl_size_mul(bytes, sizeof(float), &bytes))
        return false;
    *plan = (hl_skinny){.m = m, .n_out = n_out, .n_in = n_in, .threads = threads, .work_bytes = bytes};
    return true;
}
