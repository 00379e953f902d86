// RunEmbedded: one job under a coordinator inside this process: the same job machine, loop and
// launchers as the service's, with a store in memory. `lockstep run` and `evaluate` are this.
// Thread: the caller's until the job has settled. Errors: FAILED_PRECONDITION (another run is alive
// in the directory), NOT_FOUND (mpirun, the worker), INVALID_ARGUMENT (LOCKSTEP_SIMD),
// check_output's, the file system's; the job's own end is in Job.
#ifndef LOCKSTEP_COORDINATOR_APP_EMBEDDED_COORDINATOR_H_
#define LOCKSTEP_COORDINATOR_APP_EMBEDDED_COORDINATOR_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "common/spec/job_spec.h"
#include "coordinator/jobs/job.h"
#include "coordinator/jobs/job_loop.h"

namespace lockstep {

struct EmbeddedRun {
  const JobSpec* spec = nullptr;  // workers, threads and output directory included
  // Asked before anything is started, when no other run can change the output directory; or null.
  std::function<absl::Status()> check_output;
  bool resume = false;                      // the first attempt too goes on from a checkpoint
  std::vector<std::string> worker_options;  // further ones, for every attempt
};

// Interrupts (SIGINT, SIGTERM, SIGHUP) ask the job to checkpoint and stop; a second one kills it.
// The result is the settled job: SUCCEEDED, FAILED or, after an interrupt, PAUSED.
absl::StatusOr<Job> RunEmbedded(const EmbeddedRun& run, JobObserver& observer);

// The exit code, if this process was started as a launch helper; to be asked first in main.
std::optional<int> MaybeLaunchHelper(int argc, char** argv);

}  // namespace lockstep

#endif  // LOCKSTEP_COORDINATOR_APP_EMBEDDED_COORDINATOR_H_
