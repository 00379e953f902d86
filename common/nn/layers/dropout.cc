// Dropout: while training, values are zeroed with probability `rate` and the others scaled by 1 /
// (1 - rate). The mask is a function of (seed, node call, step, batch position, element), so
// backward makes it again (docs/NUMERICS.md#4-random-numbers).
#include "common/kernels/dropout.h"

#include "common/nn/layer_support.h"

namespace lockstep::layers::dropout {
namespace {

constexpr OptionDoc kOptions[] = {
    {.name = "rate",
     .type = OptionType::kFloat,
     .min = 0,
     .max = 1,
     .help = "share of values set to zero, below 1"},
};

class Dropout final : public Layer {
 public:
  Dropout(double rate, const Shape& input)
      : rate_(static_cast<float>(rate)), scale_(static_cast<float>(1.0 / (1.0 - rate))) {
    output_shape_ = input;
    flops_ = static_cast<double>(input.elements());
  }

  void Forward(StepBuilder& builder, LayerCall& call) const override {
    call.output = call.inputs[0];
    if (!call.training || rate_ == 0.0f) return;
    call.output = builder.AllocateActivation(output_shape_.elements());
    Record(builder, call, "/forward", call.inputs[0], {call.output, false});
  }

  void Backward(StepBuilder& builder, LayerCall& call, Slice d_output,
                absl::Span<GradientSink* const> d_inputs) const override {
    if (!d_inputs[0]->wanted()) return;
    if (rate_ == 0.0f) {
      d_inputs[0]->Pass(builder, d_output);
      return;
    }
    Record(builder, call, "/backward", d_output, d_inputs[0]->Write(builder));
  }

 private:
  void Record(StepBuilder& builder, const LayerCall& call, absl::string_view what, Slice x,
              GradientSink::Target y) const {
    const int64_t elements = output_shape_.elements();
    builder.Call({.label = absl::StrCat(call.label, what),
                  .flops = flops_ * SlotCount(builder),
                  .bytes = 8.0 * flops_ * SlotCount(builder),
                  .checked = y.slice,
                  .features = elements},
                 [=, this, &builder, node_call = call.node_call](const Binder& at) {
                   const StepBuilder::RunInputs& run = builder.inputs();
                   const kernels::DropoutArgs args{
                       .blocks = builder.geometry().blocks,
                       .features = elements,
                       .key = run.dropout_key,
                       .node_call = node_call,
                       .step = at.At<int64_t>(run.step),
                       .batch_position = at.At<int32_t>(run.batch_position),
                       .rate = rate_,
                       .scale = scale_,
                       .x = at.At(x),
                       .y = at.At(y.slice),
                       .accumulate = y.accumulate};
                   return BindKernel(&kernels::Dropout, args, kernels::DropoutUnits(args));
                 });
  }

  float rate_;
  float scale_;
};

absl::StatusOr<std::unique_ptr<Layer>> Make(const Options& options,
                                            absl::Span<const Shape> inputs) {
  LOCKSTEP_RETURN_IF_ERROR(CheckInputCount(inputs.size(), 1));
  const double rate = options.GetFloat("rate");
  if (static_cast<float>(rate) >= 1.0f) {  // masks compare floats
    return absl::InvalidArgumentError(
        absl::StrCat("rate ", rate, " would drop every value; use a rate below 1"));
  }
  return std::make_unique<Dropout>(rate, inputs[0]);
}

constexpr LayerExample kExamples[] = {
    {.options = "{rate: 0.5}", .inputs = {{9}}},
    {.options = "{rate: 0.25}", .inputs = {{3, 3, 2}}},
    {.options = "{rate: 0}", .inputs = {{4}}},
};

}  // namespace

extern const LayerDef kDef;
constinit const LayerDef kDef = {"dropout", "zeroes a random share of values while training",
                                 kOptions, &Make, kExamples};

}  // namespace lockstep::layers::dropout
