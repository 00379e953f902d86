// ZeroPadding2D: a border of zeros around each image.
#include "common/kernels/zero_padding2d.h"

#include <limits>
#include <optional>

#include "common/nn/layer_support.h"

namespace lockstep::layers::zero_padding2d {
namespace {

constexpr OptionDoc kOptions[] = {
    {.name = "padding",
     .fallback = "[1, 1]",
     .help = "cells added: n, [height, width] or [[top, bottom], [left, right]]"},
};

class ZeroPadding2d final : public Layer {
 public:
  ZeroPadding2d(const kernels::ZeroPadding2dGeometry& geometry, Shape output) : g_(geometry) {
    output_shape_ = std::move(output);
  }

  void Forward(StepBuilder& builder, LayerCall& call) const override {
    const int64_t elements = output_shape_.elements();
    const Slice x = call.inputs[0];
    const Slice y = builder.AllocateActivation(elements);
    const int64_t blocks = builder.geometry().blocks;
    call.output = y;
    builder.Call({.label = call.label + "/forward",
                  .bytes = 4.0 * SlotCount(builder) * static_cast<double>(Inside() + elements)},
                 [=, this](const Binder& at) {
                   const kernels::ZeroPadding2dForwardArgs args{g_, blocks, at.At(x), at.At(y)};
                   return BindKernel(&kernels::ZeroPadding2dForward, args,
                                     kernels::ZeroPadding2dForwardUnits(args));
                 });
  }

  void Backward(StepBuilder& builder, LayerCall& call, Slice d_output,
                absl::Span<GradientSink* const> d_inputs) const override {
    if (!d_inputs[0]->wanted()) return;
    const GradientSink::Target target = d_inputs[0]->Write(builder);
    const int64_t blocks = builder.geometry().blocks;
    builder.Call({.label = call.label + "/backward",
                  .bytes = 8.0 * SlotCount(builder) * static_cast<double>(Inside())},
                 [=, this](const Binder& at) {
                   const kernels::ZeroPadding2dBackwardArgs args{
                       g_, blocks, at.At(d_output), at.At(target.slice), target.accumulate};
                   return BindKernel(&kernels::ZeroPadding2dBackward, args,
                                     kernels::ZeroPadding2dBackwardUnits(args));
                 });
  }

 private:
  int64_t Inside() const { return g_.height * g_.width * g_.channels; }

  kernels::ZeroPadding2dGeometry g_;
};

// Cells before and after the image along one axis.
struct Border {
  int64_t before = 0;
  int64_t after = 0;
};

constexpr int64_t kCellsMax = std::numeric_limits<int32_t>::max();

bool IsCells(const Value& value) {
  return value.kind() == Value::Kind::kInt && value.int_value() >= 0 &&
         value.int_value() <= kCellsMax;
}

// n, or [before, after].
std::optional<Border> ParseBorder(const Value& value) {
  if (IsCells(value)) return Border{value.int_value(), value.int_value()};
  if (!value.is_list() || value.list().size() != 2) return std::nullopt;
  const Value &before = value.list()[0], &after = value.list()[1];
  if (!IsCells(before) || !IsCells(after)) return std::nullopt;
  return Border{before.int_value(), after.int_value()};
}

struct Borders {
  Border rows, columns;
};

// n, [height, width] or [[top, bottom], [left, right]].
absl::StatusOr<Borders> ParsePadding(const Value& value) {
  const bool one = !value.is_list();
  if (one || value.list().size() == 2) {
    const std::optional<Border> rows = ParseBorder(one ? value : value.list()[0]);
    const std::optional<Border> columns = one ? rows : ParseBorder(value.list()[1]);
    if (rows && columns) return Borders{*rows, *columns};
  }
  return absl::InvalidArgumentError(
      absl::StrCat("padding is ", value.Describe(), "; give counts of cells from 0 to ", kCellsMax,
                   ": n, [height, width] or [[top, bottom], [left, right]]"));
}

absl::StatusOr<std::unique_ptr<Layer>> Make(const Options& options,
                                            absl::Span<const Shape> inputs) {
  LOCKSTEP_RETURN_IF_ERROR(CheckInputCount(inputs.size(), 1));
  LOCKSTEP_RETURN_IF_ERROR(CheckImage(inputs[0]));
  LOCKSTEP_ASSIGN_OR_RETURN(const Borders borders, ParsePadding(options.GetValue("padding")));
  const kernels::ZeroPadding2dGeometry geometry{.height = inputs[0].dim(0),
                                                .width = inputs[0].dim(1),
                                                .channels = inputs[0].dim(2),
                                                .top = borders.rows.before,
                                                .bottom = borders.rows.after,
                                                .left = borders.columns.before,
                                                .right = borders.columns.after};
  LOCKSTEP_ASSIGN_OR_RETURN(
      Shape output, Shape::Checked({geometry.out_h(), geometry.out_w(), geometry.channels}));
  return std::make_unique<ZeroPadding2d>(geometry, std::move(output));
}

constexpr LayerExample kExamples[] = {
    {.options = "{}", .inputs = {{2, 3, 2}}},
    {.options = "{padding: 2}", .inputs = {{3, 1, 1}}},
    {.options = "{padding: [0, 1]}", .inputs = {{2, 3, 1}}},
    {.options = "{padding: [[1, 0], [2, 3]]}", .inputs = {{2, 2, 3}}},
};

}  // namespace

extern const LayerDef kDef;
constinit const LayerDef kDef = {"zero_padding2d", "a border of zeros around each image", kOptions,
                                 &Make, kExamples};

}  // namespace lockstep::layers::zero_padding2d
