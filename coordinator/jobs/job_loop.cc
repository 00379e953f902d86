#include "coordinator/jobs/job_loop.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/base/exit_codes.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"

namespace lockstep {
namespace {

constexpr absl::Duration kIdle = absl::Seconds(60);

bool IsFatal(const ProgressLine& error) {
  const ExitCodeInfo* info = FindExitCode(error.code);
  return info != nullptr && info->retry == RetryClass::kNever;
}

// mpirun reports the lowest failed rank, which may be one that only lost its peer: the rank that
// knows more has said so.
AttemptExit Explain(AttemptExit exit, const std::optional<ProgressLine>& error) {
  if (!error.has_value() || (exit.code == 0 && exit.signal == 0)) return exit;
  if (exit.message.empty()) exit.message = error->message;
  if (IsFatal(*error)) return {.code = error->code, .signal = 0, .message = error->message};
  return exit;
}

}  // namespace

absl::Status JobLoop::RunUntilSettled() {
  for (;;) {
    LOCKSTEP_ASSIGN_OR_RETURN(const absl::Duration idle, Turn());
    if (settled()) return absl::OkStatus();
    inbox_.WaitFor(idle);
  }
}

bool JobLoop::settled() const {
  const auto done = [](const auto& entry) {
    const Job& job = entry.second.job;
    return IsTerminal(job.state) || job.state == JobState::kPaused;
  };
  return inbox_.empty() && std::all_of(entries_.begin(), entries_.end(), done);
}

absl::StatusOr<absl::Duration> JobLoop::Turn() {
  while (std::optional<JobMessage> message = inbox_.TryPop()) {
    LOCKSTEP_RETURN_IF_ERROR(std::holds_alternative<JobOrder>(*message)
                                 ? Create(std::get<JobOrder>(*std::move(message)))
                                 : Handle(std::get<JobRequest>(*std::move(message))));
  }
  absl::Duration idle = kIdle;
  for (auto& [id, entry] : entries_) {
    LOCKSTEP_RETURN_IF_ERROR(PollAttempt(entry));
    LOCKSTEP_RETURN_IF_ERROR(FireTimers(entry));
    if (entry.attempt != nullptr) idle = std::min(idle, options_.poll_interval);
    for (const Timer& timer : entry.timers)
      idle = std::min(idle, timer.due - parts_.clock->Monotonic());
  }
  return std::max(idle, absl::ZeroDuration());
}

absl::Status JobLoop::Push(JobMessage message) {
  if (inbox_.TryPush(std::move(message))) return absl::OkStatus();
  return absl::ResourceExhaustedError("job loop: the inbox is full; try again later");
}

absl::Status JobLoop::Create(JobOrder order) {
  const std::string id = order.id;
  if (entries_.contains(id)) {
    Log(LogLevel::kWarning, "job_exists_already", {{"job", id}});
    return absl::OkStatus();
  }
  Entry entry;
  entry.job = CreateJob(id, parts_.clock->Now());
  entry.order = std::move(order);
  LOCKSTEP_RETURN_IF_ERROR(parts_.store->Commit(entry.job));
  Entry& kept = entries_.emplace(id, std::move(entry)).first->second;
  parts_.observer->OnJob(kept.job);
  return Apply(kept, SlotsGranted{});
}

absl::Status JobLoop::Handle(JobRequest request) {
  const auto found = entries_.find(request.id);
  if (found == entries_.end()) {
    Log(LogLevel::kWarning, "request_for_unknown_job", {{"job", request.id}});
    return absl::OkStatus();
  }
  Entry& entry = found->second;
  const absl::Status status =
      std::visit([&](const auto& what) { return Apply(entry, what); }, request.what);
  if (absl::IsFailedPrecondition(status)) {
    Log(LogLevel::kWarning, "request_refused", {{"job", request.id}, {"why", status.message()}});
    return absl::OkStatus();
  }
  LOCKSTEP_RETURN_IF_ERROR(status);
  return entry.job.state == JobState::kQueued ? Apply(entry, SlotsGranted{}) : absl::OkStatus();
}

absl::Status JobLoop::FireTimers(Entry& entry) {
  const absl::Duration now = parts_.clock->Monotonic();
  std::vector<Timer> due;
  std::erase_if(entry.timers, [&](const Timer& timer) {
    if (timer.due > now) return false;
    due.push_back(timer);
    return true;
  });
  for (const Timer& timer : due) LOCKSTEP_RETURN_IF_ERROR(Apply(entry, timer.event));
  return absl::OkStatus();
}

absl::Status JobLoop::PollAttempt(Entry& entry) {
  if (entry.attempt == nullptr) return absl::OkStatus();
  // Progress is read before the verdict: we may have been stopped ourselves, and after the end,
  // which may have said why.
  const std::optional<AttemptExit> exit = entry.attempt->Poll();
  LOCKSTEP_RETURN_IF_ERROR(ReadProgress(entry));
  const int attempt = entry.job.attempt;
  if (!exit.has_value()) {
    const std::optional<std::string> hung = entry.watch->Hung(parts_.clock->Monotonic());
    return hung.has_value() ? Apply(entry, AttemptHung{attempt, *hung}) : absl::OkStatus();
  }

  if (const absl::Status status = entry.attempt->CleanUp(); !status.ok()) {
    Log(LogLevel::kWarning, "attempt_left_something",
        {{"job", entry.job.id}, {"why", status.message()}});
  }
  entry.attempt.reset();
  return Apply(entry,
               AttemptExited{attempt, Explain(*exit, std::exchange(entry.error, std::nullopt))});
}

absl::Status JobLoop::ReadProgress(Entry& entry) {
  const int attempt = entry.job.attempt;
  const absl::Duration now = parts_.clock->Monotonic();
  std::optional<int64_t> step;
  for (const ProgressLine& line : entry.attempt->Progress()) {
    entry.watch->OnLine(line, now);
    if (line.kind == ProgressLine::Kind::kStep) step = line.step;
    if (line.kind == ProgressLine::Kind::kRun && line.step > 0) {
      LOCKSTEP_RETURN_IF_ERROR(Apply(entry, AttemptResumed{attempt, line.step}));
    }
    if (line.kind == ProgressLine::Kind::kCheckpoint) {
      LOCKSTEP_RETURN_IF_ERROR(Apply(entry, CheckpointWritten{attempt, line.step}));
    }
    if (line.kind == ProgressLine::Kind::kError &&
        (!entry.error.has_value() || (!IsFatal(*entry.error) && IsFatal(line)))) {
      entry.error = line;
    }
    parts_.observer->OnProgress(entry.job, line);
  }
  // One commit a turn: the steps between are of no interest to the machine.
  return step.has_value() ? Apply(entry, StepCommitted{attempt, *step}) : absl::OkStatus();
}

template <typename Event>
absl::Status JobLoop::Apply(Entry& entry, Event event) {
  absl::StatusOr<JobAdvance> advance = AdvanceJob(
      entry.job, {.time = parts_.clock->Now(), .what = std::move(event)}, options_.policy);
  LOCKSTEP_RETURN_IF_ERROR(advance.status());
  if (advance->job != entry.job) LOCKSTEP_RETURN_IF_ERROR(parts_.store->Commit(advance->job));
  const size_t seen = entry.job.history.size();
  entry.job = std::move(advance->job);
  for (size_t i = seen; i < entry.job.history.size(); ++i) {
    const JobTransition& transition = entry.job.history[i];
    Log("job_state", {{"job", entry.job.id},
                      {"attempt", transition.attempt},
                      {"state", JobStateName(transition.state)},
                      {"reason", JobReasonName(transition.reason)},
                      {"message", transition.message}});
  }
  if (entry.job.history.size() > seen) parts_.observer->OnJob(entry.job);
  for (const JobEffect& effect : advance->effects) LOCKSTEP_RETURN_IF_ERROR(Perform(entry, effect));
  return absl::OkStatus();
}

absl::Status JobLoop::Perform(Entry& entry, const JobEffect& effect) {
  if (const auto* launch = std::get_if<LaunchAttempt>(&effect)) return Launch(entry, *launch);
  if (const auto* timer = std::get_if<StartTimer>(&effect)) {
    entry.timers.push_back(
        {parts_.clock->Monotonic() + timer->delay, TimerFired{timer->timer, timer->attempt}});
  } else if (entry.attempt == nullptr) {
    return absl::OkStatus();
  } else if (std::holds_alternative<AskToStop>(effect)) {
    entry.attempt->AskToStop();
  } else {
    entry.attempt->Kill();
  }
  return absl::OkStatus();
}

absl::Status JobLoop::Launch(Entry& entry, const LaunchAttempt& launch) {
  const auto start = [&]() -> absl::Status {
    LOCKSTEP_ASSIGN_OR_RETURN(const AttemptSpec spec,
                              entry.order.make_attempt(launch.attempt, launch.resume));
    LOCKSTEP_ASSIGN_OR_RETURN(const LaunchPlan plan, parts_.launcher->Plan(spec, *parts_.host));
    for (const std::string& warning : plan.warnings) {
      Log("launch_warning", {{"job", entry.job.id}, {"warning", warning}});
    }
    parts_.observer->OnLaunch(entry.job, plan);
    LOCKSTEP_ASSIGN_OR_RETURN(entry.attempt, parts_.launcher->Start(plan));
    return absl::OkStatus();
  };
  entry.timers.clear();  // they were of older attempts
  entry.error.reset();
  const absl::Status status = start();
  if (!status.ok()) return Apply(entry, LaunchFailed{launch.attempt, status});
  entry.watch.emplace(options_.limits, parts_.clock->Monotonic());
  return Apply(entry, LaunchStarted{launch.attempt});
}

}  // namespace lockstep
