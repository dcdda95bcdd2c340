/* hl devices: what models can run on. */
#include "app/command.h"
#include "base/json.h"

#include <stdio.h>

enum { MOST = 64 };

static double gib(size_t bytes)
{
    return (double)bytes / (1 << 30);
}

static void print_text(const hl_device_info *d, int n, const hl_error *why)
{
    printf("%-8s %-40s %12s %12s %10s %10s %8s\n", "device", "name", "memory GiB", "free GiB", "cores",
           "capability", "driver");
    for (int i = 0; i < n; i++) {
        char capability[16] = "-";
        if (d[i].major)
            snprintf(capability, sizeof capability, "%d.%d", d[i].major, d[i].minor);
        printf("%-8s %-40s %12.1f %12.1f %10d %10s %8s\n", d[i].device, d[i].name, gib(d[i].memory),
               gib(d[i].free), d[i].processors, capability, d[i].driver[0] ? d[i].driver : "-");
    }
    if (why->status)
        printf("\nno GPU: %s\n", why->message);
}

static hl_status print_json(const hl_device_info *d, int n, const hl_error *why, hl_error *err)
{
    json_t *devices = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(devices, json_pack("{s:s, s:s, s:I, s:I, s:i, s:i, s:i, s:s, s:s}", "device",
                                                 d[i].device, "name", d[i].name, "memory",
                                                 (json_int_t)d[i].memory, "free", (json_int_t)d[i].free,
                                                 "processors", d[i].processors, "major", d[i].major, "minor",
                                                 d[i].minor, "driver", d[i].driver, "runtime", d[i].runtime));
    json_t *j = json_pack("{s:o, s:s}", "devices", devices, "no_gpu_because", why->message);
    hl_status status = hl_json_print(stdout, j, err);
    json_decref(j);
    return status;
}

int hl_command_devices(int argc, char **argv)
{
    bool json = false;
    const hl_flag flags[] = {{"json", HL_FLAG_BOOL, &json, NULL, "print JSON"}, {0}};
    const hl_usage usage = {
        "hl devices [--json]",
        "Lists what the key `device` can name, with memory, compute capability and driver; where\n"
        "no GPU can be used, why.",
        flags, 0, 0};
    int n, code = hl_parse_arguments(&usage, argc, argv, &n);
    if (code != HL_GO_ON)
        return code;
    hl_device_info devices[MOST];
    hl_error why = {0}, err = {0};
    int found = hl_devices(devices, MOST, &why);
    found = found < MOST ? found : MOST;
    if (json)
        return print_json(devices, found, &why, &err) == HL_OK ? HL_EXIT_OK : hl_report(&err);
    print_text(devices, found, &why);
    return HL_EXIT_OK;
}
