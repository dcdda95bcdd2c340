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
static bool catching;
static char *name, *being_written; /* of the file, and of what hl_file_replace writes before it is that */
static hl_file *claim;             /* "TO.export.tmp", locked: nobody else exports to that name meanwhile */

/* The signal has its default action again, and ends the program when this returns. */
static void drop(int signal_number)
{
    unlink(name);
    unlink(being_written);
    unlink(hl_file_written_path(claim));
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

static hl_status claim_name(const char *to, hl_error *err)
{
    char *path = with_suffix(to, ".export");
    hl_status status = path ? hl_file_replace(path, &claim, err)
                            : hl_fail(err, HL_ERR_MEMORY, "no memory for a name beside %s", to);
    hl_free(path);
    return status;
}

static void catch_signals(void)
{
    struct sigaction dropping = {.sa_handler = drop, .sa_flags = SA_RESETHAND};
    sigemptyset(&dropping.sa_mask);
    for (int i = 0; i < SIGNALS; i++) {
        sigaction(signals[i], NULL, &before[i]);
        if (before[i].sa_handler != SIG_IGN)
            sigaction(signals[i], &dropping, NULL);
    }
    catching = true;
}

hl_status hl_unproven_begin(const char *to, const char **path, hl_error *err)
{
    HL_ASSERT(!name);
    *path = name = with_suffix(to, ".unproven");
    being_written = with_suffix(to, ".unproven.tmp");
    hl_status status = name && being_written
                           ? claim_name(to, err)
                           : hl_fail(err, HL_ERR_MEMORY, "no memory for a name beside %s", to);
    if (status == HL_OK) {
        catch_signals(); /* not before: the files may be another's */
        status = try_to_write(name, err);
    }
    if (status != HL_OK)
        hl_unproven_end();
    return status;
}

void hl_unproven_end(void)
{
    for (int i = 0; catching && i < SIGNALS; i++)
        sigaction(signals[i], &before[i], NULL);
    catching = false;
    hl_file_abort(claim);
    claim = NULL;
    hl_free(name);
    hl_free(being_written);
    name = being_written = NULL;
}
