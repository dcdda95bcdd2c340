/* For targets whose input is a safetensors file. */
#ifndef HL_TESTS_FUZZ_SAFETENSORS_HEADER_H
#define HL_TESTS_FUZZ_SAFETENSORS_HEADER_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A copy (free) of n >= 8 bytes whose header ends at the last '}': else most changes of its size end the
 * reading at once. */
static inline uint8_t *with_header_to_last_brace(const uint8_t *bytes, size_t n)
{
    uint8_t *copy = malloc(n);
    size_t end = n;
    HL_ASSERT(copy);
    memcpy(copy, bytes, n);
    while (end > 8 && copy[end - 1] != '}')
        end--;
    for (int i = 0; i < 8; i++)
        copy[i] = (uint8_t)((uint64_t)(end - 8) >> 8 * i);
    return copy;
}

/* Reads the input as it is, and so. */
static inline int read_with_headers(const uint8_t *bytes, size_t n,
                                    void (*reads)(const uint8_t *bytes, size_t n))
{
    reads(bytes, n);
    if (n < 8)
        return 0;
    uint8_t *copy = with_header_to_last_brace(bytes, n);
    reads(copy, n);
    free(copy);
    return 0;
}

#endif
