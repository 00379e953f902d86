#include "common/tensor/shape.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace lockstep {

absl::StatusOr<Shape> Shape::Checked(std::vector<int64_t> dims, int64_t elements_max) {
  Shape shape(std::move(dims));
  int64_t elements = 1;
  for (const int64_t dim : shape.dims_) {
    if (dim < 1) {
      return absl::InvalidArgumentError(absl::StrCat("shape ", shape.ToString(), " has dimension ",
                                                     dim, "; use sizes of 1 or more"));
    }
    if (dim > elements_max / elements) {
      return absl::InvalidArgumentError(absl::StrCat("shape ", shape.ToString(), " has more than ",
                                                     elements_max, " elements; use smaller sizes"));
    }
    elements *= dim;
  }
  return shape;
}

int64_t Shape::elements() const {
  int64_t elements = 1;
  for (const int64_t dim : dims_) elements *= dim;
  return elements;
}

std::string Shape::ToString() const {
  return absl::StrCat("(", absl::StrJoin(dims_, ", "), dims_.size() == 1 ? ",)" : ")");
}

std::string Shape::ToWords() const { return dims_.empty() ? "1" : absl::StrJoin(dims_, "x"); }

std::string Shape::ToJson() const { return absl::StrCat("[", absl::StrJoin(dims_, ", "), "]"); }

}  // namespace lockstep
