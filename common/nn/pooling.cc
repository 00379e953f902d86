#include "common/nn/pooling.h"

namespace lockstep {

absl::StatusOr<kernels::PoolGeometry> PoolingGeometry(const Options& options, const Shape& input) {
  LOCKSTEP_RETURN_IF_ERROR(CheckImage(input));
  const std::vector<int64_t> pool = options.GetInts("pool_size");
  const std::vector<int64_t> strides =
      options.IsNull("strides") ? pool : options.GetInts("strides");
  const bool same = options.GetString("padding") == "same";
  LOCKSTEP_ASSIGN_OR_RETURN(
      const WindowAxis rows,
      PlaceWindow({"height", "pool_size", input.dim(0), pool[0], strides[0]}, same));
  LOCKSTEP_ASSIGN_OR_RETURN(
      const WindowAxis columns,
      PlaceWindow({"width", "pool_size", input.dim(1), pool[1], strides[1]}, same));
  return kernels::PoolGeometry{.height = input.dim(0),
                               .width = input.dim(1),
                               .channels = input.dim(2),
                               .pool_h = pool[0],
                               .pool_w = pool[1],
                               .stride_h = strides[0],
                               .stride_w = strides[1],
                               .pad_top = rows.before,
                               .pad_left = columns.before,
                               .out_h = rows.out,
                               .out_w = columns.out};
}

CallInfo PoolingInfo(const StepBuilder& builder, std::string label,
                     const kernels::PoolGeometry& g) {
  const double outputs = static_cast<double>(g.out_h * g.out_w * g.channels);
  const double inputs = static_cast<double>(g.height * g.width * g.channels);
  return {.label = std::move(label),
          .flops = SlotCount(builder) * outputs * static_cast<double>(g.pool_h * g.pool_w),
          .bytes = SlotCount(builder) * 4.0 * (inputs + outputs)};
}

}  // namespace lockstep
