// ChildProcess: starts, watches and signals programs. posix_spawn only: fork is banned beside
// threads and gRPC. Thread: an object belongs to one thread. Errors: NOT_FOUND (no such program),
// INTERNAL with errno's text. Invariant: a child gets stdin from /dev/null, exactly the environment
// and descriptors it was given, default signal actions and an empty signal mask.
#ifndef LOCKSTEP_COMMON_ENV_PROCESS_RUNNER_H_
#define LOCKSTEP_COMMON_ENV_PROCESS_RUNNER_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lockstep {

struct ProcessSpec {
  std::vector<std::string> argv = {};         // argv[0] is searched in the caller's PATH
  std::vector<std::string> environment = {};  // "NAME=value", the whole of it
  std::string directory = {};                 // working directory; empty: the caller's
  std::string output_file = {};       // stdout and stderr are appended here; empty: the caller's
  std::vector<int> descriptors = {};  // become 3, 4, ... in the child; all others are closed
  bool new_session = false;           // setsid: the child's pid is then its session id
};

struct ProcessExit {
  int code = 0;    // exit status, where signal is 0
  int signal = 0;  // the signal that killed it

  friend bool operator==(const ProcessExit&, const ProcessExit&) = default;
};

// A process beyond doubt: pids are reused, (pid, start time) within one boot is not.
struct ProcessIdentity {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // field 22 of /proc/<pid>/stat

  friend bool operator==(const ProcessIdentity&, const ProcessIdentity&) = default;
};

class ChildProcess {
 public:
  static absl::StatusOr<ChildProcess> Start(const ProcessSpec& spec);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  // Does not end the child: whoever needs that says so before.
  ~ChildProcess() = default;

  pid_t pid() const { return pid_; }
  // How it ended, once it has; then for ever the same answer. Never blocks.
  std::optional<ProcessExit> Poll();
  ProcessExit Wait();
  // Nothing happens if the child was already reaped: its pid may be a stranger's.
  void Signal(int signal);
  // A descriptor that polls readable when the child has ended; owned by the caller.
  absl::StatusOr<int> OpenPidFd() const;

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}

  pid_t pid_;
  std::optional<ProcessExit> exit_;
};

// What /proc says now; nullopt for a process that is gone or a zombie.
std::optional<ProcessIdentity> IdentifyProcess(pid_t pid);
// Changes with every boot; no process outlives it.
std::string BootId();

// All live processes of `session`; with a non-empty `environment_entry` ("NAME=value") only those
// started with it.
std::vector<pid_t> ProcessesOfSession(pid_t session, absl::string_view environment_entry = {});
// Kills those (never the caller) with SIGKILL until none is left, for at most two seconds; true
// when none is left.
bool KillSession(pid_t session, absl::string_view environment_entry = {});

// This process's environment as "NAME=value".
std::vector<std::string> CurrentEnvironment();
// The program that this process runs, as an absolute path.
absl::StatusOr<std::string> CurrentProgram();

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_ENV_PROCESS_RUNNER_H_
