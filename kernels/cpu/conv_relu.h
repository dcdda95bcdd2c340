/* The ReLU after a convolution, on the side of zero that exact arithmetic gives. */
#ifndef HL_KERNELS_CPU_CONV_RELU_H
#define HL_KERNELS_CPU_CONV_RELU_H

#include "kernels/cpu/common.h"

/* out 0 of the conv2d call c holds x*w + b in fp32; replaces it by its ReLU. ReLU's derivative jumps at
 * zero, and among millions of outputs some lie so near it that the rounding of their sum decides on
 * which side: where the weights are at hand those few are summed again in double. (A filter that is on
 * at a single place gets all of its gradient, and with AdamW a full step, from that decision.) */
void hl_conv_relu(const hl_call *c);

#endif
