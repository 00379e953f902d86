// JobInbox: what other threads want from the job loop. A full inbox sheds load: TryPush says so.
#ifndef LOCKSTEP_COORDINATOR_JOBS_JOB_INBOX_H_
#define LOCKSTEP_COORDINATOR_JOBS_JOB_INBOX_H_

#include <functional>
#include <string>
#include <variant>

#include "absl/status/statusor.h"

#include "common/base/bounded_queue.h"
#include "coordinator/jobs/job.h"
#include "coordinator/launch/launcher.h"

namespace lockstep {

struct JobOrder {
  std::string id;
  // What attempt number `attempt` is to run; called on the loop's thread. `resume`: from the newest
  // checkpoint if there is one.
  std::function<absl::StatusOr<AttemptSpec>(int attempt, bool resume)> make_attempt;
};

struct JobRequest {
  std::string id;
  std::variant<PauseRequested, ResumeRequested, CancelRequested> what;
};

using JobMessage = std::variant<JobOrder, JobRequest>;
using JobInbox = BoundedQueue<JobMessage>;
inline constexpr size_t kJobMessagesMax = 4096;

}  // namespace lockstep

#endif  // LOCKSTEP_COORDINATOR_JOBS_JOB_INBOX_H_
