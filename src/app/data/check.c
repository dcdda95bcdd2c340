/* hl data check: every fault of a data set. */
#include "app/command.h"
#include "app/setup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "data/check.h"

#include <stdio.h>

static bool is_config(const char *path)
{
    return hl_ends_in(path, ".yaml") || hl_ends_in(path, ".yml");
}

static json_t *check_config(const char *path, int n, char *const *overrides, hl_error *err)
{
    hl_config cfg;
    json_t *result = NULL;
    hl_status status = hl_config_load(&cfg, path, n, overrides, err);
    if (status == HL_OK && cfg.data.format == HL_FORMAT_REACH) {
        hl_fail(err, HL_ERR_CONFIG, "%s: data.format is reach: there are no files to check", path);
    } else if (status == HL_OK) {
        hl_model_options model = hl_config_model(&cfg);
        hl_data_shape shape = hl_setup_data_shape(&model);
        hl_demos_options o = hl_setup_demos(&cfg);
        result = hl_data_check(&o, &shape, err);
    }
    hl_config_free(&cfg);
    return result;
}

static void print_fault(const json_t *fault)
{
    const char *path = json_string_value(json_object_get(fault, "path"));
    printf("%-7s  %s%s%s: %s\n", json_string_value(json_object_get(fault, "level")),
           json_string_value(json_object_get(fault, "file")), path ? ": " : "", path ? path : "",
           json_string_value(json_object_get(fault, "text")));
}

static json_int_t number(const json_t *result, const char *key)
{
    return json_integer_value(json_object_get(result, key));
}

static void print_result(const json_t *result)
{
    size_t i;
    json_t *fault;
    json_array_foreach(json_object_get(result, "faults"), i, fault)
    {
        print_fault(fault);
    }
    printf("%lld files, %lld demonstrations, %lld steps: %lld errors, %lld warnings\n",
           (long long)number(result, "files"), (long long)number(result, "demonstrations"),
           (long long)number(result, "steps"), (long long)number(result, "errors"),
           (long long)number(result, "warnings"));
}

int hl_command_data_check(int argc, char **argv)
{
    bool json = false;
    const hl_flag flags[] = {{"json", HL_FLAG_BOOL, &json, NULL, "print JSON"}, {0}};
    const hl_usage usage = {
        "hl data check CONFIG [key=value ...] | FILE ... [--json]",
        "Reads a whole data set and tells every fault: file, path, what was found and what was expected.\n"
        "With CONFIG (.yaml) what its training would read, as strictly; with files (or patterns) all that is "
        "in\n"
        "them, by what their layout promises. Exit code 2 if there is an error; warnings do not count.",
        flags, 1, -1};
    int n, code = hl_parse_arguments(&usage, argc, argv, &n);
    if (code != HL_GO_ON)
        return code;
    hl_error err = {0};
    hl_demos_options files = {.files = (const char *const *)(argv + 1), .n_files = n};
    json_t *result = is_config(argv[1]) ? check_config(argv[1], n - 1, argv + 2, &err)
                                        : hl_data_check(&files, NULL, &err);
    if (result && json)
        hl_json_print(stdout, result, &err);
    else if (result)
        print_result(result);
    bool wrong = result && number(result, "errors") > 0;
    json_decref(result);
    if (err.status != HL_OK)
        return hl_report(&err);
    if (wrong)
        fprintf(stderr, "hl: the data has faults that training would stop at\n");
    return wrong ? HL_EXIT_USAGE : HL_EXIT_OK;
}
