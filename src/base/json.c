#include "base/json.h"

#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <math.h>
#include <string.h>

json_t *hl_json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static int append_part(const char *bytes, size_t n, void *text)
{
    hl_text_append_bytes(text, bytes, n);
    return ((hl_text *)text)->failed ? -1 : 0;
}

void hl_json_append(hl_text *text, const json_t *value, hl_json_style style)
{
    size_t flags = JSON_REAL_PRECISION(12) | JSON_ENCODE_ANY;
    flags |= style == HL_JSON_PRETTY ? JSON_INDENT(2) : style == HL_JSON_COMPACT ? JSON_COMPACT : 0;
    if (!value || json_dump_callback(value, append_part, text, flags) != 0)
        text->failed = true;
    if (style != HL_JSON_COMPACT)
        hl_text_append_bytes(text, "\n", 1);
}

hl_status hl_json_print(FILE *to, const json_t *value, hl_error *err)
{
    hl_text text = {0};
    hl_json_append(&text, value, HL_JSON_PRETTY);
    size_t size = text.size;
    char *string = hl_text_take(&text);
    if (!string)
        return hl_fail(err, HL_ERR_MEMORY, "no memory to print JSON");
    bool written = fwrite(string, 1, size, to) == size && fflush(to) == 0;
    int number = errno;
    hl_free(string);
    return written ? HL_OK : hl_fail(err, HL_ERR_IO, "cannot print the result: %s", strerror(number));
}

json_t *hl_json_parse(const char *text, size_t size, const char *name, hl_error *err)
{
    json_error_t where;
    json_t *value = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    if (!value)
        hl_fail(err, json_error_code(&where) == json_error_out_of_memory ? HL_ERR_MEMORY : HL_ERR_DATA,
                "%s:%d:%d: %s", name, where.line, where.column, where.text);
    return value;
}
