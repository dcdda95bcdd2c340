/* Calls with 16-bit operands on the CPU: storage in 16 bits, arithmetic in f32. Operands are widened into the
 * workspace, the backend's f32 kernel runs on them, results are narrowed. Operands that this kernel itself
 * reads in 16 bits (weights of a product) stay as they are. */
#include "kernels/cpu/widened.h"

#include "base/error.h"
#include "base/memory.h"
#include "kernels/cpu/convert.h"

typedef struct widened {
    hl_call inner;
    size_t own; /* bytes of the workspace before the inner kernel's */
} widened;

bool hl_widened_accepts(const hl_call *c)
{
    bool low = false;
    for (int k = 0; k < c->n_in; k++)
        low = low || (c->in[k].shape.rank + c->in[k].count && c->in[k].dtype != HL_F32);
    return low;
}

/* What is widened or narrowed on the way takes so many bytes of the workspace. */
static size_t room_of(const hl_view *outer, const hl_view *inner)
{
    return outer->dtype == inner->dtype ? 0 : hl_size_align((size_t)outer->count * sizeof(float), HL_ALIGN);
}

/* The kernel that takes the inner call and does not widen in its turn. */
static const hl_kernel *inner_kernel(const hl_backend *backend, const char *op, const hl_call *inner)
{
    const hl_kernel *k = hl_kernel_for(backend, op, inner);
    return k && k->run != hl_widened_run ? k : NULL;
}

/* Operand k in 16 bits, if there is a kernel for that. */
static void keep_low(const hl_backend *backend, const hl_call *c, hl_call *inner, int k)
{
    inner->in[k].dtype = c->in[k].dtype;
    if (!inner_kernel(backend, c->kernel->op, inner))
        inner->in[k].dtype = HL_F32;
}

static hl_status find_inner(const hl_backend *backend, hl_call *c, widened *w, hl_error *err)
{
    hl_call *inner = &w->inner;
    inner->kernel = inner_kernel(backend, c->kernel->op, inner);
    if (!inner->kernel)
        return hl_fail(err, HL_ERR_UNSUPPORTED, "%s has no f32 kernel to widen", backend->name);
    hl_status status = inner->kernel->prepare ? inner->kernel->prepare(inner, err) : HL_OK;
    HL_ASSERT(status != HL_OK || !inner->pack_bytes); /* nothing in it is constant */
    if (!hl_size_add(w->own, inner->workspace_bytes, &c->workspace_bytes) && status == HL_OK)
        status = hl_fail(err, HL_ERR_MEMORY, "the workspace is too large to be addressed");
    return status;
}

hl_status hl_widened_prepare(const hl_backend *backend, hl_call *c, hl_error *err)
{
    widened *w = hl_alloc(1, sizeof *w);
    c->state = w;
    if (!w || !(w->inner.in = hl_alloc((size_t)c->n_in + 1, sizeof *w->inner.in)))
        return hl_fail(err, HL_ERR_MEMORY, "no memory for a call of %d operands", c->n_in);
    w->inner.params = c->params;
    w->inner.n_in = c->n_in;
    w->inner.n_out = c->n_out;
    for (int k = 0; k < c->n_in; k++) {
        w->inner.in[k] = c->in[k];
        w->inner.in[k].constant = false;
        w->inner.in[k].dtype = HL_F32;
    }
    for (int k = 0; k < c->n_out; k++) {
        w->inner.out[k] = c->out[k];
        w->inner.out[k].dtype = HL_F32;
        w->own += room_of(&c->out[k], &w->inner.out[k]);
    }
    for (int k = 0; k < c->n_in; k++) {
        keep_low(backend, c, &w->inner, k);
        w->own += room_of(&c->in[k], &w->inner.in[k]);
    }
    return find_inner(backend, c, w, err);
}

static void *place(const hl_view *outer, const hl_view *inner, unsigned char **free_room)
{
    size_t room = room_of(outer, inner);
    unsigned char *at = *free_room;
    *free_room += room;
    return outer->dtype == inner->dtype ? outer->data : at;
}

static void convert(const hl_view *low, float *wide, bool narrow)
{
    enum { PIECE = 4096 };
    HL_PARALLEL_FOR(low->count)
    for (int64_t at = 0; at < low->count; at += PIECE) {
        int64_t n = hl_min(PIECE, low->count - at);
        if (narrow)
            hl_narrow(low, at, n, wide + at);
        else
            hl_widen(low, at, n, wide + at);
    }
}

hl_status hl_widened_run(const hl_call *c, hl_error *err)
{
    widened *w = c->state;
    hl_call *inner = &w->inner;
    unsigned char *room = c->workspace;
    inner->clock = c->clock;
    for (int k = 0; k < c->n_in; k++) {
        inner->in[k].data = place(&c->in[k], &inner->in[k], &room);
        if (c->in[k].dtype != inner->in[k].dtype)
            convert(&c->in[k], inner->in[k].data, false);
    }
    for (int k = 0; k < c->n_out; k++)
        inner->out[k].data = place(&c->out[k], &inner->out[k], &room);
    inner->workspace = room;
    hl_status status = inner->kernel->run(inner, err);
    for (int k = 0; k < c->n_out && status == HL_OK; k++)
        if (c->out[k].dtype != HL_F32)
            convert(&c->out[k], inner->out[k].data, true);
    return status;
}

void hl_widened_release(hl_call *c)
{
    widened *w = c->state;
    if (w && w->inner.kernel && w->inner.kernel->release)
        w->inner.kernel->release(&w->inner);
    if (w)
        hl_free(w->inner.in);
    hl_free(w);
}
