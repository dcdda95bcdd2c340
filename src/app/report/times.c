#include "app/report/times.h"

#include <math.h>

double hl_times_deadline_near(const hl_times *t, double most)
{
    return t->deadline <= 4 * most ? t->deadline : NAN;
}

void hl_page_times(hl_page *p, const json_t *run, bool training)
{
    hl_times t = {.run = run,
                  .latency = json_object_get(run, training ? "step_ms" : "latency_ms"),
                  .deadline = hl_page_number(run, "deadline_ms"),
                  .runs = training ? "steps" : "runs",
                  .histogram = training ? "Step time" : "Latency",
                  .timeline = training ? "Step time over time" : "Latency over time",
                  .split = training ? "What a training step spends its time on"
                                    : "What an inference spends its time on"};
    hl_times_histogram(p, &t);
    hl_times_timeline(p, &t);
    if (training)
        hl_page_loss(p, run);
    hl_times_split(p, &t);
}
