#include "coordinator/app/embedded_coordinator.h"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_files.h"
#include "common/checkpoint/job_output.h"
#include "common/env/clock.h"
#include "common/env/file_system.h"
#include "common/env/host.h"
#include "common/env/process_runner.h"
#include "common/env/signals.h"
#include "common/kernels/simd_target.h"
#include "common/spec/job_identity.h"
#include "coordinator/jobs/memory_job_store.h"
#include "coordinator/launch/attempt_record.h"
#include "coordinator/launch/host_facts.h"
#include "coordinator/launch/launch_helper.h"
#include "coordinator/launch/launcher_registry.h"

namespace lockstep {
namespace {

constexpr char kWorkerProgram[] = "lockstep-worker";
constexpr absl::Duration kPoll = absl::Milliseconds(10);

// How often somebody wished to interrupt; lives as long as the process, since handlers write to it.
std::atomic<int>& Interrupts() {
  static std::atomic<int> interrupts = 0;
  return interrupts;
}

// Beside this program, as both are built and installed, or in PATH.
absl::StatusOr<std::string> FindWorker() {
  LOCKSTEP_ASSIGN_OR_RETURN(const std::string self, CurrentProgram());
  const std::string beside = JoinPath(ParentPath(self), kWorkerProgram);
  LOCKSTEP_ASSIGN_OR_RETURN(const bool there, PosixFileSystem().Exists(beside));
  if (there) return beside;
  absl::StatusOr<std::string> found = FindExecutable(kWorkerProgram);
  if (found.ok()) return found;
  return absl::NotFoundError(absl::StrCat("'", kWorkerProgram, "' is neither beside ", self,
                                          " nor in PATH; install both together"));
}

// What every attempt runs: the canonical job, which is a job file itself, kept in the output
// directory for whoever wants to know what was trained.
absl::StatusOr<JobOrder> MakeOrder(const EmbeddedRun& run) {
  const std::string& directory = run.spec->output().directory;
  const std::string job_file = JoinPath(directory, "job.json");
  const absl::Status written =
      ReplaceFileSynced(PosixFileSystem(), job_file, ToCanonicalJson(*run.spec) + "\n");
  if (!written.ok()) {
    return absl::Status(written.code(),
                        absl::StrCat("output.directory: ", written.message(),
                                     "; make room there, or choose another with --out"));
  }
  LOCKSTEP_ASSIGN_OR_RETURN(const std::string worker, FindWorker());
  AttemptSpec base{.job_id = run.spec->name(),
                   .workers = static_cast<int>(run.spec->resources().workers),
                   .threads = static_cast<int>(run.spec->resources().threads),
                   .command = {worker, "--job", job_file},
                   .output_directory = directory,
                   .token = MakeRunToken()};
  base.command.insert(base.command.end(), run.worker_options.begin(), run.worker_options.end());
  return JobOrder{.id = run.spec->name(),
                  .make_attempt = [base = std::move(base), resume_first = run.resume](
                                      int attempt, bool resume) -> absl::StatusOr<AttemptSpec> {
                    AttemptSpec spec = base;
                    spec.attempt = attempt;
                    if (resume || resume_first) spec.command.emplace_back("--resume");
                    return spec;
                  }};
}

}  // namespace

absl::StatusOr<Job> RunEmbedded(const EmbeddedRun& run, JobObserver& observer) {
  LOCKSTEP_RETURN_IF_ERROR(PosixFileSystem().MakeDirectories(run.spec->output().directory));
  LOCKSTEP_RETURN_IF_ERROR(kernels::InitSimd());  // the workers' too: they run on this host
  LOCKSTEP_ASSIGN_OR_RETURN(const RunGuard guard, RunGuard::Acquire(run.spec->output().directory));
  if (run.check_output != nullptr) LOCKSTEP_RETURN_IF_ERROR(run.check_output());
  LOCKSTEP_ASSIGN_OR_RETURN(const HostFacts host, FindHostFacts());
  LOCKSTEP_ASSIGN_OR_RETURN(const LauncherDef* const def, FindLauncher(run.spec->launcher().type));
  const std::unique_ptr<Launcher> launcher = def->make();
  LOCKSTEP_ASSIGN_OR_RETURN(JobOrder order, MakeOrder(run));
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) CountSignal(signal, &Interrupts());

  MemoryJobStore store;
  JobLoop loop({&RealClock(), &store, launcher.get(), &host, &observer}, {});
  const std::string id = order.id;
  LOCKSTEP_RETURN_IF_ERROR(loop.Submit(std::move(order)));
  for (int obeyed = 0;;) {
    LOCKSTEP_ASSIGN_OR_RETURN(const absl::Duration idle, loop.Turn());
    if (loop.settled()) break;
    if (obeyed < Interrupts()) {
      ++obeyed;
      LOCKSTEP_RETURN_IF_ERROR(loop.Request({.id = id, .what = PauseRequested{}}));
    }
    PauseFor(std::min(idle, kPoll));
  }
  // Of workers that were killed. What cannot be removed now goes with the next run.
  RemoveUnfinishedCheckpoints(PosixFileSystem(), CheckpointRoot(run.spec->output().directory))
      .IgnoreError();
  return store.Get(id);
}

std::optional<int> MaybeLaunchHelper(int argc, char** argv) {
  if (argc < 2 || std::strcmp(argv[1], kLaunchHelperCommand) != 0) return std::nullopt;
  return LaunchHelperMain(argc, argv);
}

}  // namespace lockstep
