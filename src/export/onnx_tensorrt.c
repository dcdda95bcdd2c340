/* The command that makes a TensorRT engine of a model. */
#include "export/onnx.h"

#include "graph/batch.h"
#include "ops/ops.h"

#include <string.h>

/* For a POSIX shell; as it is where nothing in it is special. */
static void append_word(hl_text *text, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-=:,";
    if (*word && strspn(word, plain) == strlen(word)) {
        hl_text_append(text, word);
        return;
    }
    hl_text_append(text, "'");
    for (const char *at = word; *at; at++)
        hl_text_append_bytes(text, *at == '\'' ? "'\\''" : at, *at == '\'' ? 4 : 1);
    hl_text_append(text, "'");
}

/* "visual:1x3x224x224,history:1x4x3328": the inputs that grow with the batch. */
static void append_shapes(hl_text *text, const hl_graph *at_two, const hl_graph *at_three, int64_t batch)
{
    bool first = true;
    for (int i = 0; i < at_two->n_nodes; i++) {
        const hl_node *n = at_two->nodes[i];
        hl_tensor t = hl_node_output(n, 0);
        if (n->op != &hl_op_input || hl_shape_equal(hl_shape_of(at_two, t), hl_shape_of(at_three, t)))
            continue;
        hl_text_appendf(text, "%s%s:", first ? "" : ",", ((const hl_input_params *)n->params)->name);
        for (int k = 0; k < hl_shape_of(at_two, t).rank; k++)
            hl_text_appendf(text, "%s%lld", k ? "x" : "",
                            (long long)hl_batch_size_at(hl_batch_dim(at_two, at_three, t, k), batch));
        first = false;
    }
}

static void append_option(hl_text *text, const char *name, hl_text *value)
{
    hl_text_appendf(text, " --%s=", name);
    text->failed |= value->failed;
    append_word(text, value->at ? value->at : "");
    hl_text_free(value);
    *value = (hl_text){0};
}

void hl_onnx_tensorrt_command(hl_text *text, const char *path, const hl_graph *at_two,
                              const hl_graph *at_three, hl_onnx_batches batches)
{
    static const char *const options[] = {"minShapes", "optShapes", "maxShapes"};
    const int64_t batch[] = {batches.least, batches.usual, batches.most};
    size_t length = strlen(path);
    bool suffix = length > 5 && !strcmp(path + length - 5, ".onnx");
    hl_text value = {0};
    hl_text_append(text, "trtexec");
    hl_text_append(&value, path);
    append_option(text, "onnx", &value);
    hl_text_append_bytes(&value, path, suffix ? length - 5 : length);
    hl_text_append(&value, ".plan");
    append_option(text, "saveEngine", &value);
    for (int i = 0; i < 3; i++) {
        append_shapes(&value, at_two, at_three, batch[i]);
        if (value.size)
            append_option(text, options[i], &value);
    }
}
