#include "app/export/unproven.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <signal.h>
#include <unistd.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { SIGNALS = sizeof signals / sizeof *signals };

static struct sigaction before[SIGNALS];
static char *name, *being_written; /* of the file, and of what hl_file_replace writes before it is that */

/* The signal has its default action again, and ends the program when this returns. */
static void drop(int signal_number)
{
    unlink(name);
    unlink(being_written);
    raise(signal_number);
}

static char *with_suffix(const char *path, const char *suffix)
{
    hl_text text = {0};
    hl_text_append(&text, path);
    hl_text_append(&text, suffix);
    return hl_text_take(&text);
}

static hl_status try_to_write(const char *path, hl_error *err)
{
    hl_file *file;
    hl_status status = hl_file_replace(path, &file, err);
    if (status == HL_OK)
        hl_file_abort(file);
    return status;
}

hl_status hl_unproven_begin(const char *to, const char **path, hl_error *err)
{
    struct sigaction dropping = {.sa_handler = drop, .sa_flags = SA_RESETHAND};
    sigemptyset(&dropping.sa_mask);
    HL_ASSERT(!name);
    *path = name = with_suffix(to, ".unproven");
    being_written = with_suffix(to, ".unproven.tmp");
    for (int i = 0; i < SIGNALS; i++) {
        sigaction(signals[i], NULL, &before[i]);
        if (name && being_written && before[i].sa_handler != SIG_IGN)
            sigaction(signals[i], &dropping, NULL);
    }
    hl_status status = name && being_written
                           ? try_to_write(name, err)
                           : hl_fail(err, HL_ERR_MEMORY, "no memory for a name beside %s", to);
    if (status != HL_OK)
        hl_unproven_end();
    return status;
}

void hl_unproven_end(void)
{
    for (int i = 0; name && i < SIGNALS; i++)
        sigaction(signals[i], &before[i], NULL);
    hl_free(name);
    hl_free(being_written);
    name = being_written = NULL;
}
