#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

hl_status hl_fail(hl_error *err, hl_status status, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        err->status = status;
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
    }
    return status;
}

hl_status hl_fail_prefix(hl_error *err, const char *format, ...)
{
    char old[sizeof err->message];
    va_list args;
    if (!err)
        return HL_ERR_DATA;
    memcpy(old, err->message, sizeof old);
    va_start(args, format);
    int n = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof err->message) {
        size_t room = sizeof err->message - (size_t)n;
        snprintf(err->message + n, room, ": %.*s", (int)room, old); /* cut where it does not fit */
    }
    return err->status;
}

static void (*_Atomic told)(const char *sentence);

void hl_on_bug(void (*tell)(const char *sentence))
{
    told = tell;
}

void hl_tell_bug(const char *sentence)
{
    void (*tell)(const char *) = told;
    if (tell)
        tell(sentence);
}

void hl_assert_failed(const char *condition, const char *file, int line, const char *function)
{
    char sentence[1024];
    snprintf(sentence, sizeof sentence, "%s:%d: %s: this is a bug in hl: '%s' does not hold", file, line,
             function, condition);
    hl_tell_bug(sentence);
    abort();
}
