#include "app/train/saver.h"

#include "base/error.h"

#include <pthread.h>

struct hl_saver {
    char *dir;
    int keep;
    bool background, busy; /* busy: there is a thread to join */
    pthread_t thread;
    hl_snapshot *snapshot;
    const hl_checkpoint_meta *meta;
    hl_error err; /* of the thread */
};

hl_saver *hl_saver_new(const char *dir, int keep, bool background)
{
    hl_saver *s = hl_alloc(1, sizeof *s);
    char *copy = hl_strdup(dir);
    if (!s || !copy) {
        hl_free(s);
        hl_free(copy);
        return NULL;
    }
    *s = (hl_saver){.dir = copy, .keep = keep, .background = background};
    return s;
}

/* As soon as it is written, the store may take the snapshot's memory back. */
static void *write_snapshot(void *context)
{
    hl_saver *s = context;
    s->err = (hl_error){0};
    s->err.status = hl_checkpoint_save(s->dir, s->keep, s->snapshot, s->meta, NULL, &s->err);
    hl_snapshot_free(s->snapshot);
    s->snapshot = NULL;
    return NULL;
}

hl_status hl_saver_finish(hl_saver *s, hl_error *err)
{
    if (!s->busy)
        return HL_OK;
    pthread_join(s->thread, NULL);
    s->busy = false;
    if (s->err.status != HL_OK && err)
        *err = s->err;
    return s->err.status;
}

hl_status hl_saver_save(hl_saver *s, hl_params *params, const hl_checkpoint_meta *meta, hl_error *err)
{
    hl_status status = hl_saver_finish(s, err);
    if (status != HL_OK)
        return status;
    s->meta = meta;
    s->snapshot = hl_snapshot_take(params, err);
    if (!s->snapshot)
        return err->status;
    if (s->background && pthread_create(&s->thread, NULL, write_snapshot, s)) {
        hl_snapshot_free(s->snapshot);
        return hl_fail(
            err, HL_ERR_MEMORY,
            "no thread to write a checkpoint in; with checkpoint.background: false none is needed");
    }
    s->busy = s->background;
    if (s->background)
        return HL_OK;
    (void)write_snapshot(s);
    if (s->err.status != HL_OK)
        *err = s->err;
    return s->err.status;
}

void hl_saver_free(hl_saver *s)
{
    if (!s)
        return;
    (void)hl_saver_finish(s, NULL);
    hl_free(s->dir);
    hl_free(s);
}
