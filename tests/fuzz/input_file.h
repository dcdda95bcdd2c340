/* The input as a file, for readers that want a path. To be included by one file of a program. */
#ifndef HL_TESTS_FUZZ_INPUT_FILE_H
#define HL_TESTS_FUZZ_INPUT_FILE_H

#include "base/error.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char input_path[256];

static inline void remove_input(void)
{
    (void)unlink(input_path);
}

/* The path of a file in $TMPDIR of these bytes, which the next call replaces. */
static inline const char *input_file(const uint8_t *bytes, size_t n)
{
    static int fd = -1;
    const char *folder = getenv("TMPDIR");
    if (fd < 0) {
        snprintf(input_path, sizeof input_path, "%s/hl-fuzz-%ld", folder ? folder : "/tmp", (long)getpid());
        fd = open(input_path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
        HL_ASSERT(fd >= 0 && atexit(remove_input) == 0);
    }
    HL_ASSERT(ftruncate(fd, 0) == 0 && pwrite(fd, bytes, n, 0) == (ssize_t)n);
    return input_path;
}

/* The same of a file's bytes, of which there are some 100 kB at most. */
static inline const char *input_copy(const char *path)
{
    static uint8_t bytes[1 << 18];
    static size_t n;
    FILE *f = n ? NULL : fopen(path, "rb");
    if (f) {
        n = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
    }
    HL_ASSERT(n && n < sizeof bytes);
    return input_file(bytes, n);
}

#endif
