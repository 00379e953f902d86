#include "coordinator/launch/launch_helper.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status_macros.h"
#include "common/env/process_runner.h"
#include "common/env/unique_fd.h"
#include "coordinator/launch/attempt_record.h"

namespace lockstep {
namespace {

constexpr int kControl = 3;
constexpr int kStopIntervalMs = 100;

bool SupervisorIsGone() {
  pollfd watched = {.fd = kControl, .events = POLLIN, .revents = 0};
  return poll(&watched, 1, 0) > 0 && (watched.revents & (POLLHUP | POLLNVAL | POLLERR)) != 0;
}

// The next order; the end of the supervisor is the order to kill.
HelperOrder ReadOrder() {
  char order = 0;
  ssize_t count = 0;
  do {
    count = read(kControl, &order, 1);
  } while (count < 0 && errno == EINTR);
  return count == 1 ? static_cast<HelperOrder>(order) : HelperOrder::kKill;
}

// Returns when the child has ended or is to be killed. An order to stop is repeated until then:
// mpirun forwards it to the ranks that it has, and loses it while it starts them.
void Serve(ChildProcess& child, int child_fd) {
  bool stopping = false;
  for (;;) {
    std::array<pollfd, 2> watched = {{{.fd = kControl, .events = POLLIN, .revents = 0},
                                      {.fd = child_fd, .events = POLLIN, .revents = 0}}};
    const int ready = poll(watched.data(), watched.size(), stopping ? kStopIntervalMs : -1);
    if (watched[1].revents != 0) return;
    if (stopping) child.Signal(SIGUSR2);
    if (ready <= 0) continue;  // nothing new, or EINTR
    switch (ReadOrder()) {
      case HelperOrder::kCheckpoint:
        child.Signal(SIGUSR1);
        break;
      case HelperOrder::kStop:
        child.Signal(SIGUSR2);
        stopping = true;
        break;
      case HelperOrder::kKill:
        return;
    }
  }
}

absl::StatusOr<ProcessExit> RunProgram(std::vector<std::string> argv) {
  LOCKSTEP_ASSIGN_OR_RETURN(
      ChildProcess child,
      ChildProcess::Start({.argv = std::move(argv), .environment = CurrentEnvironment()}));
  absl::StatusOr<int> child_fd = child.OpenPidFd();
  if (child_fd.ok()) {
    const UniqueFd owned(*child_fd);
    Serve(child, owned.get());
  }
  const std::optional<ProcessExit> ended = child.Poll();
  child.Signal(SIGKILL);
  LOCKSTEP_RETURN_IF_ERROR(child_fd.status());
  return ended.value_or(ProcessExit{.signal = SIGKILL});
}

absl::Status Help(const std::string& run_directory, std::vector<std::string> argv,
                  HelperReport& report) {
  LOCKSTEP_ASSIGN_OR_RETURN(AttemptRecord record, ReadAttemptRecord(run_directory));
  const std::optional<ProcessIdentity> self = IdentifyProcess(getpid());
  if (!self.has_value() || getsid(0) != getpid()) {
    return absl::FailedPreconditionError("the launch helper must lead a session and see /proc");
  }
  // Nothing may start for a supervisor that died meanwhile: its successor may have swept already.
  if (SupervisorIsGone()) return absl::AbortedError("the supervisor is gone");
  record.helper = *self;
  LOCKSTEP_RETURN_IF_ERROR(WriteAttemptRecord(run_directory, record));

  const absl::StatusOr<ProcessExit> exit = RunProgram(std::move(argv));

  // Also after a clean end: a rank may have left something behind. KillSession spares its caller.
  if (!KillSession(getpid())) return absl::InternalError("processes of the attempt do not end");
  LOCKSTEP_RETURN_IF_ERROR(exit.status());
  const absl::Status written = WriteOutcome(run_directory, record, *exit);
  report.exit = *exit;
  report.ran = true;
  record.helper = {};
  LOCKSTEP_RETURN_IF_ERROR(SweepAttempt(run_directory, record));
  return written;
}

}  // namespace

int LaunchHelperMain(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "launch helper: RUN_DIRECTORY PROGRAM [ARGUMENT ...] expected\n");
    return 1;
  }
  HelperReport report;
  const absl::Status status =
      Help(argv[2], std::vector<std::string>(argv + 3, argv + argc), report);
  status.message().copy(report.message, sizeof(report.message) - 1);
  // Also to a supervisor that is there: the disk may be full. Fails where it is gone.
  (void)send(kControl, &report, sizeof(report), MSG_NOSIGNAL);
  if (status.ok()) return 0;
  std::fprintf(stderr, "launch helper: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace lockstep
