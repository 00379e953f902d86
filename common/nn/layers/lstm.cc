// LSTM over (positions, features): kernel [F,4H], recurrent_kernel [H,4H], bias [4H], gates i, f,
// c, o; docs/NUMERICS.md#5-layers (Hochreiter & Schmidhuber 1997).
#include "common/kernels/lstm.h"

#include "common/nn/activations.h"
#include "common/nn/layer_support.h"

namespace lockstep::layers::lstm {
namespace {

constexpr int64_t kGates = 4;

constexpr OptionDoc GateActivation(absl::string_view name, absl::string_view fallback,
                                   absl::string_view help) {
  return {.name = name,
          .type = OptionType::kString,
          .fallback = fallback,
          .choices = "linear relu sigmoid tanh",
          .help = help};
}
constexpr OptionDoc Switch(absl::string_view name, absl::string_view fallback,
                           absl::string_view help) {
  return {.name = name, .type = OptionType::kBool, .fallback = fallback, .help = help};
}
constexpr OptionDoc Only(absl::string_view name, OptionType type, absl::string_view value) {
  return {.name = name, .type = type, .fallback = value, .help = "no other value yet"};
}

constexpr OptionDoc kOptions[] = {
    {.name = "units", .type = OptionType::kInt, .min = 1, .help = "output features"},
    GateActivation("activation", "tanh", "of the candidate and of the cell"),
    GateActivation("recurrent_activation", "sigmoid", "of the gates i, f, o"),
    Switch("use_bias", "true", "add a bias"),
    InitializerOption("kernel_initializer", "glorot_uniform"),
    InitializerOption("recurrent_initializer", "orthogonal"),
    InitializerOption("bias_initializer", "zeros"),
    Switch("unit_forget_bias", "true", "the forget gate's bias starts at 1"),
    Switch("return_sequences", "false", "every step's output, not the last one's alone"),
    Switch("go_backwards", "false", "from the last position to the first; outputs by step"),
    Only("dropout", OptionType::kFloat, "0"),
    Only("recurrent_dropout", OptionType::kFloat, "0"),
    Only("return_state", OptionType::kBool, "false"),
    Only("stateful", OptionType::kBool, "false"),
    Switch("unroll", "false", "changes nothing here"),
};

class Lstm final : public Layer {
 public:
  Lstm(const Options& options, const Shape& input)
      : use_bias_(options.GetBool("use_bias")),
        shape_{.blocks = 0,
               .positions = input.dim(0),
               .inputs = input.dim(1),
               .units = options.GetInt("units"),
               .activation = FusedActivation(ActivationOf(options.GetString("activation"))),
               .recurrent_activation =
                   FusedActivation(ActivationOf(options.GetString("recurrent_activation"))),
               .backwards = options.GetBool("go_backwards"),
               .sequences = options.GetBool("return_sequences")} {
    const int64_t units = shape_.units;
    output_shape_ = shape_.sequences ? Shape{shape_.positions, units} : Shape{units};
    variables_.push_back({"lstm_cell/kernel", Shape{shape_.inputs, kGates * units},
                          options.GetNode("kernel_initializer")});
    variables_.push_back({"lstm_cell/recurrent_kernel", Shape{units, kGates * units},
                          options.GetNode("recurrent_initializer")});
    if (use_bias_) variables_.push_back({"lstm_cell/bias", Shape{kGates * units}, Bias(options)});
    flops_ = ProductFlops(shape_.inputs + units);
    input_gradient_flops_ = ProductFlops(shape_.inputs);
  }

  void Forward(StepBuilder& builder, LayerCall& call) const override {
    const Slice y = builder.AllocateActivation(output_shape_.elements());
    call.output = y;
    const Kept kept = call.training ? Keep(builder) : Kept{};
    const Slice state =
        call.training ? Slice{} : builder.AllocateActivation(kStateRows * shape_.units);
    call.saved = {kept.gates, kept.cells, kept.before};
    builder.Call(
        Info(builder, call.label + "/forward", {flops_, y, output_shape_.elements()}),
        [=, this, &builder, x = call.inputs[0], w = call.variables[0], u = call.variables[1],
         b = use_bias_ ? call.variables[2] : Slice{}](const Binder& at) {
          const kernels::LstmForwardArgs args{.shape = ShapeOf(builder),
                                              .x = at.At(x),
                                              .w = at.At(w),
                                              .u = at.At(u),
                                              .b = at.At(b),
                                              .y = at.At(y),
                                              .kept = kept.Bind(at),
                                              .state = at.At(state)};
          return BindKernel(&kernels::LstmForward, args, kernels::LstmForwardUnits(args));
        });
  }

  void Backward(StepBuilder& builder, LayerCall& call, Slice d_output,
                absl::Span<GradientSink* const> d_inputs) const override {
    const int64_t gates = kGates * shape_.units;
    const Kept kept{call.saved[0], call.saved[1], call.saved[2]};
    const Slice d_gates = builder.AllocateActivation(shape_.positions * gates);
    const Slice d_cell = builder.AllocateActivation(shape_.units);
    call.saved = {d_gates, kept.before};
    builder.Call(Info(builder, call.label + "/backward",
                      {ProductFlops(shape_.units), d_gates, shape_.positions * gates}),
                 [=, this, &builder, u = call.variables[1]](const Binder& at) {
                   const kernels::LstmBackwardArgs args{.shape = ShapeOf(builder),
                                                        .u = at.At(u),
                                                        .kept = kept.Bind(at),
                                                        .d_y = at.At(d_output),
                                                        .d_gates = at.At(d_gates),
                                                        .d_cell = at.At(d_cell)};
                   return BindKernel(&kernels::LstmBackward, args,
                                     kernels::LstmBackwardUnits(args));
                 });
    if (!d_inputs[0]->wanted()) return;
    const GradientSink::Target target = d_inputs[0]->Write(builder);
    builder.Call(
        Info(builder, call.label + "/backward_data",
             {ProductFlops(shape_.inputs), target.slice, shape_.positions * shape_.inputs}),
        [=, this, &builder, w = call.variables[0]](const Binder& at) {
          const kernels::DenseBackwardDataArgs args{builder.geometry().blocks,
                                                    shape_.positions,
                                                    shape_.inputs,
                                                    gates,
                                                    at.At(d_gates),
                                                    at.At(w),
                                                    at.At(target.slice),
                                                    target.accumulate};
          return BindKernel(&kernels::DenseBackwardData, args,
                            kernels::DenseBackwardDataUnits(args));
        });
  }

  // Two dense layers over the positions with one output gradient: of x, and of h of the step
  // before.
  void BackwardVariables(StepBuilder& builder, absl::Span<LayerCall* const> calls,
                         const VariableGradients& gradients) const override {
    const CallSlices of_x = AsDense(calls, [](const LayerCall& call) { return call.inputs[0]; });
    const CallSlices of_h = AsDense(calls, [](const LayerCall& call) { return call.saved[1]; });
    const std::string& label = calls[0]->label;
    const Slice rows = RecordTranspose(builder, label, of_h, calls.size());
    for (size_t t = 0; t < gradients.buffers.size(); ++t) {
      RecordWeights(builder, t,
                    {.label = label + "/backward_weights",
                     .calls = of_x,
                     .call_count = calls.size(),
                     .rows = rows,
                     .inputs = shape_.inputs,
                     .d_w = gradients.At(t, 0),
                     .d_b = use_bias_ ? gradients.At(t, 2) : Slice{}});
      RecordWeights(builder, t,
                    {.label = label + "/backward_recurrent_weights",
                     .calls = of_h,
                     .call_count = calls.size(),
                     .rows = rows,
                     .inputs = shape_.units,
                     .d_w = gradients.At(t, 1),
                     .d_b = {}});
    }
  }

 private:
  static constexpr int64_t kStateRows = 3;  // of kernels::LstmForwardArgs::state

  struct Kept {
    Slice gates, cells, before;
    kernels::LstmKept Bind(const Binder& at) const {
      return {at.At(gates), at.At(cells), at.At(before)};
    }
  };
  // One of the two dense layers.
  struct Weights {
    std::string label;
    CallSlices calls;
    size_t call_count;
    Slice rows;
    int64_t inputs;
    Slice d_w, d_b;
  };

  static Node Bias(const Options& options) {
    if (!options.GetBool("unit_forget_bias")) return options.GetNode("bias_initializer");
    const Node others = options.GetNode("bias_initializer");
    Value node = Value::MakeMap();
    node.Set(others.type, others.options);
    Value forget = Value::MakeMap();
    forget.Set("initializer", std::move(node));
    return {.type = "unit_forget_bias",
            .options = std::move(forget),
            .where = others.where,
            .mark = others.mark};
  }

  double ProductFlops(int64_t inner) const {
    return 2.0 * static_cast<double>(shape_.positions * inner * kGates * shape_.units);
  }
  kernels::LstmShape ShapeOf(const StepBuilder& builder) const {
    kernels::LstmShape shape = shape_;
    shape.blocks = builder.geometry().blocks;
    return shape;
  }
  Kept Keep(StepBuilder& builder) const {
    const int64_t elements = shape_.positions * shape_.units;
    return {builder.AllocateActivation(kGates * elements), builder.AllocateActivation(2 * elements),
            builder.AllocateActivation(elements)};
  }
  // Of one sample; `checked` has `elements`.
  struct Work {
    double flops;
    Slice checked;
    int64_t elements;
  };
  CallInfo Info(const StepBuilder& builder, std::string label, const Work& work) const {
    const double values =
        static_cast<double>(shape_.positions * (shape_.inputs + 8 * shape_.units));
    return {.label = std::move(label),
            .flops = work.flops * SlotCount(builder),
            .bytes = 4.0 * values * SlotCount(builder),
            .checked = work.checked,
            .features = work.elements};
  }

  static CallSlices AsDense(absl::Span<LayerCall* const> calls, Slice (*input)(const LayerCall&)) {
    std::vector<LayerCall> dense(calls.size());
    std::vector<LayerCall*> pointers;
    for (size_t c = 0; c < calls.size(); ++c) {
      dense[c].inputs = {input(*calls[c])};
      dense[c].saved = {calls[c]->saved[0]};
      pointers.push_back(&dense[c]);
    }
    return CallSlices(pointers);
  }

  // Gate gradients as rows of samples, for both weight gradients.
  Slice RecordTranspose(StepBuilder& builder, const std::string& label, const CallSlices& slices,
                        size_t calls) const {
    const int64_t gates = kGates * shape_.units;
    const int64_t elements = int64_t{kernels::kBlockLanes} * builder.geometry().blocks *
                             shape_.positions * RoundUp(gates, 16) * static_cast<int64_t>(calls);
    const Slice rows = builder.Allocate(elements * 4);
    builder.Call(
        {.label = label + "/transpose_gradient", .bytes = 8.0 * static_cast<double>(elements)},
        [=, this, &builder](const Binder& at) {
          const CallPointers pointers = slices.Bind(at);
          const kernels::DenseTransposeGradientArgs args{shape_.positions,  gates,
                                                         builder.Slots(at), pointers.data(),
                                                         pointers.size(),   at.At(rows)};
          return pointers.Hold(&kernels::DenseTransposeGradient, args,
                               kernels::DenseTransposeGradientUnits(args));
        });
    return rows;
  }

  void RecordWeights(StepBuilder& builder, size_t subtree, const Weights& weights) const {
    CallInfo info{.label = weights.label,
                  .flops = ProductFlops(weights.inputs) * SubtreeSlots(builder, subtree) *
                           static_cast<double>(weights.call_count)};
    builder.Call(std::move(info), [=, this, &builder](const Binder& at) {
      const CallPointers pointers = weights.calls.Bind(at);
      const kernels::DenseBackwardWeightsArgs args{.positions = shape_.positions,
                                                   .inputs = weights.inputs,
                                                   .outputs = kGates * shape_.units,
                                                   .slots = builder.Slots(at),
                                                   .subtree = builder.geometry().subtrees[subtree],
                                                   .calls = pointers.data(),
                                                   .call_count = pointers.size(),
                                                   .d_y_rows = at.At(weights.rows),
                                                   .d_w = at.At(weights.d_w),
                                                   .d_b = at.At(weights.d_b)};
      return pointers.Hold(&kernels::DenseBackwardWeights, args,
                           kernels::DenseBackwardWeightsUnits(args));
    });
  }

  bool use_bias_;
  kernels::LstmShape shape_;  // without blocks
};

absl::StatusOr<std::unique_ptr<Layer>> Make(const Options& options,
                                            absl::Span<const Shape> inputs) {
  LOCKSTEP_RETURN_IF_ERROR(CheckInputCount(inputs.size(), 1));
  if (inputs[0].ndim() != 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("input has shape ", inputs[0].ToString(),
                     ", (positions, features) is wanted; put a reshape before it"));
  }
  for (const absl::string_view name : {"dropout", "recurrent_dropout"}) {
    if (options.GetFloat(name) != 0) {
      return options.Error(name, "is not supported yet; leave it at 0, or use a dropout layer");
    }
  }
  for (const absl::string_view name : {"return_state", "stateful"}) {
    if (options.GetBool(name)) {
      return options.Error(name, "is not supported yet; leave it at false");
    }
  }
  const int64_t units = options.GetInt("units");
  LOCKSTEP_RETURN_IF_ERROR(Shape::Checked({inputs[0].dim(0), 2 * kGates, units}).status());
  for (const int64_t rows : {inputs[0].dim(1), units}) {
    LOCKSTEP_RETURN_IF_ERROR(Shape::Checked({rows, kGates, units}, kVariableElementsMax).status());
  }
  return std::make_unique<Lstm>(options, inputs[0]);
}

constexpr LayerExample kExamples[] = {
    {.options = "{units: 3}", .inputs = {{4, 5}}},
    {.options = "{units: 5, return_sequences: true}", .inputs = {{3, 2}}},
    {.options = "{units: 2, return_sequences: true, go_backwards: true, use_bias: false}",
     .inputs = {{3, 1}}},
    {.options = "{units: 13, activation: sigmoid, recurrent_activation: tanh}", .inputs = {{2, 3}}},
};

}  // namespace

extern const LayerDef kDef;
constinit const LayerDef kDef = {"lstm", "long short-term memory over (positions, features)",
                                 kOptions, &Make, kExamples};

}  // namespace lockstep::layers::lstm
