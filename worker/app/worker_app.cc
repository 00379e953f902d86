#include "worker/app/worker_app.h"

#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/env/attempt_environment.h"
#include "common/env/fifo.h"
#include "common/env/signals.h"
#include "common/kernels/simd_target.h"
#include "worker/app/worker_run.h"

namespace lockstep {
namespace {

std::string Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Lives as long as the process: signal handlers write to it.
TrainingRequests& Requests() {
  static TrainingRequests requests;
  return requests;
}

void CatchSignals() {
  IgnoreBrokenPipes();
  SetFlagOnSignal(SIGUSR1, &Requests().checkpoint);
  for (const int signal : {SIGUSR2, SIGTERM, SIGINT}) SetFlagOnSignal(signal, &Requests().stop);
}

// The message for people, and for the supervisor, who may hear of a peer's end first.
void Report(const absl::Status& status, ExitCode code, int rank, const std::string& pipe) {
  const nlohmann::json line = {{"kind", "error"},
                               {"code", static_cast<int>(code)},
                               {"rank", rank},
                               {"message", std::string(status.message()).substr(0, 3000)}};
  FifoWriter(pipe).Write(
      absl::StrCat(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), "\n"));
  std::fprintf(stderr, "error: %s\n", std::string(status.message()).c_str());
}

absl::Status CheckWorldSize(const MpiSession& session, const std::string& expected) {
  int workers = 0;
  if (expected.empty() || (absl::SimpleAtoi(expected, &workers) && workers == session.size())) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("this rank sees ", session.size(), " ranks where ", expected,
                   " were launched; start it with this MPI library's own mpirun"));
}

absl::StatusOr<std::unique_ptr<MpiSession>> StartSession() {
  LOCKSTEP_RETURN_IF_ERROR(kernels::InitSimd());
  LOCKSTEP_ASSIGN_OR_RETURN(std::unique_ptr<MpiSession> session, MpiSession::Start());
  LOCKSTEP_RETURN_IF_ERROR(CheckWorldSize(*session, Variable(kWorkersVariable)));
  return session;
}

}  // namespace

ExitCode RunWorker(const WorkerOptions& options) {
  const bool supervised = !Variable(kTokenVariable).empty();
  const std::string pipe = Variable(kProgressVariable);
  CatchSignals();
  // A rank's parent is mpirun's daemon; a worker that a person starts alone may outlive the shell.
  if (!Variable("OMPI_COMM_WORLD_RANK").empty()) DieWithParent();
  LogOptions log{.level = supervised ? LogLevel::kInfo : LogLevel::kWarning,
                 .job = Variable(kJobIdVariable)};
  if (!absl::SimpleAtoi(Variable(kAttemptVariable), &log.attempt)) log.attempt = -1;
  StartLog(log);
  absl::StatusOr<std::unique_ptr<MpiSession>> session = StartSession();
  if (!session.ok()) {
    const ExitCode code = ExitCodeFor(session.status());
    Report(session.status(), code, /*rank=*/-1, pipe);
    return code;
  }
  const int rank = (*session)->rank();
  log.rank = rank;
  StartLog(log);
  WorkerRun run(options, {.session = session->get(),
                          .fs = &PosixFileSystem(),
                          .requests = &Requests(),
                          .progress_pipe = pipe,
                          .supervised = supervised});
  const absl::Status status = run.Run();
  const ExitCode code = run.ExitCodeOf(status);
  if (!status.ok()) {
    // What all ranks have agreed on, one says.
    if (rank == 0 || !run.agreed()) Report(status, code, rank, pipe);
    if (run.agreed()) run.LeaveTogether();
    (*session)->Abandon();
  }
  return code;
}

}  // namespace lockstep
