// The slow twins of optimizers.h, for one parameter.
#ifndef LOCKSTEP_COMMON_KERNELS_REFERENCE_OPTIMIZERS_H_
#define LOCKSTEP_COMMON_KERNELS_REFERENCE_OPTIMIZERS_H_

#include <cmath>

#include "common/kernels/optimizers.h"

namespace lockstep::kernels {

inline float ReferenceStored(float state) { return std::fabs(state) < 0x1p-126f ? 0.0f : state; }

// The settings of `args`; its pointers are not read. `velocity` null: plain SGD.
inline void ReferenceSgd(const SgdArgs& args, float gradient, float* velocity, float* value) {
  if (velocity == nullptr) {
    *value = std::fma(-args.learning_rate, gradient, *value);
    return;
  }
  *velocity = ReferenceStored(std::fma(-args.learning_rate, gradient, args.momentum * *velocity));
  *value += args.nesterov ? std::fma(-args.learning_rate, gradient, args.momentum * *velocity)
                          : *velocity;
}

inline void ReferenceAdam(const AdamArgs& args, float gradient, float* m, float* v, float* value) {
  *m = ReferenceStored(std::fma(gradient - *m, args.one_minus_beta1, *m));
  *v = ReferenceStored(std::fma(gradient * gradient - *v, args.one_minus_beta2, *v));
  *value -= args.alpha * *m / (std::sqrt(*v) + args.epsilon);
}

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_REFERENCE_OPTIMIZERS_H_
