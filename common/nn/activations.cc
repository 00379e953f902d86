#include "common/nn/activations.h"

#include <array>

#include "common/base/check.h"

namespace lockstep {
namespace {

struct Entry {
  absl::string_view name;
  ActivationKind kind;
  kernels::Activation kernel;
};

constexpr std::array kEntries = {
    Entry{"linear", ActivationKind::kLinear, kernels::Activation::kLinear},
    Entry{"relu", ActivationKind::kRelu, kernels::Activation::kRelu},
    Entry{"sigmoid", ActivationKind::kSigmoid, kernels::Activation::kSigmoid},
    Entry{"softmax", ActivationKind::kSoftmax, kernels::Activation::kLinear},
    Entry{"tanh", ActivationKind::kTanh, kernels::Activation::kTanh},
};

const Entry& Find(ActivationKind kind) {
  for (const Entry& entry : kEntries) {
    if (entry.kind == kind) return entry;
  }
  LOCKSTEP_CHECK(false);
  return kEntries.front();
}

}  // namespace

absl::Span<const absl::string_view> ActivationNames() {
  static constexpr std::array<absl::string_view, kEntries.size()> kNames = [] {
    std::array<absl::string_view, kEntries.size()> names;
    for (size_t i = 0; i < kEntries.size(); ++i) names[i] = kEntries[i].name;
    return names;
  }();
  return kNames;
}

ActivationKind ActivationOf(absl::string_view name) {
  for (const Entry& entry : kEntries) {
    if (entry.name == name) return entry.kind;
  }
  LOCKSTEP_CHECK(false);
  return ActivationKind::kLinear;
}

absl::string_view LogitsActivation(ActivationKind kind) {
  const bool has = kind == ActivationKind::kSoftmax || kind == ActivationKind::kSigmoid;
  return has ? Find(kind).name : "";
}

kernels::Activation FusedActivation(ActivationKind kind) { return Find(kind).kernel; }

void RecordActivation(StepBuilder& builder, const ActivationUse& use, Slice x, Slice y) {
  const int64_t blocks = builder.geometry().blocks;
  const int64_t elements = use.positions * use.features;
  const int64_t count = elements * kernels::kBlockLanes * blocks;
  CallInfo info{.label = use.label,
                .flops = static_cast<double>(count),
                .bytes = 8.0 * static_cast<double>(count),
                .checked = y,
                .features = elements};
  builder.Call(std::move(info), [=](const Binder& at) {
    if (use.kind == ActivationKind::kSoftmax) {
      const kernels::SoftmaxForwardArgs args{blocks, use.positions, use.features, at.At(x),
                                             at.At(y)};
      return BindKernel(&kernels::SoftmaxForward, args, kernels::SoftmaxForwardUnits(args));
    }
    const kernels::ActivationForwardArgs args{count, Find(use.kind).kernel, at.At(x), at.At(y)};
    return BindKernel(&kernels::ActivationForward, args, kernels::ActivationForwardUnits(args));
  });
}

void RecordActivationGradient(StepBuilder& builder, const ActivationUse& use, Slice y, Slice d_y,
                              GradientSink::Target target) {
  const int64_t blocks = builder.geometry().blocks;
  const int64_t elements = use.positions * use.features;
  const int64_t count = elements * kernels::kBlockLanes * blocks;
  CallInfo info{.label = use.label,
                .flops = static_cast<double>(count),
                .bytes = 12.0 * static_cast<double>(count),
                .checked = target.slice,
                .features = elements};
  builder.Call(std::move(info), [=](const Binder& at) {
    if (use.kind == ActivationKind::kSoftmax) {
      const kernels::SoftmaxBackwardArgs args{blocks,           use.positions, use.features,
                                              at.At(y),         at.At(d_y),    at.At(target.slice),
                                              target.accumulate};
      return BindKernel(&kernels::SoftmaxBackward, args, kernels::SoftmaxBackwardUnits(args));
    }
    const kernels::ActivationBackwardArgs args{
        count, Find(use.kind).kernel, at.At(y), at.At(d_y), at.At(target.slice), target.accumulate};
    return BindKernel(&kernels::ActivationBackward, args, kernels::ActivationBackwardUnits(args));
  });
}

Slice GradientBeforeActivation(StepBuilder& builder, const ActivationUse& use, Slice y, Slice d_y) {
  if (use.kind == ActivationKind::kLinear) return d_y;
  const Slice d_z = builder.AllocateActivation(use.positions * use.features);
  RecordActivationGradient(builder, use, y, d_y, {d_z, false});
  return d_z;
}

}  // namespace lockstep
