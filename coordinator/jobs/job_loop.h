// JobLoop: the one thread that owns all jobs, their store and their running attempts. It turns what
// happens into events, lets AdvanceJob decide, commits, then performs the effects. Thread: the one
// that calls RunUntilSettled or Turn; Submit and Request are for any other. Errors: the store's end
// the loop. Invariant: an effect is performed only after the state that asked for it has been
// committed.
#ifndef LOCKSTEP_COORDINATOR_JOBS_JOB_LOOP_H_
#define LOCKSTEP_COORDINATOR_JOBS_JOB_LOOP_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "common/env/clock.h"
#include "coordinator/jobs/job.h"
#include "coordinator/jobs/job_inbox.h"
#include "coordinator/jobs/job_machine.h"
#include "coordinator/jobs/job_store.h"
#include "coordinator/jobs/progress_watch.h"
#include "coordinator/launch/launcher.h"

namespace lockstep {

// Called on the loop's thread; must return soon. For the CLI's display, for watchers, for tests.
class JobObserver {
 public:
  virtual ~JobObserver() = default;
  virtual void OnJob(const Job& job) = 0;  // after changes of state; `history` has all of them
  virtual void OnLaunch(const Job& job, const LaunchPlan& plan) = 0;
  virtual void OnProgress(const Job& job, const ProgressLine& line) = 0;
};

struct JobLoopOptions {
  JobPolicy policy = {};
  ProgressLimits limits = {};
  absl::Duration poll_interval = absl::Milliseconds(10);  // while an attempt is alive
};

class JobLoop {
 public:
  // Everything outlives the loop.
  struct Parts {
    const Clock* clock;
    JobStore* store;
    Launcher* launcher;
    const HostFacts* host;
    JobObserver* observer;
  };

  JobLoop(const Parts& parts, const JobLoopOptions& options) : parts_(parts), options_(options) {}
  // Ends all live attempts at once: local ones die with their coordinator.
  ~JobLoop() = default;

  // Any thread. RESOURCE_EXHAUSTED when the inbox is full. A job gets its slots as soon as the loop
  // sees it.
  absl::Status Submit(JobOrder order) { return Push(std::move(order)); }
  absl::Status Request(JobRequest request) { return Push(std::move(request)); }

  // Until no job has anything more to do: all are paused or in a terminal state, and the inbox is
  // empty.
  absl::Status RunUntilSettled();

  // Does all that is due now without waiting; returns how long nothing will be, unless the inbox is
  // filled.
  absl::StatusOr<absl::Duration> Turn();
  bool settled() const;

 private:
  struct Timer {
    absl::Duration due;  // monotonic
    TimerFired event;
  };
  struct Entry {
    Job job;
    JobOrder order;
    std::vector<Timer> timers;
    // Of the live attempt:
    std::unique_ptr<Attempt> attempt;
    std::optional<ProgressWatch> watch;
    std::optional<ProgressLine> error;  // the gravest that a worker reported
  };

  absl::Status Push(JobMessage message);
  absl::Status Create(JobOrder order);
  absl::Status Handle(JobRequest request);
  absl::Status FireTimers(Entry& entry);
  absl::Status PollAttempt(Entry& entry);
  absl::Status ReadProgress(Entry& entry);
  // Lets the machine decide, commits and performs. FAILED_PRECONDITION: the machine refused;
  // nothing changed.
  template <typename Event>
  absl::Status Apply(Entry& entry, Event event);
  absl::Status Perform(Entry& entry, const JobEffect& effect);
  absl::Status Launch(Entry& entry, const LaunchAttempt& launch);

  const Parts parts_;
  const JobLoopOptions options_;
  JobInbox inbox_{kJobMessagesMax};
  // Owned by the loop's thread.
  std::map<std::string, Entry> entries_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COORDINATOR_JOBS_JOB_LOOP_H_
