/* Two kinds of error: the world's fault is an hl_status and a sentence, ours is an HL_ASSERT. */
#ifndef HL_BASE_ERROR_H
#define HL_BASE_ERROR_H

#include "hl.h"

#ifdef __cplusplus
extern "C" {
#define HL_NORETURN [[noreturn]]
#else
#define HL_NORETURN _Noreturn
#endif

/* Fills err (which may be NULL) and returns status, so that failing is one line:
 *     return hl_fail(err, HL_ERR_IO, "%s: %s", path, strerror(errno)); */
hl_status hl_fail(hl_error *err, hl_status status, const char *format, ...) HL_PRINTF(3, 4);

/* Puts "prefix: " before the message of an error that is already there. Returns its status. */
hl_status hl_fail_prefix(hl_error *err, const char *format, ...) HL_PRINTF(2, 3);

/* Active in release: a broken invariant stops the program where it broke (hl_on_bug in hl.h). */
#define HL_ASSERT(condition)                                                                                 \
    ((condition) ? (void)0 : hl_assert_failed(#condition, __FILE__, __LINE__, __func__))
/* Gives a sentence to who listens. */
void hl_tell_bug(const char *sentence);
HL_NORETURN void hl_assert_failed(const char *condition, const char *file, int line, const char *function);

#ifdef __cplusplus
}
#endif
#endif
