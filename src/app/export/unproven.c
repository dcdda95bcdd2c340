#include "app/export/unproven.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <signal.h>
#include <unistd.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { SIGNALS = sizeof signals / sizeof *signals };

/* What an interrupted export leaves beside TO: the file, and what hl_file_replace writes before a file gets
 * its name. An ONNX model is written to its own name, and its weights beside it. */
enum { UNPROVEN, TEMPORARY, REPORT, ONNX, ONNX_DATA, NAMES };
static const char *const suffixes[NAMES] = {".unproven", ".unproven.tmp", ".parity.json.tmp", ".tmp",
                                            ".data.tmp"};

static struct sigaction before[SIGNALS];
static bool catching;
static char *names[NAMES]; /* NULL: not one of this export's */
static hl_file *claim;     /* "TO.export.tmp", locked: nobody else exports to that name meanwhile */

/* The signal has its default action again, and ends the program when this returns. */
static void drop(int signal_number)
{
    for (int i = 0; i < NAMES; i++)
        if (names[i])
            unlink(names[i]);
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

static hl_status name_files(const char *to, bool onnx, hl_error *err)
{
    bool all = true;
    for (int i = 0; i < (onnx ? NAMES : ONNX); i++)
        all = (names[i] = with_suffix(to, suffixes[i])) && all;
    return all ? HL_OK : hl_fail(err, HL_ERR_MEMORY, "no memory for names beside %s", to);
}

static hl_status try_report(const char *to, hl_error *err)
{
    char *path = with_suffix(to, ".parity.json");
    hl_status status = path ? try_to_write(path, err)
                            : hl_fail(err, HL_ERR_MEMORY, "no memory for a name beside %s", to);
    hl_free(path);
    return status;
}

hl_status hl_unproven_begin(const char *to, bool onnx, const char **path, hl_error *err)
{
    HL_ASSERT(!names[UNPROVEN]);
    hl_status status = name_files(to, onnx, err);
    if (status == HL_OK)
        status = claim_name(to, err);
    if (status == HL_OK) {
        catch_signals(); /* not before: the files may be another's */
        status = try_to_write(names[UNPROVEN], err);
    }
    if (status == HL_OK)
        status = try_report(to, err);
    *path = names[UNPROVEN];
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
    for (int i = 0; i < NAMES; i++) {
        hl_free(names[i]);
        names[i] = NULL;
    }
}
