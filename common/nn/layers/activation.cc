// Activation: an activation function as a layer of its own.
#include "common/nn/activations.h"
#include "common/nn/layer_support.h"

namespace lockstep::layers::activation {
namespace {

constexpr OptionDoc kOptions[] = {
    {.name = "activation",
     .type = OptionType::kString,
     .choices = "linear relu sigmoid softmax tanh",
     .help = "activation function"},
};

class ActivationLayer final : public Layer {
 public:
  ActivationLayer(ActivationKind kind, const Shape& input)
      : use_{.kind = kind, .positions = input.elements() / input.back(), .features = input.back()} {
    output_shape_ = input;
    flops_ = static_cast<double>(input.elements());
  }

  absl::string_view logits_activation() const override { return LogitsActivation(use_.kind); }

  Absorbable absorbable() const override {
    return {.kind = Absorbable::Kind::kActivation, .activation = use_.kind};
  }

  void Forward(StepBuilder& builder, LayerCall& call) const override {
    call.output = call.inputs[0];
    if (!Computes(call)) return;
    call.output = builder.AllocateActivation(output_shape_.elements());
    RecordActivation(builder, Use(call, "/forward"), call.inputs[0], call.output);
  }

  void Backward(StepBuilder& builder, LayerCall& call, Slice d_output,
                absl::Span<GradientSink* const> d_inputs) const override {
    if (!d_inputs[0]->wanted()) return;
    if (!Computes(call)) {
      d_inputs[0]->Pass(builder, d_output);
      return;
    }
    RecordActivationGradient(builder, Use(call, "/backward"), call.output, d_output,
                             d_inputs[0]->Write(builder));
  }

 private:
  bool Computes(const LayerCall& call) const {
    return !call.logits && use_.kind != ActivationKind::kLinear;
  }
  ActivationUse Use(const LayerCall& call, absl::string_view what) const {
    ActivationUse use = use_;
    use.label = absl::StrCat(call.label, what);
    return use;
  }

  ActivationUse use_;  // without a label
};

absl::StatusOr<std::unique_ptr<Layer>> Make(const Options& options,
                                            absl::Span<const Shape> inputs) {
  LOCKSTEP_RETURN_IF_ERROR(CheckInputCount(inputs.size(), 1));
  return std::make_unique<ActivationLayer>(ActivationOf(options.GetString("activation")),
                                           inputs[0]);
}

constexpr LayerExample kExamples[] = {
    {.options = "{activation: relu}", .inputs = {{7}}},
    {.options = "{activation: softmax}", .inputs = {{2, 5}}},
    {.options = "{activation: tanh}", .inputs = {{3, 2, 2}}},
    {.options = "{activation: linear}", .inputs = {{3}}},
};

}  // namespace

extern const LayerDef kDef;
constinit const LayerDef kDef = {"activation", "an activation function", kOptions, &Make,
                                 kExamples};

}  // namespace lockstep::layers::activation
