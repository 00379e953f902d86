// TensorSpec and TensorView: a float32 tensor by name, without and with its values.
// Invariant: `values` has shape.elements() elements, row-major, and does not own them.
#ifndef LOCKSTEP_COMMON_CHECKPOINT_TENSOR_VIEW_H_
#define LOCKSTEP_COMMON_CHECKPOINT_TENSOR_VIEW_H_

#include <bit>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "common/tensor/shape.h"

namespace lockstep {

static_assert(std::endian::native == std::endian::little, "files hold the bytes of memory");

struct TensorSpec {
  std::string name;
  Shape shape;
  friend bool operator==(const TensorSpec&, const TensorSpec&) = default;
};

struct TensorView {
  std::string name;
  Shape shape;
  absl::Span<const float> values;
};

inline absl::string_view BytesOf(absl::Span<const float> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_CHECKPOINT_TENSOR_VIEW_H_
