/* A block's threads: started one by one, switched where they wait, released together. */
#include "tests/cuda_emulator/grid.h"

#include "tests/cuda_emulator/fiber.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <numeric>

hl_emulated_indices hl_emulated;

/* ------------------------------------------------------------------ order */

static int current_order = -1;
static uint64_t random_state = 0x9E3779B97F4A7C15u;

order order_of()
{
    if (current_order < 0) {
        const char *wanted = getenv("HL_EMULATOR_ORDER");
        current_order = !wanted || !strcmp(wanted, "forward") ? ORDER_FORWARD
                        : !strcmp(wanted, "reverse")          ? ORDER_REVERSE
                        : !strcmp(wanted, "shuffle")          ? ORDER_SHUFFLE
                                                              : -1;
        if (current_order < 0) {
            fprintf(stderr, "CUDA emulator: HL_EMULATOR_ORDER is %s, not forward, reverse or shuffle\n",
                    wanted);
            abort();
        }
    }
    return (order)current_order;
}

void order_set(order order)
{
    current_order = order;
}

uint64_t order_random(uint64_t n)
{
    random_state ^= random_state << 13; /* Marsaglia's xorshift64 */
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % n;
}

/* ------------------------------------------------------------------ a block */

namespace
{

enum { WARP = 32, PLACE = 16, NOWHERE = -1 };

enum state { NOT_STARTED, READY, AT_BLOCK_BARRIER, AT_WARP_BARRIER, ENDED };

struct thread {
    uint3 index;
    int id; /* linear in the block */
    ::state state;
    fiber *stack;
    hl_emulated_site site; /* where it waits */
};

/* Its exchanges are counted: values of two that follow each other lie in different halves, since a fast lane
 * may give its next value before a slow one has read the last. */
struct warp {
    int live, waiting;
    unsigned round;
    unsigned char given[2][WARP * PLACE];
    std::vector<int> order;
};

struct block {
    const hl_emulated_kernel *kernel;
    std::vector<thread> threads;
    std::vector<warp> warps;
    std::vector<int> order; /* in which threads start, and go on after a barrier */
    size_t started;
    std::vector<int> ready; /* a ring of as many places as threads */
    size_t ready_first, ready_count;
    int live, waiting;
    thread *running;
    fiber outside; /* the OS thread's own stack */
    std::vector<fiber *> idle;
    std::vector<unsigned char> shared;
};

} // namespace

static block B;

/* The kernel's name where the program exports it. */
static const char *kernel_name()
{
    Dl_info info;
    return dladdr(B.kernel->function, &info) && info.dli_sname ? info.dli_sname : "a kernel";
}

[[noreturn]] static void stuck(const char *why)
{
    fprintf(stderr, "CUDA emulator: %s, %zu threads, block (%u,%u,%u): %s\n", kernel_name(), B.threads.size(),
            hl_emulated.block.x, hl_emulated.block.y, hl_emulated.block.z, why);
    int shown = 0, waiting = 0;
    for (const thread &t : B.threads) {
        if (t.state != AT_BLOCK_BARRIER && t.state != AT_WARP_BARRIER)
            continue;
        waiting++;
        if (&t != &B.threads[0] && t.id && (&t)[-1].state == t.state && (&t)[-1].site.line == t.site.line)
            continue; /* as the thread before it */
        if (shown++ < 8)
            fprintf(stderr, "    thread %d on: at %s, %s:%d\n", t.id, t.site.what, t.site.file, t.site.line);
    }
    fprintf(stderr, "    %d threads wait, %zu have ended\n", waiting, B.threads.size() - (size_t)B.live);
    abort();
}

static void push_ready(int id)
{
    B.threads[(size_t)id].state = READY;
    B.ready[(B.ready_first + B.ready_count++) % B.ready.size()] = id;
}

static bool same_site(const hl_emulated_site &a, const hl_emulated_site &b)
{
    return a.line == b.line && !strcmp(a.file, b.file) && !strcmp(a.what, b.what);
}

/* Lets go those of `ids` that wait in `state`, if they are all that live. */
static void release(const std::vector<int> &ids, ::state state, int &waiting, int live)
{
    if (!waiting || waiting < live)
        return;
    const thread *first = nullptr;
    for (int id : ids) {
        const thread &t = B.threads[(size_t)id];
        if (t.state != state)
            continue;
        if (first && !same_site(first->site, t.site))
            stuck("threads wait for each other at different places");
        first = &t;
        push_ready(id);
    }
    waiting = 0;
}

static void release_warp(warp &w)
{
    if (!w.waiting || w.waiting < w.live)
        return;
    unsigned char *given = w.given[w.round % 2];
    const size_t first = (size_t)(&w - &B.warps[0]) * WARP;
    for (size_t lane = 0; lane < WARP; lane++)
        if (first + lane >= B.threads.size() || B.threads[first + lane].state != AT_WARP_BARRIER)
            memset(given + PLACE * lane, 0xff, PLACE);
    w.round++;
    release(w.order, AT_WARP_BARRIER, w.waiting, w.live);
}

static void run_threads();

/* Who runs next: a thread that was released, else one that has not started (on stack, or an idle one if that
 * is NULL). NULL: all have ended. */
static thread *next_thread(fiber *stack)
{
    thread *t = nullptr;
    if (B.ready_count) {
        t = &B.threads[(size_t)B.ready[B.ready_first]];
        B.ready_first = (B.ready_first + 1) % B.ready.size();
        B.ready_count--;
    } else if (B.started < B.order.size()) {
        t = &B.threads[(size_t)B.order[B.started++]];
        t->state = READY;
        if (!stack && !B.idle.empty()) {
            stack = B.idle.back();
            B.idle.pop_back();
        }
        t->stack = stack ? stack : fiber_new(run_threads);
    } else if (B.live) {
        stuck("some threads wait for others that never come");
    }
    B.running = t;
    if (t)
        hl_emulated.thread = t->index;
    return t;
}

static void end_thread()
{
    thread *t = B.running;
    warp &w = B.warps[(size_t)t->id / WARP];
    t->state = ENDED;
    B.live--;
    w.live--;
    release_warp(w);
    release(B.order, AT_BLOCK_BARRIER, B.waiting, B.live);
}

/* What a fiber does: threads from their start to their end, one after the other. So a kernel that never waits
 * needs one stack. */
static void run_threads()
{
    for (;;) {
        fiber *own = B.running->stack;
        B.kernel->body();
        end_thread();
        thread *t = next_thread(own);
        if (t && t->stack == own)
            continue;
        B.idle.push_back(own);
        fiber_switch(own, t ? t->stack : &B.outside);
    }
}

/* The running thread waits until it is released. */
static void wait(thread *self)
{
    thread *t = next_thread(nullptr);
    if (t != self)
        fiber_switch(self->stack, t->stack);
}

void hl_emulated_block_barrier(hl_emulated_site site)
{
    thread *self = B.running;
    self->state = AT_BLOCK_BARRIER;
    self->site = site;
    B.waiting++;
    release(B.order, AT_BLOCK_BARRIER, B.waiting, B.live);
    wait(self);
}

int hl_emulated_lane()
{
    return B.running->id % WARP;
}

const unsigned char *hl_emulated_exchange(unsigned mask, const void *value, size_t bytes,
                                          hl_emulated_site site)
{
    thread *self = B.running;
    warp &w = B.warps[(size_t)self->id / WARP];
    unsigned char *given = w.given[w.round % 2];
    self->state = AT_WARP_BARRIER;
    self->site = site;
    if (mask != 0xffffffffu)
        stuck("a warp intrinsic with less than the full mask is not emulated");
    if (bytes)
        memcpy(given + PLACE * (self->id % WARP), value, bytes);
    w.waiting++;
    release_warp(w);
    wait(self);
    return given;
}

void *hl_emulated_shared()
{
    return B.shared.data();
}

/* ------------------------------------------------------------------ shared memory */

/* All kernels' static shared memory (shared.ld); empty with AddressSanitizer. */
extern "C" unsigned char hl_shared_begin[], hl_shared_end[];

/* What the launch's first block touched of it. */
static unsigned char *touched_begin, *touched_end;

static void forget_shared(unsigned char *begin, unsigned char *end)
{
    memset(begin, 0xff, (size_t)(end - begin));
    std::fill(B.shared.begin(), B.shared.end(), (unsigned char)0xff);
}

static void find_touched()
{
    auto touched = [](unsigned char byte) { return byte != 0xff; };
    touched_begin = std::find_if(hl_shared_begin, hl_shared_end, touched);
    touched_end = hl_shared_end;
    while (touched_end > touched_begin && !touched(touched_end[-1]))
        touched_end--;
}

/* ------------------------------------------------------------------ a grid */

static void describe_threads(dim3 size)
{
    B.threads.clear();
    for (unsigned z = 0; z < size.z; z++)
        for (unsigned y = 0; y < size.y; y++)
            for (unsigned x = 0; x < size.x; x++)
                B.threads.push_back({{x, y, z}, (int)B.threads.size(), NOT_STARTED, nullptr, {}});
    B.warps.assign((B.threads.size() + WARP - 1) / WARP, warp{});
    B.ready.assign(B.threads.size(), NOWHERE);
    B.order.resize(B.threads.size());
}

static void order_threads()
{
    std::iota(B.order.begin(), B.order.end(), 0);
    size_t n = B.order.size();
    for (size_t i = 0; i < n; i++)
        if (order_of() == ORDER_SHUFFLE)
            std::swap(B.order[i], B.order[i + order_random(n - i)]);
        else if (order_of() == ORDER_REVERSE)
            B.order[i] = (int)(n - 1 - i);
    for (warp &w : B.warps)
        w.order.clear();
    for (int id : B.order)
        B.warps[(size_t)id / WARP].order.push_back(id);
}

static void run_block()
{
    for (thread &t : B.threads)
        t.state = NOT_STARTED;
    for (warp &w : B.warps) {
        w.live = (int)w.order.size();
        w.waiting = 0;
    }
    B.live = (int)B.threads.size();
    B.waiting = 0;
    B.started = 0;
    B.ready_first = B.ready_count = 0;
    fiber_switch(&B.outside, next_thread(nullptr)->stack);
}

void grid_run(const hl_emulated_kernel &kernel)
{
    const uint64_t n = (uint64_t)kernel.grid.x * kernel.grid.y * kernel.grid.z;
    uint64_t step = 1, at = 0;
    B.kernel = &kernel;
    B.outside = {};
    std::vector<unsigned char>(kernel.shared).swap(B.shared); /* exactly as many: a sanitizer sees one more */
    hl_emulated.block_size = kernel.block;
    hl_emulated.grid_size = kernel.grid;
    describe_threads(kernel.block);
    order_threads();
    if (order_of() == ORDER_SHUFFLE) {
        at = order_random(n);
        do
            step = 1 + order_random(n);
        while (std::gcd(step, n) != 1);
    }
    for (uint64_t i = 0; i < n; i++, at = (at + step) % n) {
        uint64_t b = order_of() == ORDER_REVERSE ? n - 1 - i : at;
        hl_emulated.block.x = (unsigned)(b % kernel.grid.x);
        hl_emulated.block.y = (unsigned)(b / kernel.grid.x % kernel.grid.y);
        hl_emulated.block.z = (unsigned)(b / kernel.grid.x / kernel.grid.y);
        if (order_of() == ORDER_SHUFFLE)
            order_threads();
        if (i == 1)
            find_touched();
        forget_shared(i ? touched_begin : hl_shared_begin, i ? touched_end : hl_shared_end);
        run_block();
    }
}
