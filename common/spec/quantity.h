// Counts, times and amounts of memory as a job file writes them: 500, "60s", "4GiB".
// Thread: pure. Errors: INVALID_ARGUMENT with the place, the value and the forms allowed.
#ifndef LOCKSTEP_COMMON_SPEC_QUANTITY_H_
#define LOCKSTEP_COMMON_SPEC_QUANTITY_H_

#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "common/spec/value.h"

namespace lockstep {

struct CountRange {
  uint64_t min = 0;
  uint64_t max = std::numeric_limits<uint64_t>::max();
};

// An int, or its digits in a string, as protobuf's JSON writes 64-bit numbers.
absl::StatusOr<uint64_t> ParseCount(const Value& value, absl::string_view where, CountRange range);

// "60s", "1.5h", "1h30m": a millisecond to a year, whole nanoseconds.
absl::StatusOr<absl::Duration> ParseDuration(const Value& value, absl::string_view where);

// "4GiB", "500MB", "1024B" or an int of bytes; at least one byte.
absl::StatusOr<int64_t> ParseBytes(const Value& value, absl::string_view where);

// The form that ParseDuration and protobuf's Duration share: "60s", "0.5s".
std::string FormatSeconds(absl::Duration duration);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_SPEC_QUANTITY_H_
