#include "common/nn/gradient_sink.h"

#include "common/base/check.h"
#include "common/kernels/activation.h"

namespace lockstep {

GradientSink::Target GradientSink::Write(StepBuilder& builder) {
  LOCKSTEP_CHECK(wanted_);
  const bool accumulate = gradient_.valid();
  if (!owned_) {
    const Slice borrowed = gradient_;
    gradient_ = builder.AllocateActivation(elements_);
    owned_ = true;
    if (accumulate) RecordAdd(builder, {"gradient/copy", {borrowed}, gradient_, elements_});
  }
  return {gradient_, accumulate};
}

void GradientSink::Pass(StepBuilder& builder, Slice d) {
  LOCKSTEP_CHECK(wanted_);
  if (!gradient_.valid()) {
    gradient_ = d;
    return;
  }
  const Slice before = gradient_;
  if (!owned_) gradient_ = builder.AllocateActivation(elements_);
  owned_ = true;
  RecordAdd(builder, {"gradient/add", {before, d}, gradient_, elements_});
}

void RecordAdd(StepBuilder& builder, const Addition& addition) {
  const int64_t count = addition.elements * kernels::kBlockLanes * builder.geometry().blocks;
  const auto inputs = static_cast<double>(addition.inputs.size());
  builder.Call({.label = addition.label,
                .flops = static_cast<double>(count) * (inputs - 1),
                .bytes = 4.0 * static_cast<double>(count) * (inputs + 1),
                .checked = addition.out,
                .features = addition.elements},
               [=](const Binder& at) {
                 std::vector<const float*> sources;
                 for (const Slice& input : addition.inputs) sources.push_back(at.At(input));
                 const auto args = [=, out = at.At(addition.out),
                                    relu = addition.relu](const std::vector<const float*>& list) {
                   return kernels::AddArgs{.count = count,
                                           .inputs = list.data(),
                                           .input_count = static_cast<int32_t>(list.size()),
                                           .out = out,
                                           .relu = relu};
                 };
                 return BoundCall{kernels::AddUnits(args(sources)),
                                  [sources, args](kernels::UnitRange range) {
                                    kernels::Add(args(sources), range);
                                  }};
               });
}

}  // namespace lockstep
