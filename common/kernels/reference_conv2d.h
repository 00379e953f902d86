// The slow twins of conv2d.h, T = float (same bits) or double (gradient checks). Samples one after
// another in Keras' layout: x, d_x: [N][H][W][C]  w, d_w: [KH][KW][C/G][F]  b, d_b: [F] or null  y,
// d_y: [N][P][Q][F]. No activation is fused.
#ifndef LOCKSTEP_COMMON_KERNELS_REFERENCE_CONV2D_H_
#define LOCKSTEP_COMMON_KERNELS_REFERENCE_CONV2D_H_

#include <vector>

#include "common/kernels/conv2d.h"
#include "common/kernels/reference_tree.h"

namespace lockstep::kernels {

template <class T>
struct ReferenceConv2dForwardArgs {
  Conv2dGeometry geometry;
  int64_t samples;
  const T* x;
  const T* w;
  const T* b;
  T* y;
};
template <class T>
void ReferenceConv2dForward(const ReferenceConv2dForwardArgs<T>& args);

template <class T>
struct ReferenceConv2dBackwardDataArgs {
  Conv2dGeometry geometry;
  int64_t samples;
  const T* d_y;
  const T* w;
  T* d_x;
  bool accumulate;
};
template <class T>
void ReferenceConv2dBackwardData(const ReferenceConv2dBackwardDataArgs<T>& args);

template <class T>
struct ReferenceGradientCall {
  const T* x;
  const T* d_y;
};
template <class T>
struct ReferenceConv2dBackwardWeightsArgs {
  Conv2dGeometry geometry;
  ReferenceShards shards;
  std::vector<ReferenceGradientCall<T>> calls;
  T* d_w;
  T* d_b;
};
template <class T>
void ReferenceConv2dBackwardWeights(const ReferenceConv2dBackwardWeightsArgs<T>& args);

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_REFERENCE_CONV2D_H_
