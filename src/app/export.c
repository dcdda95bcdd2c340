/* hl export: the model alone, as it goes to the robot. */
#include "app/command.h"
#include "app/setup.h"
#include "base/error.h"

#include <stdio.h>
#include <string.h>

static hl_status export_model(const char *from, const char *to, hl_error *err)
{
    hl_checkpoint *c = NULL;
    hl_trained t;
    size_t n = strlen(to);
    if (n < 4 || strcmp(to + n - 3, ".h5"))
        return hl_fail(err, HL_ERR_UNSUPPORTED, "--to %s: the only format is .h5", to);
    hl_status status = hl_trained_load(&t, from, 0, NULL, err);
    if (status == HL_OK)
        status = hl_checkpoint_open(from, &c, err);
    if (status == HL_OK)
        status = hl_checkpoint_write(to, t.params, hl_checkpoint_meta_of(c), HL_CHECKPOINT_PARAMETERS_ONLY,
                                     err);
    hl_checkpoint_close(c);
    hl_trained_free(&t);
    if (status == HL_OK)
        fprintf(stderr, "hl: the model of %s, without optimizer state, is in %s\n", from, to);
    return status;
}

int hl_command_export(int argc, char **argv)
{
    const char *to = NULL;
    const hl_flag flags[] = {{"to", HL_FLAG_TEXT, &to, "FILE.h5", "where to write"}, {0}};
    const hl_usage usage = {
        "hl export CHECKPOINT --to FILE.h5",
        "Writes a checkpoint without the optimizer's state: what hl eval and hl infer read, at a third\n"
        "of the size.",
        flags, 1, 1};
    int n, code = hl_parse_arguments(&usage, argc, argv, &n);
    if (code != HL_GO_ON)
        return code;
    if (!to)
        return hl_wrong_arguments(&usage, "--to is missing");
    if (hl_same_file(argv[1], to)) {
        fprintf(
            stderr,
            "hl: --to %s: it is the checkpoint, whose optimizer state would be lost; choose another name\n",
            to);
        return HL_EXIT_USAGE;
    }
    hl_error err = {0};
    hl_status status = export_model(argv[1], to, &err);
    return status == HL_OK ? HL_EXIT_OK : hl_report(&err);
}
