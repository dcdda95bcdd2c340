#include "app/train/progress.h"

#include "base/process.h"
#include "base/memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static double fake_time;

static double fake_now(void)
{
    return fake_time;
}

/* What was written so far, from the beginning. */
static const char *written(FILE *f)
{
    static char text[1 << 16];
    fflush(f);
    rewind(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    fseek(f, 0, SEEK_END);
    return text;
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
}

static hl_progress_state at(int64_t step, double loss)
{
    return (hl_progress_state){
        .step = step, .samples = 32 * step, .n = 2, .value = {{"loss", loss}, {"kl", NAN}}};
}

static hl_progress_options options(FILE *f, hl_progress_look look)
{
    fake_time = 1000;
    return (hl_progress_options){.to = f, .steps = 100, .every = 10, .look = look, .now = fake_now};
}

static void test_lines(void **state)
{
    (void)state;
    FILE *f = tmpfile();
    assert_non_null(f);
    hl_progress_options o = options(f, HL_PROGRESS_AUTO); /* a file is no terminal */
    hl_progress *p = hl_progress_new(&o);
    assert_non_null(p);
    for (int64_t step = 1; step <= 15; step++) {
        fake_time += 0.25;
        hl_progress_state s = at(step, 0.5);
        hl_progress_show(p, &s);
    }
    assert_string_equal(written(f), "step 10/100  loss 0.5  kl nan  128 samples/s  23s left\n");
    hl_progress_note(p, "step %d: skipped", 15);
    fake_time += 1000; /* slower: the rate follows */
    hl_progress_state s = at(20, 0.25);
    hl_progress_show(p, &s);
    s = at(100, 0.125);
    fake_time += 1;
    hl_progress_show(p, &s);
    hl_progress_free(p);
    const char *text = written(f);
    assert_int_equal(count(text, "\n"), 4);
    assert_non_null(
        strstr(text, "\nstep 15: skipped\nstep 20/100  loss 0.25  kl nan  0.3 samples/s  2h13m left\n"));
    assert_non_null(strstr(text, "step 100/100  loss 0.125"));
    assert_int_equal(count(text, "left"), 2); /* none at the end */
    assert_null(strchr(text, '\033'));
    assert_null(strchr(text, '\r'));
    fclose(f);
}

static void test_a_resumed_run(void **state)
{
    (void)state;
    FILE *f = tmpfile();
    assert_non_null(f);
    hl_progress_options o = options(f, HL_PROGRESS_LINES);
    o.first = 90;
    hl_progress *p = hl_progress_new(&o);
    fake_time += 10;
    hl_progress_state s = {.step = 95, .samples = 10, .n = 0};
    o.every = 1;
    hl_progress_show(p, &s); /* 95 is no multiple of 10 */
    s.step = 100;
    hl_progress_show(p, &s);
    hl_progress_free(p);
    assert_string_equal(written(f), "step 100/100  1.0 samples/s\n");
    fclose(f);
}

static void test_bar(void **state)
{
    (void)state;
    FILE *f = tmpfile();
    assert_non_null(f);
    unsetenv("NO_COLOR");
    hl_progress_options o = options(f, HL_PROGRESS_BAR);
    hl_progress *p = hl_progress_new(&o);
    for (int64_t step = 1; step <= 50; step++) { /* a millisecond each: drawn once */
        fake_time += 0.001;
        hl_progress_state s = at(step, 0.5);
        hl_progress_show(p, &s);
    }
    assert_int_equal(count(written(f), "\r"), 1);
    fake_time += 1;
    hl_progress_state s = at(50, 0.5);
    hl_progress_show(p, &s);
    assert_int_equal(count(written(f), "\r"), 2);
    assert_non_null(strstr(written(f), "\r50/100 ["));
    assert_non_null(strstr(written(f), "  loss 0.5  kl nan"));
    assert_non_null(strstr(written(f), "\033[32m"));
    hl_progress_note(p, "hello");
    assert_non_null(strstr(written(f), "\r\033[Khello\n\r50/100 ["));
    assert_int_not_equal(written(f)[strlen(written(f)) - 1], '\n');
    hl_progress_free(p);
    assert_int_equal(written(f)[strlen(written(f)) - 1], '\n');
    fclose(f);
}

/* Without colour, what is left of a line between \r and the erasing to its end is what is seen. */
static void test_a_bar_fits_its_line(void **state)
{
    (void)state;
    setenv("NO_COLOR", "1", 1);
    for (int values = 0; values <= HL_PROGRESS_VALUES; values++) {
        FILE *f = tmpfile();
        assert_non_null(f);
        hl_progress_options o = options(f, HL_PROGRESS_BAR);
        o.steps = 1000000000000;
        hl_progress *p = hl_progress_new(&o);
        hl_progress_state s = {.step = 700000000000, .samples = 1, .n = values};
        for (int i = 0; i < values; i++)
            s.value[i] = (hl_progress_value){"reconstruction", -1.2345e-20};
        fake_time += 1;
        hl_progress_show(p, &s);
        const char *text = written(f), *begin = strrchr(text, '\r'), *end = strstr(text, "\033[K");
        assert_true(begin && end && end - begin - 1 < 80);
        assert_null(strstr(text, "\033[32m"));
        if (!values) {
            const char *bar = strchr(text, '[');
            assert_non_null(bar);
            size_t filled = strspn(bar + 1, "#"), left = strspn(bar + 1 + filled, ".");
            assert_int_equal(bar[1 + filled + left], ']');
            assert_int_equal(filled, (filled + left) * 7 / 10);
        }
        hl_progress_free(p);
        fclose(f);
    }
    unsetenv("NO_COLOR");
}

static void test_no_memory_shows_nothing(void **state)
{
    (void)state;
    FILE *f = tmpfile();
    assert_non_null(f);
    hl_progress_options o = options(f, HL_PROGRESS_LINES);
    hl_alloc_fail_at(1);
    hl_progress *p = hl_progress_new(&o);
    hl_alloc_fail_at(0);
    assert_null(p);
    hl_progress_state s = at(10, 1);
    hl_progress_show(p, &s);
    hl_progress_free(p);
    p = hl_progress_new(&o);
    hl_alloc_fail_at(1);
    hl_progress_show(p, &s);
    hl_alloc_fail_at(0);
    hl_progress_free(p);
    assert_string_equal(written(f), "");
    fclose(f);
}

static void test_seconds(void **state)
{
    (void)state;
    double last = hl_seconds();
    for (int i = 0; i < 1000; i++) {
        double now = hl_seconds();
        assert_true(now >= last);
        last = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_a_resumed_run),
        cmocka_unit_test(test_bar),
        cmocka_unit_test(test_a_bar_fits_its_line),
        cmocka_unit_test(test_no_memory_shows_nothing),
        cmocka_unit_test(test_seconds),
    };
    return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
