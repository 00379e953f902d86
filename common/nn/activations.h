// The activations that layers take as an option or as a layer of their own, and the calls they
// become.
#ifndef LOCKSTEP_COMMON_NN_ACTIVATIONS_H_
#define LOCKSTEP_COMMON_NN_ACTIVATIONS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/kernels/activation.h"
#include "common/nn/gradient_sink.h"
#include "common/nn/step_builder.h"

namespace lockstep {

enum class ActivationKind { kLinear, kRelu, kSigmoid, kTanh, kSoftmax };

// Keras' names, for OptionDoc::choices.
absl::Span<const absl::string_view> ActivationNames();
// The kind of a name that the option's choices have admitted.
ActivationKind ActivationOf(absl::string_view name);
// "softmax" or "sigmoid" for those kinds (a loss may take the logits behind them), else empty.
absl::string_view LogitsActivation(ActivationKind kind);

// What a kernel with an epilogue applies itself: everything but softmax.
kernels::Activation FusedActivation(ActivationKind kind);

// One use of an activation: `positions` x `features` values, softmax over the features.
struct ActivationUse {
  std::string label;
  ActivationKind kind;
  int64_t positions = 1;
  int64_t features = 0;
};

// Records y = act(x); y may be x's slice.
void RecordActivation(StepBuilder& builder, const ActivationUse& use, Slice x, Slice y);
// Records d_x = d_y act'(y) into `target`.
void RecordActivationGradient(StepBuilder& builder, const ActivationUse& use, Slice y, Slice d_y,
                              GradientSink::Target target);
// The gradient before the activation: d_y itself where it is linear, else a fresh slice.
Slice GradientBeforeActivation(StepBuilder& builder, const ActivationUse& use, Slice y, Slice d_y);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_NN_ACTIVATIONS_H_
