#include "coordinator/jobs/job_machine.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/base/check.h"
#include "common/base/exit_codes.h"

namespace lockstep {
namespace {

constexpr std::array kStateNames = {"QUEUED",     "STARTING",  "RUNNING", "RECOVERING", "PAUSED",
                                    "CANCELLING", "SUCCEEDED", "FAILED",  "CANCELLED"};
constexpr std::array kReasonNames = {"NONE",          "WORKER_DIED", "HUNG",
                                     "LAUNCH_FAILED", "CRASH_LOOP",  "USER_ERROR",
                                     "DATA_LOSS",     "NON_FINITE",  "OUT_OF_MEMORY",
                                     "DISK_FULL",     "INTERRUPTED", "CANCEL_REQUESTED"};

JobReason ReasonOf(ExitCode code) {
  switch (code) {
    case ExitCode::kUserError:
      return JobReason::kUserError;
    case ExitCode::kDataLoss:
      return JobReason::kDataLoss;
    case ExitCode::kNonFinite:
      return JobReason::kNonFinite;
    case ExitCode::kOutOfMemory:
      return JobReason::kOutOfMemory;
    case ExitCode::kDiskFull:
      return JobReason::kDiskFull;
    default:
      return JobReason::kWorkerDied;
  }
}

std::string Describe(const AttemptExit& exit) {
  std::string cause;
  if (exit.signal != 0) {
    cause = absl::StrCat("a process was killed by signal ", exit.signal);
  } else if (const ExitCodeInfo* info = FindExitCode(exit.code)) {
    cause = info->meaning;
  } else {
    cause = absl::StrCat("the launch ended with code ", exit.code);
  }
  return exit.message.empty() ? cause : absl::StrCat(cause, ": ", exit.message);
}

RetryClass RetryOf(const AttemptExit& exit) {
  if (exit.signal != 0) return RetryClass::kRetry;
  const ExitCodeInfo* info = FindExitCode(exit.code);
  return info == nullptr ? RetryClass::kRetry : info->retry;
}

bool CanNeverLaunch(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsFailedPrecondition(status) ||
         absl::IsNotFound(status);
}

// One call of AdvanceJob: the job as it becomes, and what is to be done.
class Advance {
 public:
  Advance(const Job& job, absl::Time time, const JobPolicy& policy)
      : policy_(policy), time_(time), result_{job, {}} {}

  JobAdvance Take() { return std::move(result_); }

  absl::Status On(const SlotsGranted&) {
    if (job().state == JobState::kQueued) Launch("slots granted");
    return absl::OkStatus();
  }

  absl::Status On(const LaunchStarted&) { return absl::OkStatus(); }

  absl::Status On(const LaunchFailed& event) {
    if (!IsLive(event.attempt)) return absl::OkStatus();
    job().attempt_alive = false;
    const std::string message(event.status.message());
    if (job().stop_order != StopOrder::kNone && job().stop_order != StopOrder::kKillHung) {
      Stopped(message);
    } else if (CanNeverLaunch(event.status)) {
      Enter(JobState::kFailed, JobReason::kLaunchFailed, message);
    } else {
      Recover(JobReason::kLaunchFailed, message);
    }
    return absl::OkStatus();
  }

  absl::Status On(const AttemptResumed& event) {
    if (!IsLive(event.attempt) || event.step <= job().checkpoint_step) return absl::OkStatus();
    job().checkpoint_step = event.step;
    job().fruitless_attempts = 0;
    return absl::OkStatus();
  }

  absl::Status On(const StepCommitted& event) {
    if (!IsLive(event.attempt)) return absl::OkStatus();
    job().step = event.step;
    if (job().state == JobState::kStarting)
      Enter(JobState::kRunning, JobReason::kNone, absl::StrCat("at step ", event.step));
    return absl::OkStatus();
  }

  absl::Status On(const CheckpointWritten& event) {
    if (!IsLive(event.attempt) || event.step <= job().checkpoint_step) return absl::OkStatus();
    job().checkpoint_step = event.step;
    job().fruitful = true;
    return absl::OkStatus();
  }

  absl::Status On(const AttemptHung& event) {
    if (!IsLive(event.attempt) || job().stop_order == StopOrder::kKillHung) return absl::OkStatus();
    if (job().stop_order == StopOrder::kNone) {
      job().stop_order = StopOrder::kKillHung;
      job().hung_message = event.message;
    }
    Do(KillAttempt{event.attempt});
    return absl::OkStatus();
  }

  absl::Status On(const AttemptExited& event) {
    if (!IsLive(event.attempt)) return absl::OkStatus();
    job().attempt_alive = false;
    const RetryClass retry = RetryOf(event.exit);
    const bool asked =
        job().stop_order == StopOrder::kPause || job().stop_order == StopOrder::kCancel;
    if (retry == RetryClass::kDone) {
      Enter(JobState::kSucceeded, JobReason::kNone, "finished");
    } else if (job().stop_order == StopOrder::kKillHung) {
      Recover(JobReason::kHung, job().hung_message);
    } else if (retry == RetryClass::kStopped || job().stop_order == StopOrder::kCancel) {
      Stopped(Describe(event.exit));
    } else if (retry == RetryClass::kNever) {
      const JobReason reason = ReasonOf(static_cast<ExitCode>(event.exit.code));
      Enter(JobState::kFailed, reason, Describe(event.exit));
    } else if (asked) {
      Stopped(absl::StrCat(Describe(event.exit), " before it could write a checkpoint"));
    } else {
      Recover(JobReason::kWorkerDied, Describe(event.exit));
    }
    return absl::OkStatus();
  }

  absl::Status On(const TimerFired& event) {
    if (event.attempt != job().attempt) return absl::OkStatus();
    if (event.timer == JobTimer::kBackoff && job().state == JobState::kRecovering)
      Launch("relaunched");
    if (event.timer == JobTimer::kStopDeadline && job().attempt_alive &&
        job().stop_order != StopOrder::kNone) {
      Do(KillAttempt{event.attempt});
    }
    return absl::OkStatus();
  }

  absl::Status On(const PauseRequested&) {
    if (IsTerminal(job().state) || job().state == JobState::kCancelling ||
        job().state == JobState::kPaused) {
      return Refuse("pause");
    }
    if (!job().attempt_alive) {
      Enter(JobState::kPaused, JobReason::kInterrupted, "stopped between two attempts");
    } else if (job().stop_order == StopOrder::kPause) {
      Do(KillAttempt{job().attempt});
    } else {
      OrderStop(StopOrder::kPause);
    }
    return absl::OkStatus();
  }

  absl::Status On(const ResumeRequested&) {
    if (job().state != JobState::kPaused) return Refuse("resume");
    job().fruitless_attempts = 0;
    Enter(JobState::kQueued, JobReason::kNone, "resumed");
    return absl::OkStatus();
  }

  absl::Status On(const CancelRequested&) {
    if (IsTerminal(job().state)) return Refuse("cancel");
    if (!job().attempt_alive) {
      Enter(JobState::kCancelled, JobReason::kCancelRequested, "cancelled while nothing ran");
    } else if (job().state == JobState::kCancelling) {
      Do(KillAttempt{job().attempt});
    } else {
      OrderStop(StopOrder::kCancel);
      Enter(JobState::kCancelling, JobReason::kCancelRequested, "cancel requested");
    }
    return absl::OkStatus();
  }

 private:
  Job& job() { return result_.job; }
  void Do(JobEffect effect) { result_.effects.push_back(std::move(effect)); }
  bool IsLive(int attempt) { return job().attempt_alive && job().attempt == attempt; }

  absl::Status Refuse(absl::string_view what) {
    return absl::FailedPreconditionError(absl::StrCat("job '", job().id, "': cannot ", what,
                                                      " in state ", JobStateName(job().state)));
  }

  void Enter(JobState state, JobReason reason, std::string message) {
    LOCKSTEP_CHECK(IsLegalTransition(job().state, state));
    job().state = state;
    job().reason = reason;
    job().message = message;
    job().history.push_back({state, reason, std::move(message), job().attempt, time_});
  }

  void Launch(absl::string_view why) {
    ++job().attempt;
    job().attempt_alive = true;
    job().stop_order = StopOrder::kNone;
    job().fruitful = false;
    Enter(JobState::kStarting, JobReason::kNone,
          absl::StrCat("attempt ", job().attempt, ": ", why));
    Do(LaunchAttempt{.attempt = job().attempt, .resume = job().attempt > 1});
  }

  // A killed attempt may be asked first and killed later; the deadline belongs to the first order.
  void OrderStop(StopOrder order) {
    const bool first = job().stop_order == StopOrder::kNone;
    job().stop_order = order;
    if (!first) return;
    Do(AskToStop{job().attempt});
    Do(StartTimer{JobTimer::kStopDeadline, job().attempt, policy_.stop_deadline});
  }

  // The attempt has ended as somebody wished.
  void Stopped(std::string message) {
    const bool cancel = job().stop_order == StopOrder::kCancel;
    Enter(cancel ? JobState::kCancelled : JobState::kPaused,
          cancel ? JobReason::kCancelRequested : JobReason::kInterrupted, std::move(message));
  }

  void Recover(JobReason reason, const std::string& message) {
    const int fruitless = job().fruitless_attempts =
        job().fruitful ? 0 : job().fruitless_attempts + 1;
    if (fruitless >= policy_.fruitless_attempts_max) {
      Enter(JobState::kFailed, JobReason::kCrashLoop,
            absl::StrCat(fruitless,
                         " attempts in a row ended without a new checkpoint, the last one at step ",
                         job().step, ": ", message));
      return;
    }
    Enter(JobState::kRecovering, reason, message);
    if (fruitless <= 1) {
      Launch("relaunched at once");
      return;
    }
    absl::Duration delay = policy_.backoff_first;
    for (int i = 2; i < fruitless && delay < policy_.backoff_max; ++i) delay *= 2;
    Do(StartTimer{JobTimer::kBackoff, job().attempt, std::min(delay, policy_.backoff_max)});
  }

  const JobPolicy& policy_;
  const absl::Time time_;
  JobAdvance result_;
};

}  // namespace

absl::string_view JobStateName(JobState state) {
  return kStateNames.at(static_cast<size_t>(state));
}
absl::string_view JobReasonName(JobReason reason) {
  return kReasonNames.at(static_cast<size_t>(reason));
}

bool IsTerminal(JobState state) {
  return state == JobState::kSucceeded || state == JobState::kFailed ||
         state == JobState::kCancelled;
}

bool IsLegalTransition(JobState from, JobState to) {
  using enum JobState;
  switch (from) {
    case kQueued:
      return to == kStarting || to == kPaused || to == kCancelled;
    case kStarting:
      return to == kRunning || to == kRecovering || to == kPaused || to == kCancelling ||
             to == kSucceeded || to == kFailed;
    case kRunning:
      return to == kRecovering || to == kPaused || to == kCancelling || to == kSucceeded ||
             to == kFailed;
    case kRecovering:
      return to == kStarting || to == kPaused || to == kCancelled;
    case kPaused:
      return to == kQueued || to == kCancelled;
    case kCancelling:
      return to == kCancelled || to == kSucceeded;
    case kSucceeded:
    case kFailed:
    case kCancelled:
      return false;
  }
  return false;
}

Job CreateJob(std::string id, absl::Time time) {
  Job job;
  job.id = std::move(id);
  job.history.push_back({JobState::kQueued, JobReason::kNone, "created", 0, time});
  job.message = "created";
  return job;
}

absl::StatusOr<JobAdvance> AdvanceJob(const Job& job, const JobEvent& event,
                                      const JobPolicy& policy) {
  Advance advance(job, event.time, policy);
  const absl::Status status =
      std::visit([&advance](const auto& what) { return advance.On(what); }, event.what);
  if (!status.ok()) return status;
  return advance.Take();
}

}  // namespace lockstep
