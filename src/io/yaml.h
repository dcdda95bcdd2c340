/* YAML files as trees, through libyaml's events, with limits: 1 MiB, 32 levels, one document, no
 * anchors, aliases or tags, no key twice in a mapping. So no input can be larger in memory than a
 * small multiple of its size. */
#ifndef HL_IO_YAML_H
#define HL_IO_YAML_H

#include "hl.h"

enum { HL_YAML_DEPTH = 32, HL_YAML_BYTES = 1 << 20 };

typedef enum hl_yaml_kind { HL_YAML_SCALAR, HL_YAML_SEQUENCE, HL_YAML_MAPPING } hl_yaml_kind;

typedef struct hl_yaml_node hl_yaml_node;
struct hl_yaml_node {
    hl_yaml_kind kind;
    int line, column; /* from 1; columns count characters */
    const char *text; /* of a scalar: UTF-8 without zero bytes; else NULL */
    bool plain;       /* a scalar without quotes */
    const char *key;  /* of a mapping's child; else NULL */
    int key_line, key_column;
    int count; /* children */
    hl_yaml_node *first, *next;
};

typedef struct hl_yaml hl_yaml;

/* name stands in messages: "NAME:LINE:COLUMN: ...". A text without content is an empty mapping.
 * NULL on error: HL_ERR_CONFIG, HL_ERR_MEMORY. */
hl_yaml *hl_yaml_parse(const char *text, size_t size, const char *name, hl_error *err);
/* Reads a file; also HL_ERR_IO. */
hl_yaml *hl_yaml_load(const char *path, hl_error *err);
void hl_yaml_free(hl_yaml *yaml); /* and all its nodes */
const hl_yaml_node *hl_yaml_root(const hl_yaml *yaml);

/* "a list", "a mapping", "nothing" or "'TEXT'": what a node is, for messages. */
typedef struct hl_yaml_found {
    char text[72];
} hl_yaml_found;
hl_yaml_found hl_yaml_describe(const hl_yaml_node *node);
/* A scalar that says nothing: empty, ~ or null, without quotes. */
bool hl_yaml_is_null(const hl_yaml_node *node);

#endif
