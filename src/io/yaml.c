#include "io/yaml.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#define ALIAS "aliases (*name) are not supported; quote a text that begins with *"

struct hl_yaml {
    hl_arena *arena;
    hl_yaml_node *root;
};

/* A list or mapping that is still open. */
typedef struct level {
    hl_yaml_node *node, **tail;
    char *key; /* of a mapping: read, its value not yet */
    int key_line, key_column;
} level;

typedef struct builder {
    hl_yaml *yaml;
    const char *name, *text;
    size_t size;
    yaml_parser_t parser;
    level open[HL_YAML_DEPTH];
    int depth, documents;
    hl_error *err;
} builder;

static bool fail_at(builder *b, yaml_mark_t mark, const char *what)
{
    hl_fail(b->err, HL_ERR_CONFIG, "%.400s:%zu:%zu: %s", b->name, mark.line + 1, mark.column + 1, what);
    return false;
}

static bool fail_memory(builder *b)
{
    hl_fail(b->err, HL_ERR_MEMORY, "%s: no memory to read it", b->name);
    return false;
}

/* The reader, which checks the encoding, knows a byte offset only. */
static bool fail_encoding(builder *b)
{
    size_t end = b->parser.problem_offset < b->size ? b->parser.problem_offset : b->size;
    yaml_mark_t mark = {0};
    for (size_t i = 0; i < end; i++) {
        if (b->text[i] == '\n') {
            mark.line++;
            mark.column = 0;
        } else if (((unsigned char)b->text[i] & 0xC0) != 0x80) {
            mark.column++;
        }
    }
    if (end < b->size && !b->text[end])
        return fail_at(b, mark, "a zero byte, expected UTF-8 text");
    if (!strcmp(b->parser.problem, "control characters are not allowed"))
        return fail_at(b, mark, "a control character, expected UTF-8 text");
    return fail_at(b, mark, "invalid UTF-8");
}

static bool fail_syntax(builder *b)
{
    const yaml_parser_t *p = &b->parser;
    char what[256];
    if (p->error == YAML_MEMORY_ERROR)
        return fail_memory(b);
    if (p->error == YAML_READER_ERROR)
        return fail_encoding(b);
    if (p->context && strstr(p->context, "an alias"))
        return fail_at(b, p->problem_mark, ALIAS);
    if (p->context && p->context_mark.line < p->problem_mark.line)
        snprintf(what, sizeof what, "%s (%s that starts at line %zu)", p->problem, p->context,
                 p->context_mark.line + 1);
    else if (p->context)
        snprintf(what, sizeof what, "%s (%s)", p->problem, p->context);
    else
        snprintf(what, sizeof what, "%s", p->problem);
    return fail_at(b, p->problem_mark, what);
}

static char *copy(builder *b, const char *text, size_t n)
{
    char *string = hl_arena_alloc(b->yaml->arena, n + 1, 1);
    return string ? memcpy(string, text, n) : NULL;
}

/* ------------------------------------------------------------------ building */

/* Hangs a new node where the document stands; NULL if there is no memory. */
static hl_yaml_node *add(builder *b, hl_yaml_kind kind, yaml_mark_t mark)
{
    hl_yaml_node *node = hl_arena_alloc(b->yaml->arena, 1, sizeof *node);
    if (!node)
        return NULL;
    node->kind = kind;
    node->line = (int)mark.line + 1;
    node->column = (int)mark.column + 1;
    if (!b->depth) {
        b->yaml->root = node;
        return node;
    }
    level *l = &b->open[b->depth - 1];
    node->key = l->key;
    node->key_line = l->key_line;
    node->key_column = l->key_column;
    l->key = NULL;
    l->node->count++;
    *l->tail = node;
    l->tail = &node->next;
    return node;
}

static bool wants_key(const builder *b)
{
    return b->depth && b->open[b->depth - 1].node->kind == HL_YAML_MAPPING && !b->open[b->depth - 1].key;
}

static bool take_scalar(builder *b, const yaml_event_t *e)
{
    if (e->data.scalar.anchor)
        return fail_at(b, e->start_mark,
                       "anchors (&name) are not supported: write the value where it is used");
    if (e->data.scalar.tag)
        return fail_at(b, e->start_mark, "tags (!name) are not supported");
    const char *value = (const char *)e->data.scalar.value;
    if (memchr(value, 0, e->data.scalar.length))
        return fail_at(b, e->start_mark, "a text with a zero byte in it");
    char *text = copy(b, value, e->data.scalar.length);
    if (!text)
        return fail_memory(b);
    if (wants_key(b)) {
        level *l = &b->open[b->depth - 1];
        l->key = text;
        l->key_line = (int)e->start_mark.line + 1;
        l->key_column = (int)e->start_mark.column + 1;
        return true;
    }
    hl_yaml_node *node = add(b, HL_YAML_SCALAR, e->start_mark);
    if (!node)
        return fail_memory(b);
    node->text = text;
    node->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return true;
}

static bool take_start(builder *b, const yaml_event_t *e, hl_yaml_kind kind)
{
    bool list = kind == HL_YAML_SEQUENCE;
    if (list ? e->data.sequence_start.anchor : e->data.mapping_start.anchor)
        return fail_at(b, e->start_mark,
                       "anchors (&name) are not supported: write the value where it is used");
    if (list ? e->data.sequence_start.tag : e->data.mapping_start.tag)
        return fail_at(b, e->start_mark, "tags (!name) are not supported");
    if (wants_key(b))
        return fail_at(b, e->start_mark, "a key must be a word, not a list or mapping");
    if (b->depth == HL_YAML_DEPTH)
        return fail_at(b, e->start_mark, "nested more than 32 levels deep");
    hl_yaml_node *node = add(b, kind, e->start_mark);
    if (!node)
        return fail_memory(b);
    b->open[b->depth++] = (level){.node = node, .tail = &node->first};
    return true;
}

static int by_key(const void *a, const void *b)
{
    const hl_yaml_node *x = *(hl_yaml_node *const *)a, *y = *(hl_yaml_node *const *)b;
    int order = strcmp(x->key, y->key);
    if (order)
        return order;
    return x->key_line != y->key_line ? (x->key_line < y->key_line ? -1 : 1)
                                      : (x->key_column > y->key_column) - (x->key_column < y->key_column);
}

/* Sorted, not pairwise: a mebibyte may hold 200,000 keys. */
static bool check_unique(builder *b, const hl_yaml_node *mapping)
{
    if (mapping->count < 2)
        return true;
    hl_yaml_node **sorted = hl_alloc((size_t)mapping->count, sizeof(hl_yaml_node *));
    if (!sorted)
        return fail_memory(b);
    int n = 0;
    for (hl_yaml_node *c = mapping->first; c; c = c->next)
        sorted[n++] = c;
    qsort(sorted, (size_t)n, sizeof(hl_yaml_node *), by_key);
    const hl_yaml_node *twice = NULL, *once = NULL;
    for (int i = 1; i < n && !twice; i++)
        if (!strcmp(sorted[i - 1]->key, sorted[i]->key)) {
            once = sorted[i - 1];
            twice = sorted[i];
        }
    hl_free(sorted);
    if (!twice)
        return true;
    hl_fail(b->err, HL_ERR_CONFIG, "%.400s:%d:%d: the key '%s' is here twice; the first is at line %d",
            b->name, twice->key_line, twice->key_column, hl_excerpt_of(twice->key).text, once->key_line);
    return false;
}

static bool take_end(builder *b)
{
    const hl_yaml_node *node = b->open[--b->depth].node;
    return node->kind != HL_YAML_MAPPING || check_unique(b, node);
}

static bool take(builder *b, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        return !b->documents++ || fail_at(b, e->start_mark, "a second document, expected one");
    case YAML_ALIAS_EVENT:
        return fail_at(b, e->start_mark,
                       "aliases (*name) are not supported; quote a text that begins with *");
    case YAML_SCALAR_EVENT:
        return take_scalar(b, e);
    case YAML_SEQUENCE_START_EVENT:
        return take_start(b, e, HL_YAML_SEQUENCE);
    case YAML_MAPPING_START_EVENT:
        return take_start(b, e, HL_YAML_MAPPING);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return take_end(b);
    default:
        return true;
    }
}

static bool build(builder *b)
{
    yaml_parser_set_encoding(&b->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b->parser, (const unsigned char *)b->text, b->size);
    for (bool done = false; !done;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&b->parser, &event))
            return fail_syntax(b);
        bool good = take(b, &event);
        done = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        if (!good)
            return false;
    }
    if (!b->yaml->root || (hl_yaml_is_null(b->yaml->root) && !*b->yaml->root->text))
        b->yaml->root = add(b, HL_YAML_MAPPING, (yaml_mark_t){0});
    return b->yaml->root || fail_memory(b);
}

/* ------------------------------------------------------------------ interface */

hl_yaml *hl_yaml_parse(const char *text, size_t size, const char *name, hl_error *err)
{
    builder b = {.name = name, .text = text, .size = size, .err = err};
    if (size > HL_YAML_BYTES) {
        hl_fail(err, HL_ERR_CONFIG, "%s: %zu bytes, expected at most 1 MiB", name, size);
        return NULL;
    }
    b.yaml = hl_alloc(1, sizeof *b.yaml);
    if (b.yaml)
        b.yaml->arena = hl_arena_new();
    bool good = false;
    if (!b.yaml || !b.yaml->arena || !yaml_parser_initialize(&b.parser)) {
        fail_memory(&b);
    } else {
        good = build(&b);
        yaml_parser_delete(&b.parser);
    }
    if (good)
        return b.yaml;
    hl_yaml_free(b.yaml);
    return NULL;
}

/* Checkpoints and HDF5 files begin with a byte that no text begins with: who mixes them up is told that, not
 * their size. */
static hl_status expect_text(int fd, const char *path, uint64_t size, hl_error *err)
{
    unsigned char first = 0;
    hl_status status = size > 0 ? hl_file_read(fd, path, 0, &first, 1, err) : HL_OK;
    return status == HL_OK && first == 0x89
               ? hl_fail(err, HL_ERR_CONFIG,
                         "%s: is a binary file (a checkpoint?), expected a configuration in YAML", path)
               : status;
}

hl_yaml *hl_yaml_load(const char *path, hl_error *err)
{
    int fd;
    uint64_t size;
    hl_yaml *yaml = NULL;
    if (hl_file_open(path, &fd, &size, err) != HL_OK)
        return NULL;
    if (expect_text(fd, path, size, err) != HL_OK) {
        close(fd);
        return NULL;
    }
    char *text = size <= HL_YAML_BYTES ? hl_alloc((size_t)size, 1) : NULL;
    if (size > HL_YAML_BYTES)
        hl_fail(err, HL_ERR_CONFIG, "%s: %llu bytes, expected at most 1 MiB", path, (unsigned long long)size);
    else if (!text)
        hl_fail(err, HL_ERR_MEMORY, "%s: no memory to read it", path);
    else if (hl_file_read(fd, path, 0, text, (size_t)size, err) == HL_OK)
        yaml = hl_yaml_parse(text, (size_t)size, path, err);
    hl_free(text);
    close(fd);
    return yaml;
}

void hl_yaml_free(hl_yaml *yaml)
{
    if (!yaml)
        return;
    hl_arena_free(yaml->arena);
    hl_free(yaml);
}

const hl_yaml_node *hl_yaml_root(const hl_yaml *yaml)
{
    return yaml->root;
}

bool hl_yaml_is_null(const hl_yaml_node *node)
{
    return node->kind == HL_YAML_SCALAR && node->plain &&
           (!*node->text || !strcmp(node->text, "~") || !strcmp(node->text, "null"));
}

hl_yaml_found hl_yaml_describe(const hl_yaml_node *node)
{
    hl_yaml_found f;
    if (node->kind != HL_YAML_SCALAR)
        snprintf(f.text, sizeof f.text, node->kind == HL_YAML_SEQUENCE ? "a list" : "a mapping");
    else if (hl_yaml_is_null(node))
        snprintf(f.text, sizeof f.text, "nothing");
    else
        snprintf(f.text, sizeof f.text, "%s'%s'", node->plain ? "" : "the text ",
                 hl_excerpt_of(node->text).text);
    return f;
}
