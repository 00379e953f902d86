// Categorical cross-entropy: -sum t log p over the classes.
#include "common/nn/cross_entropy.h"

namespace lockstep::losses::categorical_crossentropy {
namespace {

absl::StatusOr<std::unique_ptr<Loss>> Make(const Options& options) {
  return MakeCrossEntropy({.target = TargetKind::kValues,
                           .activation = "softmax",
                           .logits = &kernels::CategoricalCrossEntropyLogits,
                           .probabilities = &kernels::CategoricalCrossEntropyProbabilities,
                           .classes_min = 2},
                          options);
}

}  // namespace

extern const LossDef kDef;
constinit const LossDef kDef = {"categorical_crossentropy",
                                "cross-entropy of classes, targets are one value per class",
                                kCrossEntropyOptions, &Make, "categorical"};

}  // namespace lockstep::losses::categorical_crossentropy
