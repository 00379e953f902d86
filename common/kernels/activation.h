// Elementwise activations over the engine's layout, and their derivatives from the stored output.
#ifndef LOCKSTEP_COMMON_KERNELS_ACTIVATION_H_
#define LOCKSTEP_COMMON_KERNELS_ACTIVATION_H_

#include "common/kernels/block.h"

namespace lockstep::kernels {

enum class Activation : int32_t { kLinear, kRelu, kSigmoid, kTanh };

// y = act(x), elementwise over `count` floats (a multiple of 16); x may equal y. Units: blocks of
// 4,096 elements.
struct ActivationForwardArgs {
  int64_t count;
  Activation activation;
  const float* x;
  float* y;
};
int64_t ActivationForwardUnits(const ActivationForwardArgs& args);
void ActivationForward(const ActivationForwardArgs& args, UnitRange units);

// d_x = d_y * act'(y) from the stored output y; d_x may equal d_y. With `accumulate`: d_x + that.
struct ActivationBackwardArgs {
  int64_t count;
  Activation activation;
  const float* y;
  const float* d_y;
  float* d_x;
  bool accumulate;
};
int64_t ActivationBackwardUnits(const ActivationBackwardArgs& args);
void ActivationBackward(const ActivationBackwardArgs& args, UnitRange units);

// Softmax over the last axis: x, y [blocks][positions][K][16]; x may equal y. Units: block x
// position.
struct SoftmaxForwardArgs {
  int64_t blocks, positions, classes;
  const float* x;
  float* y;
};
int64_t SoftmaxForwardUnits(const SoftmaxForwardArgs& args);
void SoftmaxForward(const SoftmaxForwardArgs& args, UnitRange units);

// d_x_k = y_k (d_y_k - s), s = chain over k of fma(d_y_k, y_k) from +0; d_x may equal d_y.
struct SoftmaxBackwardArgs {
  int64_t blocks, positions, classes;
  const float* y;
  const float* d_y;
  float* d_x;
  bool accumulate;
};
int64_t SoftmaxBackwardUnits(const SoftmaxBackwardArgs& args);
void SoftmaxBackward(const SoftmaxBackwardArgs& args, UnitRange units);

// out[e] = ((in_0[e] + in_1[e]) + in_2[e]) + ... over `count` floats, and with `relu` that of it;
// out may equal in_0. Units: blocks of 4,096 elements.
struct AddArgs {
  int64_t count;
  const float* const* inputs;
  int32_t input_count;
  float* out;
  bool relu = false;
};
int64_t AddUnits(const AddArgs& args);
void Add(const AddArgs& args, UnitRange units);

// Copies features: dst[block][row][dst_offset + f] = src[block][row][src_offset + f] for f < width,
// rows of src_width and dst_width features of 16 lanes. Concatenation and its gradient. With
// `accumulate`: dst + src. Units: block x row.
struct CopyFeaturesArgs {
  int64_t blocks, rows, width;
  int64_t src_width, src_offset, dst_width, dst_offset;
  const float* src;
  float* dst;
  bool accumulate;
};
int64_t CopyFeaturesUnits(const CopyFeaturesArgs& args);
void CopyFeatures(const CopyFeaturesArgs& args, UnitRange units);

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_ACTIVATION_H_
