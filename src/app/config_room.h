/* What the files of the configuration share; no one else includes this. */
#ifndef HL_APP_CONFIG_ROOM_H
#define HL_APP_CONFIG_ROOM_H

#include "app/config.h"
#include "base/text.h"
#include "base/yaml.h"

typedef enum hl_config_type {
    HL_CONFIG_TYPE_GROUP, /* the group's name and help; the lines after it until its end are its keys */
    HL_CONFIG_TYPE_INT,
    HL_CONFIG_TYPE_SEED,
    HL_CONFIG_TYPE_FLOAT,
    HL_CONFIG_TYPE_BOOL,
    HL_CONFIG_TYPE_ENUM,
    HL_CONFIG_TYPE_TEXT,
    HL_CONFIG_TYPE_INTS,
    HL_CONFIG_TYPE_TEXTS
} hl_config_type;

/* A line of app/config.def. */
typedef struct hl_config_line {
    hl_config_type type;
    const char *key;
    size_t offset; /* in hl_config */
    const char *value, *limits, *help;
} hl_config_line;

extern const hl_config_line hl_config_table[];
extern const int hl_config_lines;

/* The line of a key or group, or -1. */
int hl_config_find(const char *key);

/* Reads a value: "KEY: what is wrong" is the error, without a place, and *culprit the node it is about
 * (an element of a list, perhaps). What stood there before is freed. */
hl_status hl_config_set(hl_config *c, const hl_config_line *line, const hl_yaml_node *value,
                        const hl_yaml_node **culprit, hl_error *err);
/* Appends the value as YAML in one line. */
void hl_config_append(hl_text *t, const hl_config *c, const hl_config_line *line);
/* Appends a string in double quotes, with escapes where YAML needs them. */
void hl_config_quote(hl_text *t, const char *string);
/* Frees what the value owns. */
void hl_config_release(hl_config *c, const hl_config_line *line);

/* What no single key can say: keys that must fit together. On error names the keys involved, the first
 * being the one the message begins with. */
typedef struct hl_config_conflict {
    const char *key[3]; /* NULL from where there are no more */
} hl_config_conflict;
hl_status hl_config_check(const hl_config *c, hl_config_conflict *conflict, hl_error *err);

/* The member of a line. */
static inline void *hl_config_member(hl_config *c, const hl_config_line *line)
{
    return (char *)c + line->offset;
}

#endif
