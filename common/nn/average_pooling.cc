#include "common/nn/average_pooling.h"

namespace lockstep {

AveragePooling::AveragePooling(const kernels::PoolGeometry& geometry, Shape output_shape)
    : g_(geometry) {
  output_shape_ = std::move(output_shape);
  flops_ = static_cast<double>(output_shape_.elements() * g_.pool_h * g_.pool_w);
}

void AveragePooling::Forward(StepBuilder& builder, LayerCall& call) const {
  const Slice x = call.inputs[0];
  const Slice y = builder.AllocateActivation(output_shape_.elements());
  const int64_t blocks = builder.geometry().blocks;
  call.output = y;
  CallInfo info = PoolingInfo(builder, call.label + "/forward", g_);
  info.checked = y;
  info.features = output_shape_.elements();
  builder.Call(std::move(info), [=, this](const Binder& at) {
    const kernels::AveragePoolArgs args{g_, blocks, at.At(x), at.At(y)};
    return BindKernel(&kernels::AveragePoolForward, args, kernels::AveragePoolForwardUnits(args));
  });
}

void AveragePooling::Backward(StepBuilder& builder, LayerCall& call, Slice d_output,
                              absl::Span<GradientSink* const> d_inputs) const {
  if (!d_inputs[0]->wanted()) return;
  const GradientSink::Target target = d_inputs[0]->Write(builder);
  const int64_t blocks = builder.geometry().blocks;
  CallInfo info = PoolingInfo(builder, call.label + "/backward", g_);
  info.checked = target.slice;
  info.features = g_.height * g_.width * g_.channels;
  builder.Call(std::move(info), [=, this](const Binder& at) {
    const kernels::AveragePoolBackwardArgs args{g_, blocks, at.At(d_output), at.At(target.slice),
                                                target.accumulate};
    return BindKernel(&kernels::AveragePoolBackward, args, kernels::AveragePoolBackwardUnits(args));
  });
}

}  // namespace lockstep
