/* A file in memory, for readers that want a path. */
#ifndef HL_TESTS_FUZZ_MEMORY_FILE_H
#define HL_TESTS_FUZZ_MEMORY_FILE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The path of a file of these bytes, which the next call replaces. */
static inline const char *memory_file(const uint8_t *bytes, size_t n)
{
    static char path[32];
    static int fd = -1;
    if (fd >= 0)
        (void)close(fd);
    fd = (int)syscall(SYS_memfd_create, "fuzz", 0);
    HL_ASSERT(fd >= 0);
    HL_ASSERT(!n || write(fd, bytes, n) == (ssize_t)n);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return path;
}

#endif
