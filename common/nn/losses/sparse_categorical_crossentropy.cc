// Sparse categorical cross-entropy: -log p of the target class.
#include "common/nn/cross_entropy.h"

namespace lockstep::losses::sparse_categorical_crossentropy {
namespace {

absl::StatusOr<std::unique_ptr<Loss>> Make(const Options& options) {
  return MakeCrossEntropy({.target = TargetKind::kLabels,
                           .activation = "softmax",
                           .logits = &kernels::SparseCrossEntropyLogits,
                           .probabilities = &kernels::SparseCrossEntropyProbabilities,
                           .classes_min = 2},
                          options);
}

}  // namespace

extern const LossDef kDef;
constinit const LossDef kDef = {"sparse_categorical_crossentropy",
                                "cross-entropy of classes, targets are class indices",
                                kCrossEntropyOptions, &Make, "categorical"};

}  // namespace lockstep::losses::sparse_categorical_crossentropy
