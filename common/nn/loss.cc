#include "common/nn/loss.h"

#include "absl/strings/str_cat.h"

namespace lockstep {

void RecordLoss(StepBuilder& builder, const LossCall& call, LossKernel kernel) {
  const int64_t features = call.shape.elements();
  const double slots = static_cast<double>(builder.geometry().blocks) * kernels::kBlockLanes;
  builder.Call({.label = call.label + "/loss",
                .flops = 10.0 * slots * static_cast<double>(features),
                .bytes = 12.0 * slots * static_cast<double>(features),
                .checked = call.d_output,
                .features = call.d_output.valid() ? features : 0},
               [=, &builder](const Binder& at) {
                 const kernels::LossArgs args{.blocks = builder.geometry().blocks,
                                              .features = features,
                                              .slots = builder.Slots(at),
                                              .x = at.At(call.output),
                                              .target = at.At(call.target),
                                              .label = at.At<int32_t>(call.labels),
                                              .seed = at.At(call.seed),
                                              .d_x = at.At(call.d_output),
                                              .loss = at.At(call.loss)};
                 return BindKernel(kernel, args, kernels::LossUnits(args));
               });
}

absl::Status CheckClassOutput(const Shape& output, int64_t classes_min) {
  if (output.ndim() == 1 && output.dim(0) >= classes_min) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("output shape ", output.ToString(), " is not (classes,) with ", classes_min,
                   " or more; end the model in a dense layer with one unit per class"));
}

}  // namespace lockstep
