#include "app/subject.h"

hl_status hl_subject_open(hl_subject *s, const char *path, int n_overrides, char *const *overrides,
                          hl_error *err)
{
    bool exported = false;
    *s = (hl_subject){0};
    hl_status status = path ? hl_loaded_is_exported(path, &exported, err) : HL_OK;
    if (status == HL_OK && exported)
        status = hl_loaded_open(&s->loaded, path, n_overrides, overrides, err);
    else if (status == HL_OK)
        status = hl_config_load(&s->own, path, n_overrides, overrides, err);
    if (status != HL_OK)
        hl_subject_close(s);
    else
        s->cfg = exported ? &s->loaded.trained.config : &s->own;
    s->exported = s->loaded.exported;
    return status;
}

void hl_subject_close(hl_subject *s)
{
    hl_loaded_close(&s->loaded);
    hl_config_free(&s->own);
    *s = (hl_subject){0};
}
