#include "base/condition.h"

#include <errno.h>
#include <math.h>
#include <time.h>

bool hl_condition_init(pthread_cond_t *condition, pthread_mutex_t *lock)
{
    pthread_condattr_t monotonic;
    if (pthread_condattr_init(&monotonic))
        return false;
    bool made = !pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) &&
                !pthread_cond_init(condition, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (made && pthread_mutex_init(lock, NULL)) {
        pthread_cond_destroy(condition);
        made = false;
    }
    return made;
}

void hl_condition_destroy(pthread_cond_t *condition, pthread_mutex_t *lock)
{
    pthread_cond_destroy(condition);
    pthread_mutex_destroy(lock);
}

bool hl_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, double until)
{
    if (isinf(until))
        return !pthread_cond_wait(condition, lock);
    const double whole = floor(until);
    const struct timespec at = {(time_t)whole, (long)(1e9 * (until - whole))};
    return pthread_cond_timedwait(condition, lock, &at) != ETIMEDOUT;
}
