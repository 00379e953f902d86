// Binary cross-entropy: the mean over a sample's values of -(t log p + (1 - t) log(1 - p)).
#include "common/nn/cross_entropy.h"

namespace lockstep::losses::binary_crossentropy {
namespace {

absl::StatusOr<std::unique_ptr<Loss>> Make(const Options& options) {
  return MakeCrossEntropy({.target = TargetKind::kValues,
                           .activation = "sigmoid",
                           .logits = &kernels::BinaryCrossEntropyLogits,
                           .probabilities = &kernels::BinaryCrossEntropyProbabilities,
                           .classes_min = 0},
                          options);
}

}  // namespace

extern const LossDef kDef;
constinit const LossDef kDef = {"binary_crossentropy", "cross-entropy of independent yes/no values",
                                kCrossEntropyOptions, &Make, "binary"};

}  // namespace lockstep::losses::binary_crossentropy
