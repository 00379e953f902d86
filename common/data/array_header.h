// ArrayHeader: type and shape of the array of samples that a file holds; what every parser of such
// headers (idx_header.h, npy_header.h) returns. Thread: a plain value. Invariant: at least one
// dimension, every one at least 1, and header and elements together below 2^63 bytes.
#ifndef LOCKSTEP_COMMON_DATA_ARRAY_HEADER_H_
#define LOCKSTEP_COMMON_DATA_ARRAY_HEADER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "common/data/data_signature.h"

namespace lockstep {

// How an element lies in the file.
enum class ElementForm {
  kNative,   // as in this machine's memory
  kSwapped,  // in the other byte order
  kTruth,    // one byte, zero or not; read as 0 or 1
};

struct ElementType {
  kernels::SampleType type = kernels::SampleType::kF32;
  ElementForm form = ElementForm::kNative;
};

struct ArrayHeader {
  ElementType element;
  std::vector<int64_t> dims;  // the first one counts the samples
  int64_t header_bytes = 0;   // what stands before the elements
  int64_t data_bytes = 0;     // of all elements, row-major

  int64_t count() const { return dims.front(); }
  Shape sample_shape() const { return Shape({dims.begin() + 1, dims.end()}); }
  int64_t total_bytes() const { return header_bytes + data_bytes; }
  std::string ToString() const;  // "u8 (60000, 28, 28)"
};

// FAILED_PRECONDITION: no dimension or no elements. DATA_LOSS: too many bytes.
absl::StatusOr<ArrayHeader> MakeArrayHeader(ElementType element, std::vector<int64_t> dims,
                                            int64_t header_bytes);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_DATA_ARRAY_HEADER_H_
