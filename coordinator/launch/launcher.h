// Launcher: runs one attempt of a job on a cluster system. Plan (pure, printable) -> Start -> Poll
// ... Stop / Kill -> CleanUp. Thread: the job loop's. Errors: INVALID_ARGUMENT from Plan for what
// can never run; FAILED_PRECONDITION and INTERNAL from Start. Invariant: when Poll has reported the
// end and CleanUp has run, no process, shared memory or temporary file of it is left. A new
// launcher is one file in coordinator/launch/launchers that defines kDef.
#ifndef LOCKSTEP_COORDINATOR_LAUNCH_LAUNCHER_H_
#define LOCKSTEP_COORDINATOR_LAUNCH_LAUNCHER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "coordinator/launch/attempt_exit.h"
#include "coordinator/launch/host_facts.h"
#include "coordinator/launch/progress_channel.h"

namespace lockstep {

// One attempt, as the job wants it.
struct AttemptSpec {
  std::string job_id = {};
  int attempt = 1;
  int workers = 1;
  int threads = 1;  // per worker
  std::vector<std::string> command =
      {};  // the worker's argv: program, options. `resume` is already in it
  std::vector<std::string> environment =
      {};  // "NAME=value" to give to every rank beyond the launcher's own
  std::string output_directory = {};  // absolute; exists
  std::string token = {};             // unique among all attempts of this machine
};

struct LaunchPlan {
  int attempt = 1;
  std::vector<std::string> argv = {};
  std::vector<std::string> helper_command = {};  // runs LaunchHelperMain; argv follows it
  std::vector<std::string> inherited_environment = {};
  std::vector<std::string> environment = {};  // set beyond (and instead of) the inherited
  std::vector<std::string> directories =
      {};                          // made by Start, removed with all they hold by CleanUp
  std::string run_directory = {};  // outlives the attempt: records, lock
  std::string log_file = {};       // stdout and stderr of the attempt
  std::string progress_fifo = {};
  std::string token = {};
  std::vector<std::string> warnings = {};  // for the user, e.g. too few cores

  std::string ToText() const;  // all of the above but inherited variables, one item a line
};

// A running or ended attempt. Destruction ends it at once.
class Attempt {
 public:
  virtual ~Attempt() = default;
  // How it ended, once it has and nothing of it runs any more. Never blocks for more than a few
  // milliseconds.
  virtual std::optional<AttemptExit> Poll() = 0;
  // Progress since the last call; also valid after the end, when the rest is there.
  virtual std::vector<ProgressLine> Progress() = 0;
  // Asks all ranks for a checkpoint, and with AskToStop to end after it. Idempotent; no effect once
  // ended.
  virtual void AskToCheckpoint() = 0;
  virtual void AskToStop() = 0;
  // SIGKILL to everything. Poll tells when it is over.
  virtual void Kill() = 0;
  // Removes what it left behind. Idempotent; only after Poll has reported the end.
  virtual absl::Status CleanUp() = 0;
};

class Launcher {
 public:
  virtual ~Launcher() = default;
  virtual absl::StatusOr<LaunchPlan> Plan(const AttemptSpec& spec, const HostFacts& host) const = 0;
  virtual absl::StatusOr<std::unique_ptr<Attempt>> Start(const LaunchPlan& plan) = 0;
};

struct LauncherDef {
  const char* name;
  const char* help;
  std::unique_ptr<Launcher> (*make)();
};

}  // namespace lockstep

#endif  // LOCKSTEP_COORDINATOR_LAUNCH_LAUNCHER_H_
