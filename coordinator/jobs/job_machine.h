// AdvanceJob: the policy of a job's life, a pure function (job, event) -> (job, effects).
// Thread: pure; knows no clock, no file, no thread: time arrives in the event.
// Errors: FAILED_PRECONDITION for a request that the state forbids. Late or stale reports change
// nothing and are no error. Invariants: at most one live attempt; terminal states stay; a new
// attempt starts only after the old one has ended.
#ifndef LOCKSTEP_COORDINATOR_JOBS_JOB_MACHINE_H_
#define LOCKSTEP_COORDINATOR_JOBS_JOB_MACHINE_H_

#include <vector>

#include "absl/status/statusor.h"

#include "coordinator/jobs/job.h"

namespace lockstep {

struct JobPolicy {
  int fruitless_attempts_max = 3;                   // then FAILED with CRASH_LOOP
  absl::Duration backoff_first = absl::Seconds(1);  // before the second relaunch in a row; doubles
  absl::Duration backoff_max = absl::Seconds(60);
  absl::Duration stop_deadline = absl::Seconds(60);  // from "checkpoint and stop" to the kill
};

struct JobAdvance {
  Job job;
  std::vector<JobEffect> effects;
};

// A new job, QUEUED.
Job CreateJob(std::string id, absl::Time time);

absl::StatusOr<JobAdvance> AdvanceJob(const Job& job, const JobEvent& event,
                                      const JobPolicy& policy);

// True for the edges of the state diagram (docs: DESIGN of the service); `from == to` is no edge.
bool IsLegalTransition(JobState from, JobState to);

}  // namespace lockstep

#endif  // LOCKSTEP_COORDINATOR_JOBS_JOB_MACHINE_H_
