#include "app/config_room.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

#define HL_GROUP(path, name, help) {HL_CONFIG_TYPE_GROUP, #path, offsetof(hl_config, path), "", "", help},
#define HL_END(name)
#define HL_TOP(type, name, value, limits, help)                                                              \
    {HL_CONFIG_TYPE_##type, #name, offsetof(hl_config, name), value, limits, help},
#define HL_KEY(type, group, name, value, limits, help)                                                       \
    {HL_CONFIG_TYPE_##type, #group "." #name, offsetof(hl_config, group.name), value, limits, help},
const hl_config_line hl_config_table[] = {
#include "app/config.def"
};
#undef HL_GROUP
#undef HL_END
#undef HL_TOP
#undef HL_KEY

enum { LINES = sizeof hl_config_table / sizeof *hl_config_table };
const int hl_config_lines = LINES;

/* Room for a key; one that is longer is cut, and then it is unknown. */
enum { KEY = 128 };

int hl_config_find(const char *key)
{
    for (int i = 0; i < LINES; i++)
        if (!strcmp(hl_config_table[i].key, key))
            return i;
    return -1;
}

/* ------------------------------------------------------------------ where values come from */

/* Who set a key: a line of the file (from 1), an override (from 1), or (both 0) the default. */
typedef struct origin {
    int line, column, override;
} origin;

typedef struct loader {
    hl_config *c;
    const char *name; /* of the file */
    char *const *overrides;
    int override; /* the one that is being applied, from 1; 0: the file */
    origin origin[LINES];
    hl_error *err;
} loader;

/* Puts the place before the error's message. */
static hl_status locate(const loader *l, origin at)
{
    if (at.override)
        return hl_fail_prefix(l->err, "override '%s'", hl_excerpt_of(l->overrides[at.override - 1]).text);
    return hl_fail_prefix(l->err, "%.400s:%d:%d", l->name, at.line, at.column);
}

static origin place_of(const loader *l, int line, int column)
{
    return (origin){.line = line, .column = column, .override = l->override};
}

/* ------------------------------------------------------------------ unknown keys */

/* The part after the last dot; its first byte is word[length of the group's prefix]. */
static const char *last_part(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot ? dot + 1 : key;
}

/* A key that was probably meant: spelt nearly so in the same group, or of that name elsewhere, or spelt
 * nearly so as a whole where the group does not exist. */
static const char *suggest(const char *key)
{
    const char *last = last_part(key), *names[LINES], *nearest;
    size_t prefix = (size_t)(last - key), n = 0;
    for (int i = 0; i < LINES; i++) {
        const char *other = hl_config_table[i].key;
        if ((size_t)(last_part(other) - other) == prefix && !strncmp(other, key, prefix))
            names[n++] = last_part(other);
    }
    nearest = hl_nearest(last, names, n);
    if (nearest)
        return nearest - prefix; /* names point into the table's keys */
    for (int i = 0; i < LINES; i++)
        if (!strcmp(last_part(hl_config_table[i].key), last))
            return hl_config_table[i].key;
    if (n)
        return NULL;
    for (int i = 0; i < LINES; i++)
        if (hl_config_table[i].type != HL_CONFIG_TYPE_GROUP)
            names[n++] = hl_config_table[i].key;
    return hl_nearest(key, names, n);
}

static hl_status fail_unknown(const char *key, hl_error *err)
{
    const char *meant = suggest(key);
    if (meant)
        return hl_fail(err, HL_ERR_CONFIG, "%s: unknown key; did you mean '%s'?", hl_excerpt_of(key).text,
                       meant);
    return hl_fail(err, HL_ERR_CONFIG, "%s: unknown key; docs/config.md lists those there are",
                   hl_excerpt_of(key).text);
}

/* ------------------------------------------------------------------ applying */

static hl_status take(loader *l, const char *key, const hl_yaml_node *value, origin at);

static hl_status take_children(loader *l, const char *group, const hl_yaml_node *mapping)
{
    hl_status status = HL_OK;
    for (const hl_yaml_node *child = mapping->first; child && status == HL_OK; child = child->next) {
        char key[KEY];
        snprintf(key, sizeof key, "%s%s%s", group, *group ? "." : "", child->key);
        status = take(l, key, child, place_of(l, child->key_line, child->key_column));
    }
    return status;
}

/* A group without keys below it (all commented out, say) is fine. */
static hl_status take_group(loader *l, const hl_config_line *group, const hl_yaml_node *value)
{
    if (value->kind == HL_YAML_MAPPING)
        return take_children(l, group->key, value);
    if (hl_yaml_is_null(value))
        return HL_OK;
    hl_fail(l->err, HL_ERR_CONFIG, "%s: is a group of keys, such as %s; found %s", group->key, group[1].key,
            hl_yaml_describe(value).text);
    return locate(l, place_of(l, value->line, value->column));
}

/* at: where the key stands. */
static hl_status take(loader *l, const char *key, const hl_yaml_node *value, origin at)
{
    int i = hl_config_find(key);
    if (i < 0) {
        fail_unknown(key, l->err);
        return locate(l, at);
    }
    const hl_config_line *line = &hl_config_table[i];
    if (line->type == HL_CONFIG_TYPE_GROUP)
        return take_group(l, line, value);
    if (!at.override && l->origin[i].line) {
        hl_fail(l->err, HL_ERR_CONFIG, "%s: is set twice; the first is at line %d", key, l->origin[i].line);
        return locate(l, at);
    }
    const hl_yaml_node *culprit;
    hl_status status = hl_config_set(l->c, line, value, &culprit, l->err);
    if (status != HL_OK) {
        locate(l, place_of(l, culprit->line, culprit->column));
        return status;
    }
    l->origin[i] = place_of(l, value->line, value->column);
    return HL_OK;
}

/* The YAML of an override's value. What is a text needs no quotes on a command line: it is taken as it
 * stands, unless it begins with a quote. */
static hl_yaml *parse_override(const char *key, const char *value, hl_error *err)
{
    int i = hl_config_find(key);
    hl_text text = {0};
    if (i >= 0 && hl_config_table[i].type == HL_CONFIG_TYPE_TEXT && *value != '"' && *value != '\'')
        hl_config_quote(&text, value);
    else
        hl_text_append(&text, value);
    size_t size = text.size;
    char *string = hl_text_take(&text);
    hl_yaml *yaml = NULL;
    if (string)
        yaml = hl_yaml_parse(string, size, key, err);
    else
        hl_fail(err, HL_ERR_MEMORY, "no memory for it");
    hl_free(string);
    return yaml;
}

static hl_status take_override(loader *l, int i)
{
    char key[KEY];
    const char *text = l->overrides[i], *equals = strchr(text, '=');
    origin at = {.override = i + 1};
    size_t length = equals ? (size_t)(equals - text) : 0;
    l->override = i + 1;
    if (!length) {
        hl_fail(l->err, HL_ERR_CONFIG, "expected KEY=VALUE, such as optim.lr=1e-3");
        return locate(l, at);
    }
    snprintf(key, sizeof key, "%.*s", (int)(length < KEY ? length : KEY), text);
    int line = hl_config_find(key);
    if (line < 0) {
        fail_unknown(key, l->err);
        return locate(l, at);
    }
    if (!equals[1] && hl_config_table[line].type != HL_CONFIG_TYPE_TEXT) {
        hl_fail(l->err, HL_ERR_CONFIG, "%s: the value is missing", key);
        return locate(l, at);
    }
    hl_error why = {0};
    hl_yaml *yaml = parse_override(key, equals + 1, &why);
    if (!yaml) {
        hl_fail(l->err, why.status, "%s", why.message);
        locate(l, at);
        return why.status;
    }
    hl_status status = take(l, key, hl_yaml_root(yaml), at);
    hl_yaml_free(yaml);
    return status;
}

/* ------------------------------------------------------------------ loading */

hl_status hl_config_defaults(hl_config *c, hl_error *err)
{
    *c = (hl_config){0};
    for (int i = 0; i < LINES; i++) {
        const hl_config_line *line = &hl_config_table[i];
        if (line->type == HL_CONFIG_TYPE_GROUP)
            continue;
        hl_error why = {0};
        const hl_yaml_node *culprit;
        hl_yaml *yaml = hl_yaml_parse(line->value, strlen(line->value), line->key, &why);
        if (yaml)
            hl_config_set(c, line, hl_yaml_root(yaml), &culprit, &why);
        hl_yaml_free(yaml);
        if (why.status) {
            HL_ASSERT(why.status == HL_ERR_MEMORY);
            hl_config_free(c);
            return hl_fail(err, HL_ERR_MEMORY, "no memory for the configuration");
        }
    }
    return HL_OK;
}

/* The place of a conflict is that of the key that was set last. */
static hl_status check(loader *l)
{
    hl_config_conflict conflict = {0};
    hl_status status = hl_config_check(l->c, &conflict, l->err);
    if (status == HL_OK)
        return HL_OK;
    origin last = {0};
    for (size_t i = 0; i < sizeof conflict.key / sizeof *conflict.key && conflict.key[i]; i++) {
        int line = hl_config_find(conflict.key[i]);
        HL_ASSERT(line >= 0);
        origin o = l->origin[line];
        if (o.override > last.override || (!last.override && o.line > last.line))
            last = o;
    }
    if (last.line || last.override)
        locate(l, last);
    return status;
}

/* file: NULL for none. */
static hl_status load(hl_config *c, const hl_yaml *file, const char *name, int n, char *const *overrides,
                      hl_error *err)
{
    hl_error why = {0}; /* so that there is one to put places before */
    loader l = {.c = c, .name = name, .overrides = overrides, .err = &why};
    hl_status status = hl_config_defaults(c, &why);
    if (status == HL_OK && file) {
        const hl_yaml_node *root = hl_yaml_root(file);
        if (root->kind == HL_YAML_MAPPING)
            status = take_children(&l, "", root);
        else
            status = hl_fail(&why, HL_ERR_CONFIG, "%.400s:%d:%d: expected keys and values, found %s", name,
                             root->line, root->column, hl_yaml_describe(root).text);
    }
    for (int i = 0; i < n && status == HL_OK; i++)
        status = take_override(&l, i);
    if (status == HL_OK)
        status = check(&l);
    if (status == HL_OK)
        return HL_OK;
    hl_config_free(c);
    return hl_fail(err, status, "%s", why.message);
}

hl_status hl_config_load(hl_config *c, const char *path, int n, char *const *overrides, hl_error *err)
{
    hl_error why = {0};
    hl_yaml *yaml = path ? hl_yaml_load(path, &why) : NULL;
    *c = (hl_config){0};
    if (path && !yaml)
        return hl_fail(err, why.status, "%s", why.message);
    hl_status status = load(c, yaml, path, n, overrides, err);
    hl_yaml_free(yaml);
    return status;
}

hl_status hl_config_parse_text(hl_config *c, const char *text, const char *name, int n,
                               char *const *overrides, hl_error *err)
{
    hl_error why = {0};
    hl_yaml *yaml = hl_yaml_parse(text, strlen(text), name, &why);
    *c = (hl_config){0};
    if (!yaml)
        return hl_fail(err, why.status, "%s", why.message);
    hl_status status = load(c, yaml, name, n, overrides, err);
    hl_yaml_free(yaml);
    return status;
}

void hl_config_free(hl_config *c)
{
    for (int i = 0; i < LINES; i++)
        hl_config_release(c, &hl_config_table[i]);
    *c = (hl_config){0};
}
