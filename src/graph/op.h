/* What an op is: one hl_op_def per op, in the room of its family under src/ops, one line in ops.def. */
#ifndef HL_GRAPH_OP_H
#define HL_GRAPH_OP_H

#include "hl.h"

typedef struct hl_node hl_node;

/* One operand or result of a reference, row-major, in double. data is NULL for an absent operand. */
typedef struct hl_ref_tensor {
    hl_shape shape;
    int64_t count;
    double *data;
} hl_ref_tensor;

typedef struct hl_ref_call {
    const void *params;
    int n_in, n_out;
    const hl_ref_tensor *in;
    hl_ref_tensor *out;
    uint64_t seed; /* of the run: what random ops draw from */
    uint32_t step;
} hl_ref_call;

enum { HL_OP_MAX_OUT = 4 };

/* What becomes of an op in mixed precision (src/compile/lower_precision.c). */
typedef enum hl_precision_rule {
    HL_STAYS_F32, /* losses, statistics, updates */
    HL_FOLLOWS,   /* runs in 16 bits where an operand comes in them: moves data or works element by element */
    HL_RUNS_LOW,  /* products: worth converting for */
} hl_precision_rule;

/* ------------------------------------------------------------------ fields
 * What an op's parameter struct holds, so that a graph can be written down and read again. */
typedef enum hl_field_kind {
    HL_FIELD_BOOL,   /* 0 or 1, of any integer type */
    HL_FIELD_INT,    /* int */
    HL_FIELD_SIZE,   /* int64_t: elements or positions; may be a multiple of the batch */
    HL_FIELD_STREAM, /* uint32_t: of random numbers */
    HL_FIELD_WORD,   /* an enum, by the names of its values */
    HL_FIELD_FLOAT,
    HL_FIELD_ORDER, /* int[HL_MAX_RANK], of which as many count as operand 0 has dims */
    HL_FIELD_SHAPE, /* its dims may be multiples of the batch */
    HL_FIELD_NAME,  /* const char * */
} hl_field_kind;

typedef struct hl_field {
    const char *name;
    hl_field_kind kind;
    size_t offset, size;      /* of the member, in bytes */
    const char *const *words; /* HL_FIELD_WORD: of the values 0, 1, ...; ends with NULL */
} hl_field;

/* One line of such a table: HL_FIELD(hl_slice_params, axis, HL_FIELD_INT). A table ends with {0}. */
#define HL_FIELD(type, member, kind_)                                                                        \
    {                                                                                                        \
        .name = #member, .kind = kind_, .offset = offsetof(type, member),                                    \
        .size = sizeof(((type *)0)->member)                                                                  \
    }
#define HL_FIELD_OF(type, member, words_)                                                                    \
    {                                                                                                        \
        .name = #member, .kind = HL_FIELD_WORD, .offset = offsetof(type, member),                            \
        .size = sizeof(((type *)0)->member), .words = words_                                                 \
    }

/* The kinds before HL_FIELD_FLOAT are integers: the least and greatest that a field may hold, and access. */
void hl_field_range(const hl_field *f, int64_t *least, int64_t *most);
int64_t hl_field_get(const hl_field *f, const void *params);
void hl_field_set(const hl_field *f, void *params, int64_t value);

struct hl_op_def {
    const char *name;
    size_t params_size; /* of the op's struct in ops/params.h; 0: none */
    /* Of params; hl_no_fields (ops/ops.h) where there are none. NULL: the op belongs to training, and does
     * not stand in a graph that is written down. */
    const hl_field *fields;
    int min_in, max_in; /* max_in -1: any number */
    int n_out;          /* -1: the shape rule decides (set n->n_out) */
    /* Bit k: operand k may be absent. */
    uint32_t optional;
    /* The first n outputs are the next values of the first n inputs, which are parameters or state (the
     * last ones may be absent, see hl_node_updates). Such a node is kept though nothing reads it, and runs
     * after every other reader of them. */
    int updates;
    /* Bit k: output 0 may be written over input k (same size, read element by element before). */
    uint32_t in_place;
    hl_precision_rule precision;
    hl_phase phase; /* a node of this op is in no earlier one */
    /* Bit k (bit 31: this and all after): operand k, result k may be of 16 bits. Such operands share a dtype,
     * which is that of such results; all others are f32. (Products say the dtype of their result in params.)
     */
    uint32_t low_in, low_out;
    /* Bit k: operand k is of integers (HL_I8). No other operand may be. */
    uint32_t integers;
    /* Where params keep hl_dtype out and hl_math math (products), and hl_activation activation, which `fuse`
     * sets; 0: nowhere. */
    size_t out_dtype, math, activation;
    /* The operand, absent at first, that is added before the activation: `fuse` fills it. 0: there is none.
     */
    int addend;
    /* Checks the operands, fills the outputs by hl_node_out. False after hl_graph_fail. */
    bool (*shape)(hl_graph *g, hl_node *n);
    /* Appends the nodes that compute dx[k] for each needed[k]; dy[k].id is 0 where output k has no
     * gradient. A dx left {0} is zero. NULL: the op has no gradient. */
    void (*gradient)(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed, hl_tensor *dx);
    /* The specification: plain loops in double. NULL for ops that are expanded before anything runs. */
    void (*reference)(const hl_ref_call *call);
    /* Multiplications and additions, 2 per multiply-add; NULL: one per output element. */
    double (*flops)(const hl_graph *g, const hl_node *n);
    /* Of input 0 only as many elements are read as output 0 has. */
    bool reads_part;
    /* Output 0 is input 0's memory from element *offset on: no kernel is needed. NULL: never. */
    bool (*view)(const hl_graph *g, const hl_node *n, int64_t *offset);
};
typedef struct hl_op_def hl_op_def;

#endif
