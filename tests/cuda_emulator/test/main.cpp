/* The emulator, tested by itself: what a fault in it would hide must show here. */
#include "tests/cuda_emulator/test/test.h"

#include <csignal>
#include <cstdio>
#include <cstring>
#include <sys/wait.h>
#include <unistd.h>

bool aborts(void (*f)(), const char *what)
{
    int ends[2];
    if (pipe(ends))
        return false;
    fflush(nullptr);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        f();
        _exit(0);
    }
    close(ends[1]);
    char text[4096];
    size_t n = 0;
    for (ssize_t got; n < sizeof text - 1 && (got = read(ends[0], text + n, sizeof text - 1 - n)) > 0;)
        n += (size_t)got;
    text[n] = 0;
    close(ends[0]);
    int status;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(text, what);
}

/* The order that the environment asks for, in tests that do not set their own. */
static const order given = order_of();

static int setup(void **)
{
    hl_fault_reset();
    return 0;
}

/* Every test leaves nothing behind, whatever the order. */
static int teardown(void **)
{
    hl_fault_reset();
    order_set(given);
    hl_emulated_held held = hl_emulated_holding();
    return held.device_bytes || held.device_blocks || held.pinned_blocks || held.streams || held.events ||
                   held.graphs || held.handles
               ? -1
               : 0;
}

int main()
{
    std::vector<CMUnitTest> all;
    for (const auto *tests : {&block_tests, &stream_tests, &capture_tests, &fault_tests, &library_tests})
        for (CMUnitTest test : *tests) {
            test.setup_func = setup;
            test.teardown_func = teardown;
            all.push_back(test);
        }
    return _cmocka_run_group_tests("emulator", all.data(), all.size(), nullptr, nullptr);
}
