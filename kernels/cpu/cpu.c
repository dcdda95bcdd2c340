#include "run/backend.h"

#define HL_KERNEL(name) extern const hl_kernel hl_cpu_##name;
#include "kernels/cpu/kernels.def"
#ifdef HL_ONEDNN
#include "kernels/cpu/onednn/kernels.def"
#endif
#undef HL_KERNEL

#define HL_KERNEL(name) &hl_cpu_##name,

static const hl_kernel *const portable[] = {
#include "kernels/cpu/kernels.def"
};

static const hl_kernel *const fastest[] = {
#ifdef HL_ONEDNN
#include "kernels/cpu/onednn/kernels.def"
#endif
#include "kernels/cpu/kernels.def"
};

const hl_backend hl_backend_cpu = {"cpu", fastest, (int)(sizeof fastest / sizeof *fastest)};
const hl_backend hl_backend_cpu_portable = {"cpu:portable", portable,
                                            (int)(sizeof portable / sizeof *portable)};
