// AveragePooling2D: the mean of each window; "same" padding is not part of the mean, as in Keras.
#include "common/nn/average_pooling.h"

namespace lockstep::layers::average_pooling2d {
namespace {

absl::StatusOr<std::unique_ptr<Layer>> Make(const Options& options,
                                            absl::Span<const Shape> inputs) {
  LOCKSTEP_RETURN_IF_ERROR(CheckInputCount(inputs.size(), 1));
  LOCKSTEP_ASSIGN_OR_RETURN(const kernels::PoolGeometry geometry,
                            PoolingGeometry(options, inputs[0]));
  return std::make_unique<AveragePooling>(geometry,
                                          Shape{geometry.out_h, geometry.out_w, geometry.channels});
}

constexpr LayerExample kExamples[] = {
    {.options = "{}", .inputs = {{6, 7, 3}}},
    {.options = "{pool_size: 3, strides: 2, padding: same}", .inputs = {{5, 6, 2}}},
};

}  // namespace

extern const LayerDef kDef;
constinit const LayerDef kDef = {"average_pooling2d", "mean of each window, padding left out",
                                 kPoolingOptions, &Make, kExamples};

}  // namespace lockstep::layers::average_pooling2d
