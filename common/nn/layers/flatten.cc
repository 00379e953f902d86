// Flatten: all dimensions of a sample into one, row-major.
#include "common/nn/layer_support.h"
#include "common/nn/view_layer.h"

namespace lockstep::layers::flatten {
namespace {

absl::StatusOr<std::unique_ptr<Layer>> Make(const Options&, absl::Span<const Shape> inputs) {
  LOCKSTEP_RETURN_IF_ERROR(CheckInputCount(inputs.size(), 1));
  return std::make_unique<ViewLayer>(Shape{inputs[0].elements()});
}

constexpr LayerExample kExamples[] = {{.options = "{}", .inputs = {{3, 4, 2}}}};

}  // namespace

extern const LayerDef kDef;
constinit const LayerDef kDef = {"flatten", "one dimension, row-major", {}, &Make, kExamples};

}  // namespace lockstep::layers::flatten
