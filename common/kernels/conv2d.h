// Conv2D kernels. Legend: H W input, C input channels, F filters, KH KW kernel, P Q output, G
// groups; cross-correlation, as Keras. x: [blocks][H][W][C][16]  w: [KH][KW][C/G][F]  b: [F] or
// null  y, d_y: [blocks][P][Q][F][16]. No aliasing. Orders: docs/NUMERICS.md section 5; taps
// outside the image are not part of any chain.
#ifndef LOCKSTEP_COMMON_KERNELS_CONV2D_H_
#define LOCKSTEP_COMMON_KERNELS_CONV2D_H_

#include "common/kernels/activation.h"
#include "common/kernels/block.h"
#include "common/kernels/dense.h"

namespace lockstep::kernels {

struct Conv2dGeometry {
  int64_t height, width, channels;
  int64_t kernel_h, kernel_w, filters;
  int64_t stride_h, stride_w;
  int64_t dilation_h, dilation_w;
  int64_t pad_top, pad_left;  // cells before; those after follow from the output size
  int64_t out_h, out_w;
  int64_t groups;
};

struct Conv2dForwardArgs {
  Conv2dGeometry geometry;
  int64_t blocks;
  const float* x;
  const float* w;
  const float* b;  // may be null
  float* y;
  Activation activation;
};
int64_t Conv2dForwardUnits(const Conv2dForwardArgs& args);  // block x output row (x filter tile)
void Conv2dForward(const Conv2dForwardArgs& args, UnitRange units);

struct Conv2dBackwardDataArgs {
  Conv2dGeometry geometry;
  int64_t blocks;
  const float* d_y;
  const float* w;
  float* d_x;
  bool accumulate;  // d_x + chain
};
int64_t Conv2dBackwardDataUnits(const Conv2dBackwardDataArgs& args);  // block x input row
void Conv2dBackwardData(const Conv2dBackwardDataArgs& args, UnitRange units);

// Each channel of x by itself with its padding, [blocks][C][plane], so that one position's cells
// are neighbours: what the gradient of the weights reads. Units: block x plane row.
struct Conv2dMakePlanesArgs {
  Conv2dGeometry geometry;
  int64_t blocks;
  const float* x;
  float* planes;
};
int64_t Conv2dPlaneElements(const Conv2dGeometry& geometry);  // of one sample
bool Conv2dInputIsPlanes(const Conv2dGeometry& geometry);     // x needs no copy
int64_t Conv2dMakePlanesUnits(const Conv2dMakePlanesArgs& args);
void Conv2dMakePlanes(const Conv2dMakePlanesArgs& args, UnitRange units);

// d_w and d_b of one subtree of shards: per sample a chain over calls, then (p, q), sample tree,
// shard tree; cells outside the image are +0 here. A call's x are planes. A call with a `choice` (Q
// up to kPooledWidthMax) has 2 x 2 max pooling behind it: its d_y is [blocks][P/2][Q/2][F][16] and
// is spread over P x Q on the way.
inline constexpr int64_t kPooledWidthMax = 64;
struct Conv2dBackwardWeightsArgs {
  Conv2dGeometry geometry;
  SlotMap slots;
  SubtreeRange subtree;
  const GradientCall* calls;  // shared layer: several
  int32_t call_count;
  float* d_w;  // [KH][KW][C/G][F]
  float* d_b;  // [F] or null
};
int64_t Conv2dBackwardWeightsUnits(const Conv2dBackwardWeightsArgs& args);
void Conv2dBackwardWeights(const Conv2dBackwardWeightsArgs& args, UnitRange units);

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_CONV2D_H_
