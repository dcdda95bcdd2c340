#include "data/demos_room.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

/* Names in a file may be any bytes; JSON takes UTF-8. */
static json_t *text_of(const char *text)
{
    char plain[1024];
    json_t *json = text ? json_string(text) : json_null();
    if (json)
        return json;
    snprintf(plain, sizeof plain, "%s", text);
    for (char *c = plain; *c; c++)
        *c = (unsigned char)*c < 0x80 ? *c : '?';
    return json_string(plain);
}

static const char *after(const char *text, const char *prefix)
{
    size_t n = strlen(prefix);
    return n && !strncmp(text, prefix, n) && !strncmp(text + n, ": ", 2) ? text + n + 2 : text;
}

/* The message may name file and path again: they have members of their own. */
static hl_status note(demos *all, const char *level, const char *file, const char *path, const char *message,
                      hl_error *err)
{
    json_t *fault = json_object();
    const char *text = after(after(message, file), path ? path : "");
    int bad = json_object_set_new(fault, "level", json_string(level)) |
              json_object_set_new(fault, "file", text_of(file)) |
              json_object_set_new(fault, "path", text_of(path)) |
              json_object_set_new(fault, "text", text_of(text));
    if (json_array_append_new(all->faults, fault) || bad)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the list of faults");
    return HL_OK;
}

hl_status demos_fault(demos *all, const char *file, const char *path, hl_status status, hl_error *err)
{
    hl_error fault;
    if (status == HL_OK || !all->faults || !err || err->status == HL_ERR_MEMORY)
        return status;
    fault = *err;
    *err = (hl_error){0};
    return note(all, "error", file, path, fault.message, err);
}

hl_status demos_warn(demos *all, const char *file, const char *path, const char *text, hl_error *err)
{
    return all->faults ? note(all, "warning", file, path, text, err) : HL_OK;
}
