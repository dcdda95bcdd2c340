/* Running a kernel's grid. */
#ifndef HL_CUDA_EMULATOR_GRID_H
#define HL_CUDA_EMULATOR_GRID_H

#include "tests/cuda_emulator/emulator.h"

enum order { ORDER_FORWARD, ORDER_REVERSE, ORDER_SHUFFLE };

/* As HL_EMULATOR_ORDER said, or order_set since. */
order order_of();
void order_set(order order);
/* The next number of a fixed sequence, 0 <= it < n. */
uint64_t order_random(uint64_t n);

/* All blocks, to their end. Aborts with a message where threads wait for each other for ever. */
void grid_run(const hl_emulated_kernel &kernel);

#endif
