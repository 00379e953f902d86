// The local launcher: mpirun on this machine, below a launch helper that ends with everything it
// started. Facts about Open MPI 4.1 that shape the command line are beside the options they
// explain.
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "common/base/exit_codes.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/env/attempt_environment.h"
#include "common/env/clock.h"
#include "common/env/file_system.h"
#include "common/env/process_runner.h"
#include "common/env/socket_pair.h"
#include "coordinator/launch/attempt_record.h"
#include "coordinator/launch/launch_helper.h"
#include "coordinator/launch/launcher.h"

namespace lockstep::launchers::local {
namespace {

// From the order to kill until the helper itself is killed: it may be stopped.
constexpr absl::Duration kHelperPatience = absl::Seconds(3);
constexpr int kSignalBase = 128;  // mpirun reports a rank's signal as 128 + n

// Variables of an outer launch would make our mpirun believe that it is one of its ranks.
bool IsForeign(absl::string_view entry) {
  for (const absl::string_view prefix :
       {"OMPI_COMM_", "OMPI_MCA_", "OPAL_", "ORTE_", "PMIX_", "PMI_", "TMPDIR="}) {
    if (absl::StartsWith(entry, prefix)) return true;
  }
  for (const absl::string_view name : {kJobIdVariable, kAttemptVariable, kWorkersVariable,
                                       kProgressVariable, kSharedMemoryVariable, kTokenVariable}) {
    if (absl::StartsWith(entry, absl::StrCat(name, "="))) return true;
  }
  return false;
}

std::vector<std::string> MpirunCommand(const AttemptSpec& spec, const HostFacts& host,
                                       const LaunchPlan& plan) {
  const std::string& directory = plan.directories[0];
  const bool crowded = int64_t{spec.workers} * spec.threads > host.cores;
  std::vector<std::string> argv = {host.setpriv, "--pdeathsig", "KILL", "--", host.mpirun};
  const auto mca = [&argv](const char* name, absl::string_view value) {
    argv.insert(argv.end(), {"--mca", name, std::string(value)});
  };
  argv.insert(argv.end(), {"-np", absl::StrCat(spec.workers)});
  mca("btl", "vader,self");               // tcp would listen on every interface
  mca("odls_base_sigkill_timeout", "0");  // a dead rank ends the others in 10 ms instead of 1 s
  // Its session too lies in memory: its files are mapped, and the output's disk may be full or far.
  for (const char* what : {"orte_tmpdir_base", "btl_vader_backing_directory",
                           "osc_sm_backing_directory", "osc_rdma_backing_directory"}) {
    mca(what, directory);
  }
  if (!host.cma_allowed) mca("btl_vader_single_copy_mechanism", "none");
  // mpirun counts cores, not threads of ours: whether we are crowded is decided here and told
  // twice.
  mca("mpi_yield_when_idle", crowded ? "1" : "0");
  argv.insert(argv.end(), {"--oversubscribe", "--bind-to", "none", "--tag-output"});
  for (const std::string& entry : plan.environment) {
    const std::string name = entry.substr(0, entry.find('='));
    if (absl::StartsWith(name, "LOCKSTEP_")) argv.insert(argv.end(), {"-x", name});
  }
  argv.insert(argv.end(), spec.command.begin(), spec.command.end());
  return argv;
}

AttemptExit ToAttemptExit(const ProcessExit& exit) {
  if (exit.signal == 0 && exit.code > kSignalBase) return {.signal = exit.code - kSignalBase};
  return {.code = exit.code, .signal = exit.signal};
}

class LocalAttempt final : public Attempt {
 public:
  LocalAttempt(const LaunchPlan& plan, ProgressChannel progress)
      : plan_(plan), progress_(std::move(progress)) {}

  ~LocalAttempt() override {
    Kill();
    while (helper_.has_value() && !Poll().has_value()) PauseFor(absl::Milliseconds(1));
    CleanUp().IgnoreError();  // the next run of this directory sweeps again, and reports
  }

  absl::Status Start() {
    std::vector<std::string> argv = plan_.helper_command;
    argv.push_back(plan_.run_directory);
    argv.insert(argv.end(), plan_.argv.begin(), plan_.argv.end());
    std::vector<std::string> environment = plan_.inherited_environment;
    environment.insert(environment.end(), plan_.environment.begin(), plan_.environment.end());
    LOCKSTEP_ASSIGN_OR_RETURN(SocketPair control, MakeSocketPair());
    absl::StatusOr<ChildProcess> helper =
        ChildProcess::Start({.argv = std::move(argv),
                             .environment = std::move(environment),
                             .output_file = plan_.log_file,
                             .descriptors = {control.second.get()},
                             .new_session = true});
    LOCKSTEP_RETURN_IF_ERROR(helper.status());
    helper_.emplace(*std::move(helper));
    control_ = std::move(control.first);
    return absl::OkStatus();
  }

  std::optional<AttemptExit> Poll() override {
    if (exit_.has_value() || !helper_.has_value()) return exit_;
    if (kill_time_.has_value() && RealClock().Monotonic() - *kill_time_ > kHelperPatience)
      helper_->Signal(SIGKILL);
    const std::optional<ProcessExit> helper_exit = helper_->Poll();
    if (!helper_exit.has_value()) return std::nullopt;

    // A helper that was killed has left its session to us; its id is not reused while one of it
    // lives.
    if (!KillSession(helper_->pid()))
      Log(LogLevel::kError, "attempt_does_not_end", {{"session", helper_->pid()}});
    HelperReport report;
    const absl::StatusOr<ProcessExit> outcome = Outcome(report);
    if (outcome.ok()) {
      exit_ = ToAttemptExit(*outcome);
    } else if (helper_exit->signal != 0) {
      exit_ = AttemptExit{.signal = helper_exit->signal, .message = "the launch helper was killed"};
    } else {
      exit_ = AttemptExit{
          .code = static_cast<int>(ExitCode::kInternal),
          .message = absl::StrCat("the launch failed: ", report.message, "; see ", plan_.log_file)};
    }
    return exit_;
  }

  std::vector<ProgressLine> Progress() override { return progress_.Poll(); }
  void AskToCheckpoint() override { Order(HelperOrder::kCheckpoint); }
  void AskToStop() override { Order(HelperOrder::kStop); }

  void Kill() override {
    Order(HelperOrder::kKill);
    if (!kill_time_.has_value()) kill_time_ = RealClock().Monotonic();
  }

  absl::Status CleanUp() override {
    const AttemptRecord record = {
        .attempt = plan_.attempt, .token = plan_.token, .directories = plan_.directories};
    LOCKSTEP_RETURN_IF_ERROR(SweepAttempt(plan_.run_directory, record));
    return RemoveOutcome(plan_.run_directory);
  }

 private:
  // What the helper has sent before it ended; from the disk, which may have been full, otherwise.
  absl::StatusOr<ProcessExit> Outcome(HelperReport& report) const {
    const bool sent =
        recv(control_.get(), &report, sizeof(report), MSG_DONTWAIT) == ssize_t{sizeof(report)};
    report.message[sizeof(report.message) - 1] = '\0';
    if (sent && report.ran) return report.exit;
    return ReadOutcome(plan_.run_directory, plan_.attempt, plan_.token);
  }

  void Order(HelperOrder order) {
    if (!control_.is_open() || exit_.has_value()) return;
    const char byte = static_cast<char>(order);
    // Fails only where the helper has just ended, which Poll is about to see.
    (void)send(control_.get(), &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  }

  const LaunchPlan plan_;
  ProgressChannel progress_;
  std::optional<ChildProcess> helper_;
  UniqueFd control_;  // its end tells the helper that we are gone
  std::optional<absl::Duration> kill_time_;
  std::optional<AttemptExit> exit_;
};

class LocalLauncher final : public Launcher {
 public:
  absl::StatusOr<LaunchPlan> Plan(const AttemptSpec& spec, const HostFacts& host) const override {
    if (spec.workers < 1 || spec.threads < 1 || spec.attempt < 1 || spec.command.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("launcher local: workers ", spec.workers, ", threads ", spec.threads,
                       ", attempt ", spec.attempt, " and the command's ", spec.command.size(),
                       " words must all be at least 1"));
    }
    const std::string name = AttemptDirectoryName(spec.token, spec.attempt);
    LaunchPlan plan;
    plan.attempt = spec.attempt;
    plan.token = spec.token;
    plan.run_directory = RunDirectory(spec.output_directory);
    plan.directories = {absl::StrCat(host.shared_memory_directory, "/", name)};
    plan.log_file = absl::StrCat(spec.output_directory, "/logs/attempt-", spec.attempt, ".log");
    plan.progress_fifo = absl::StrCat(plan.directories[0], "/progress");
    plan.helper_command = host.helper_command;
    for (const std::string& entry : host.base_environment) {
      if (!IsForeign(entry)) plan.inherited_environment.push_back(entry);
    }
    const auto set = [&plan](absl::string_view variable, absl::string_view value) {
      plan.environment.push_back(absl::StrCat(variable, "=", value));
    };
    set(kJobIdVariable, spec.job_id);
    set(kAttemptVariable, absl::StrCat(spec.attempt));
    set(kWorkersVariable, absl::StrCat(spec.workers));
    set(kProgressVariable, plan.progress_fifo);
    set(kSharedMemoryVariable, plan.directories[0]);
    set(kTokenVariable, spec.token);
    set("TMPDIR", plan.directories[0]);
    if (host.root) {
      set("OMPI_ALLOW_RUN_AS_ROOT", "1");
      set("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    }
    plan.environment.insert(plan.environment.end(), spec.environment.begin(),
                            spec.environment.end());
    plan.argv = MpirunCommand(spec, host, plan);
    if (int64_t{spec.workers} * spec.threads > host.cores) {
      plan.warnings.push_back(absl::StrCat(spec.workers, " workers x ", spec.threads,
                                           " threads share ", host.cores,
                                           " cores; the result is the same, but slower"));
    }
    return plan;
  }

  absl::StatusOr<std::unique_ptr<Attempt>> Start(const LaunchPlan& plan) override {
    const AttemptRecord record = {.attempt = plan.attempt,
                                  .token = plan.token,
                                  .boot_id = BootId(),
                                  .helper = {},
                                  .directories = plan.directories};
    // The note comes before what it names (attempt_record.h).
    LOCKSTEP_RETURN_IF_ERROR(WriteAttemptRecord(plan.run_directory, record));
    absl::StatusOr<std::unique_ptr<Attempt>> attempt = StartRecorded(plan);
    if (!attempt.ok())
      SweepAttempt(plan.run_directory, record)
          .IgnoreError();  // the first failure is the one to report
    return attempt;
  }

 private:
  static absl::StatusOr<std::unique_ptr<Attempt>> StartRecorded(const LaunchPlan& plan) {
    for (const std::string& directory : plan.directories)
      LOCKSTEP_RETURN_IF_ERROR(PosixFileSystem().MakeDirectories(directory));
    LOCKSTEP_RETURN_IF_ERROR(PosixFileSystem().MakeDirectories(ParentPath(plan.log_file)));
    LOCKSTEP_ASSIGN_OR_RETURN(ProgressChannel progress,
                              ProgressChannel::Create(plan.progress_fifo));
    auto attempt = std::make_unique<LocalAttempt>(plan, std::move(progress));
    LOCKSTEP_RETURN_IF_ERROR(attempt->Start());
    return attempt;
  }
};

std::unique_ptr<Launcher> Make() { return std::make_unique<LocalLauncher>(); }

}  // namespace

extern const LauncherDef
    kDef;  // a const object is internal by default; the registry needs this one
constinit const LauncherDef kDef = {"local", "mpirun on this machine", &Make};

}  // namespace lockstep::launchers::local
