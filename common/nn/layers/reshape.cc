// Reshape: the same values under `target_shape`; one dimension may be -1.
#include "common/nn/layer_support.h"
#include "common/nn/view_layer.h"

namespace lockstep::layers::reshape {
namespace {

constexpr OptionDoc kOptions[] = {
    {.name = "target_shape",
     .type = OptionType::kInts,
     .min = -1,
     .help = "dimensions of one sample; one of them may be -1"},
};

absl::StatusOr<Shape> Resolve(std::vector<int64_t> target, const Shape& input) {
  int64_t known = 1;
  int unknown = -1;
  for (size_t axis = 0; axis < target.size(); ++axis) {
    if (target[axis] == -1 && unknown >= 0) {
      return absl::InvalidArgumentError("target_shape has more than one -1; name all but one");
    }
    if (target[axis] == -1) {
      unknown = static_cast<int>(axis);
    } else if (target[axis] < 1 || target[axis] > input.elements() / known) {
      known = 0;
      break;
    } else {
      known *= target[axis];
    }
  }
  const bool fits = known > 0 && input.elements() % known == 0;
  if (fits && unknown >= 0) target[static_cast<size_t>(unknown)] = input.elements() / known;
  Shape shape(std::move(target));
  if (!fits || shape.elements() != input.elements()) {
    return absl::InvalidArgumentError(
        absl::StrCat("target_shape ", shape.ToString(), " does not hold the ", input.elements(),
                     " values of input shape ", input.ToString(), "; make the products equal"));
  }
  return shape;
}

absl::StatusOr<std::unique_ptr<Layer>> Make(const Options& options,
                                            absl::Span<const Shape> inputs) {
  LOCKSTEP_RETURN_IF_ERROR(CheckInputCount(inputs.size(), 1));
  LOCKSTEP_ASSIGN_OR_RETURN(Shape shape, Resolve(options.GetInts("target_shape"), inputs[0]));
  return std::make_unique<ViewLayer>(std::move(shape));
}

constexpr LayerExample kExamples[] = {
    {.options = "{target_shape: [4, 6]}", .inputs = {{2, 3, 4}}},
    {.options = "{target_shape: [2, -1, 2]}", .inputs = {{12}}},
};

}  // namespace

extern const LayerDef kDef;
constinit const LayerDef kDef = {"reshape", "the same values under another shape", kOptions, &Make,
                                 kExamples};

}  // namespace lockstep::layers::reshape
