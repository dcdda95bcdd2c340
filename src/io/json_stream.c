#include "io/json_stream.h"

#include "base/error.h"
#include "base/memory.h"

enum { WRITE_AT = 1 << 18 }; /* bytes */

static void write_out(hl_json_stream *s)
{
    if (s->text.failed)
        hl_fail(&s->error, HL_ERR_MEMORY, "no memory to write JSON");
    else if (s->text.size)
        (void)hl_file_write(s->file, s->text.at, s->text.size, &s->error); /* into s->error */
    s->text.size = 0;
}

static void append(hl_json_stream *s, const char *text)
{
    if (s->error.status == HL_OK)
        hl_text_append(&s->text, text);
}

void hl_json_stream_open(hl_json_stream *s, const char *text)
{
    append(s, text);
    s->more = false;
}

void hl_json_stream_put(hl_json_stream *s, json_t *value)
{
    if (s->more)
        append(s, ",");
    s->more = true;
    if (s->error.status == HL_OK)
        hl_json_append(&s->text, value, HL_JSON_LINE);
    json_decref(value);
    if (s->error.status == HL_OK && (s->text.failed || s->text.size > WRITE_AT))
        write_out(s);
}

hl_status hl_json_stream_end(hl_json_stream *s, const char *text, hl_error *err)
{
    append(s, text);
    if (s->error.status == HL_OK)
        write_out(s);
    hl_text_free(&s->text);
    if (s->error.status != HL_OK && err)
        *err = s->error;
    return s->error.status;
}
