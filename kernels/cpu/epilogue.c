#include "kernels/cpu/epilogue.h"

#include "kernels/cpu/math.h"

void hl_epilogue(float *y, int64_t rows, int64_t N, const float *bias, hl_activation activation)
{
    if (!bias && activation == HL_ACT_NONE)
        return;
    HL_PARALLEL_FOR(rows * N)
    for (int64_t r = 0; r < rows; r++) {
        float *row = y + r * N;
        for (int64_t i = 0; bias && i < N; i++)
            row[i] += bias[i];
        hl_activate(row, N, activation);
    }
}
