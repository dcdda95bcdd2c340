#include "kernels/cpu/quantize.h"

#include "kernels/cpu/shape.h"

#include <string.h>

int32_t hl_largest_magnitude(const float *x, int64_t n)
{
    int32_t most = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t m = hl_magnitude(x[i]);
        most = m > most ? m : most;
    }
    return most;
}

void hl_quantize_rows(const float *x, int64_t rows, int64_t n, const float *given, int64_t piece, int16_t *q,
                      float *step)
{
    HL_PARALLEL_FOR(rows * n)
    for (int64_t r = 0; r < rows; r++) {
        const float *from = x + r * n;
        float s = step[r] = hl_quantize_step(hl_largest_magnitude(from, n), given);
        for (int64_t at = 0; at < n; at += piece) {
            int16_t *to = q + (at / piece * rows + r) * piece;
            int64_t here = hl_min(piece, n - at);
            for (int64_t i = 0; i < here; i++)
                to[i] = (int16_t)hl_quantize(from[at + i], s);
            memset(to + here, 0, (size_t)(piece - here) * sizeof *to);
        }
    }
}
