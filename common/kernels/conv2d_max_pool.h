// Conv2D, activation and 2 x 2 max pooling in one pass: the convolution's output, four times the
// pooled one, is never stored. Bits: those of Conv2dForward, then MaxPoolForward. Legend as in
// conv2d.h; y, choice, d_y: [blocks][P/2][Q/2][F][16]; an odd last row or column of P x Q is in no
// window.
#ifndef LOCKSTEP_COMMON_KERNELS_CONV2D_MAX_POOL_H_
#define LOCKSTEP_COMMON_KERNELS_CONV2D_MAX_POOL_H_

#include "common/kernels/conv2d.h"

namespace lockstep::kernels {

struct Conv2dMaxPoolForwardArgs {
  Conv2dGeometry geometry;
  int64_t blocks;
  const float* x;
  const float* w;
  const float* b;  // may be null
  float* y;
  uint8_t* choice;        // row-major index of the winner in its window, or null (inference)
  Activation activation;  // kLinear or kRelu
};
int64_t Conv2dMaxPoolForwardUnits(const Conv2dMaxPoolForwardArgs& args);  // block x pooled row
void Conv2dMaxPoolForward(const Conv2dMaxPoolForwardArgs& args, UnitRange units);

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_CONV2D_MAX_POOL_H_
