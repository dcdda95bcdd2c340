/* A condition variable on the clock of hl_seconds, which nobody sets. */
#ifndef HL_BASE_CONDITION_H
#define HL_BASE_CONDITION_H

#include <pthread.h>
#include <stdbool.h>

/* Makes both; false if there is no memory, and neither is made. */
bool hl_condition_init(pthread_cond_t *condition, pthread_mutex_t *lock);
void hl_condition_destroy(pthread_cond_t *condition, pthread_mutex_t *lock);
/* Waits, with the lock, until somebody signals or a time of hl_seconds has come (false); INFINITY: any time.
 */
bool hl_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, double until);

#endif
