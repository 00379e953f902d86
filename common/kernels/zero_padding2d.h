// A border of zeros around images, and the gradient of what is inside. x: [blocks][H][W][C][16]
// y: [blocks][top + H + bottom][left + W + right][C][16].
#ifndef LOCKSTEP_COMMON_KERNELS_ZERO_PADDING2D_H_
#define LOCKSTEP_COMMON_KERNELS_ZERO_PADDING2D_H_

#include "common/kernels/block.h"

namespace lockstep::kernels {

struct ZeroPadding2dGeometry {
  int64_t height, width, channels;
  int64_t top, bottom, left, right;

  int64_t out_h() const { return top + height + bottom; }
  int64_t out_w() const { return left + width + right; }
};

// Units: block x output row.
struct ZeroPadding2dForwardArgs {
  ZeroPadding2dGeometry geometry;
  int64_t blocks;
  const float* x;
  float* y;
};
int64_t ZeroPadding2dForwardUnits(const ZeroPadding2dForwardArgs& args);
void ZeroPadding2dForward(const ZeroPadding2dForwardArgs& args, UnitRange units);

// d_x = d_y inside; with `accumulate`: d_x + that. Units: block x input row.
struct ZeroPadding2dBackwardArgs {
  ZeroPadding2dGeometry geometry;
  int64_t blocks;
  const float* d_y;
  float* d_x;
  bool accumulate;
};
int64_t ZeroPadding2dBackwardUnits(const ZeroPadding2dBackwardArgs& args);
void ZeroPadding2dBackward(const ZeroPadding2dBackwardArgs& args, UnitRange units);

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_ZERO_PADDING2D_H_
