// The canonical text of a job and what --resume compares. Thread: pure. Errors: none.
// Invariant: equal specs give equal texts, and the text is itself a job file (and the JSON of the
// message) for the same spec.
#ifndef LOCKSTEP_COMMON_SPEC_JOB_IDENTITY_H_
#define LOCKSTEP_COMMON_SPEC_JOB_IDENTITY_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

#include "common/spec/job_spec.h"

namespace lockstep {

// Every key with its value, defaults included, sorted, on one line.
std::string ToCanonicalJson(const JobSpec& spec);

// The part that a resumed job must share: all but name, resources, output, launcher, checkpoint,
// train.steps and train.epochs.
std::string CanonicalJobIdentity(const JobSpec& spec);

// Top-level keys in which two identities differ, sorted: {"data", "optimizers"}. Texts that are no
// identity count as empty.
std::vector<std::string> DifferingKeys(absl::string_view identity_a, absl::string_view identity_b);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_SPEC_JOB_IDENTITY_H_
