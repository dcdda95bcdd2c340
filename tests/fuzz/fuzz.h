/* What a fuzz target defines. */
#ifndef HL_TESTS_FUZZ_H
#define HL_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Reads n bytes as whatever the target is for. What it finds wrong with the reader aborts. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#endif
