/* Files of which bytes are turned over: what reads them refuses with a sentence or reads, and never crashes.
 */
#ifndef HL_TESTS_DAMAGED_FILE_H
#define HL_TESTS_DAMAGED_FILE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* What came of one damaged file. */
typedef enum damaged_outcome {
    DAMAGED_REFUSED,
    DAMAGED_READ,
    DAMAGED_WRONG, /* no sentence, something left open, a value that must not be */
    DAMAGED_OUTCOMES
} damaged_outcome;

/* 0 if nothing went wrong, some files were read, and some refused or none had to be. */
static inline int damaged_flip(const char *path, unsigned char *bytes, size_t size,
                               damaged_outcome (*read)(void), bool some_refused)
{
    int seen[DAMAGED_OUTCOMES] = {0};
    for (size_t trial = 0; trial < 150; trial++) {
        size_t at = trial * 2654435761u % size;
        FILE *f = fopen(path, "wb");
        bytes[at] ^= 0xff;
        fwrite(bytes, 1, size, f);
        fclose(f);
        bytes[at] ^= 0xff;
        seen[read()]++;
    }
    return seen[DAMAGED_READ] && !seen[DAMAGED_WRONG] && (seen[DAMAGED_REFUSED] || !some_refused) ? 0 : 1;
}

/* Turns over one byte of the file after the other, and reads each. In a process of its own, because libhdf5
 * 1.10 leaks some of its own memory over damaged object headers. */
static inline void damaged_byte_by_byte(const char *path, damaged_outcome (*read)(void), bool some_refused)
{
    FILE *f = fopen(path, "rb");
    fseek(f, 0, SEEK_END);
    size_t size = (size_t)ftell(f);
    unsigned char *bytes = malloc(size);
    rewind(f);
    assert_int_equal(fread(bytes, 1, size, f), size);
    fclose(f);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(damaged_flip(path, bytes, size, read, some_refused));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    free(bytes);
}

#endif
