// What the two pooling layers share: their options and their geometry.
#ifndef LOCKSTEP_COMMON_NN_POOLING_H_
#define LOCKSTEP_COMMON_NN_POOLING_H_

#include "common/kernels/pooling.h"
#include "common/nn/layer_support.h"

namespace lockstep {

inline constexpr OptionDoc kPoolingOptions[] = {
    {.name = "pool_size",
     .type = OptionType::kInts,
     .fallback = "2",
     .min = 1,
     .length = 2,
     .help = "window"},
    {.name = "strides",
     .type = OptionType::kInts,
     .fallback = "null",
     .min = 1,
     .length = 2,
     .nullable = true,
     .help = "step of the window; null: pool_size"},
    PaddingOption(),
};

// INVALID_ARGUMENT where the input is no image or the window does not fit.
absl::StatusOr<kernels::PoolGeometry> PoolingGeometry(const Options& options, const Shape& input);

// Cost of a pooling call: each operand once.
CallInfo PoolingInfo(const StepBuilder& builder, std::string label,
                     const kernels::PoolGeometry& geometry);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_NN_POOLING_H_
