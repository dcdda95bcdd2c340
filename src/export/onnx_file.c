/* An ONNX model as a file. Protobuf nests by lengths that come first, and a message may not reach 2 GiB: the
 * lengths are computed, and weights go straight from the store to the disk, behind them or into a second
 * file. */
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/protobuf.h"
#include "export/onnx_build.h"
#include "export/stored.h"
#include "run/params.h"

#include <string.h>

enum { IR_VERSION = 8, OPSET = 17, PAGE = 4096 };

typedef struct writer {
    const hl_onnx *x;
    hl_snapshot *values;
    const char *path, *data_path; /* data_path NULL: weights are in the model */
    hl_text head;                 /* of the ModelProto: all but the graph */
    hl_text graph;                /* of the GraphProto: all but the weights */
    hl_file *model, *data;
} writer;

/* ------------------------------------------------------------------ messages */

static void put_head(hl_text *head, const hl_onnx_options *options)
{
    hl_text opset = {0};
    hl_protobuf_int(head, 1, IR_VERSION);
    hl_protobuf_string(head, 2, "hl");
    hl_protobuf_string(head, 3, HL_VERSION);
    hl_protobuf_string(&opset, 1, ""); /* the domain: ONNX's own */
    hl_protobuf_int(&opset, 2, OPSET);
    hl_protobuf_message(head, 8, &opset);
    hl_text_free(&opset);
    for (int i = 0; i < options->n_metadata; i++) {
        hl_text entry = {0};
        hl_protobuf_string(&entry, 1, options->metadata[i].key);
        hl_protobuf_string(&entry, 2, options->metadata[i].value);
        hl_protobuf_message(head, 14, &entry);
        hl_text_free(&entry);
    }
}

static void put_graph(hl_text *graph, const hl_onnx *x)
{
    hl_protobuf_string(graph, 2, "hl");
    graph->failed |= x->body.failed;
    hl_text_append_bytes(graph, x->body.at, x->body.size);
    for (const hl_onnx_constant *c = x->constants; c; c = c->next) {
        hl_protobuf_begin(graph, 5, c->tensor.size + hl_protobuf_size(8, strlen(c->name)));
        hl_text_append_bytes(graph, c->tensor.at, c->tensor.size);
        hl_protobuf_string(graph, 8, c->name);
    }
}

static uint64_t bytes_of(const hl_onnx_weight *w)
{
    return (uint64_t)hl_shape_count(w->shape) * hl_dtype_size(w->dtype);
}

static void put_place(hl_text *tensor, const char *key, const char *value)
{
    hl_text entry = {0};
    hl_protobuf_string(&entry, 1, key);
    hl_protobuf_string(&entry, 2, value);
    hl_protobuf_message(tensor, 13, &entry);
    hl_text_free(&entry);
}

/* Where in the second file a tensor lies; its path is relative to the model's. */
static void put_external(hl_text *tensor, const char *data_path, uint64_t offset, uint64_t bytes)
{
    const char *slash = strrchr(data_path, '/');
    hl_text number = {0};
    put_place(tensor, "location", slash ? slash + 1 : data_path);
    hl_text_appendf(&number, "%llu", (unsigned long long)offset);
    put_place(tensor, "offset", number.at ? number.at : "");
    number.size = 0;
    hl_text_appendf(&number, "%llu", (unsigned long long)bytes);
    put_place(tensor, "length", number.at ? number.at : "");
    tensor->failed |= number.failed;
    hl_text_free(&number);
    hl_protobuf_int(tensor, 14, 1); /* EXTERNAL */
}

/* A TensorProto up to its values; they follow, unless they are external. */
static void put_tensor(hl_text *tensor, const hl_onnx_weight *w, const char *data_path, uint64_t offset)
{
    for (int k = 0; k < w->shape.rank; k++)
        hl_protobuf_int(tensor, 1, w->shape.dim[k]);
    hl_protobuf_int(tensor, 2, hl_onnx_type(w->dtype));
    hl_protobuf_string(tensor, 8, w->name);
    if (data_path)
        put_external(tensor, data_path, offset, bytes_of(w));
    else
        hl_protobuf_begin(tensor, 9, bytes_of(w));
}

/* Where the tensor after one at `offset` begins in the second file. */
static uint64_t next_offset(uint64_t offset, const hl_onnx_weight *w)
{
    return (offset + bytes_of(w) + PAGE - 1) / PAGE * PAGE;
}

/* Of the GraphProto. */
static uint64_t graph_size(writer *w)
{
    uint64_t size = w->graph.size, offset = 0;
    for (const hl_onnx_weight *p = w->x->weights; p; p = p->next) {
        hl_text tensor = {0};
        put_tensor(&tensor, p, w->data_path, offset);
        size += hl_protobuf_size(5, tensor.size + (w->data_path ? 0 : bytes_of(p)));
        w->graph.failed |= tensor.failed;
        hl_text_free(&tensor);
        offset = next_offset(offset, p);
    }
    return size;
}

/* ------------------------------------------------------------------ values */

/* In chunks: weights are not copied as a whole. */
static hl_status put_values(writer *w, hl_file *file, const hl_onnx_weight *p, hl_error *err)
{
    enum { CHUNK = 1 << 14 };
    uint16_t narrow[CHUNK];
    hl_param_info info = hl_snapshot_at(w->values, p->param);
    HL_ASSERT(info.bytes && (info.dtype == p->dtype || info.dtype == HL_F32));
    hl_status status = HL_OK;
    for (int64_t at = 0; at < info.count && status == HL_OK; at += CHUNK) {
        int64_t n = info.count - at < CHUNK ? info.count - at : CHUNK;
        size_t size = hl_dtype_size(p->dtype);
        bool same = info.dtype == p->dtype;
        status = hl_stored_values(&info, at, n, p->dtype, same ? NULL : narrow, err);
        if (status != HL_OK)
            return hl_fail_prefix(err, "%s", w->path);
        status = hl_file_write(file,
                               same ? (const char *)info.bytes + (size_t)at * size : (const char *)narrow,
                               (size_t)n * size, err);
    }
    return status;
}

static hl_status put_data(writer *w, hl_error *err)
{
    static const char zeros[PAGE];
    hl_status status = HL_OK;
    uint64_t offset = 0;
    for (const hl_onnx_weight *p = w->x->weights; p && status == HL_OK; p = p->next) {
        uint64_t end = offset + bytes_of(p);
        status = put_values(w, w->data, p, err);
        offset = next_offset(offset, p);
        if (status == HL_OK && p->next)
            status = hl_file_write(w->data, zeros, (size_t)(offset - end), err);
    }
    return status;
}

/* ------------------------------------------------------------------ files */

static hl_status no_memory(const writer *w, hl_error *err)
{
    return hl_fail(err, HL_ERR_MEMORY, "%s: no memory for a model of %d nodes", w->path, w->x->two->n_nodes);
}

static hl_status put_weight(writer *w, const hl_onnx_weight *p, uint64_t offset, hl_error *err)
{
    hl_text tensor = {0}, field = {0};
    put_tensor(&tensor, p, w->data_path, offset);
    hl_protobuf_begin(&field, 5, tensor.size + (w->data_path ? 0 : bytes_of(p)));
    hl_text_append_bytes(&field, tensor.at, tensor.size);
    hl_status status = field.failed || tensor.failed ? no_memory(w, err)
                                                     : hl_file_write(w->model, field.at, field.size, err);
    if (status == HL_OK && !w->data_path)
        status = put_values(w, w->model, p, err);
    hl_text_free(&tensor);
    hl_text_free(&field);
    return status;
}

static hl_status put_model(writer *w, hl_error *err)
{
    uint64_t offset = 0;
    hl_protobuf_begin(&w->head, 7, graph_size(w));
    if (w->head.failed || w->graph.failed)
        return no_memory(w, err);
    hl_status status = hl_file_write(w->model, w->head.at, w->head.size, err);
    if (status == HL_OK)
        status = hl_file_write(w->model, w->graph.at, w->graph.size, err);
    for (const hl_onnx_weight *p = w->x->weights; p && status == HL_OK; p = p->next) {
        status = put_weight(w, p, offset, err);
        offset = next_offset(offset, p);
    }
    return status;
}

/* The weights first: no model stands there without them. All that can be full has been written by then. */
static hl_status commit(writer *w, hl_error *err)
{
    hl_status status = w->data ? hl_file_sync(w->model, err) : HL_OK;
    if (w->data && status == HL_OK) {
        status = hl_file_commit(w->data, err);
        w->data = NULL;
    }
    if (status != HL_OK)
        return status;
    status = hl_file_commit(w->model, err);
    w->model = NULL;
    if (status != HL_OK && w->data_path)
        return hl_fail_prefix(err, "%s is new already, its model may not be, export them again",
                              w->data_path);
    return status;
}

static hl_status write_files(writer *w, hl_error *err)
{
    hl_status status = hl_file_replace(w->path, &w->model, err);
    if (status == HL_OK && w->data_path)
        status = hl_file_replace(w->data_path, &w->data, err);
    if (status == HL_OK && w->data_path)
        status = put_data(w, err);
    if (status == HL_OK)
        status = put_model(w, err);
    if (status == HL_OK)
        status = commit(w, err);
    hl_file_abort(w->data);
    hl_file_abort(w->model);
    return status;
}

/* Of both files. */
static uint64_t bytes_written(writer *w)
{
    uint64_t offset = 0, data = 0;
    for (const hl_onnx_weight *p = w->x->weights; p; p = p->next) {
        data = offset + bytes_of(p);
        offset = next_offset(offset, p);
    }
    return w->head.size + graph_size(w) + (w->data_path ? data : 0);
}

/* Every weight has its values, as of one version of the store. */
static hl_status take_values(writer *w, hl_params *params, hl_error *err)
{
    hl_status status = HL_OK;
    for (const hl_onnx_weight *p = w->x->weights; p && status == HL_OK; p = p->next)
        status = hl_params_materialize_at(params, p->param, err);
    if (status == HL_OK && !(w->values = hl_snapshot_take(params, err)))
        status = hl_fail_prefix(err, "%s", w->path);
    return status;
}

hl_status hl_onnx_save(const hl_onnx *x, const char *path, hl_params *params, hl_error *err)
{
    writer w = {.x = x, .path = path};
    hl_text data_path = {0};
    put_head(&w.head, x->options);
    put_graph(&w.graph, x);
    hl_text_appendf(&data_path, "%s.data", path);
    if (x->options->external || w.head.size + hl_protobuf_size(7, graph_size(&w)) > INT32_MAX)
        w.data_path = data_path.at;
    bool failed = data_path.failed || w.head.failed || w.graph.failed;
    hl_status status = failed ? no_memory(&w, err) : take_values(&w, params, err);
    if (status == HL_OK)
        status = write_files(&w, err);
    if (status == HL_OK && x->options->bytes)
        *x->options->bytes = bytes_written(&w);
    hl_snapshot_free(w.values);
    hl_text_free(&data_path);
    hl_text_free(&w.head);
    hl_text_free(&w.graph);
    return status;
}
