/* What the files of the configuration share; no one else includes this. */
#ifndef HL_APP_CONFIG_ROOM_H
#define HL_APP_CONFIG_ROOM_H

#include "app/config/config.h"
#include "base/text.h"
#include "io/yaml.h"

typedef enum hl_config_type {
    HL_CONFIG_TYPE_GROUP, /* a group's path and help; the lines after it until its end are its keys */
    HL_CONFIG_TYPE_PART,  /* a record within the record */
    HL_CONFIG_TYPE_LIST,  /* a list of records */
    HL_CONFIG_TYPE_INT,   /* from here on: keys with a value */
    HL_CONFIG_TYPE_SEED,
    HL_CONFIG_TYPE_SIZE,
    HL_CONFIG_TYPE_FLOAT,
    HL_CONFIG_TYPE_BOOL,
    HL_CONFIG_TYPE_ENUM,
    HL_CONFIG_TYPE_TEXT,
    HL_CONFIG_TYPE_INTS,
    HL_CONFIG_TYPE_TEXTS
} hl_config_type;

typedef struct hl_config_kind hl_config_kind;

/* A line of app/config/config.def. */
typedef struct hl_config_line {
    hl_config_type type;
    const char *key; /* within its record */
    size_t offset;   /* in the record's struct */
    const char *value, *limits, *help;
    const hl_config_kind *of; /* what a PART is, and each entry of a LIST */
} hl_config_line;

/* A kind of record: its lines, and the bytes of its struct. */
struct hl_config_kind {
    int n;
    const hl_config_line *line;
    size_t size;
};

/* That of hl_config, which holds all others. */
extern const hl_config_kind *const hl_config_table;

enum {
    HL_CONFIG_KEY = 128,   /* room for a key's path; one that is longer is cut, and then it is unknown */
    HL_CONFIG_ENTRIES = 64 /* of a list, at most */
};

static inline bool hl_config_has_value(const hl_config_line *line)
{
    return line->type >= HL_CONFIG_TYPE_INT;
}

/* The part of a path after its last dot. */
const char *hl_config_last_part(const char *key);

/* ------------------------------------------------------------------ keys */

/* What a path such as stress.phases[1].seconds leads to. */
typedef struct hl_config_slot {
    const hl_config_line *line;
    void *record; /* that the line is of */
    int entry;    /* of a LIST: which one is meant; -1: the list itself */
} hl_config_slot;

/* "KEY: unknown key; did you mean ...", or that a list has no such entry, is the error, without a place. */
hl_status hl_config_find(hl_config *c, const char *key, hl_config_slot *slot, hl_error *err);

/* The member of a line. */
static inline void *hl_config_member(void *record, const hl_config_line *line)
{
    return (char *)record + line->offset;
}

/* ------------------------------------------------------------------ records */

/* Gives each key its default. HL_ERR_MEMORY; hl_config_clear is due then too. */
hl_status hl_config_init(const hl_config_kind *kind, void *record, hl_error *err);
/* Frees what a record owns and makes it {0}. */
void hl_config_clear(const hl_config_kind *kind, void *record);

/* A list, whatever its entries are. */
typedef struct hl_config_list {
    int n;
    char *at;
} hl_config_list;
hl_config_list hl_config_list_of(const void *record, const hl_config_line *line);
void *hl_config_entry(const void *record, const hl_config_line *line, int entry);
/* Puts n entries with defaults in the place of those there are. HL_ERR_MEMORY: then there are none. */
hl_status hl_config_resize(void *record, const hl_config_line *line, int n, hl_error *err);

/* ------------------------------------------------------------------ values */

/* Reads a value. What is wrong is the error, without key and place, and *culprit the node it is about (an
 * element of a list, perhaps). What stood there before is freed. */
hl_status hl_config_set(void *record, const hl_config_line *line, const hl_yaml_node *value,
                        const hl_yaml_node **culprit, hl_error *err);
/* Appends the value as YAML in one line. */
void hl_config_append(hl_text *t, const void *record, const hl_config_line *line);
/* Frees what the value owns. */
void hl_config_release(void *record, const hl_config_line *line);

/* What no single key can say: keys that must fit together. On error names the keys involved, the first
 * being the one the message begins with. */
typedef struct hl_config_conflict {
    char key[3][HL_CONFIG_KEY]; /* "" from where there are no more */
} hl_config_conflict;
hl_status hl_config_check(const hl_config *c, hl_config_conflict *conflict, hl_error *err);

#endif
