// Concatenate: inputs side by side along one axis; the other dimensions are equal.
#include "common/nn/layer_support.h"

namespace lockstep::layers::concatenate {
namespace {

constexpr OptionDoc kOptions[] = {
    {.name = "axis",
     .type = OptionType::kInt,
     .fallback = "-1",
     .help = "axis as Keras counts it: 0 is the batch (not allowed), -1 the last"},
};

// `outer` rows of `widths[i]` features each, in turn.
class Concatenate final : public Layer {
 public:
  Concatenate(absl::Span<const Shape> inputs, int axis) {
    std::vector<int64_t> dims = inputs[0].dims();
    dims[static_cast<size_t>(axis)] = 0;
    for (int i = 0; i < axis; ++i) outer_ *= inputs[0].dim(i);
    for (const Shape& input : inputs) {
      dims[static_cast<size_t>(axis)] += input.dim(axis);
      widths_.push_back(input.elements() / outer_);
      width_ += widths_.back();
    }
    output_shape_ = Shape(std::move(dims));
  }

  void Forward(StepBuilder& builder, LayerCall& call) const override {
    call.output = builder.AllocateActivation(output_shape_.elements());
    int64_t offset = 0;
    for (size_t i = 0; i < widths_.size(); ++i) {
      Record(builder, call.label + "/forward",
             {.rows = outer_,
              .width = widths_[i],
              .src_width = widths_[i],
              .dst_width = width_,
              .dst_offset = offset},
             call.inputs[i], call.output);
      offset += widths_[i];
    }
  }

  void Backward(StepBuilder& builder, LayerCall& call, Slice d_output,
                absl::Span<GradientSink* const> d_inputs) const override {
    int64_t offset = 0;
    for (size_t i = 0; i < widths_.size(); ++i) {
      if (d_inputs[i]->wanted()) {
        const GradientSink::Target target = d_inputs[i]->Write(builder);
        Record(builder, call.label + "/backward",
               {.rows = outer_,
                .width = widths_[i],
                .src_width = width_,
                .src_offset = offset,
                .dst_width = widths_[i],
                .accumulate = target.accumulate},
               d_output, target.slice);
      }
      offset += widths_[i];
    }
  }

 private:
  static void Record(StepBuilder& builder, std::string label, kernels::CopyFeaturesArgs args,
                     Slice from, Slice to) {
    args.blocks = builder.geometry().blocks;
    const double bytes = 8.0 * SlotCount(builder) * static_cast<double>(args.rows * args.width);
    builder.Call({.label = std::move(label), .bytes = bytes}, [=](const Binder& at) {
      kernels::CopyFeaturesArgs bound = args;
      bound.src = at.At(from);
      bound.dst = at.At(to);
      return BindKernel(&kernels::CopyFeatures, bound, kernels::CopyFeaturesUnits(bound));
    });
  }

  int64_t outer_ = 1;
  int64_t width_ = 0;
  std::vector<int64_t> widths_;
};

absl::StatusOr<std::unique_ptr<Layer>> Make(const Options& options,
                                            absl::Span<const Shape> inputs) {
  if (inputs.size() < 2) {
    return absl::InvalidArgumentError("joins two or more inputs; name them in 'inputs'");
  }
  const int ndim = inputs[0].ndim();
  const int64_t keras_axis = options.GetInt("axis");
  const int64_t axis = keras_axis < 0 ? ndim + keras_axis : keras_axis - 1;
  if (axis < 0 || axis >= ndim) {
    return absl::InvalidArgumentError(
        absl::StrCat("axis ", keras_axis, " is outside of input shape ", inputs[0].ToString(),
                     " behind the batch; use 1 to ", ndim, " or -1 to -", ndim));
  }
  for (const Shape& input : inputs) {
    bool fits = input.ndim() == ndim;
    for (int i = 0; fits && i < ndim; ++i) fits = i == axis || input.dim(i) == inputs[0].dim(i);
    if (fits) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("input shapes ", inputs[0].ToString(), " and ", input.ToString(),
                     " differ outside of axis ", keras_axis, "; make the other dimensions equal"));
  }
  return std::make_unique<Concatenate>(inputs, static_cast<int>(axis));
}

constexpr LayerExample kExamples[] = {
    {.options = "{}", .inputs = {{5}, {2}}},
    {.options = "{axis: 1}", .inputs = {{2, 3}, {1, 3}, {4, 3}}},
    {.options = "{axis: -1}", .inputs = {{2, 2, 1}, {2, 2, 3}}},
};

}  // namespace

extern const LayerDef kDef;
constinit const LayerDef kDef = {"concatenate", "inputs side by side along one axis", kOptions,
                                 &Make, kExamples};

}  // namespace lockstep::layers::concatenate
