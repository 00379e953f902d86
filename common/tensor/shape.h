// Shape: the dimensions of one sample or one variable, outermost first; the batch is never part of
// it.
#ifndef LOCKSTEP_COMMON_TENSOR_SHAPE_H_
#define LOCKSTEP_COMMON_TENSOR_SHAPE_H_

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace lockstep {

class Shape {
 public:
  Shape() = default;  // a scalar: no dimensions, one element
  Shape(std::initializer_list<int64_t> dims) : dims_(dims) {}
  explicit Shape(std::vector<int64_t> dims) : dims_(std::move(dims)) {}

  // INVALID_ARGUMENT where a dimension is < 1 or the product of all passes `elements_max`.
  static absl::StatusOr<Shape> Checked(std::vector<int64_t> dims,
                                       int64_t elements_max = int64_t{1} << 40);

  int ndim() const { return static_cast<int>(dims_.size()); }
  int64_t dim(int axis) const { return dims_[static_cast<size_t>(axis)]; }
  int64_t back() const { return dims_.back(); }
  const std::vector<int64_t>& dims() const { return dims_; }
  int64_t elements() const;
  std::string ToString() const;  // "(28, 28, 1)", "(10,)", "()"
  std::string ToJson() const;    // "[28, 28, 1]"
  std::string ToWords() const;   // "28x28x1", "10", "1"

  friend bool operator==(const Shape&, const Shape&) = default;

 private:
  std::vector<int64_t> dims_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_TENSOR_SHAPE_H_
