// Job: what the coordinator knows of one submitted job, the events that may change it and the
// effects that follow. Thread: values, owned by the job loop. Errors: none. Invariants: `attempt`
// only grows; a terminal state never changes; `history` holds every change of state in order.
#ifndef LOCKSTEP_COORDINATOR_JOBS_JOB_H_
#define LOCKSTEP_COORDINATOR_JOBS_JOB_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "coordinator/launch/attempt_exit.h"

namespace lockstep {

enum class JobState {
  kQueued,      // waits for slots
  kStarting,    // an attempt is launched, no step yet
  kRunning,     // steps are committed
  kRecovering,  // an attempt ended early; the next one is due
  kPaused,      // stopped on request; ResumeRequested goes on from the checkpoint
  kCancelling,  // the attempt is being stopped for good
  kSucceeded,
  kFailed,
  kCancelled,
};
absl::string_view JobStateName(JobState state);  // "QUEUED"
bool IsTerminal(JobState state);

enum class JobReason {
  kNone,
  kWorkerDied,
  kHung,          // no step in time; killed by us
  kLaunchFailed,  // no attempt came up
  kCrashLoop,     // too many attempts without durable progress
  kUserError,
  kDataLoss,
  kNonFinite,
  kOutOfMemory,
  kDiskFull,
  kInterrupted,  // checkpoint and stop was asked for
  kCancelRequested,
};
absl::string_view JobReasonName(JobReason reason);  // "WORKER_DIED"

struct JobTransition {
  JobState state;
  JobReason reason;
  std::string message;
  int attempt;
  absl::Time time;

  friend bool operator==(const JobTransition&, const JobTransition&) = default;
};

// What an attempt that is still alive has been told.
enum class StopOrder { kNone, kPause, kCancel, kKillHung };

struct Job {
  std::string id;
  JobState state = JobState::kQueued;
  JobReason reason = JobReason::kNone;  // of the last transition
  std::string message;                  // of the last transition
  std::vector<JobTransition> history;

  int attempt = 0;             // the newest; 0: never launched
  bool attempt_alive = false;  // launched and not yet known to have ended
  StopOrder stop_order = StopOrder::kNone;
  int64_t step = 0;              // newest committed step seen
  int64_t checkpoint_step = -1;  // newest durable step; -1: none
  int fruitless_attempts = 0;    // ended early in a row without a new checkpoint
  bool fruitful = false;         // this attempt has made a new checkpoint
  std::string hung_message;

  friend bool operator==(const Job&, const Job&) = default;
};

enum class JobTimer { kBackoff, kStopDeadline };

// Events. Those with `attempt` are ignored when it is not the live one: an older attempt is fenced.
struct SlotsGranted {};
struct LaunchStarted {
  int attempt;
};
struct LaunchFailed {
  int attempt;
  absl::Status status;  // INVALID_ARGUMENT, FAILED_PRECONDITION and NOT_FOUND are not retried
};
struct StepCommitted {
  int attempt;
  int64_t step;
};
// What the attempt goes on from: shows a checkpoint of the one before that died before it could
// tell.
struct AttemptResumed {
  int attempt;
  int64_t step;
};
struct CheckpointWritten {
  int attempt;
  int64_t step;
};
struct AttemptHung {
  int attempt;
  std::string message;
};
struct AttemptExited {
  int attempt;
  AttemptExit exit;
};
struct TimerFired {
  JobTimer timer;
  int attempt;
};
struct PauseRequested {};  // checkpoint and stop; a second one kills
struct ResumeRequested {};
struct CancelRequested {};

struct JobEvent {
  absl::Time time;
  std::variant<SlotsGranted, LaunchStarted, LaunchFailed, AttemptResumed, StepCommitted,
               CheckpointWritten, AttemptHung, AttemptExited, TimerFired, PauseRequested,
               ResumeRequested, CancelRequested>
      what;
};

// Effects, performed in order after the new state has been stored.
struct LaunchAttempt {
  int attempt;
  bool resume;  // from the newest checkpoint, where there is one
};
struct AskToStop {  // checkpoint and stop
  int attempt;
};
struct KillAttempt {
  int attempt;
};
struct StartTimer {
  JobTimer timer;
  int attempt;
  absl::Duration delay;
};
using JobEffect = std::variant<LaunchAttempt, AskToStop, KillAttempt, StartTimer>;

}  // namespace lockstep

#endif  // LOCKSTEP_COORDINATOR_JOBS_JOB_H_
