/* Configurations from a text and overrides, for the tests of them. */
#ifndef HL_TESTS_CONFIG_CASE_H
#define HL_TESTS_CONFIG_CASE_H

#include "app/config/config.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* Overrides are a list that NULL ends. */
static inline int count_of(char *const *overrides)
{
    int n = 0;
    while (overrides[n])
        n++;
    return n;
}

#define OVERRIDES(...)                                                                                       \
    (char *[])                                                                                               \
    {                                                                                                        \
        __VA_ARGS__, NULL                                                                                    \
    }
#define NONE ((char *[]){NULL})

static inline hl_config parse(const char *text, char *const *overrides)
{
    hl_config c;
    hl_error err = {0};
    if (hl_config_parse_text(&c, text, "x.yaml", count_of(overrides), overrides, &err) != HL_OK)
        fail_msg("%s", err.message);
    return c;
}

static inline void assert_refuses(const char *text, char *const *overrides, const char *message)
{
    hl_config c;
    hl_error err = {0};
    assert_int_equal(hl_config_parse_text(&c, text, "x.yaml", count_of(overrides), overrides, &err),
                     HL_ERR_CONFIG);
    assert_int_equal(err.status, HL_ERR_CONFIG);
    assert_string_equal(err.message, message);
    assert_true(!c.device && !c.run.dir && !c.data.files.at && !c.model.senses.at && c.seed == 0); /* {0} */
}

static inline void assert_same(const hl_config *a, const hl_config *b)
{
    char *x = hl_config_print(a), *y = hl_config_print(b);
    assert_string_equal(x, y);
    hl_free(x);
    hl_free(y);
}

#endif
