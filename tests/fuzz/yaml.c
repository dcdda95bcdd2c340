/* The input: a configuration, and after each zero byte an override "KEY=VALUE". */
#include "app/config/config.h"
#include "base/error.h"
#include "base/memory.h"
#include "io/yaml.h"

#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { OVERRIDES = 16 };

/* Places are where texts are, and lists as long as they say. */
static void walk(const hl_yaml_node *node, int depth)
{
    int children = 0;
    HL_ASSERT(depth <= HL_YAML_DEPTH && node->line > 0 && node->column > 0);
    HL_ASSERT((node->kind == HL_YAML_SCALAR) == (node->text != NULL));
    HL_ASSERT(*hl_yaml_describe(node).text);
    for (const hl_yaml_node *c = node->first; c; c = c->next, children++) {
        HL_ASSERT((node->kind == HL_YAML_MAPPING) == (c->key != NULL));
        walk(c, depth + 1);
    }
    HL_ASSERT(children == node->count);
}

static void read_tree(const uint8_t *bytes, size_t n)
{
    hl_error err = {0};
    hl_yaml *yaml = hl_yaml_parse((const char *)bytes, n, "fuzz", &err);
    HL_ASSERT(yaml || (err.status == HL_ERR_CONFIG && !strncmp(err.message, "fuzz:", 5)));
    if (yaml)
        walk(hl_yaml_root(yaml), 0);
    hl_yaml_free(yaml);
}

/* What is printed of a configuration reads back to the same. */
static void print_and_read(const hl_config *c)
{
    hl_error err = {0};
    hl_config again;
    char *text = hl_config_print(c);
    HL_ASSERT(text);
    HL_ASSERT(hl_config_parse_text(&again, text, "printed", 0, NULL, &err) == HL_OK);
    char *twice = hl_config_print(&again);
    HL_ASSERT(twice && !strcmp(text, twice));
    hl_free(twice);
    hl_free(text);
    hl_config_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    hl_config c;
    hl_error err = {0};
    char *overrides[OVERRIDES], *text = malloc(n + 1);
    int n_overrides = 0;
    HL_ASSERT(text);
    if (n)
        memcpy(text, bytes, n);
    text[n] = 0;
    read_tree(bytes, n);
    for (size_t i = 0; i < n && n_overrides < OVERRIDES; i++)
        if (!text[i])
            overrides[n_overrides++] = text + i + 1;
    if (hl_config_parse_text(&c, text, "fuzz", n_overrides, overrides, &err) == HL_OK)
        print_and_read(&c);
    else
        HL_ASSERT(err.status == HL_ERR_CONFIG && *err.message);
    hl_config_free(&c);
    free(text);
    return 0;
}
