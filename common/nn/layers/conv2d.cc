// Conv2D: cross-correlation over (height, width, channels). kernel [KH,KW,C/groups,F], bias [F];
// docs/NUMERICS.md#5-layers. An activation and 2 x 2 max pooling behind it become part of its pass.
#include "common/kernels/conv2d.h"

#include "common/kernels/conv2d_max_pool.h"
#include "common/nn/activations.h"
#include "common/nn/layer_support.h"

namespace lockstep::layers::conv2d {
namespace {

constexpr OptionDoc kOptions[] = {
    {.name = "filters", .type = OptionType::kInt, .min = 1, .help = "output channels F"},
    {.name = "kernel_size", .type = OptionType::kInts, .min = 1, .length = 2, .help = "window"},
    {.name = "strides",
     .type = OptionType::kInts,
     .fallback = "1",
     .min = 1,
     .length = 2,
     .help = "step of the window"},
    PaddingOption(),
    {.name = "dilation_rate",
     .type = OptionType::kInts,
     .fallback = "1",
     .min = 1,
     .length = 2,
     .help = "distance of the window's taps"},
    {.name = "groups",
     .type = OptionType::kInt,
     .fallback = "1",
     .min = 1,
     .help = "channel groups convolved apart"},
    ActivationOption(),
    {.name = "use_bias", .type = OptionType::kBool, .fallback = "true", .help = "add a bias"},
    InitializerOption("kernel_initializer", "glorot_uniform"),
    InitializerOption("bias_initializer", "zeros"),
};

absl::StatusOr<kernels::Conv2dGeometry> Geometry(const Options& options, const Shape& input) {
  LOCKSTEP_RETURN_IF_ERROR(CheckImage(input));
  const std::vector<int64_t> kernel = options.GetInts("kernel_size");
  const std::vector<int64_t> strides = options.GetInts("strides");
  const std::vector<int64_t> dilation = options.GetInts("dilation_rate");
  const int64_t groups = options.GetInt("groups");
  const int64_t filters = options.GetInt("filters");
  const int64_t channels = input.dim(2);
  const bool strided = strides[0] > 1 || strides[1] > 1;
  if (strided && (dilation[0] > 1 || dilation[1] > 1)) {
    return absl::InvalidArgumentError(
        "strides and dilation_rate are both above 1; Keras allows one of them");
  }
  if (channels % groups != 0 || filters % groups != 0) {
    return absl::InvalidArgumentError(absl::StrCat("groups ", groups, " divides not both the ",
                                                   channels, " input channels and the ", filters,
                                                   " filters; use a common divisor"));
  }
  LOCKSTEP_RETURN_IF_ERROR(
      Shape::Checked({kernel[0], kernel[1], channels / groups, filters}, kVariableElementsMax)
          .status());
  const bool same = options.GetString("padding") == "same";
  LOCKSTEP_ASSIGN_OR_RETURN(
      const WindowAxis rows,
      PlaceWindow({"height", "kernel_size", input.dim(0), kernel[0], strides[0], dilation[0]},
                  same));
  LOCKSTEP_ASSIGN_OR_RETURN(
      const WindowAxis columns,
      PlaceWindow({"width", "kernel_size", input.dim(1), kernel[1], strides[1], dilation[1]},
                  same));
  return kernels::Conv2dGeometry{.height = input.dim(0),
                                 .width = input.dim(1),
                                 .channels = channels,
                                 .kernel_h = kernel[0],
                                 .kernel_w = kernel[1],
                                 .filters = filters,
                                 .stride_h = strides[0],
                                 .stride_w = strides[1],
                                 .dilation_h = dilation[0],
                                 .dilation_w = dilation[1],
                                 .pad_top = rows.before,
                                 .pad_left = columns.before,
                                 .out_h = rows.out,
                                 .out_w = columns.out,
                                 .groups = groups};
}

class Conv2d final : public Layer {
 public:
  Conv2d(const Options& options, const kernels::Conv2dGeometry& geometry)
      : g_(geometry),
        use_bias_(options.GetBool("use_bias")),
        activation_(ActivationOf(options.GetString("activation"))) {
    const Shape kernel{g_.kernel_h, g_.kernel_w, g_.channels / g_.groups, g_.filters};
    output_shape_ = Shape{g_.out_h, g_.out_w, g_.filters};
    variables_.push_back({"kernel", kernel, options.GetNode("kernel_initializer")});
    if (use_bias_) {
      variables_.push_back({"bias", Shape{g_.filters}, options.GetNode("bias_initializer")});
    }
    flops_ =
        2.0 * static_cast<double>(g_.out_h * g_.out_w) * static_cast<double>(kernel.elements());
  }

  absl::string_view logits_activation() const override { return LogitsActivation(activation_); }

  std::unique_ptr<Layer> Absorb(const Absorbable& next) const override {
    auto both = std::make_unique<Conv2d>(*this);
    const bool relu_at_most =
        activation_ == ActivationKind::kLinear || activation_ == ActivationKind::kRelu;
    if (next.kind == Absorbable::Kind::kActivation && activation_ == ActivationKind::kLinear &&
        !pooled_) {
      both->activation_ = next.activation;
      return both;
    }
    if (next.kind == Absorbable::Kind::kMaxPooling2d && relu_at_most && !pooled_ &&
        HalvesBothSides(next.pool)) {
      both->pooled_ = true;
      both->output_shape_ = Shape{g_.out_h / 2, g_.out_w / 2, g_.filters};
      return both;
    }
    return nullptr;
  }

  void Forward(StepBuilder& builder, LayerCall& call) const override {
    const Slice x = call.inputs[0];
    const int64_t elements = output_shape_.elements();
    const Slice y = builder.AllocateActivation(elements);
    call.output = y;
    const int64_t blocks = builder.geometry().blocks;
    const ActivationUse use = Use(call);
    const kernels::Activation fused = FusedActivation(use.kind);
    CallInfo info = Info(builder, call, "/forward", y, elements);
    if (pooled_) {
      const Slice choice =
          call.training ? builder.Allocate(blocks * elements * kernels::kBlockLanes) : Slice{};
      call.saved = {Slice{}, choice};
      builder.Call(
          std::move(info), [=, this, w = call.variables[0], b = Bias(call)](const Binder& at) {
            const kernels::Conv2dMaxPoolForwardArgs args{
                g_, blocks, at.At(x), at.At(w), at.At(b), at.At(y), at.At<uint8_t>(choice), fused};
            return BindKernel(&kernels::Conv2dMaxPoolForward, args,
                              kernels::Conv2dMaxPoolForwardUnits(args));
          });
      return;
    }
    call.saved = {Slice{}};
    builder.Call(
        std::move(info), [=, this, w = call.variables[0], b = Bias(call)](const Binder& at) {
          const kernels::Conv2dForwardArgs args{g_,       blocks,   at.At(x), at.At(w),
                                                at.At(b), at.At(y), fused};
          return BindKernel(&kernels::Conv2dForward, args, kernels::Conv2dForwardUnits(args));
        });
    if (use.kind == ActivationKind::kSoftmax) RecordActivation(builder, use, y, y);
  }

  void Backward(StepBuilder& builder, LayerCall& call, Slice d_output,
                absl::Span<GradientSink* const> d_inputs) const override {
    call.saved[0] = GradientBeforeActivation(builder, Use(call), call.output, d_output);
    const bool spread = d_inputs[0]->wanted() || g_.out_w > kernels::kPooledWidthMax;
    if (pooled_ && spread) RecordSpread(builder, call);
    if (!d_inputs[0]->wanted()) return;
    const GradientSink::Target target = d_inputs[0]->Write(builder);
    const int64_t blocks = builder.geometry().blocks;
    builder.Call(Info(builder, call, "/backward_data", target.slice, InputElements()),
                 [=, this, d_z = call.saved[0], w = call.variables[0]](const Binder& at) {
                   const kernels::Conv2dBackwardDataArgs args{
                       g_, blocks, at.At(d_z), at.At(w), at.At(target.slice), target.accumulate};
                   return BindKernel(&kernels::Conv2dBackwardData, args,
                                     kernels::Conv2dBackwardDataUnits(args));
                 });
  }

  void BackwardVariables(StepBuilder& builder, absl::Span<LayerCall* const> calls,
                         const VariableGradients& gradients) const override {
    std::vector<Slice> planes;
    for (LayerCall* const call : calls) planes.push_back(RecordPlanes(builder, *call));
    const CallSlices slices(calls, planes);
    for (size_t t = 0; t < gradients.buffers.size(); ++t) {
      const Slice d_w = gradients.At(t, 0);
      const Slice d_b = use_bias_ ? gradients.At(t, 1) : Slice{};
      const double slots = SubtreeSlots(builder, t) * static_cast<double>(calls.size());
      builder.Call(
          {.label = calls[0]->label + "/backward_weights",
           .flops = flops_ * slots,
           .bytes = 4.0 * slots * static_cast<double>(InputElements() + output_shape_.elements())},
          [=, this, &builder](const Binder& at) {
            const CallPointers pointers = slices.Bind(at);
            const kernels::Conv2dBackwardWeightsArgs args{.geometry = g_,
                                                          .slots = builder.Slots(at),
                                                          .subtree = builder.geometry().subtrees[t],
                                                          .calls = pointers.data(),
                                                          .call_count = pointers.size(),
                                                          .d_w = at.At(d_w),
                                                          .d_b = at.At(d_b)};
            return pointers.Hold(&kernels::Conv2dBackwardWeights, args,
                                 kernels::Conv2dBackwardWeightsUnits(args));
          });
    }
  }

 private:
  bool HalvesBothSides(const kernels::PoolGeometry& pool) const {
    return pool.pool_h == 2 && pool.pool_w == 2 && pool.stride_h == 2 && pool.stride_w == 2 &&
           pool.pad_top == 0 && pool.pad_left == 0 && pool.out_h == g_.out_h / 2 &&
           pool.out_w == g_.out_w / 2;
  }

  // The call's input, a channel at a time.
  Slice RecordPlanes(StepBuilder& builder, const LayerCall& call) const {
    const Slice x = call.inputs[0];
    if (kernels::Conv2dInputIsPlanes(g_)) return x;
    const int64_t elements = kernels::Conv2dPlaneElements(g_);
    const Slice planes = builder.AllocateActivation(elements);
    const int64_t blocks = builder.geometry().blocks;
    const double bytes = 4.0 * static_cast<double>(InputElements() + elements);
    builder.Call({.label = call.label + "/planes", .bytes = SlotCount(builder) * bytes},
                 [=, this](const Binder& at) {
                   const kernels::Conv2dMakePlanesArgs args{g_, blocks, at.At(x), at.At(planes)};
                   return BindKernel(&kernels::Conv2dMakePlanes, args,
                                     kernels::Conv2dMakePlanesUnits(args));
                 });
    return planes;
  }

  // The pooled gradient over the whole of the convolution's output.
  void RecordSpread(StepBuilder& builder, LayerCall& call) const {
    const int64_t elements = g_.out_h * g_.out_w * g_.filters;
    const int64_t blocks = builder.geometry().blocks;
    const Slice d_pooled = call.saved[0], choice = call.saved[1];
    const Slice d_z = builder.AllocateActivation(elements);
    const double bytes = 5.0 * static_cast<double>(output_shape_.elements() + elements);
    builder.Call(
        {.label = call.label + "/spread_gradient",
         .bytes = SlotCount(builder) * bytes,
         .checked = d_z,
         .features = elements},
        [=, this](const Binder& at) {
          const kernels::MaxPoolBackwardArgs args{
              {g_.out_h, g_.out_w, g_.filters, 2, 2, 2, 2, 0, 0, g_.out_h / 2, g_.out_w / 2},
              blocks,
              at.At(d_pooled),
              at.At<uint8_t>(choice),
              at.At(d_z),
              /*accumulate=*/false};
          return BindKernel(&kernels::MaxPoolBackward, args, kernels::MaxPoolBackwardUnits(args));
        });
    call.saved = {d_z};
  }

  // What is left of the activation in this call: nothing where the loss takes the logits.
  ActivationUse Use(const LayerCall& call) const {
    return {.label = call.label + "/activation",
            .kind = call.logits ? ActivationKind::kLinear : activation_,
            .positions = output_shape_.elements() / g_.filters,
            .features = g_.filters};
  }
  int64_t InputElements() const { return g_.height * g_.width * g_.channels; }
  Slice Bias(const LayerCall& call) const { return use_bias_ ? call.variables[1] : Slice{}; }
  CallInfo Info(const StepBuilder& builder, const LayerCall& call, absl::string_view what,
                Slice checked, int64_t elements) const {
    const double slots = SlotCount(builder);
    return {.label = absl::StrCat(call.label, what),
            .flops = flops_ * slots,
            .bytes = 4.0 * slots * static_cast<double>(InputElements() + output_shape_.elements()),
            .checked = checked,
            .features = elements};
  }

  kernels::Conv2dGeometry g_;
  bool use_bias_;
  ActivationKind activation_;
  bool pooled_ = false;  // 2 x 2 max pooling behind the activation
};

absl::StatusOr<std::unique_ptr<Layer>> Make(const Options& options,
                                            absl::Span<const Shape> inputs) {
  LOCKSTEP_RETURN_IF_ERROR(CheckInputCount(inputs.size(), 1));
  LOCKSTEP_ASSIGN_OR_RETURN(const kernels::Conv2dGeometry geometry, Geometry(options, inputs[0]));
  return std::make_unique<Conv2d>(options, geometry);
}

constexpr LayerExample kExamples[] = {
    {.options = "{filters: 3, kernel_size: 3}", .inputs = {{6, 5, 2}}},
    {.options = "{filters: 9, kernel_size: [2, 3], strides: 2, padding: same, activation: relu}",
     .inputs = {{7, 8, 1}}},
    {.options = "{filters: 4, kernel_size: 3, dilation_rate: 2, groups: 2, use_bias: false}",
     .inputs = {{7, 7, 4}}},
    {.options = "{filters: 2, kernel_size: 1, activation: tanh}", .inputs = {{3, 3, 5}}},
};

}  // namespace

extern const LayerDef kDef;
constinit const LayerDef kDef = {"conv2d", "2-D convolution over (height, width, channels)",
                                 kOptions, &Make, kExamples};

}  // namespace lockstep::layers::conv2d
