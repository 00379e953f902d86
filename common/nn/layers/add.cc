// Add: ((x_0 + x_1) + x_2) + ... of inputs of one shape. A ReLU behind it becomes part of its pass.
#include "common/nn/activations.h"
#include "common/nn/layer_support.h"

namespace lockstep::layers::add {
namespace {

class Add final : public Layer {
 public:
  explicit Add(absl::Span<const Shape> inputs) {
    output_shape_ = inputs[0];
    flops_ = static_cast<double>(inputs[0].elements()) * static_cast<double>(inputs.size() - 1);
  }

  std::unique_ptr<Layer> Absorb(const Absorbable& next) const override {
    if (relu_ || next.kind != Absorbable::Kind::kActivation ||
        next.activation != ActivationKind::kRelu) {
      return nullptr;
    }
    auto both = std::make_unique<Add>(*this);
    both->relu_ = true;
    return both;
  }

  void Forward(StepBuilder& builder, LayerCall& call) const override {
    const int64_t elements = output_shape_.elements();
    call.output = builder.AllocateActivation(elements);
    RecordAdd(builder, {call.label + "/forward", call.inputs, call.output, elements, relu_});
  }

  void Backward(StepBuilder& builder, LayerCall& call, Slice d_output,
                absl::Span<GradientSink* const> d_inputs) const override {
    const ActivationUse use{.label = call.label + "/activation",
                            .kind = relu_ ? ActivationKind::kRelu : ActivationKind::kLinear,
                            .features = output_shape_.elements()};
    const Slice d_sum = GradientBeforeActivation(builder, use, call.output, d_output);
    for (GradientSink* d_input : d_inputs) {
      if (d_input->wanted()) d_input->Pass(builder, d_sum);
    }
  }

 private:
  bool relu_ = false;  // behind it
};

absl::StatusOr<std::unique_ptr<Layer>> Make(const Options&, absl::Span<const Shape> inputs) {
  if (inputs.size() < 2) {
    return absl::InvalidArgumentError("adds two or more inputs; name them in 'inputs'");
  }
  for (const Shape& input : inputs) {
    if (input == inputs[0]) continue;
    return absl::InvalidArgumentError(absl::StrCat("inputs have shapes ", inputs[0].ToString(),
                                                   " and ", input.ToString(), "; make them equal"));
  }
  return std::make_unique<Add>(inputs);
}

constexpr LayerExample kExamples[] = {
    {.options = "{}", .inputs = {{5}, {5}}},
    {.options = "{}", .inputs = {{2, 3}, {2, 3}, {2, 3}}},
};

}  // namespace

extern const LayerDef kDef;
constinit const LayerDef kDef = {"add", "sum of inputs of one shape", {}, &Make, kExamples};

}  // namespace lockstep::layers::add
