/* The input: an exported model, a safetensors file with a graph in it. */
#include "base/error.h"

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input_file.h"
#include "tests/fuzz/safetensors_header.h"

#include <stdlib.h>
#include <string.h>

/* What a fuzzer would wait for in vain. */
static const size_t most_memory = (size_t)1 << 26;
static const double most_flops = 1e8, most_bytes = 1e8;

static bool quick(const hl_session *s)
{
    double flops = 0, bytes = 0;
    for (int i = 0; i < hl_session_calls(s); i++) {
        hl_call_info c = hl_session_call(s, i);
        flops += c.flops;
        bytes += c.bytes_read + c.bytes_written;
    }
    return flops < most_flops && bytes < most_bytes;
}

static void run(hl_model *m, const char *device)
{
    const hl_session_options o = {.device = device, .budget = most_memory};
    hl_error err = {0};
    hl_session *s = hl_model_session(m, 1, &o, &err);
    HL_ASSERT(s || *err.message);
    if (s && quick(s))
        HL_ASSERT(hl_session_run(s, &err) == HL_OK);
    hl_session_free(s);
}

static void open_model(const uint8_t *bytes, size_t n)
{
    hl_error err = {0};
    hl_model *m = hl_model_open(input_file(bytes, n), &err);
    HL_ASSERT(m || (err.status != HL_OK && *err.message));
    if (!m)
        return;
    for (int i = 0; i < hl_model_inputs(m); i++)
        HL_ASSERT(*hl_model_input(m, i).name);
    for (int i = 0; i < hl_model_outputs(m); i++)
        HL_ASSERT(*hl_model_output(m, i).name);
    (void)hl_model_check(m, &err);
    run(m, "cpu:portable");
    run(m, "cpu");
    hl_model_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    return read_with_headers(bytes, n, open_model);
}
