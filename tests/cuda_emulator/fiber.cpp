#include "tests/cuda_emulator/fiber.h"

#include "tests/cuda_emulator/sanitizers.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

/* Deep enough for a kernel; with instrumented frames, for a kernel and a report. Untouched pages cost
 * nothing. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const size_t STACK_BYTES = 256 << 10;
#else
static const size_t STACK_BYTES = 64 << 10;
#endif

/* ------------------------------------------------------------------ the switch itself */

/* Stores where the running code goes on in *from, and goes on at `to`. */
extern "C" void hl_fiber_swap(void **from, void *to);
static void enter();

#if defined(__x86_64__)

/* What the ABI asks a callee to keep lies on the stack that is left. */
asm(".text\n"
    ".globl hl_fiber_swap\n"
    ".type hl_fiber_swap, @function\n"
    "hl_fiber_swap:\n"
    "    push %rbp\n    push %rbx\n    push %r12\n    push %r13\n    push %r14\n    push %r15\n"
    "    mov %rsp, (%rdi)\n"
    "    mov %rsi, %rsp\n"
    "    pop %r15\n    pop %r14\n    pop %r13\n    pop %r12\n    pop %rbx\n    pop %rbp\n"
    "    ret\n"
    ".size hl_fiber_swap, . - hl_fiber_swap\n");

static void *first_context(unsigned char *stack, size_t bytes)
{
    uintptr_t *top = reinterpret_cast<uintptr_t *>(stack + bytes);
    *--top = 0; /* where enter would return to; keeps its stack aligned as after a call */
    *--top = reinterpret_cast<uintptr_t>(&enter);
    for (int i = 0; i < 6; i++)
        *--top = 0;
    return top;
}

#else

#include <ucontext.h>

extern "C" void hl_fiber_swap(void **from, void *to)
{
    if (!*from)
        *from = calloc(1, sizeof(ucontext_t));
    swapcontext(static_cast<ucontext_t *>(*from), static_cast<ucontext_t *>(to));
}

static void *first_context(unsigned char *stack, size_t bytes)
{
    ucontext_t *context = static_cast<ucontext_t *>(calloc(1, sizeof *context));
    getcontext(context);
    context->uc_stack.ss_sp = stack;
    context->uc_stack.ss_size = bytes;
    makecontext(context, enter, 0);
    return context;
}

#endif

/* ------------------------------------------------------------------ fibers */

/* Of the switch under way. One OS thread at a time runs fibers. */
static fiber *left, *entered;

static void arrived()
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(entered->sanitizer, &left->bottom, &left->bytes);
#endif
}

static void enter()
{
    arrived();
    entered->entry();
    abort();
}

fiber *fiber_new(void (*entry)(void))
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    /* Below the stack a page that nobody may touch, above it one that has the fiber itself. */
    void *memory = mmap(nullptr, page + STACK_BYTES + page, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE)) {
        perror("CUDA emulator: a thread's stack");
        abort();
    }
    unsigned char *stack = static_cast<unsigned char *>(memory) + page;
    fiber *f = reinterpret_cast<fiber *>(stack + STACK_BYTES);
    f->context = first_context(stack, STACK_BYTES);
    f->bottom = stack;
    f->bytes = STACK_BYTES;
    f->entry = entry;
#ifdef __SANITIZE_THREAD__
    f->sanitizer = __tsan_create_fiber(0);
#endif
    return f;
}

void fiber_switch(fiber *from, fiber *to)
{
    left = from;
    entered = to;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&from->sanitizer, to->bottom, to->bytes);
#endif
#ifdef __SANITIZE_THREAD__
    from->sanitizer = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->sanitizer, 0);
#endif
    hl_fiber_swap(&from->context, to->context);
    arrived();
}
