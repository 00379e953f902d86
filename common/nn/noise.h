// Noise: random numbers as an input of a model; a value is a function of its key and place, so any
// rank, thread and step makes the same (docs/NUMERICS.md#4-random-numbers). Thread: the one that
// plans.
#ifndef LOCKSTEP_COMMON_NN_NOISE_H_
#define LOCKSTEP_COMMON_NN_NOISE_H_

#include <cstdint>
#include <string>

#include "common/nn/step_builder.h"

namespace lockstep {

enum class NoiseKind {
  kNormal,   // mean 0, deviation 1
  kUniform,  // in [-1, 1)
};

struct NoiseUse {
  std::string label;
  NoiseKind kind = NoiseKind::kNormal;
  int64_t elements = 0;  // of one sample
  uint32_t source = 0;   // index of the node call; of fixed noise: of the model's input
  bool fixed = false;    // does not change from step to step
};

// Noise for every slot, [blocks][elements][16].
Slice RecordNoise(StepBuilder& builder, const NoiseUse& use);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_NN_NOISE_H_
