/* The newest values of an entry of the store, in one of its forms, for tests that look inside. */
#ifndef HL_TESTS_NEWEST_VALUES_H
#define HL_TESTS_NEWEST_VALUES_H

#include "run/param_entry.h"

/* On the host; as a session that begins a step brings them there. */
static inline hl_status newest_values(hl_params *params, int index, hl_dtype dtype, void **data,
                                      hl_error *err)
{
    bool waited = false;
    pthread_mutex_lock(&params->lock);
    hl_entry *e = hl_entry_at(params, index);
    hl_status status = hl_entry_settle(params, e, &waited, err);
    if (status == HL_OK)
        status = hl_values_freshen(params, e, dtype, false, err);
    if (status == HL_OK)
        *data = hl_newest(&e->host[dtype])->data;
    pthread_mutex_unlock(&params->lock);
    return status;
}

#endif
