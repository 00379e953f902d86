#include "common/data/array_header.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace lockstep {

std::string ArrayHeader::ToString() const {
  return absl::StrCat(SampleTypeName(element.type), " ", Shape(dims).ToString());
}

absl::StatusOr<ArrayHeader> MakeArrayHeader(ElementType element, std::vector<int64_t> dims,
                                            int64_t header_bytes) {
  ArrayHeader header = {.element = element, .dims = std::move(dims), .header_bytes = header_bytes};
  if (header.dims.empty()) {
    return absl::FailedPreconditionError(
        "it holds one number, not an array; its first dimension must count the samples");
  }
  int64_t bytes = kernels::SampleTypeBytes(element.type);
  int64_t total_bytes = 0;
  for (const int64_t dim : header.dims) {
    if (dim < 1) {
      return absl::FailedPreconditionError(
          absl::StrCat("its shape ", Shape(header.dims).ToString(),
                       " has no elements; give at least one sample"));
    }
    if (__builtin_mul_overflow(bytes, dim, &bytes) ||
        __builtin_add_overflow(bytes, header_bytes, &total_bytes)) {
      return absl::DataLossError(absl::StrCat("its shape ", Shape(header.dims).ToString(),
                                              " has more than 2^63 bytes; the header is damaged"));
    }
  }
  header.data_bytes = bytes;
  return header;
}

}  // namespace lockstep
