// Pooling kernels. x: [blocks][H][W][C][16]  y: [blocks][P][Q][C][16]. Cells outside the image are
// not part of a window.
#ifndef LOCKSTEP_COMMON_KERNELS_POOLING_H_
#define LOCKSTEP_COMMON_KERNELS_POOLING_H_

#include "common/kernels/block.h"

namespace lockstep::kernels {

struct PoolGeometry {
  int64_t height, width, channels;
  int64_t pool_h, pool_w;
  int64_t stride_h, stride_w;
  int64_t pad_top, pad_left;
  int64_t out_h, out_w;
};

// y = max of the window; `choice` keeps the row-major index of the winner inside its window, one
// byte. Windows of more than kMaxPoolChoices cells keep none (choice is null): backward finds the
// winner again from x. Units: block x output row.
inline constexpr int64_t kMaxPoolChoices = 256;
struct MaxPoolForwardArgs {
  PoolGeometry geometry;
  int64_t blocks;
  const float* x;
  float* y;
  uint8_t* choice;  // [blocks][P][Q][C][16], or null (inference, large windows)
};
int64_t MaxPoolForwardUnits(const MaxPoolForwardArgs& args);
void MaxPoolForward(const MaxPoolForwardArgs& args, UnitRange units);

// d_x[h,w,c] = chain of additions from +0 over the windows that chose the cell; with `accumulate`:
// d_x + chain. Units: block x input row.
struct MaxPoolBackwardArgs {
  PoolGeometry geometry;
  int64_t blocks;
  const float* d_y;
  const uint8_t* choice;
  float* d_x;
  bool accumulate;
  const float* x = nullptr;  // read only where choice is null
};
int64_t MaxPoolBackwardUnits(const MaxPoolBackwardArgs& args);
void MaxPoolBackward(const MaxPoolBackwardArgs& args, UnitRange units);

// The window's chain of additions from +0, divided by its count of cells. Global: the window is the
// image. Units: block x output row.
struct AveragePoolArgs {
  PoolGeometry geometry;
  int64_t blocks;
  const float* x;
  float* y;
};
int64_t AveragePoolForwardUnits(const AveragePoolArgs& args);
void AveragePoolForward(const AveragePoolArgs& args, UnitRange units);

// d_x[h,w,c] = chain of additions from +0 over the windows with the cell of d_y / count. Units:
// block x input row.
struct AveragePoolBackwardArgs {
  PoolGeometry geometry;
  int64_t blocks;
  const float* d_y;
  float* d_x;
  bool accumulate;
};
int64_t AveragePoolBackwardUnits(const AveragePoolBackwardArgs& args);
void AveragePoolBackward(const AveragePoolBackwardArgs& args, UnitRange units);

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_POOLING_H_
