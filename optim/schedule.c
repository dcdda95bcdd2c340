#include "optim/schedule.h"

#include <math.h>

double hl_lr_at(const hl_lr_schedule *s, int64_t step)
{
    if (step < s->warmup)
        return s->lr * (double)(step + 1) / (double)s->warmup;
    if (s->kind == HL_CONSTANT || s->steps <= s->warmup)
        return s->lr;
    double done = (double)(step - s->warmup) / (double)(s->steps - s->warmup);
    done = done > 1 ? 1 : done;
    double left = s->kind == HL_LINEAR ? 1 - done : 0.5 * (1 + cos(3.14159265358979323846 * done));
    return s->min_lr + (s->lr - s->min_lr) * left;
}
