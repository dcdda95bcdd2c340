/* The product in plain C: small-batch shapes stream the weights once, the rest goes through the
 * blocked product of gemm.c. */
#include "kernels/cpu/common.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/math.h"

enum { A, B, BIAS, ADDEND };
