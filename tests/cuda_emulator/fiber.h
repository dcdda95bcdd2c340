/* Stacks that one OS thread switches between by hand. */
#ifndef HL_CUDA_EMULATOR_FIBER_H
#define HL_CUDA_EMULATOR_FIBER_H

#include <cstddef>

struct fiber {
    void *context;      /* where it goes on: a stack pointer, or a ucontext_t */
    const void *bottom; /* lowest address of the stack */
    size_t bytes;       /* of the stack */
    void *sanitizer; /* AddressSanitizer's fake stack, or ThreadSanitizer's fiber, while it is switched off */
    void (*entry)(void); /* never returns */
};

/* A fiber that will start in entry when it is first switched to. Lives until the process ends. */
fiber *fiber_new(void (*entry)(void));

/* Leaves `from`, which is the running one, for `to`; returns when somebody switches back. A fiber that is all
 * zero stands for the stack that the OS thread came with. */
void fiber_switch(fiber *from, fiber *to);

#endif
