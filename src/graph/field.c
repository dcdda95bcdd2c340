/* Integers in parameter structs, whatever their type. */
#include "graph/op.h"

#include "base/error.h"

#include <limits.h>
#include <string.h>

void hl_field_range(const hl_field *f, int64_t *least, int64_t *most)
{
    *least = 0;
    *most = 1;
    if (f->kind == HL_FIELD_INT) {
        *least = INT_MIN;
        *most = INT_MAX;
    } else if (f->kind == HL_FIELD_SIZE) {
        *least = INT64_MIN;
        *most = INT64_MAX;
    } else if (f->kind == HL_FIELD_STREAM) {
        *most = UINT32_MAX;
    } else if (f->kind == HL_FIELD_WORD) {
        for (*most = -1; f->words[*most + 1];)
            ++*most;
    }
}

int64_t hl_field_get(const hl_field *f, const void *params)
{
    const char *at = (const char *)params + f->offset;
    int32_t narrow;
    int64_t wide;
    if (f->size == sizeof(bool))
        return *(const bool *)at;
    if (f->size == sizeof wide)
        return memcpy(&wide, at, sizeof wide), wide;
    HL_ASSERT(f->size == sizeof narrow);
    memcpy(&narrow, at, sizeof narrow);
    return f->kind == HL_FIELD_STREAM ? (int64_t)(uint32_t)narrow : narrow;
}

void hl_field_set(const hl_field *f, void *params, int64_t value)
{
    char *at = (char *)params + f->offset;
    const int32_t narrow = (int32_t)(uint32_t)value;
    const bool flag = value != 0;
    if (f->size == sizeof flag)
        memcpy(at, &flag, sizeof flag);
    else if (f->size == sizeof value)
        memcpy(at, &value, sizeof value);
    else {
        HL_ASSERT(f->size == sizeof narrow);
        memcpy(at, &narrow, sizeof narrow);
    }
}
