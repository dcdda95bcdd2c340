#include "app/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* By default OpenMP's threads spin while they wait for each other. Where another process shares the
 * cores (a robot's do) a spinning thread keeps its peer from running: a training step took 16 times as
 * long beside a compiler. The runtime reads its environment before main, so hl starts itself anew once;
 * who sets OMP_WAIT_POLICY decides otherwise. If it cannot, it goes on and only waits less well. */
static void wait_by_sleeping(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT") || setenv("OMP_WAIT_POLICY", "passive", 0) != 0)
        return;
    execv("/proc/self/exe", argv);
}

static void tell_bug(const char *sentence)
{
    fprintf(stderr, "%s\n", sentence);
}

int main(int argc, char **argv)
{
    hl_on_bug(tell_bug);
    wait_by_sleeping(argv);
    return hl_main(argc, argv);
}
