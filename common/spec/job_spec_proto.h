// JobSpec <-> the message lockstep.v1.JobSpec, through the job file's own text and parser: one
// validator for every way in. Thread: pure. Errors: INVALID_ARGUMENT, the parser's without a
// position; a job whose numbers the message cannot hold exactly (an option's int past 2^53:
// protobuf's Struct keeps doubles).
#ifndef LOCKSTEP_COMMON_SPEC_JOB_SPEC_PROTO_H_
#define LOCKSTEP_COMMON_SPEC_JOB_SPEC_PROTO_H_

#include "absl/status/statusor.h"

#include "common/spec/job_spec.h"
#include "lockstep/v1/job.pb.h"

namespace lockstep {

absl::StatusOr<v1::JobSpec> JobSpecToProto(const JobSpec& spec);

// Paths in the message stay as they are.
absl::StatusOr<JobSpec> JobSpecFromProto(const v1::JobSpec& message);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_SPEC_JOB_SPEC_PROTO_H_
