#include "common/nn/window.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace lockstep {

absl::StatusOr<WindowAxis> PlaceWindow(const WindowRequest& request, bool same) {
  const int64_t span = (request.window - 1) * request.dilation + 1;
  if (same) {
    const int64_t out = (request.in + request.stride - 1) / request.stride;
    const int64_t total = std::max<int64_t>((out - 1) * request.stride + span - request.in, 0);
    return WindowAxis{.before = total / 2, .out = out};
  }
  if (span > request.in) {
    return absl::InvalidArgumentError(absl::StrCat("window of ", span, " is larger than input ",
                                                   request.axis, " ", request.in, "; reduce '",
                                                   request.option, "' or set 'padding' to 'same'"));
  }
  return WindowAxis{.before = 0, .out = (request.in - span) / request.stride + 1};
}

absl::Status CheckImage(const Shape& input) {
  if (input.ndim() == 3) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "input shape ", input.ToString(),
      " is no image; give it (height, width, channels), for example with a reshape layer"));
}

absl::Status CheckInputCount(size_t given, size_t wanted) {
  if (given == wanted) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("has ", given, " inputs but takes ", wanted, "; correct 'inputs'"));
}

}  // namespace lockstep
