// Optimizer updates over flat ranges, in place; one pass. Orders: docs/NUMERICS.md section 6.
// Units: FlatUnits(count).
#ifndef LOCKSTEP_COMMON_KERNELS_OPTIMIZERS_H_
#define LOCKSTEP_COMMON_KERNELS_OPTIMIZERS_H_

#include "common/kernels/block.h"

namespace lockstep::kernels {

struct SgdArgs {
  int64_t count;
  float learning_rate;
  float momentum;  // 0: velocity is null
  bool nesterov;
  const float* gradient;
  float* velocity;
  float* value;
};
void Sgd(const SgdArgs& args, UnitRange units);

struct AdamArgs {
  int64_t count;
  float alpha;            // lr sqrt(1 - beta2^t) / (1 - beta1^t), in double, rounded once
  float one_minus_beta1;  // in double, rounded once
  float one_minus_beta2;
  float epsilon;
  const float* gradient;
  float* m;
  float* v;
  float* value;
};
void Adam(const AdamArgs& args, UnitRange units);

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_OPTIMIZERS_H_
