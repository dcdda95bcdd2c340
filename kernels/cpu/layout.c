/* Ops that move elements: rows by memcpy, transposes in square blocks. Any element type. */
#include "kernels/cpu/shape.h"

#include <string.h>

static bool any(const hl_call *c)
{
    (void)c;
    return true;
}

static size_t element(const hl_call *c)
{
    return hl_element_size(c->out[0].dtype);
}

/* Copies `rows` rows of `bytes`; strides in bytes. Long rows are shared by the threads in pieces. */
static void copy_rows(void *to, size_t to_stride, const void *from, size_t from_stride, size_t bytes,
                      int64_t rows)
{
    const hl_tasks tasks = hl_tasks_of(rows, (int64_t)bytes);
    HL_PARALLEL_FOR(rows * (int64_t)bytes / 4)
    for (int64_t i = 0; i < tasks.count; i++) {
        hl_task t = hl_task_at(&tasks, i);
        for (int64_t r = t.begin; r < t.end; r++)
            memcpy((char *)to + (size_t)r * to_stride + t.at,
                   (const char *)from + (size_t)r * from_stride + t.at, (size_t)t.n);
    }
}

static void zero_rows(void *to, size_t stride, size_t bytes, int64_t rows)
{
    const hl_tasks tasks = hl_tasks_of(rows, (int64_t)bytes);
    HL_PARALLEL_FOR(rows * (int64_t)bytes / 4)
    for (int64_t i = 0; i < tasks.count; i++) {
        hl_task t = hl_task_at(&tasks, i);
        for (int64_t r = t.begin; r < t.end; r++)
            memset((char *)to + (size_t)r * stride + t.at, 0, (size_t)t.n);
    }
}

static hl_status reshape_run(const hl_call *c, hl_error *err)
{
    size_t bytes = (size_t)c->out[0].count * element(c);
    (void)err;
    copy_rows(c->out[0].data, bytes, c->in[0].data, bytes, bytes, 1);
    return HL_OK;
}

static hl_status slice_run(const hl_call *c, hl_error *err)
{
    const hl_slice_params *p = c->params;
    hl_shape in = c->in[0].shape;
    size_t inner = (size_t)hl_span(in, p->axis + 1, in.rank) * element(c);
    size_t from = inner * (size_t)in.dim[p->axis], to = inner * (size_t)(p->end - p->begin);
    (void)err;
    copy_rows(c->out[0].data, to, (const char *)c->in[0].data + inner * (size_t)p->begin, from, to,
              hl_span(in, 0, p->axis));
    return HL_OK;
}

static hl_status concat_run(const hl_call *c, hl_error *err)
{
    const hl_concat_params *p = c->params;
    hl_shape out = c->out[0].shape;
    size_t row = (size_t)hl_span(out, p->axis, out.rank) * element(c), at = 0;
    (void)err;
    for (int k = 0; k < c->n_in; k++) {
        size_t part = (size_t)hl_span(c->in[k].shape, p->axis, out.rank) * element(c);
        copy_rows((char *)c->out[0].data + at, row, c->in[k].data, part, part, hl_span(out, 0, p->axis));
        at += part;
    }
    return HL_OK;
}

/* Zeros are zero bits in every type. */
static hl_status pad_run(const hl_call *c, hl_error *err)
{
    const hl_pad_params *p = c->params;
    hl_shape in = c->in[0].shape, out = c->out[0].shape;
    int64_t outer = hl_span(in, 0, p->axis);
    size_t inner = (size_t)hl_span(in, p->axis + 1, in.rank) * element(c);
    size_t before = inner * (size_t)p->before, after = inner * (size_t)p->after;
    size_t from = inner * (size_t)in.dim[p->axis], to = inner * (size_t)out.dim[p->axis];
    char *y = c->out[0].data;
    (void)err;
    copy_rows(y + before, to, c->in[0].data, from, from, outer);
    zero_rows(y, to, before, outer);
    zero_rows(y + before + from, to, after, outer);
    return HL_OK;
}

/* ------------------------------------------------------------------ expand */

static void repeat(void *to, const void *value, int64_t n, size_t size)
{
    if (size == 4) {
        uint32_t word, *y = to;
        memcpy(&word, value, sizeof word);
        for (int64_t i = 0; i < n; i++)
            y[i] = word;
    } else {
        uint16_t word, *y = to;
        memcpy(&word, value, sizeof word);
        for (int64_t i = 0; i < n; i++)
            y[i] = word;
    }
}

static hl_status expand_run(const hl_call *c, hl_error *err)
{
    const hl_broadcast w = hl_broadcast_of(c->out[0].shape, c->in[0].shape, c->in[0].shape);
    const int64_t count = c->out[0].count, inner = w.dim[w.rank - 1], step = w.stride[0][w.rank - 1];
    const hl_tasks tasks = hl_tasks_of(count ? count / inner : 0, inner);
    const size_t size = element(c);
    const char *x = c->in[0].data;
    char *y = c->out[0].data;
    (void)err;
    HL_PARALLEL_FOR(count)
    for (int64_t i = 0; i < tasks.count; i++) {
        hl_task t = hl_task_at(&tasks, i);
        for (int64_t r = t.begin; r < t.end; r++) {
            char *to = y + (size_t)(r * inner + t.at) * size;
            const char *from = x + (size_t)(hl_broadcast_row(&w, 0, r) + t.at * step) * size;
            if (step)
                memcpy(to, from, (size_t)t.n * size);
            else
                repeat(to, from, t.n, size);
        }
    }
    return HL_OK;
}

/* ------------------------------------------------------------------ transpose */

/* Output dims with the stride of each in the input. Dims of 1 are gone; neighbours that stay
 * neighbours are one dim. */
typedef struct moves {
    int rank;
    int64_t dim[HL_MAX_RANK], from[HL_MAX_RANK];
} moves;

static moves moves_of(const hl_call *c)
{
    const hl_transpose_params *p = c->params;
    hl_shape in = c->in[0].shape;
    moves m = {.rank = 0};
    for (int i = 0; i < in.rank; i++) {
        int64_t size = in.dim[p->order[i]], stride = hl_span(in, p->order[i] + 1, in.rank);
        if (size == 1)
            continue;
        if (m.rank && m.from[m.rank - 1] == stride * size) {
            m.dim[m.rank - 1] *= size;
            m.from[m.rank - 1] = stride;
        } else {
            m.dim[m.rank] = size;
            m.from[m.rank++] = stride;
        }
    }
    return m;
}

/* Offsets of index `rest` over the output dims but `skip` and the last. */
static void outer_offsets(const moves *m, int skip, int64_t rest, int64_t *to, int64_t *from)
{
    int64_t stride = m->dim[m->rank - 1];
    *to = *from = 0;
    for (int i = m->rank - 2; i >= 0; i--) {
        if (i != skip) {
            *to += rest % m->dim[i] * stride;
            *from += rest % m->dim[i] * m->from[i];
            rest /= m->dim[i];
        }
        stride *= m->dim[i];
    }
}

enum { BLOCK = 32 };

/* y[i*to + j] = x[i + j*from], a matrix of up to BLOCK x BLOCK. By way of a tile, so that each cache line
 * of x is read in one go: lines a power of two apart would push each other out of the cache. */
#define TRANSPOSE_BLOCK(type)                                                                                \
    static void transpose_##type(type *y, int64_t to, const type *x, int64_t from, int64_t rows,             \
                                 int64_t columns)                                                            \
    {                                                                                                        \
        type tile[BLOCK][BLOCK];                                                                             \
        for (int64_t j = 0; j < columns; j++)                                                                \
            for (int64_t i = 0; i < rows; i++)                                                               \
                tile[i][j] = x[i + j * from];                                                                \
        for (int64_t i = 0; i < rows; i++)                                                                   \
            memcpy(y + i * to, tile[i], (size_t)columns * sizeof(type));                                     \
    }
TRANSPOSE_BLOCK(uint32_t)
TRANSPOSE_BLOCK(uint16_t)

/* The dim `fast` is contiguous in the input, the last one in the output: blocks of both, so that
 * reads and writes use whole cache lines. */
static void transpose_blocks(const hl_call *c, const moves *m, int fast)
{
    const size_t size = element(c);
    int64_t rows = m->dim[fast], columns = m->dim[m->rank - 1], row_stride = 1;
    for (int i = fast + 1; i < m->rank; i++)
        row_stride *= m->dim[i];
    int64_t down = hl_pieces(rows, BLOCK), across = hl_pieces(columns, BLOCK);
    int64_t outer = c->out[0].count / (rows * columns);
    HL_PARALLEL_FOR(c->out[0].count)
    for (int64_t task = 0; task < outer * down; task++) {
        int64_t i = task % down * BLOCK, to, from;
        outer_offsets(m, fast, task / down, &to, &from);
        for (int64_t block = 0; block < across; block++) {
            int64_t j = block * BLOCK, column_stride = m->from[m->rank - 1];
            char *y = (char *)c->out[0].data + (size_t)(to + i * row_stride + j) * size;
            const char *x = (const char *)c->in[0].data + (size_t)(from + i + j * column_stride) * size;
            int64_t height = hl_min(BLOCK, rows - i), width = hl_min(BLOCK, columns - j);
            if (size == 4)
                transpose_uint32_t((uint32_t *)(void *)y, row_stride, (const uint32_t *)(const void *)x,
                                   column_stride, height, width);
            else
                transpose_uint16_t((uint16_t *)(void *)y, row_stride, (const uint16_t *)(const void *)x,
                                   column_stride, height, width);
        }
    }
}

/* The last dim stays last: whole rows move. */
static void move_rows(const hl_call *c, const moves *m)
{
    const size_t size = element(c);
    const int64_t inner = m->dim[m->rank - 1], rows = c->out[0].count / inner;
    HL_PARALLEL_FOR(c->out[0].count)
    for (int64_t r = 0; r < rows; r++) {
        int64_t to, from;
        outer_offsets(m, -1, r, &to, &from);
        memcpy((char *)c->out[0].data + (size_t)to * size, (const char *)c->in[0].data + (size_t)from * size,
               (size_t)inner * size);
    }
}

static hl_status transpose_run(const hl_call *c, hl_error *err)
{
    if (!c->out[0].count)
        return HL_OK;
    moves m = moves_of(c);
    if (!m.rank || (m.rank == 1 && m.from[0] == 1))
        return reshape_run(c, err);
    if (m.from[m.rank - 1] == 1) {
        move_rows(c, &m);
        return HL_OK;
    }
    int fast = 0;
    while (m.from[fast] != 1)
        fast++;
    transpose_blocks(c, &m, fast);
    return HL_OK;
}

#define LAYOUT_KERNEL(id)                                                                                    \
    const hl_kernel hl_cpu_##id = {.op = #id, .name = "portable", .accepts = any, .run = id##_run};

LAYOUT_KERNEL(reshape)
LAYOUT_KERNEL(transpose)
LAYOUT_KERNEL(slice)
LAYOUT_KERNEL(concat)
LAYOUT_KERNEL(pad)
LAYOUT_KERNEL(expand)
