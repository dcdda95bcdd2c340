/* hl data info: what is in a file of demonstrations. */
#include "app/command.h"
#include "base/json.h"
#include "data/describe.h"

#include <stdio.h>
#include <string.h>

static void print_value(const json_t *v)
{
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
    printf("%s", text ? text : "?");
    free(text);
}

static void print_keys(const json_t *keys)
{
    size_t i;
    json_t *k;
    json_array_foreach(keys, i, k)
    {
        printf("  %-34s %-9s ", json_string_value(json_object_get(k, "key")),
               json_string_value(json_object_get(k, "dtype")));
        print_value(json_object_get(k, "shape"));
        if (json_object_get(k, "demonstrations"))
            printf("  in %lld", (long long)json_integer_value(json_object_get(k, "demonstrations")));
        printf("\n");
    }
}

static void print_description(const json_t *d)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)d, name, v)
    {
        if (!strcmp(name, "keys")) {
            printf("keys\n");
            print_keys(v);
        } else {
            printf("%-16s ", name);
            if (json_is_string(v))
                printf("%s", json_string_value(v));
            else
                print_value(v);
            printf("\n");
        }
    }
}

int hl_command_data_info(int argc, char **argv)
{
    bool json = false;
    const hl_flag flags[] = {{"json", HL_FLAG_BOOL, &json, NULL, "print JSON"}, {0}};
    const hl_usage usage = {
        "hl data info FILE [--json]",
        "Describes an HDF5 file of demonstrations: layout, lengths, keys with shapes and types, range of\n"
        "the actions, masks, a guess at which key is which sense, and what looks wrong.",
        flags, 1, 1};
    int n, code = hl_parse_arguments(&usage, argc, argv, &n);
    if (code != HL_GO_ON)
        return code;
    hl_error err = {0};
    json_t *d = hl_data_describe(argv[1], &err);
    if (d && json)
        hl_json_print(stdout, d, &err);
    else if (d)
        print_description(d);
    json_decref(d);
    return err.status == HL_OK ? HL_EXIT_OK : hl_report(&err);
}
