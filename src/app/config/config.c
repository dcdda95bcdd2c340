/* Loading: files, then overrides, each over what came before. */
#include "app/config/config_room.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ where values come from */

/* Where something is set. source: a layer (from 1), after them an override; 0: the default. */
typedef struct origin {
    int source, line, column;
} origin;

typedef struct setting {
    char key[HL_CONFIG_KEY];
    origin at;
} setting;

typedef struct loader {
    hl_config *c;
    const hl_config_layer *layers;
    int n_layers;
    char *const *overrides;
    int source;       /* what is being applied */
    setting *setting; /* keys and entries that were set, where last */
    int n, room;
    hl_error *err;
} loader;

/* Puts the place before the error's message. */
static hl_status locate(const loader *l, origin at)
{
    if (at.source > l->n_layers)
        return hl_fail_prefix(l->err, "override '%s'",
                              hl_excerpt_of(l->overrides[at.source - l->n_layers - 1]).text);
    return hl_fail_prefix(l->err, "%.400s:%d:%d", l->layers[at.source - 1].name, at.line, at.column);
}

static origin place_of(const loader *l, int line, int column)
{
    return (origin){.source = l->source, .line = line, .column = column};
}

static origin value_of(const loader *l, const hl_yaml_node *value)
{
    return place_of(l, value->line, value->column);
}

/* The default's where nobody set it. */
static origin origin_of(const loader *l, const char *key)
{
    for (int i = 0; i < l->n; i++)
        if (!strcmp(l->setting[i].key, key))
            return l->setting[i].at;
    return (origin){0};
}

static hl_status note(loader *l, const char *key, origin at)
{
    int i = 0;
    while (i < l->n && strcmp(l->setting[i].key, key) != 0)
        i++;
    if (i == l->room) {
        int room = l->room ? 2 * l->room : 64;
        setting *grown = hl_realloc(l->setting, (size_t)room, sizeof *grown);
        if (!grown)
            return hl_fail(l->err, HL_ERR_MEMORY, "no memory for the configuration");
        l->setting = grown;
        l->room = room;
    }
    snprintf(l->setting[i].key, sizeof l->setting[i].key, "%s", key);
    l->setting[i].at = at;
    l->n += i == l->n;
    return HL_OK;
}

/* The entries of a list go, and who set their keys. */
static void forget_entries(loader *l, const char *list)
{
    size_t length = strlen(list);
    int n = 0;
    for (int i = 0; i < l->n; i++)
        if (strncmp(l->setting[i].key, list, length) != 0 || l->setting[i].key[length] != '[')
            l->setting[n++] = l->setting[i];
    l->n = n;
}

/* ------------------------------------------------------------------ applying */

static hl_status take(loader *l, const char *key, const hl_yaml_node *value, origin at);

static hl_status take_children(loader *l, const char *group, const hl_yaml_node *mapping)
{
    hl_status status = HL_OK;
    for (const hl_yaml_node *child = mapping->first; child && status == HL_OK; child = child->next) {
        char key[HL_CONFIG_KEY];
        snprintf(key, sizeof key, "%s%s%s", group, *group ? "." : "", child->key);
        status = take(l, key, child, place_of(l, child->key_line, child->key_column));
    }
    return status;
}

/* first: one of its keys. A group without keys below it (all commented out, say) is fine. */
static hl_status take_group(loader *l, const char *key, const char *first, const hl_yaml_node *value)
{
    if (value->kind == HL_YAML_MAPPING)
        return take_children(l, key, value);
    if (hl_yaml_is_null(value))
        return HL_OK;
    hl_fail(l->err, HL_ERR_CONFIG, "%s: is a group of keys, such as %s.%s; found %s", key, key, first,
            hl_yaml_describe(value).text);
    return locate(l, value_of(l, value));
}

/* A list is given as a whole. */
static hl_status take_list(loader *l, const char *key, const hl_config_slot *slot, const hl_yaml_node *value)
{
    const char *first = slot->line->of->line[0].key;
    hl_status status = HL_OK;
    int i = 0;
    if (value->kind != HL_YAML_SEQUENCE)
        status = hl_fail(l->err, HL_ERR_CONFIG,
                         "%s: expected a list of groups, such as [{%s: ...}], found %s", key, first,
                         hl_yaml_describe(value).text);
    else if (value->count > HL_CONFIG_ENTRIES)
        status = hl_fail(l->err, HL_ERR_CONFIG, "%s: the list has %d entries, expected at most %d", key,
                         value->count, HL_CONFIG_ENTRIES);
    if (status != HL_OK)
        return locate(l, value_of(l, value));
    forget_entries(l, key);
    status = hl_config_resize(slot->record, slot->line, value->count, l->err);
    for (const hl_yaml_node *entry = value->first; entry && status == HL_OK; entry = entry->next) {
        char path[HL_CONFIG_KEY];
        snprintf(path, sizeof path, "%s[%d]", key, i++);
        status = note(l, path, value_of(l, entry));
        if (status == HL_OK)
            status = take_group(l, path, first, entry);
    }
    return status;
}

static hl_status take_value(loader *l, const char *key, const hl_config_slot *slot, const hl_yaml_node *value)
{
    const hl_yaml_node *culprit;
    if (hl_config_set(slot->record, slot->line, value, &culprit, l->err) == HL_OK)
        return HL_OK;
    hl_fail_prefix(l->err, "%s", key);
    return locate(l, value_of(l, culprit));
}

/* at: where the key stands. */
static hl_status take(loader *l, const char *key, const hl_yaml_node *value, origin at)
{
    hl_config_slot slot;
    if (hl_config_find(l->c, key, &slot, l->err) != HL_OK)
        return locate(l, at);
    const hl_config_line *line = slot.line;
    if (line->type == HL_CONFIG_TYPE_GROUP) /* its keys are the lines after it */
        return take_group(l, key, hl_config_last_part(line[1].key), value);
    if (line->type == HL_CONFIG_TYPE_PART || slot.entry >= 0)
        return take_group(l, key, line->of->line[0].key, value);
    origin before = origin_of(l, key);
    if (before.source == at.source && at.source <= l->n_layers) {
        hl_fail(l->err, HL_ERR_CONFIG, "%s: is set twice; the first is at line %d", key, before.line);
        return locate(l, at);
    }
    hl_status status = line->type == HL_CONFIG_TYPE_LIST ? take_list(l, key, &slot, value)
                                                         : take_value(l, key, &slot, value);
    return status == HL_OK ? note(l, key, value_of(l, value)) : status;
}

/* ------------------------------------------------------------------ overrides */

/* The YAML of an override's value. What is a text needs no quotes on a command line: it is taken as it
 * stands, unless it begins with a quote. */
static hl_yaml *parse_override(const char *key, const hl_config_line *line, const char *value, hl_error *err)
{
    hl_text text = {0};
    if (line->type == HL_CONFIG_TYPE_TEXT && *value != '"' && *value != '\'')
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

static hl_status take_override(loader *l, const char *text)
{
    char key[HL_CONFIG_KEY];
    const char *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : 0;
    origin at = place_of(l, 0, 0);
    hl_config_slot slot;
    if (!length) {
        hl_fail(l->err, HL_ERR_CONFIG, "expected KEY=VALUE, such as optim.lr=1e-3");
        return locate(l, at);
    }
    snprintf(key, sizeof key, "%.*s", (int)(length < sizeof key ? length : sizeof key), text);
    if (hl_config_find(l->c, key, &slot, l->err) != HL_OK)
        return locate(l, at);
    if (!equals[1] && slot.line->type != HL_CONFIG_TYPE_TEXT) {
        hl_fail(l->err, HL_ERR_CONFIG, "%s: the value is missing", key);
        return locate(l, at);
    }
    hl_yaml *yaml = parse_override(key, slot.line, equals + 1, l->err);
    if (!yaml)
        return locate(l, at);
    hl_status status = take(l, key, hl_yaml_root(yaml), at);
    hl_yaml_free(yaml);
    return status;
}

/* ------------------------------------------------------------------ loading */

static hl_status take_layer(loader *l, const hl_config_layer *layer)
{
    hl_yaml *yaml = layer->text ? hl_yaml_parse(layer->text, strlen(layer->text), layer->name, l->err)
                                : hl_yaml_load(layer->name, l->err);
    if (!yaml)
        return l->err->status;
    hl_status status;
    const hl_yaml_node *root = hl_yaml_root(yaml);
    if (root->kind == HL_YAML_MAPPING) {
        status = take_children(l, "", root);
    } else {
        hl_fail(l->err, HL_ERR_CONFIG, "expected keys and values, found %s", hl_yaml_describe(root).text);
        status = locate(l, value_of(l, root));
    }
    hl_yaml_free(yaml);
    return status;
}

static bool is_after(origin a, origin b)
{
    if (a.source != b.source)
        return a.source > b.source;
    return a.line != b.line ? a.line > b.line : a.column > b.column;
}

/* The place of a conflict is that of the key that was set last. */
static hl_status check(loader *l)
{
    hl_config_conflict conflict = {0};
    hl_status status = hl_config_check(l->c, &conflict, l->err);
    if (status == HL_OK)
        return HL_OK;
    origin last = {0};
    for (size_t i = 0; i < sizeof conflict.key / sizeof *conflict.key && *conflict.key[i]; i++) {
        hl_config_slot slot;
        HL_ASSERT(hl_config_find(l->c, conflict.key[i], &slot, NULL) == HL_OK);
        origin o = origin_of(l, conflict.key[i]);
        if (is_after(o, last))
            last = o;
    }
    return last.source ? locate(l, last) : status;
}

hl_status hl_config_defaults(hl_config *c, hl_error *err)
{
    *c = (hl_config){0};
    hl_status status = hl_config_init(hl_config_table, c, err);
    if (status != HL_OK)
        hl_config_free(c);
    return status;
}

hl_status hl_config_load_layers(hl_config *c, int n_layers, const hl_config_layer *layers, int n,
                                char *const *overrides, hl_error *err)
{
    hl_error why = {0}; /* so that there is one to put places before */
    loader l = {.c = c, .layers = layers, .n_layers = n_layers, .overrides = overrides, .err = &why};
    hl_status status = hl_config_defaults(c, &why);
    for (int i = 0; i < n_layers && status == HL_OK; i++) {
        l.source++;
        status = take_layer(&l, &layers[i]);
    }
    for (int i = 0; i < n && status == HL_OK; i++) {
        l.source++;
        status = take_override(&l, overrides[i]);
    }
    if (status == HL_OK)
        status = check(&l);
    hl_free(l.setting);
    if (status == HL_OK)
        return HL_OK;
    hl_config_free(c);
    return hl_fail(err, status, "%s", why.message);
}

hl_status hl_config_load(hl_config *c, const char *path, int n, char *const *overrides, hl_error *err)
{
    return hl_config_load_layers(c, path != NULL, &(hl_config_layer){.name = path}, n, overrides, err);
}

hl_status hl_config_parse_text(hl_config *c, const char *text, const char *name, int n,
                               char *const *overrides, hl_error *err)
{
    return hl_config_load_layers(c, 1, &(hl_config_layer){name, text}, n, overrides, err);
}

void hl_config_free(hl_config *c)
{
    hl_config_clear(hl_config_table, c);
}
