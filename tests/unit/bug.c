/* A bug of the library's own ends the program, and is told only to who listens. */
#include "base/error.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { HEARD = 4 }; /* a file descriptor of the child */

static void hear(const char *sentence)
{
    (void)!write(HEARD, sentence, strlen(sentence));
}

/* A child breaks an invariant; its standard output and error, and what was heard, come back as text. */
static void break_it(void (*tell)(const char *), char *said, char *heard, size_t size)
{
    int out[2], ears[2], status = 0;
    assert_int_equal(pipe(out), 0);
    assert_int_equal(pipe(ears), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL); /* cmocka and sanitizers listen, too */
        int to = dup(out[1]), told = dup(ears[1]);
        if (dup2(to, 1) < 0 || dup2(to, 2) < 0 || dup2(told, HEARD) < 0)
            _exit(1);
        hl_on_bug(tell);
        HL_ASSERT(1 + 1 == 3);
        _exit(2);
    }
    close(out[1]);
    close(ears[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    ssize_t n = read(out[0], said, size - 1), m = read(ears[0], heard, size - 1);
    assert_true(n >= 0 && m >= 0);
    said[n] = heard[m] = 0;
    close(out[0]);
    close(ears[0]);
}

static void is_told_to_who_listens(void **state)
{
    (void)state;
    char said[256], heard[256];
    break_it(hear, said, heard, sizeof said);
    assert_string_equal(said, "");
    assert_non_null(strstr(heard, "bug.c:"));
    assert_non_null(strstr(heard, "'1 + 1 == 3' does not hold"));
}

static void is_told_to_nobody_else(void **state)
{
    (void)state;
    char said[256], heard[256];
    break_it(NULL, said, heard, sizeof said);
    assert_string_equal(said, "");
    assert_string_equal(heard, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_told_to_who_listens),
        cmocka_unit_test(is_told_to_nobody_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
