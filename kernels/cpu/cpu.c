#include "kernels/cpu/widened.h"

#define HL_KERNEL(name) extern const hl_kernel hl_cpu_##name;
#include "kernels/cpu/kernels.def"
#ifdef HL_ONEDNN
#include "kernels/cpu/onednn/kernels.def"
#endif
#undef HL_KERNEL

/* The same op in 16 bits, by way of either backend's f32 kernels. */
static hl_status prepare_portable(hl_call *c, hl_error *err)
{
    return hl_widened_prepare(&hl_backend_cpu_portable, c, err);
}

static hl_status prepare_fastest(hl_call *c, hl_error *err)
{
    return hl_widened_prepare(&hl_backend_cpu, c, err);
}

#define WIDENED(id, by)                                                                                      \
    static const hl_kernel widened_##by##_##id = {.op = #id,                                                 \
                                                  .name = "widened",                                         \
                                                  .accepts = hl_widened_accepts,                             \
                                                  .prepare = prepare_##by,                                   \
                                                  .run = hl_widened_run,                                     \
                                                  .release = hl_widened_release};
#define HL_KERNEL(name) WIDENED(name, portable) WIDENED(name, fastest)
#include "kernels/cpu/widened.def"
#undef HL_KERNEL

static const hl_kernel *const portable[] = {
#define HL_KERNEL(name) &hl_cpu_##name,
#include "kernels/cpu/kernels.def"
#undef HL_KERNEL
#define HL_KERNEL(name) &widened_portable_##name,
#include "kernels/cpu/widened.def"
#undef HL_KERNEL
};

static const hl_kernel *const fastest[] = {
#define HL_KERNEL(name) &hl_cpu_##name,
#ifdef HL_ONEDNN
#include "kernels/cpu/onednn/kernels.def"
#endif
#include "kernels/cpu/kernels.def"
#undef HL_KERNEL
#define HL_KERNEL(name) &widened_fastest_##name,
#include "kernels/cpu/widened.def"
#undef HL_KERNEL
};

const hl_backend hl_backend_cpu = {"cpu", fastest, (int)(sizeof fastest / sizeof *fastest), NULL};
const hl_backend hl_backend_cpu_portable = {"cpu:portable", portable,
                                            (int)(sizeof portable / sizeof *portable), NULL};
