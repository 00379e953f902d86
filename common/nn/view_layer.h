// ViewLayer: the same values under another shape. Activations keep Keras' row-major order, so
// nothing is computed or copied.
#ifndef LOCKSTEP_COMMON_NN_VIEW_LAYER_H_
#define LOCKSTEP_COMMON_NN_VIEW_LAYER_H_

#include <utility>

#include "common/nn/layer.h"

namespace lockstep {

class ViewLayer final : public Layer {
 public:
  explicit ViewLayer(Shape output_shape) { output_shape_ = std::move(output_shape); }

  void Forward(StepBuilder&, LayerCall& call) const override { call.output = call.inputs[0]; }
  void Backward(StepBuilder& builder, LayerCall&, Slice d_output,
                absl::Span<GradientSink* const> d_inputs) const override {
    if (d_inputs[0]->wanted()) d_inputs[0]->Pass(builder, d_output);
  }
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_NN_VIEW_LAYER_H_
