/* Initial values of parameters and state. */
#include "run/param_entry.h"

#include "base/half.h"
#include "base/philox.h"

#include <math.h>
#include <string.h>

/* Random values are a function of (seed, name, index) alone: the hash of the name takes the place of
 * (step, stream) in Philox's counter. So the order of declaration and the number of threads do not
 * matter, and a tensor added to a model leaves the others as they were. */
static hl_philox words(const hl_params *params, const hl_entry *e, int64_t block)
{
    return hl_philox_block(params->seed, (uint32_t)e->hash, (uint32_t)(e->hash >> 32), (uint64_t)block);
}

static float *floats(const hl_entry *e)
{
    return e->host[HL_F32].buffer[e->host[HL_F32].now].data;
}

/* One block of four values at 4 * block, fewer at the end. */
static void fill_uniform(const hl_params *params, const hl_entry *e, float bound)
{
    float *data = floats(e);
    int64_t blocks = e->count / 4;
#pragma omp parallel for schedule(static) if (blocks > 4096)
    for (int64_t b = 0; b < blocks; b++) {
        hl_philox w = words(params, e, b);
        for (int k = 0; k < 4; k++)
            data[4 * b + k] = bound * (2.0f * hl_uniform_float(w.v[k]) - 1.0f);
    }
    hl_philox w = words(params, e, blocks);
    for (int64_t i = 4 * blocks; i < e->count; i++)
        data[i] = bound * (2.0f * hl_uniform_float(w.v[i % 4]) - 1.0f);
}

/* Box-Muller (1958), in double so that one libm rounds as another. */
static void fill_normal(const hl_params *params, const hl_entry *e)
{
    const double turn = 6.283185307179586476925286766559;
    float *data = floats(e);
    int64_t blocks = (e->count + 3) / 4;
#pragma omp parallel for schedule(static) if (blocks > 4096)
    for (int64_t b = 0; b < blocks; b++) {
        hl_philox w = words(params, e, b);
        double normal[4];
        for (int k = 0; k < 4; k += 2) {
            double radius = sqrt(-2.0 * log((double)hl_uniform_open(w.v[k])));
            double angle = turn * (double)hl_uniform_float(w.v[k + 1]);
            normal[k] = radius * cos(angle);
            normal[k + 1] = radius * sin(angle);
        }
        for (int k = 0; k < 4 && 4 * b + k < e->count; k++)
            data[4 * b + k] = (float)normal[k];
    }
}

static void fill_constant(const hl_entry *e, float x)
{
    void *values = e->host[e->dtype].buffer[e->host[e->dtype].now].data;
    const uint16_t bits = e->dtype == HL_BF16 ? hl_float_to_bf16(x) : hl_float_to_f16(x);
    if (e->dtype == HL_I8)
        memset(values, (int8_t)x, (size_t)e->count);
    for (int64_t i = 0; i < e->count && e->dtype == HL_F32; i++)
        ((float *)values)[i] = x;
    for (int64_t i = 0; i < e->count && (e->dtype == HL_F16 || e->dtype == HL_BF16); i++)
        ((uint16_t *)values)[i] = bits;
}

void hl_entry_initialise(const hl_params *params, const hl_entry *e)
{
    if (!e->count)
        return; /* and the other dimensions may be anything */
    int64_t columns = hl_shape_span(e->shape, 1, e->shape.rank);
    int64_t fan_in = e->init.fan_in ? e->init.fan_in : columns;
    switch (e->init.kind) {
    case HL_ZEROS:
        break; /* as the operating system gave it: not even touched */
    case HL_ONES:
        fill_constant(e, 1);
        break;
    case HL_FILLED:
        if (e->init.value != 0)
            fill_constant(e, e->init.value);
        break;
    case HL_FAN_IN:
        fill_uniform(params, e, (float)(1.0 / sqrt((double)fan_in)));
        break;
    case HL_XAVIER:
        fill_uniform(params, e, (float)sqrt(6.0 / ((double)e->shape.dim[0] + (double)columns)));
        break;
    case HL_NORMAL:
        fill_normal(params, e);
        break;
    }
}
