// StepProfile: where the time of a training step goes, measured with all workers of the job as
// threads of this process: the real plan, the job's data, the trainer's own steps. Nothing is
// written. Thread: any one. Errors: FAILED_PRECONDITION where the workers would share cores; the
// trainer's.
#ifndef LOCKSTEP_WORKER_PROFILE_STEP_PROFILE_H_
#define LOCKSTEP_WORKER_PROFILE_STEP_PROFILE_H_

#include <array>
#include <vector>

#include "absl/status/statusor.h"

#include "common/plan/prepared_job.h"
#include "worker/train/step_times.h"

namespace lockstep {

// Medians of one rank over the steps, in seconds.
struct StepProfile {
  int steps = 0;
  double step = 0;                             // a whole step that is not timed inside
  double timed_step = 0;                       // one that is
  std::vector<std::vector<double>> calls;      // [phase][entry]
  std::array<double, kStepPartCount> parts{};  // by StepPart
  // Of a step, what is neither a call, nor loading, nor an operation over all parameters.
  double overhead = 0;

  double calls_sum() const;
};

struct ProfileRequest {
  int32_t workers = 1;
  int32_t rank = 0;
  double seconds = 2;  // about
};

absl::StatusOr<StepProfile> ProfileStep(const PreparedJob& job, const ProfileRequest& request);

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_PROFILE_STEP_PROFILE_H_
