#include "app/stress/preset.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"

#include <string.h>

static hl_status fail_unknown(const char *name, hl_error *err)
{
    enum { PRESETS = 32 };
    const char *names[PRESETS];
    hl_text list = {0};
    HL_ASSERT(hl_preset_count <= PRESETS);
    for (int i = 0; i < hl_preset_count; i++) {
        names[i] = hl_presets[i].name;
        hl_text_appendf(&list, "%s%s", i ? ", " : "", names[i]);
    }
    const char *nearest = hl_nearest(name, names, (size_t)hl_preset_count);
    char *known = hl_text_take(&list);
    if (!known)
        return hl_fail(err, HL_ERR_MEMORY, "no memory to tell the presets");
    hl_fail(err, HL_ERR_USAGE, "there is no preset '%s'; %s%s%sthere are: %s", hl_excerpt_of(name).text,
            nearest ? "did you mean '" : "", nearest ? nearest : "", nearest ? "'? " : "", known);
    hl_free(known);
    return HL_ERR_USAGE;
}

hl_status hl_preset_find(const char *name, hl_config_layer *layer, hl_error *err)
{
    for (int i = 0; i < hl_preset_count; i++)
        if (!strcmp(hl_presets[i].name, name)) {
            *layer = (hl_config_layer){hl_presets[i].path, hl_presets[i].text};
            return HL_OK;
        }
    return fail_unknown(name, err);
}
