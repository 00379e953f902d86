// Windows over images: padding and output sizes as Keras computes them, shared by convolution and
// pooling.
#ifndef LOCKSTEP_COMMON_NN_WINDOW_H_
#define LOCKSTEP_COMMON_NN_WINDOW_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/tensor/shape.h"

namespace lockstep {

struct WindowAxis {
  int64_t before = 0;  // padding cells before the first one
  int64_t out = 0;     // output positions
};

struct WindowRequest {
  absl::string_view axis;    // "height" or "width", for messages
  absl::string_view option;  // "kernel_size" or "pool_size", for messages
  int64_t in = 0;
  int64_t window = 0;
  int64_t stride = 1;
  int64_t dilation = 1;
};

// valid: out = floor((in - span) / stride) + 1, span = (window - 1) dilation + 1. same: out =
// ceil(in / stride), the padding max((out - 1) stride + span - in, 0) with its odd cell after.
// INVALID_ARGUMENT where a valid window is larger than its input.
absl::StatusOr<WindowAxis> PlaceWindow(const WindowRequest& request, bool same);

// INVALID_ARGUMENT unless the shape is (height, width, channels).
absl::Status CheckImage(const Shape& input);
absl::Status CheckInputCount(size_t given, size_t wanted);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_NN_WINDOW_H_
