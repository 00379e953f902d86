// Dense kernels. Legend: N samples in blocks of 16 lanes, I input features, O output features.
// x: [blocks][I][16]  w: [I][O]  b: [O] or null  y, d_y: [blocks][O][16]. No aliasing. Orders:
// docs/NUMERICS.md section 5.
#ifndef LOCKSTEP_COMMON_KERNELS_DENSE_H_
#define LOCKSTEP_COMMON_KERNELS_DENSE_H_

#include "common/kernels/activation.h"
#include "common/kernels/block.h"

namespace lockstep::kernels {

// y = act(x w + b). `positions`: for inputs with more axes than one, x is
// [blocks][positions][I][16] and y likewise. Units: DenseForwardUnits(args) tiles of (block,
// position, outputs).
struct DenseForwardArgs {
  int64_t blocks, positions, inputs, outputs;
  const float* x;
  const float* w;
  const float* b;  // may be null
  float* y;
  Activation activation;  // kLinear, or fused into the store
};
int64_t DenseForwardUnits(const DenseForwardArgs& args);
void DenseForward(const DenseForwardArgs& args, UnitRange units);

// d_x[i] = chain over o of d_y[o] w[i,o] from +0. With `accumulate`, the finished chain is then
// added to what d_x holds: d_x + chain.
struct DenseBackwardDataArgs {
  int64_t blocks, positions, inputs, outputs;
  const float* d_y;
  const float* w;
  float* d_x;
  bool accumulate;
};
int64_t DenseBackwardDataUnits(const DenseBackwardDataArgs& args);
void DenseBackwardData(const DenseBackwardDataArgs& args, UnitRange units);

// One call of a shared layer: its input and its output's gradient.
struct GradientCall {
  const float* x;
  const float* d_y;
  const uint8_t* choice = nullptr;  // of a convolution with pooling behind it (conv2d.h)
};

// d_w[i,o], d_b[o] of one subtree of shards: per shard a chain over calls, samples, positions from
// +0, then the shard tree. `d_y_rows`: scratch of DenseBackwardWeightsScratch(args) floats, filled
// by DenseTransposeGradient (a separate call before).
struct DenseBackwardWeightsArgs {
  int64_t positions, inputs, outputs;
  SlotMap slots;
  SubtreeRange subtree;
  const GradientCall* calls;
  int32_t call_count;
  const float* d_y_rows;  // [call][panel of 64 outputs][slot][position][output], padded to 16
  float* d_w;             // [I][O]
  float* d_b;             // [O] or null
};
int64_t DenseBackwardWeightsScratch(const DenseBackwardWeightsArgs& args);
int64_t DenseBackwardWeightsUnits(const DenseBackwardWeightsArgs& args);
void DenseBackwardWeights(const DenseBackwardWeightsArgs& args, UnitRange units);

// Transposes every call's d_y into d_y_rows, all slots. Units: slots-blocks x calls.
struct DenseTransposeGradientArgs {
  int64_t positions, outputs;
  SlotMap slots;
  const GradientCall* calls;
  int32_t call_count;
  float* d_y_rows;
};
int64_t DenseTransposeGradientUnits(const DenseTransposeGradientArgs& args);
void DenseTransposeGradient(const DenseTransposeGradientArgs& args, UnitRange units);

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_DENSE_H_
