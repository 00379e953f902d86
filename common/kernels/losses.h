// Loss kernels: one pass gives each sample's loss and d_x = derivative times the sample's seed.
// Orders: docs/NUMERICS.md section 6. x: [blocks][K][16], the output before the loss; d_x the same
// shape or null (evaluation), may equal x only where said. seed, loss: [blocks * 16]; a slot
// without a sample has seed +0 and gets d_x = +0 and loss +0, whatever x holds.
#ifndef LOCKSTEP_COMMON_KERNELS_LOSSES_H_
#define LOCKSTEP_COMMON_KERNELS_LOSSES_H_

#include "common/kernels/block.h"

namespace lockstep::kernels {

struct LossArgs {
  int64_t blocks, features;  // features K of one sample
  SlotMap slots;
  const float* x;
  const float* target;   // [blocks][K][16]; null for sparse
  const int32_t* label;  // [blocks * 16]; sparse only, in [0, K)
  const float* seed;     // [blocks * 16]
  float* d_x;            // or null
  float* loss;           // [blocks * 16], unweighted
};
int64_t LossUnits(const LossArgs& args);  // blocks

void MeanSquaredError(const LossArgs& args, UnitRange units);
void SparseCrossEntropyLogits(const LossArgs& args, UnitRange units);
void SparseCrossEntropyProbabilities(const LossArgs& args, UnitRange units);
void CategoricalCrossEntropyLogits(const LossArgs& args, UnitRange units);
void CategoricalCrossEntropyProbabilities(const LossArgs& args, UnitRange units);
void BinaryCrossEntropyLogits(const LossArgs& args, UnitRange units);
void BinaryCrossEntropyProbabilities(const LossArgs& args, UnitRange units);

// index[slot] = first k with the greatest x (a NaN wins). Units: blocks. For accuracy.
struct ArgMaxArgs {
  int64_t blocks, features;
  const float* x;
  int32_t* index;
};
void ArgMax(const ArgMaxArgs& args, UnitRange units);

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_LOSSES_H_
