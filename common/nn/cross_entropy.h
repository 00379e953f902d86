// What the cross-entropies share: `from_logits`, and taking the logits behind a softmax or sigmoid
// as Keras on TensorFlow does.
#ifndef LOCKSTEP_COMMON_NN_CROSS_ENTROPY_H_
#define LOCKSTEP_COMMON_NN_CROSS_ENTROPY_H_

#include "common/nn/loss.h"

namespace lockstep {

inline constexpr OptionDoc kCrossEntropyOptions[] = {
    {.name = "from_logits",
     .type = OptionType::kBool,
     .fallback = "false",
     .help = "the output holds logits, not probabilities"},
};

// One member of the family: its kernels and what it asks of the output.
struct CrossEntropyForm {
  TargetKind target;
  absl::string_view activation;  // whose logits it takes
  LossKernel logits;
  LossKernel probabilities;
  int64_t classes_min;  // 0: any shape
};

absl::StatusOr<std::unique_ptr<Loss>> MakeCrossEntropy(const CrossEntropyForm& form,
                                                       const Options& options);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_NN_CROSS_ENTROPY_H_
