/* hl report: a saved result of hl stress, as a page. */
#include "app/command.h"
#include "app/report/report.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

#include <stdio.h>

/* More than any result that is drawn. */
#define MOST_BYTES ((size_t)256 << 20)

static hl_status draw(const char *from, const char *to, hl_error *err)
{
    char *text = NULL;
    size_t size = 0;
    json_t *result = NULL;
    hl_status status = hl_file_read_text(from, MOST_BYTES, &text, &size, err);
    if (status == HL_OK && !(result = hl_json_parse(text, size, from, err)))
        status = err->status;
    if (status == HL_OK && (status = hl_report_write(result, to, err)) == HL_ERR_DATA)
        hl_fail_prefix(err, "%s", from);
    json_decref(result);
    hl_free(text);
    if (status == HL_OK)
        fprintf(stderr, "hl: the report of %s is in %s\n", from, to);
    return status;
}

int hl_command_report(int argc, char **argv)
{
    const char *to = NULL;
    const hl_flag flags[] = {{"to", HL_FLAG_TEXT, &to, "FILE.html", "where to write"}, {0}};
    const hl_usage usage = {
        "hl report RESULT.json --to FILE.html",
        "Draws what `hl stress --json` printed as one page that needs nothing else: verdict, latency,\n"
        "loss, memory and machine of each phase. Measured on the robot, it is drawn anywhere.",
        flags, 1, 1};
    int n, code = hl_parse_arguments(&usage, argc, argv, &n);
    if (code != HL_GO_ON)
        return code;
    if (!to)
        return hl_wrong_arguments(&usage, "--to is missing");
    if (hl_same_file(argv[1], to)) {
        fprintf(stderr, "hl: --to %s: it is the result, which would be lost; choose another name\n", to);
        return HL_EXIT_USAGE;
    }
    hl_error err = {0};
    hl_status status = draw(argv[1], to, &err);
    return status == HL_OK ? HL_EXIT_OK : hl_report(&err);
}
