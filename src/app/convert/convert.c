/* hl convert: between PyTorch's .safetensors and checkpoints. */
#include "app/convert/convert.h"

#include "app/command.h"
#include "app/convert/weights.h"
#include "base/error.h"
#include "base/text.h"

#include <string.h>

/* What the two names say is to be done. */
static hl_status convert(const char *from, const char *to, const char *config, int n, char *const *overrides,
                         hl_error *err)
{
    if (hl_same_file(from, to))
        return hl_fail(err, HL_ERR_USAGE, "%s: it is what is read; choose another name to write", to);
    if (hl_ends_in(from, ".h5") && hl_ends_in(to, ".safetensors") && config)
        return hl_fail(err, HL_ERR_USAGE, "--config %s: a checkpoint has its own; leave it out", config);
    if (hl_ends_in(from, ".h5") && hl_ends_in(to, ".safetensors"))
        return hl_convert_to_torch(from, to, n, overrides, err);
    if ((hl_ends_in(from, ".safetensors") || hl_weights_is_index(from)) && hl_ends_in(to, ".h5"))
        return hl_convert_from_torch(from, to, config, n, overrides, err);
    return hl_fail(err, HL_ERR_USAGE,
                   "cannot convert %s to %s: expected FROM.safetensors (or its .safetensors.index.json) and "
                   "TO.h5, or FROM.h5 and TO.safetensors; a .pt file is saved anew by "
                   "safetensors.torch.save_file(model.state_dict(), ...)",
                   hl_long_excerpt_of(from).text, hl_long_excerpt_of(to).text);
}

int hl_command_convert(int argc, char **argv)
{
    const char *config = NULL;
    const hl_flag flags[] = {
        {"config", HL_FLAG_TEXT, &config, "CONFIG",
         "the model that FROM.safetensors is of, where hl has not written it"},
        {0},
    };
    const hl_usage usage = {
        "hl convert FROM.safetensors TO.h5 [--config CONFIG] [key=value ...]\n"
        "       hl convert FROM.h5 TO.safetensors [key=value ...]",
        "Makes a checkpoint of PyTorch's parameters, or the other way round; names and shapes are those of\n"
        "the model's state_dict. FROM.safetensors.index.json is a model in several files. F16 and BF16 are\n"
        "widened. docs/export.md tells more.",
        flags, 2, -1};
    int n, code = hl_parse_arguments(&usage, argc, argv, &n);
    if (code != HL_GO_ON)
        return code;
    hl_error err = {0};
    hl_status status = convert(argv[1], argv[2], config, n - 2, argv + 3, &err);
    return status == HL_OK ? HL_EXIT_OK : hl_report(&err);
}
