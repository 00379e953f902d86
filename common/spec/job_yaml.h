// ParseYaml: the text of a job file, YAML or JSON (which is YAML), as a Value. The only file that
// names yaml-cpp. Thread: pure. Errors: INVALID_ARGUMENT "job.yaml:12:9: what". Nothing in the text
// can cost more than the limits below: anchors, aliases, tags, several documents and duplicate keys
// are refused.
#ifndef LOCKSTEP_COMMON_SPEC_JOB_YAML_H_
#define LOCKSTEP_COMMON_SPEC_JOB_YAML_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "common/spec/value.h"

namespace lockstep {

inline constexpr int64_t kYamlBytesMax = int64_t{16} << 20;
inline constexpr int64_t kYamlNodesMax = 200'000;
inline constexpr int kYamlDepthMax = 64;

// Plain scalars follow YAML 1.2's core schema: null, true, 12, 0x1f, 1e-3; anything else and all
// that is quoted is a string.
absl::StatusOr<Value> ParseYaml(absl::string_view text, absl::string_view file_name);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_SPEC_JOB_YAML_H_
