// ParseNpyHeader: the header of an array as NumPy writes it (.npy, versions 1 to 3), read by hand:
// nothing in it is evaluated; docs/FORMATS.md#npz. Thread: pure. Errors: FAILED_PRECONDITION for a
// sound array of a kind that is not read, with the way to save it, DATA_LOSS for a damaged header;
// without the array's name, which the caller adds.
#ifndef LOCKSTEP_COMMON_DATA_NPY_HEADER_H_
#define LOCKSTEP_COMMON_DATA_NPY_HEADER_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/data/array_header.h"

namespace lockstep {

inline constexpr int64_t kNpyDictBytesMax = 65535;  // NumPy itself stops at 10,000
inline constexpr int64_t kNpyHeaderBytesMax = 12 + kNpyDictBytesMax;
inline constexpr int64_t kNpyDimsMax = 32;

// `start`: the first bytes of the array's file, kNpyHeaderBytesMax of them unless it is shorter.
absl::StatusOr<ArrayHeader> ParseNpyHeader(absl::string_view start);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_DATA_NPY_HEADER_H_
