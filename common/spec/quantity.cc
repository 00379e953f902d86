#include "common/spec/quantity.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace lockstep {
namespace {

constexpr absl::Duration kDurationMin = absl::Milliseconds(1);
constexpr absl::Duration kDurationMax = absl::Hours(24 * 366);

constexpr std::pair<absl::string_view, int64_t> kByteUnits[] = {
    {"KiB", int64_t{1} << 10},
    {"MiB", int64_t{1} << 20},
    {"GiB", int64_t{1} << 30},
    {"TiB", int64_t{1} << 40},
    {"kB", 1'000},
    {"KB", 1'000},
    {"MB", 1'000'000},
    {"GB", 1'000'000'000},
    {"TB", 1'000'000'000'000},
    {"B", 1},
};

}  // namespace

absl::StatusOr<uint64_t> ParseCount(const Value& value, absl::string_view where, CountRange range) {
  uint64_t count = 0;
  bool valid = false;
  if (value.kind() == Value::Kind::kInt) {
    valid = value.int_value() >= 0;
    count = static_cast<uint64_t>(value.int_value());
  } else if (value.is_string()) {
    valid = absl::SimpleAtoi(value.string(), &count);
  }
  if (valid && count >= range.min && count <= range.max) return count;
  return ErrorAt(
      value.mark(), where,
      absl::StrCat("is ", value.Describe(), "; use an int from ", range.min, " to ", range.max));
}

absl::StatusOr<absl::Duration> ParseDuration(const Value& value, absl::string_view where) {
  absl::Duration duration;
  if (value.is_string() && absl::ParseDuration(value.string(), &duration) &&
      duration >= kDurationMin && duration <= kDurationMax) {
    return absl::Trunc(duration, absl::Nanoseconds(1));
  }
  return ErrorAt(
      value.mark(), where,
      absl::StrCat("is ", value.Describe(), "; give a time with its unit, like 60s, 5m or 1h30m"));
}

absl::StatusOr<int64_t> ParseBytes(const Value& value, absl::string_view where) {
  int64_t count = 0;
  int64_t unit = 1;
  bool valid = false;
  if (value.kind() == Value::Kind::kInt) {
    count = value.int_value();
    valid = true;
  } else if (value.is_string()) {
    absl::string_view text = value.string();
    for (const auto& [suffix, bytes] : kByteUnits) {
      if (!absl::ConsumeSuffix(&text, suffix)) continue;
      unit = bytes;
      valid = absl::SimpleAtoi(text, &count);
      break;
    }
  }
  if (valid && count >= 1 && count <= std::numeric_limits<int64_t>::max() / unit) {
    return count * unit;
  }
  return ErrorAt(value.mark(), where,
                 absl::StrCat("is ", value.Describe(), "; give bytes, like 4GiB or 500MB"));
}

std::string FormatSeconds(absl::Duration duration) {
  const int64_t nanoseconds = absl::ToInt64Nanoseconds(duration);
  std::string text =
      absl::StrFormat("%d.%09d", nanoseconds / 1'000'000'000, nanoseconds % 1'000'000'000);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text + "s";
}

}  // namespace lockstep
