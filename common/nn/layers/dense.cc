// Dense: y = act(x W + b) over the last axis. kernel [I,O], bias [O]; docs/NUMERICS.md#5-layers.
#include "common/kernels/dense.h"

#include "common/nn/activations.h"
#include "common/nn/layer_support.h"

namespace lockstep::layers::dense {
namespace {

constexpr OptionDoc kOptions[] = {
    {.name = "units", .type = OptionType::kInt, .min = 1, .help = "output features"},
    ActivationOption(),
    {.name = "use_bias", .type = OptionType::kBool, .fallback = "true", .help = "add a bias"},
    InitializerOption("kernel_initializer", "glorot_uniform"),
    InitializerOption("bias_initializer", "zeros"),
};

class Dense final : public Layer {
 public:
  Dense(const Options& options, const Shape& input)
      : inputs_(input.back()),
        outputs_(options.GetInt("units")),
        positions_(input.elements() / input.back()),
        use_bias_(options.GetBool("use_bias")),
        activation_(ActivationOf(options.GetString("activation"))) {
    std::vector<int64_t> dims = input.dims();
    dims.back() = outputs_;
    output_shape_ = Shape(std::move(dims));
    variables_.push_back(
        {"kernel", Shape{inputs_, outputs_}, options.GetNode("kernel_initializer")});
    if (use_bias_) {
      variables_.push_back({"bias", Shape{outputs_}, options.GetNode("bias_initializer")});
    }
    flops_ = 2.0 * static_cast<double>(positions_ * inputs_ * outputs_);
  }

  absl::string_view logits_activation() const override { return LogitsActivation(activation_); }

  std::unique_ptr<Layer> Absorb(const Absorbable& next) const override {
    if (next.kind != Absorbable::Kind::kActivation || activation_ != ActivationKind::kLinear) {
      return nullptr;
    }
    auto both = std::make_unique<Dense>(*this);
    both->activation_ = next.activation;
    return both;
  }

  void Forward(StepBuilder& builder, LayerCall& call) const override {
    const Slice x = call.inputs[0];
    const Slice y = builder.AllocateActivation(output_shape_.elements());
    call.output = y;
    const int64_t blocks = builder.geometry().blocks;
    const ActivationUse use = Use(call);
    const kernels::Activation fused = FusedActivation(use.kind);
    builder.Call(
        Info(builder, call, "/forward", y, output_shape_.elements()),
        [=, this, w = call.variables[0], b = Bias(call)](const Binder& at) {
          const kernels::DenseForwardArgs args{blocks,   positions_, inputs_,  outputs_, at.At(x),
                                               at.At(w), at.At(b),   at.At(y), fused};
          return BindKernel(&kernels::DenseForward, args, kernels::DenseForwardUnits(args));
        });
    if (use.kind == ActivationKind::kSoftmax) RecordActivation(builder, use, y, y);
  }

  void Backward(StepBuilder& builder, LayerCall& call, Slice d_output,
                absl::Span<GradientSink* const> d_inputs) const override {
    const Slice d_z = GradientBeforeActivation(builder, Use(call), call.output, d_output);
    call.saved = {d_z};
    if (!d_inputs[0]->wanted()) return;
    const GradientSink::Target target = d_inputs[0]->Write(builder);
    const int64_t blocks = builder.geometry().blocks;
    builder.Call(Info(builder, call, "/backward_data", target.slice, positions_ * inputs_),
                 [=, this, w = call.variables[0]](const Binder& at) {
                   const kernels::DenseBackwardDataArgs args{
                       blocks,   positions_,          inputs_,          outputs_, at.At(d_z),
                       at.At(w), at.At(target.slice), target.accumulate};
                   return BindKernel(&kernels::DenseBackwardData, args,
                                     kernels::DenseBackwardDataUnits(args));
                 });
  }

  void BackwardVariables(StepBuilder& builder, absl::Span<LayerCall* const> calls,
                         const VariableGradients& gradients) const override {
    const std::string& label = calls[0]->label;
    const CallSlices slices(calls);
    const auto weights_args = [=, this, &builder](const Binder& at, const CallPointers& pointers) {
      return kernels::DenseBackwardWeightsArgs{.positions = positions_,
                                               .inputs = inputs_,
                                               .outputs = outputs_,
                                               .slots = builder.Slots(at),
                                               .subtree = {},
                                               .calls = pointers.data(),
                                               .call_count = pointers.size(),
                                               .d_y_rows = nullptr,
                                               .d_w = nullptr,
                                               .d_b = nullptr};
    };
    const int64_t slot_count = int64_t{kernels::kBlockLanes} * builder.geometry().blocks;
    const int64_t rows_elements =
        slot_count * positions_ * RoundUp(outputs_, 16) * static_cast<int64_t>(calls.size());
    const Slice rows = builder.Allocate(rows_elements * 4);
    builder.Call(
        {.label = label + "/transpose_gradient", .bytes = 8.0 * static_cast<double>(rows_elements)},
        [=, this, &builder](const Binder& at) {
          const CallPointers pointers = slices.Bind(at);
          const kernels::DenseTransposeGradientArgs args{positions_,        outputs_,
                                                         builder.Slots(at), pointers.data(),
                                                         pointers.size(),   at.At(rows)};
          return pointers.Hold(&kernels::DenseTransposeGradient, args,
                               kernels::DenseTransposeGradientUnits(args));
        });
    for (size_t t = 0; t < gradients.buffers.size(); ++t) {
      const Slice d_w = gradients.At(t, 0);
      const Slice d_b = use_bias_ ? gradients.At(t, 1) : Slice{};
      CallInfo info{.label = label + "/backward_weights",
                    .flops = flops_ * SubtreeSlots(builder, t) * static_cast<double>(calls.size())};
      builder.Call(std::move(info), [=, &builder](const Binder& at) {
        const CallPointers pointers = slices.Bind(at);
        kernels::DenseBackwardWeightsArgs args = weights_args(at, pointers);
        args.subtree = builder.geometry().subtrees[t];
        args.d_y_rows = at.At(rows);
        args.d_w = at.At(d_w);
        args.d_b = at.At(d_b);
        return pointers.Hold(&kernels::DenseBackwardWeights, args,
                             kernels::DenseBackwardWeightsUnits(args));
      });
    }
  }

 private:
  // What is left of the activation in this call: nothing where the loss takes the logits.
  ActivationUse Use(const LayerCall& call) const {
    return {.label = call.label + "/activation",
            .kind = call.logits ? ActivationKind::kLinear : activation_,
            .positions = positions_,
            .features = outputs_};
  }
  Slice Bias(const LayerCall& call) const { return use_bias_ ? call.variables[1] : Slice{}; }
  CallInfo Info(const StepBuilder& builder, const LayerCall& call, absl::string_view what,
                Slice checked, int64_t elements) const {
    const double slots = SlotCount(builder);
    return {.label = absl::StrCat(call.label, what),
            .flops = flops_ * slots,
            .bytes = 4.0 * (slots * static_cast<double>(positions_ * (inputs_ + outputs_)) +
                            static_cast<double>(inputs_ * outputs_)),
            .checked = checked,
            .features = elements};
  }

  int64_t inputs_;
  int64_t outputs_;
  int64_t positions_;
  bool use_bias_;
  ActivationKind activation_;
};

absl::StatusOr<std::unique_ptr<Layer>> Make(const Options& options,
                                            absl::Span<const Shape> inputs) {
  LOCKSTEP_RETURN_IF_ERROR(CheckInputCount(inputs.size(), 1));
  if (inputs[0].ndim() < 1) {
    return absl::InvalidArgumentError("input has no features; give it at least one dimension");
  }
  LOCKSTEP_RETURN_IF_ERROR(
      Shape::Checked({inputs[0].back(), options.GetInt("units")}, kVariableElementsMax).status());
  return std::make_unique<Dense>(options, inputs[0]);
}

constexpr LayerExample kExamples[] = {
    {.options = "{units: 3}", .inputs = {{5}}},
    {.options = "{units: 17, activation: relu}", .inputs = {{33}}},
    {.options = "{units: 1, use_bias: false, activation: tanh}", .inputs = {{1}}},
    {.options = "{units: 4, activation: softmax}", .inputs = {{3, 6}}},
    {.options = "{units: 2, activation: sigmoid}", .inputs = {{2, 2, 3}}},
};

}  // namespace

extern const LayerDef kDef;
constinit const LayerDef kDef = {"dense", "y = act(x W + b) over the last axis", kOptions, &Make,
                                 kExamples};

}  // namespace lockstep::layers::dense
