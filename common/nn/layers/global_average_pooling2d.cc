// GlobalAveragePooling2D: the mean of each channel over the whole image.
#include "common/nn/average_pooling.h"

namespace lockstep::layers::global_average_pooling2d {
namespace {

constexpr OptionDoc kOptions[] = {
    {.name = "keepdims",
     .type = OptionType::kBool,
     .fallback = "false",
     .help = "keep height and width as dimensions of 1"},
};

absl::StatusOr<std::unique_ptr<Layer>> Make(const Options& options,
                                            absl::Span<const Shape> inputs) {
  LOCKSTEP_RETURN_IF_ERROR(CheckInputCount(inputs.size(), 1));
  LOCKSTEP_RETURN_IF_ERROR(CheckImage(inputs[0]));
  const int64_t height = inputs[0].dim(0);
  const int64_t width = inputs[0].dim(1);
  const int64_t channels = inputs[0].dim(2);
  const kernels::PoolGeometry geometry{.height = height,
                                       .width = width,
                                       .channels = channels,
                                       .pool_h = height,
                                       .pool_w = width,
                                       .stride_h = height,
                                       .stride_w = width,
                                       .pad_top = 0,
                                       .pad_left = 0,
                                       .out_h = 1,
                                       .out_w = 1};
  return std::make_unique<AveragePooling>(
      geometry, options.GetBool("keepdims") ? Shape{1, 1, channels} : Shape{channels});
}

constexpr LayerExample kExamples[] = {
    {.options = "{}", .inputs = {{3, 4, 5}}},
    {.options = "{keepdims: true}", .inputs = {{2, 2, 1}}},
};

}  // namespace

extern const LayerDef kDef;
constinit const LayerDef kDef = {"global_average_pooling2d", "mean of each channel", kOptions,
                                 &Make, kExamples};

}  // namespace lockstep::layers::global_average_pooling2d
