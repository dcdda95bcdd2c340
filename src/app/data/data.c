/* hl data: describe and check demonstrations, or export those of the simulated world. */
#include "app/data/data.h"

#include "app/command.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} parts[] = {{"info", hl_data_info}, {"check", hl_data_check_command}, {"export", hl_data_export}};
enum { PARTS = sizeof parts / sizeof *parts };

int hl_command_data(int argc, char **argv)
{
    static const char usage[] =
        "usage: hl data info FILE [--json]\n"
        "       hl data check CONFIG [key=value ...] | FILE ... [--json]\n"
        "       hl data export CONFIG [key=value ...] --output PATH [--format aloha] [--overwrite]\n\n"
        "hl data info --help and so on tell more.\n";
    const char *known[PARTS];
    for (int i = 0; i < PARTS; i++) {
        known[i] = parts[i].name;
        if (argc > 1 && !strcmp(argv[1], parts[i].name))
            return parts[i].run(argc - 1, argv + 1);
    }
    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        fputs(usage, stdout);
        return HL_EXIT_OK;
    }
    const char *nearest = argc > 1 ? hl_nearest(argv[1], known, PARTS) : NULL;
    if (argc > 1)
        fprintf(stderr, "hl: data has no '%s'%s%s%s\n", argv[1], nearest ? "; did you mean '" : "",
                nearest ? nearest : "", nearest ? "'?" : "");
    else
        fprintf(stderr, "hl: an argument is missing\n");
    fputs(usage, stderr);
    return HL_EXIT_USAGE;
}
