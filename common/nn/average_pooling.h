// AveragePooling: the mean of each window, padding left out. One class serves average_pooling2d and
// global_average_pooling2d, whose window is the whole image.
#ifndef LOCKSTEP_COMMON_NN_AVERAGE_POOLING_H_
#define LOCKSTEP_COMMON_NN_AVERAGE_POOLING_H_

#include "common/nn/pooling.h"

namespace lockstep {

class AveragePooling final : public Layer {
 public:
  AveragePooling(const kernels::PoolGeometry& geometry, Shape output_shape);

  void Forward(StepBuilder& builder, LayerCall& call) const override;
  void Backward(StepBuilder& builder, LayerCall& call, Slice d_output,
                absl::Span<GradientSink* const> d_inputs) const override;

 private:
  kernels::PoolGeometry g_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_NN_AVERAGE_POOLING_H_
