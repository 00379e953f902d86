// Any bytes are refused with a message or give a job whose canonical text is a job file for the
// same job.
#include <cstddef>
#include <cstdint>
#include <string>

#include "common/base/check.h"
#include "common/spec/job_identity.h"
#include "common/spec/job_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<lockstep::JobSpec> spec = lockstep::LoadJobSpec(text, "job.yaml", "/jobs");
  if (!spec.ok()) {
    LOCKSTEP_CHECK(!spec.status().message().empty());
    return 0;
  }
  const std::string json = lockstep::ToCanonicalJson(*spec);
  const absl::StatusOr<lockstep::JobSpec> back = lockstep::LoadJobSpec(json, "job.json", "/jobs");
  LOCKSTEP_CHECK(back.ok());
  LOCKSTEP_CHECK(*back == *spec);
  LOCKSTEP_CHECK(lockstep::ToCanonicalJson(*back) == json);
  return 0;
}
