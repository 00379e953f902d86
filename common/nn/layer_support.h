// What the files of common/nn/layers share: option entries, call bookkeeping, sizes. Included by
// layer files only.
#ifndef LOCKSTEP_COMMON_NN_LAYER_SUPPORT_H_
#define LOCKSTEP_COMMON_NN_LAYER_SUPPORT_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "common/base/status_macros.h"
#include "common/kernels/dense.h"
#include "common/nn/layer.h"
#include "common/nn/window.h"

namespace lockstep {

// A variable larger than this is refused: counts of one MPI message and of 32-bit indices stay
// safe.
inline constexpr int64_t kVariableElementsMax = int64_t{1} << 31;

constexpr OptionDoc ActivationOption(absl::string_view fallback = "linear") {
  return {.name = "activation",
          .type = OptionType::kString,
          .fallback = fallback,
          .choices = "linear relu sigmoid softmax tanh",
          .help = "activation function"};
}
constexpr OptionDoc InitializerOption(absl::string_view name, absl::string_view fallback) {
  return {.name = name,
          .type = OptionType::kNode,
          .fallback = fallback,
          .help = "how the variable starts; see 'describe initializers'"};
}
constexpr OptionDoc PaddingOption() {
  return {.name = "padding",
          .type = OptionType::kString,
          .fallback = "valid",
          .choices = "valid same",
          .help = "valid: no padding; same: as many outputs as inputs / stride"};
}

inline int64_t RoundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Slots that a call computes, filled or not.
inline double SlotCount(const StepBuilder& builder) {
  return static_cast<double>(builder.geometry().blocks) * kernels::kBlockLanes;
}
inline double SubtreeSlots(const StepBuilder& builder, size_t subtree) {
  return static_cast<double>(builder.geometry().subtrees[subtree].shards) *
         builder.geometry().shard_slots;
}

// The inputs and output gradients of a layer's calls, bound: kept alive by the closure that `Hold`
// makes.
class CallPointers {
 public:
  explicit CallPointers(std::vector<kernels::GradientCall> calls)
      : calls_(std::make_shared<const std::vector<kernels::GradientCall>>(std::move(calls))) {}
  const kernels::GradientCall* data() const { return calls_->data(); }
  int32_t size() const { return static_cast<int32_t>(calls_->size()); }

  template <typename Args>
  BoundCall Hold(void (*kernel)(const Args&, kernels::UnitRange), const Args& args,
                 int64_t units) const {
    return {units,
            [kernel, args, held = calls_](kernels::UnitRange range) { kernel(args, range); }};
  }

 private:
  std::shared_ptr<const std::vector<kernels::GradientCall>> calls_;
};

// Per call: its first input or what `inputs` has instead, and of what was saved first the gradient
// that the variables see, then the choices of pooling behind it, if any.
class CallSlices {
 public:
  explicit CallSlices(absl::Span<LayerCall* const> calls, absl::Span<const Slice> inputs = {}) {
    for (size_t c = 0; c < calls.size(); ++c) {
      const LayerCall& call = *calls[c];
      slices_.push_back({inputs.empty() ? call.inputs[0] : inputs[c], call.saved[0],
                         call.saved.size() > 1 ? call.saved[1] : Slice{}});
    }
  }
  CallPointers Bind(const Binder& at) const {
    std::vector<kernels::GradientCall> calls;
    for (const One& one : slices_) {
      calls.push_back({at.At(one.x), at.At(one.d_y), at.At<uint8_t>(one.choice)});
    }
    return CallPointers(std::move(calls));
  }

 private:
  struct One {
    Slice x, d_y, choice;
  };
  std::vector<One> slices_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_NN_LAYER_SUPPORT_H_
