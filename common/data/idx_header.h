// ParseIdxHeader: the header of an IDX file (MNIST and its family): two zero bytes, a type, the
// number of dimensions, then each as a big-endian 32-bit number; docs/FORMATS.md#idx. Thread: pure.
// Errors: FAILED_PRECONDITION for what is no IDX file or holds nothing, DATA_LOSS for a damaged
// one; without the file's name, which the caller adds.
#ifndef LOCKSTEP_COMMON_DATA_IDX_HEADER_H_
#define LOCKSTEP_COMMON_DATA_IDX_HEADER_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/data/array_header.h"

namespace lockstep {

inline constexpr int64_t kIdxDimsMax = 8;
inline constexpr int64_t kIdxHeaderBytesMax = 4 + 4 * kIdxDimsMax;

// `start`: the first bytes of the file, kIdxHeaderBytesMax of them unless it is shorter.
absl::StatusOr<ArrayHeader> ParseIdxHeader(absl::string_view start);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_DATA_IDX_HEADER_H_
