#include "app/convert/weights.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/text.h"

#include <string.h>

enum { INDEX_MAX = 100000000 }; /* bytes; as of a header */

typedef struct shard {
    char *path;
    hl_safetensors *file;
} shard;

struct hl_weights {
    int n;
    shard *shards;
};

bool hl_weights_is_index(const char *path)
{
    return hl_ends_in(path, ".safetensors.index.json");
}

static hl_status open_shard(shard *s, char *path, hl_error *err)
{
    if (!path)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the name of a file");
    s->path = path;
    s->file = hl_safetensors_open(path, err);
    return s->file ? HL_OK : err->status;
}

/* ------------------------------------------------------------------ an index */

/* A file beside the index, in new memory. */
static char *beside(const char *index, const char *name)
{
    const char *slash = strrchr(index, '/');
    char *dir = hl_strdup(index), *path = NULL;
    if (dir && slash) {
        dir[slash - index + 1] = 0;
        path = hl_file_join(dir, name);
    } else if (dir) {
        path = hl_strdup(name);
    }
    hl_free(dir);
    return path;
}

/* The shard of that name, which is opened when it is met first. */
static hl_status shard_named(hl_weights *w, const char *index, const char *name, shard **out, hl_error *err)
{
    char *path = beside(index, name);
    for (int i = 0; i < w->n && path; i++)
        if (!strcmp(w->shards[i].path, path)) {
            hl_free(path);
            *out = &w->shards[i];
            return HL_OK;
        }
    *out = &w->shards[w->n++];
    return open_shard(*out, path, err);
}

static hl_status open_mapped(hl_weights *w, const char *index, const char *tensor, const json_t *file,
                             hl_error *err)
{
    const char *name = json_string_value(file);
    shard *s;
    if (!name || !*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
        return hl_fail(err, HL_ERR_DATA,
                       "%s: weight_map: tensor '%s': expected the name of a file beside the index, found %s",
                       index, hl_long_excerpt_of(tensor).text,
                       name ? hl_long_excerpt_of(name).text : "no text");
    hl_status status = shard_named(w, index, name, &s, err);
    if (status == HL_OK && hl_safetensors_find(s->file, tensor) < 0)
        status = hl_fail(err, HL_ERR_DATA, "%s: tensor '%s' is missing, in which %s says it is", s->path,
                         hl_long_excerpt_of(tensor).text, index);
    return status;
}

/* What a file holds must be what the index says is there. */
static hl_status check_shard(const shard *s, const char *index, const json_t *map, hl_error *err)
{
    const char *slash = strrchr(s->path, '/'), *file = slash ? slash + 1 : s->path;
    for (int i = 0; i < hl_safetensors_count(s->file); i++) {
        const char *name = hl_safetensors_at(s->file, i).name;
        const char *where = json_string_value(json_object_get(map, name));
        if (!where || strcmp(where, file) != 0)
            return hl_fail(err, HL_ERR_DATA, "%s: tensor '%s' is there, but %s %s%s", s->path,
                           hl_long_excerpt_of(name).text, index,
                           where ? "says it is in " : "does not name it",
                           where ? hl_long_excerpt_of(where).text : "");
    }
    return HL_OK;
}

static hl_status open_index(hl_weights *w, const char *index, json_t *root, hl_error *err)
{
    json_t *map = json_object_get(root, "weight_map"), *file;
    const char *tensor;
    if (!json_is_object(map))
        return hl_fail(
            err, HL_ERR_DATA,
            "%s: has no object 'weight_map', which tells the file of every tensor; is it an index?", index);
    w->shards = hl_alloc(json_object_size(map), sizeof *w->shards); /* a file of its own each, at most */
    hl_status status = w->shards ? HL_OK : hl_fail(err, HL_ERR_MEMORY, "%s: no memory to open it", index);
    json_object_foreach(map, tensor, file)
    {
        if (status == HL_OK)
            status = open_mapped(w, index, tensor, file, err);
    }
    for (int i = 0; i < w->n && status == HL_OK; i++)
        status = check_shard(&w->shards[i], index, map, err);
    return status;
}

static hl_status read_index(hl_weights *w, const char *index, hl_error *err)
{
    char *text;
    size_t size;
    hl_status status = hl_file_read_text(index, INDEX_MAX, &text, &size, err);
    if (status != HL_OK)
        return status;
    json_t *root = hl_json_parse(text, size, index, err);
    status = root ? open_index(w, index, root, err) : err->status;
    json_decref(root);
    hl_free(text);
    return status;
}

/* ------------------------------------------------------------------ all files */

static hl_status open_all(hl_weights *w, const char *path, hl_error *err)
{
    if (hl_weights_is_index(path))
        return read_index(w, path, err);
    w->shards = hl_alloc(1, sizeof *w->shards);
    if (!w->shards)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to open it", path);
    return open_shard(&w->shards[w->n++], hl_strdup(path), err);
}

hl_weights *hl_weights_open(const char *path, hl_error *err)
{
    hl_weights *w = hl_alloc(1, sizeof *w);
    if (!w) {
        hl_fail(err, HL_ERR_MEMORY, "%s: no memory to open it", path);
        return NULL;
    }
    if (open_all(w, path, err) == HL_OK)
        return w;
    hl_weights_close(w);
    return NULL;
}

void hl_weights_close(hl_weights *w)
{
    if (!w)
        return;
    for (int i = 0; i < w->n; i++) {
        hl_safetensors_close(w->shards[i].file);
        hl_free(w->shards[i].path);
    }
    hl_free(w->shards);
    hl_free(w);
}

int hl_weights_count(const hl_weights *w)
{
    int n = 0;
    for (int i = 0; i < w->n; i++)
        n += hl_safetensors_count(w->shards[i].file);
    return n;
}

hl_weight hl_weights_at(const hl_weights *w, int index)
{
    int i = 0;
    for (; index >= hl_safetensors_count(w->shards[i].file); i++)
        index -= hl_safetensors_count(w->shards[i].file);
    return (hl_weight){w->shards[i].path, hl_safetensors_at(w->shards[i].file, index)};
}

bool hl_weights_find(const hl_weights *w, const char *name, hl_weight *out)
{
    for (int i = 0; i < w->n; i++) {
        int index = hl_safetensors_find(w->shards[i].file, name);
        if (index >= 0) {
            *out = (hl_weight){w->shards[i].path, hl_safetensors_at(w->shards[i].file, index)};
            return true;
        }
    }
    return false;
}

const char *hl_weights_metadata(const hl_weights *w, const char *key)
{
    const char *value = NULL;
    for (int i = 0; i < w->n && !value; i++)
        value = hl_safetensors_metadata(w->shards[i].file, key);
    return value;
}
