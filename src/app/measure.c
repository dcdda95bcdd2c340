#include "app/measure.h"

#include "base/memory.h"

#include <math.h>

struct hl_measure {
    int64_t C, Z, samples;
    double sparsity; /* sum over samples */
    double *mean, *spread,
        *error; /* per dimension of the context: Welford's mean and sum of squares; squared error */
};

hl_measure *hl_measure_new(int64_t context, int64_t compressed)
{
    hl_measure *m = hl_alloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->C = context;
    m->Z = compressed;
    m->mean = hl_alloc((size_t)context, sizeof *m->mean);
    m->spread = hl_alloc((size_t)context, sizeof *m->spread);
    m->error = hl_alloc((size_t)context, sizeof *m->error);
    if (m->mean && m->spread && m->error)
        return m;
    hl_measure_free(m);
    return NULL;
}

void hl_measure_free(hl_measure *m)
{
    if (!m)
        return;
    hl_free(m->mean);
    hl_free(m->spread);
    hl_free(m->error);
    hl_free(m);
}

static double hoyer(const float *z, int64_t n)
{
    double l1 = 0, l2 = 0, root = sqrt((double)n);
    for (int64_t i = 0; i < n; i++) {
        l1 += fabs(z[i]);
        l2 += (double)z[i] * z[i];
    }
    return n > 1 && l2 > 0 ? (root - l1 / sqrt(l2)) / (root - 1) : 0;
}

void hl_measure_add(hl_measure *m, int64_t batch, const float *context, const float *reconstructed,
                    const float *compressed)
{
    for (int64_t b = 0; b < batch; b++) {
        const float *x = context + b * m->C, *y = reconstructed + b * m->C;
        m->samples++;
        m->sparsity += hoyer(compressed + b * m->Z, m->Z);
        for (int64_t i = 0; i < m->C; i++) {
            double from_mean = x[i] - m->mean[i], miss = (double)x[i] - y[i];
            m->mean[i] += from_mean / (double)m->samples;
            m->spread[i] += from_mean * (x[i] - m->mean[i]);
            m->error[i] += miss * miss;
        }
    }
}

double hl_measure_sparsity(const hl_measure *m)
{
    return m->samples ? m->sparsity / (double)m->samples : NAN;
}

double hl_measure_information(const hl_measure *m)
{
    double bits = 0;
    if (m->samples < 2)
        return NAN;
    for (int64_t i = 0; i < m->C; i++)
        if (m->spread[i] > m->error[i] && m->error[i] > 0)
            bits += 0.5 * log2(m->spread[i] / m->error[i]);
    return bits;
}
