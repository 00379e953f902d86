// Job files for the tests of common/spec: a small valid one, and the same with one key replaced.
#ifndef LOCKSTEP_TESTS_COMMON_SPEC_JOB_TEXT_H_
#define LOCKSTEP_TESTS_COMMON_SPEC_JOB_TEXT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

#include "common/spec/job_spec.h"

namespace lockstep::testing {

inline constexpr absl::string_view kSmallJob =
    "model: {input_shape: [4], layers: [{dense: {units: 2}}]}\n"
    "data: {train: {format: idx, inputs: x, targets: y}}\n"
    "loss: mean_squared_error\n"
    "optimizer: adam\n";

// kSmallJob with the line of that key replaced, or added at its end. An empty line removes the key.
inline std::string SmallJobWith(absl::string_view key, absl::string_view line) {
  std::string text;
  bool found = false;
  for (absl::string_view old : absl::StrSplit(kSmallJob, '\n', absl::SkipEmpty())) {
    const bool replaced = old.substr(0, key.size() + 1) == absl::StrCat(key, ":");
    found = found || replaced;
    absl::StrAppend(&text, replaced ? line : old, "\n");
  }
  if (!found) absl::StrAppend(&text, line, "\n");
  return text;
}

// The line is "key: value".
inline absl::StatusOr<JobSpec> LoadWith(absl::string_view line) {
  const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 1));
  return LoadJobSpec(SmallJobWith(parts[0], line), "job.yaml", "/jobs");
}
inline absl::StatusOr<JobSpec> LoadWithout(absl::string_view key) {
  return LoadJobSpec(SmallJobWith(key, ""), "job.yaml", "/jobs");
}

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_COMMON_SPEC_JOB_TEXT_H_
