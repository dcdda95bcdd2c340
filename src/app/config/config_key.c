/* The table of app/config/config.def, where the path of a key leads, and which key was probably meant. */
#include "app/config/config_room.h"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HL_RECORD(name) static const hl_config_line lines_of_##name[] = {
#define HL_RECORD_END(name)                                                                                  \
    }                                                                                                        \
    ;                                                                                                        \
    static const hl_config_kind kind_##name = {sizeof lines_of_##name / sizeof *lines_of_##name,             \
                                               lines_of_##name, sizeof(name)};
#define HL_GROUP(path, name, help)                                                                           \
    {HL_CONFIG_TYPE_GROUP, #path, offsetof(hl_config, path), "", "", help, NULL},
#define HL_END(name)
#define HL_FIELD(type, record, name, value, limits, help)                                                    \
    {HL_CONFIG_TYPE_##type, #name, offsetof(record, name), value, limits, help, NULL},
#define HL_KEY(type, group, name, value, limits, help)                                                       \
    {HL_CONFIG_TYPE_##type, #group "." #name, offsetof(hl_config, group.name), value, limits, help, NULL},
#define HL_PART(of, record, name, help)                                                                      \
    {HL_CONFIG_TYPE_PART, #name, offsetof(record, name), "", "", help, &kind_##of},
#define HL_LIST(of, record, name, help)                                                                      \
    {HL_CONFIG_TYPE_LIST, #name, offsetof(record, name), "[]", "", help, &kind_##of},
#include "app/config/config.def"
#undef HL_RECORD
#undef HL_RECORD_END
#undef HL_GROUP
#undef HL_END
#undef HL_FIELD
#undef HL_KEY
#undef HL_PART
#undef HL_LIST

const hl_config_kind *const hl_config_table = &kind_hl_config;

const char *hl_config_last_part(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot ? dot + 1 : key;
}

/* ------------------------------------------------------------------ following a path */

/* "[12]" at *text, which moves behind it; -1 if that is not what stands there. */
static int take_index(const char **text)
{
    size_t digits = **text == '[' ? strspn(*text + 1, "0123456789") : 0;
    if (!digits || digits > 9 || (*text)[digits + 1] != ']')
        return -1;
    int index = atoi(*text + 1);
    *text += digits + 2;
    return index;
}

/* Whether key is the line, or begins with it: *end is what stands behind it and behind the *entry of a list
 * (-1: none is named). */
static bool begins(const hl_config_line *line, const char *key, const char **end, int *entry)
{
    size_t n = strlen(line->key);
    if (strncmp(key, line->key, n) != 0)
        return false;
    *end = key + n;
    *entry = line->type == HL_CONFIG_TYPE_LIST ? take_index(end) : -1;
    return !**end || **end == '.';
}

/* Goes into records, and entries of lists, as far as key leads: *kind and *record are then the last of them,
 * and the result is the rest of key, within it. Stops before an entry that is not there; with *record NULL
 * any entry is. */
static const char *enter(const hl_config_kind **kind, void **record, const char *key)
{
    for (int i = 0; i < (*kind)->n; i++) {
        const hl_config_line *line = &(*kind)->line[i];
        const char *end;
        int entry;
        bool list = line->type == HL_CONFIG_TYPE_LIST;
        if (!line->of || !begins(line, key, &end, &entry) || !*end || (list && entry < 0))
            continue;
        if (*record && list && entry >= hl_config_list_of(*record, line).n)
            break;
        if (*record)
            *record = list ? hl_config_entry(*record, line, entry) : hl_config_member(*record, line);
        *kind = line->of;
        key = end + 1;
        i = -1; /* again, in there */
    }
    return key;
}

/* ------------------------------------------------------------------ unknown keys */

static bool find_named(const hl_config_kind *kind, const char *prefix, const char *name,
                       char found[HL_CONFIG_KEY])
{
    for (int i = 0; i < kind->n; i++) {
        const hl_config_line *line = &kind->line[i];
        if (!strcmp(hl_config_last_part(line->key), name)) {
            snprintf(found, HL_CONFIG_KEY, "%s%s", prefix, line->key);
            return true;
        }
        char within[HL_CONFIG_KEY];
        snprintf(within, sizeof within, "%s%s%s.", prefix, line->key,
                 line->type == HL_CONFIG_TYPE_LIST ? "[0]" : "");
        if (line->of && find_named(line->of, within, name, found))
            return true;
    }
    return false;
}

/* A key that was probably meant: spelt nearly so in the same group, or of that name elsewhere, or spelt
 * nearly so as a whole where the group does not exist. */
static bool suggest(const char *key, char meant[HL_CONFIG_KEY])
{
    enum { NAMES = 512 };
    const char *names[NAMES], *nearest;
    const hl_config_kind *kind = hl_config_table;
    const char *rest = enter(&kind, &(void *){NULL}, key), *last = hl_config_last_part(rest);
    size_t prefix = (size_t)(last - rest), n = 0;
    HL_ASSERT(kind->n <= NAMES);
    for (int i = 0; i < kind->n; i++) {
        const char *other = kind->line[i].key;
        if ((size_t)(hl_config_last_part(other) - other) == prefix && !strncmp(other, rest, prefix))
            names[n++] = hl_config_last_part(other);
    }
    nearest = hl_nearest(last, names, n);
    if (!nearest && find_named(hl_config_table, "", last, meant))
        return true;
    if (nearest) {
        snprintf(meant, HL_CONFIG_KEY, "%.*s%s", (int)(last - key), key, nearest);
        return true;
    }
    if (n)
        return false;
    for (int i = 0; i < kind->n; i++)
        if (hl_config_has_value(&kind->line[i]))
            names[n++] = kind->line[i].key;
    nearest = hl_nearest(rest, names, n);
    if (nearest)
        snprintf(meant, HL_CONFIG_KEY, "%.*s%s", (int)(rest - key), key, nearest);
    return nearest != NULL;
}

/* rest is what no line of the record is: a key that is not known, or an entry that is not there. */
static hl_status fail_unknown(const hl_config_kind *kind, const void *record, const char *key,
                              const char *rest, hl_error *err)
{
    char meant[HL_CONFIG_KEY];
    const char *end;
    for (int i = 0, entry; i < kind->n; i++) {
        if (!begins(&kind->line[i], rest, &end, &entry) || entry < 0)
            continue;
        int n = hl_config_list_of(record, &kind->line[i]).n;
        int length = (int)(end - key);
        if (!n)
            return hl_fail(err, HL_ERR_CONFIG, "%.*s: there is no such entry, the list is empty", length,
                           key);
        return hl_fail(err, HL_ERR_CONFIG, "%.*s: there is no such entry, the last is [%d]", length, key,
                       n - 1);
    }
    if (suggest(key, meant))
        return hl_fail(err, HL_ERR_CONFIG, "%s: unknown key; did you mean '%s'?", hl_excerpt_of(key).text,
                       meant);
    return hl_fail(err, HL_ERR_CONFIG, "%s: unknown key; docs/config.md lists those there are",
                   hl_excerpt_of(key).text);
}

hl_status hl_config_find(hl_config *c, const char *key, hl_config_slot *slot, hl_error *err)
{
    const hl_config_kind *kind = hl_config_table;
    void *record = c;
    const char *rest = enter(&kind, &record, key), *end;
    for (int i = 0, entry; i < kind->n; i++) {
        const hl_config_line *line = &kind->line[i];
        if (!begins(line, rest, &end, &entry) || *end)
            continue;
        if (entry >= 0 && entry >= hl_config_list_of(record, line).n)
            break;
        *slot = (hl_config_slot){line, record, entry};
        return HL_OK;
    }
    return fail_unknown(kind, record, key, rest, err);
}
