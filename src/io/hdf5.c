#include "io/hdf5.h"

#include "base/error.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t lock;

static void make_lock(void)
{
    pthread_mutexattr_t nesting;
    HL_ASSERT(pthread_mutexattr_init(&nesting) == 0);
    HL_ASSERT(pthread_mutexattr_settype(&nesting, PTHREAD_MUTEX_RECURSIVE) == 0);
    HL_ASSERT(pthread_mutex_init(&lock, &nesting) == 0);
    (void)pthread_mutexattr_destroy(&nesting);
}

hl_hdf5_scope hl_hdf5_begin(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    hl_hdf5_scope scope = {0};
    HL_ASSERT(pthread_once(&once, make_lock) == 0);
    HL_ASSERT(pthread_mutex_lock(&lock) == 0);
    /* Neither call can fail on the default stack; were it to, errors would be printed, no more. */
    (void)H5Eget_auto2(H5E_DEFAULT, &scope.handler, &scope.data);
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return scope;
}

void hl_hdf5_end(hl_hdf5_scope scope)
{
    (void)H5Eset_auto2(H5E_DEFAULT, scope.handler, scope.data);
    HL_ASSERT(pthread_mutex_unlock(&lock) == 0);
}

static herr_t keep_first(unsigned n, const H5E_error2_t *error, void *text)
{
    (void)n;
    snprintf(text, 256, "%s", error->desc ? error->desc : "no reason given");
    return 1; /* stop: the innermost one is the cause, the others say who called it */
}

hl_status hl_hdf5_fail(hl_error *err, hl_status status, const char *format, ...)
{
    char reason[256] = "", sentence[sizeof(((hl_error *)0)->message)];
    (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, reason);
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return *reason ? hl_fail(err, status, "%s [HDF5: %s]", sentence, reason)
                   : hl_fail(err, status, "%s", sentence);
}
