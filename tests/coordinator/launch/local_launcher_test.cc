// The local launcher with real processes: a shell script stands for mpirun, this binary for the CLI
// and its launch helper. Exemplar of a test with processes: everything below one temporary
// directory, no sleep longer than a poll, nothing left.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"

#include "common/env/file_system.h"
#include "common/env/proc_file.h"
#include "common/env/process_runner.h"
#include "coordinator/launch/attempt_record.h"
#include "coordinator/launch/launch_helper.h"
#include "coordinator/launch/launcher_registry.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait_until.h"

namespace lockstep {
namespace {

using ::lockstep::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kDrive[] = "drive";  // this binary as a supervisor that a test may kill
// Two "ranks" that would outlive everything, as ranks do before MPI_Init.
constexpr char kTwoSleepers[] = "sleep 1000 & sleep 1000 & echo up > $OUT/up; wait";

bool Exists(const std::string& path) { return std::filesystem::exists(path); }

// mpirun's stand-in runs what follows the word BEGIN of its command line.
HostFacts MakeHost(const std::string& out) {
  const std::string mpirun = absl::StrCat(out, "/mpirun");
  if (!Exists(mpirun)) {
    std::ofstream(mpirun)
        << "#!/bin/sh\nwhile [ \"$1\" != BEGIN ]; do shift; done\nshift\nexec \"$@\"\n";
    std::filesystem::permissions(mpirun, std::filesystem::perms::owner_all);
  }
  HostFacts host;
  host.cores = 2;
  host.mpirun = mpirun;
  host.shared_memory_directory = absl::StrCat(out, "/shm");
  host.base_environment = {absl::StrCat("PATH=", std::getenv("PATH")), absl::StrCat("OUT=", out)};
  host.helper_command = {CurrentProgram().value(), kLaunchHelperCommand};
  return host;
}

AttemptSpec MakeSpec(const std::string& out, const std::string& script) {
  return {.job_id = "job",
          .attempt = 1,
          .workers = 2,
          .command = {"BEGIN", "sh", "-c", script},
          .output_directory = out,
          .token = MakeRunToken()};
}

std::unique_ptr<Launcher> MakeLocal() { return FindLauncher("local").value()->make(); }

absl::StatusOr<std::unique_ptr<Attempt>> StartScript(const std::string& out,
                                                     const std::string& script) {
  const std::unique_ptr<Launcher> launcher = MakeLocal();
  const LaunchPlan plan = launcher->Plan(MakeSpec(out, script), MakeHost(out)).value();
  return launcher->Start(plan);
}

int Drive(const std::string& out) {
  const absl::StatusOr<RunGuard> guard = RunGuard::Acquire(out);
  if (!guard.ok()) return 2;
  const auto attempt = StartScript(out, kTwoSleepers);
  return attempt.ok() && WaitUntil([&] { return (*attempt)->Poll().has_value(); }) ? 0 : 1;
}

class LocalLauncher : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = absl::StrCat(::testing::TempDir(), "launchXXXXXX");
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    out_ = name;
  }
  void TearDown() override { ASSERT_OK(PosixFileSystem().RemoveTree(out_)); }

  AttemptExit WaitForEnd(Attempt& attempt) {
    std::optional<AttemptExit> exit;
    EXPECT_TRUE(WaitUntil([&] { return (exit = attempt.Poll()).has_value(); }));
    return exit.value_or(AttemptExit{.code = -1});
  }

  bool ScriptIsUp() { return Exists(absl::StrCat(out_, "/up")); }

  // The note of the running attempt, once its helper has signed it.
  AttemptRecord Record() {
    AttemptRecord record;
    EXPECT_TRUE(WaitUntil([&] {
      const auto read = ReadAttemptRecord(RunDirectory(out_));
      if (read.ok()) record = *read;
      return record.helper.pid != 0;
    }));
    return record;
  }

  void ExpectNothingLeft(pid_t session) {
    EXPECT_THAT(ProcessesOfSession(session), IsEmpty());
    EXPECT_TRUE(std::filesystem::is_empty(absl::StrCat(out_, "/shm")));
    EXPECT_THAT(ReadAttemptRecord(RunDirectory(out_)),
                StatusIs(absl::StatusCode::kNotFound, ::testing::_));
    for (const auto& entry : std::filesystem::directory_iterator(RunDirectory(out_))) {
      EXPECT_FALSE(entry.is_directory()) << entry.path();
    }
  }

  ChildProcess StartDriver() {
    return ChildProcess::Start({.argv = {CurrentProgram().value(), kDrive, out_},
                                .environment = CurrentEnvironment()})
        .value();
  }

  std::string out_;
};

TEST_F(LocalLauncher, ReportsTheExitCodeAndKeepsTheOutput) {
  ASSERT_OK(PosixFileSystem().MakeDirectories(RunDirectory(out_)));
  ASSERT_OK_AND_ASSIGN(auto attempt,
                       StartScript(out_, "echo to-stdout; echo to-stderr >&2; exit 65"));

  EXPECT_EQ(WaitForEnd(*attempt), (AttemptExit{.code = 65, .signal = 0}));

  ASSERT_OK_AND_ASSIGN(const std::string log,
                       ReadProcFile(absl::StrCat(out_, "/logs/attempt-1.log")));
  EXPECT_EQ(log, "to-stdout\nto-stderr\n");
  ASSERT_OK(attempt->CleanUp());
}

TEST_F(LocalLauncher, TakesMpirunsCodeAbove128ForASignal) {
  ASSERT_OK(PosixFileSystem().MakeDirectories(RunDirectory(out_)));
  ASSERT_OK_AND_ASSIGN(auto attempt, StartScript(out_, "exit 137"));

  EXPECT_EQ(WaitForEnd(*attempt), (AttemptExit{.code = 0, .signal = SIGKILL}));
}

TEST_F(LocalLauncher, HandsOverProgressOfTheLastMomentAfterTheEnd) {
  ASSERT_OK(PosixFileSystem().MakeDirectories(RunDirectory(out_)));
  ASSERT_OK_AND_ASSIGN(auto attempt,
                       StartScript(out_,
                                   "echo '{\"kind\":\"step\",\"step\":7}' > $LOCKSTEP_PROGRESS; "
                                   "echo '{\"kind\":' > $LOCKSTEP_PROGRESS"));

  EXPECT_EQ(WaitForEnd(*attempt).code, 0);

  const std::vector<ProgressLine> lines = attempt->Progress();
  ASSERT_EQ(lines.size(), 1u);  // the torn line is dropped
  EXPECT_EQ(lines[0].step, 7);
}

TEST_F(LocalLauncher, LeavesNothingWhenRanksOutliveMpirun) {
  ASSERT_OK(PosixFileSystem().MakeDirectories(RunDirectory(out_)));
  ASSERT_OK_AND_ASSIGN(auto attempt,
                       StartScript(out_, "sleep 1000 & touch $LOCKSTEP_SHM_DIR/segment; exit 0"));
  const pid_t session = Record().helper.pid;

  EXPECT_EQ(WaitForEnd(*attempt).code, 0);

  ExpectNothingLeft(session);
}

TEST_F(LocalLauncher, KillEndsEveryProcessOfTheAttempt) {
  ASSERT_OK(PosixFileSystem().MakeDirectories(RunDirectory(out_)));
  ASSERT_OK_AND_ASSIGN(auto attempt, StartScript(out_, kTwoSleepers));
  const pid_t session = Record().helper.pid;
  ASSERT_TRUE(WaitUntil([&] { return ScriptIsUp(); }));

  attempt->Kill();

  EXPECT_EQ(WaitForEnd(*attempt).signal, SIGKILL);
  ExpectNothingLeft(session);
}

TEST_F(LocalLauncher, ForwardsTheOrdersAsSignals) {
  ASSERT_OK(PosixFileSystem().MakeDirectories(RunDirectory(out_)));
  ASSERT_OK_AND_ASSIGN(
      auto attempt,
      StartScript(
          out_,
          "trap 'echo one >> $OUT/orders' USR1; trap 'echo two >> $OUT/orders; exit 75' USR2; "
          "echo up > $OUT/up; while :; do sleep 0.01; done"));
  ASSERT_TRUE(WaitUntil([&] { return ScriptIsUp(); }));

  attempt->AskToCheckpoint();
  ASSERT_TRUE(WaitUntil([&] { return Exists(absl::StrCat(out_, "/orders")); }));
  attempt->AskToStop();

  EXPECT_EQ(WaitForEnd(*attempt).code, 75);
  EXPECT_EQ(ReadProcFile(absl::StrCat(out_, "/orders")).value(), "one\ntwo\n");
}

// mpirun loses a signal that comes while it starts its ranks.
TEST_F(LocalLauncher, RepeatsTheOrderToStop) {
  ASSERT_OK(PosixFileSystem().MakeDirectories(RunDirectory(out_)));
  ASSERT_OK_AND_ASSIGN(auto attempt,
                       StartScript(out_,
                                   "trap 'seen=x$seen; [ $seen = xxx ] && exit 75' USR2; "
                                   "echo up > $OUT/up; while :; do sleep 0.01; done"));
  ASSERT_TRUE(WaitUntil([&] { return ScriptIsUp(); }));

  attempt->AskToStop();

  EXPECT_EQ(WaitForEnd(*attempt).code, 75);
}

TEST_F(LocalLauncher, KnowsTheOutcomeAlsoWhenTheDiskTakesNone) {
  ASSERT_OK(PosixFileSystem().MakeDirectories(RunDirectory(out_)));
  // Where the outcome would be written stands a directory.
  ASSERT_OK(PosixFileSystem().MakeDirectory(absl::StrCat(RunDirectory(out_), "/outcome.json.tmp")));
  ASSERT_OK_AND_ASSIGN(auto attempt, StartScript(out_, "exit 75"));

  EXPECT_EQ(WaitForEnd(*attempt).code, 75);
  ASSERT_OK(attempt->CleanUp());
}

TEST_F(LocalLauncher, CleansUpAfterAHelperThatWasKilled) {
  ASSERT_OK(PosixFileSystem().MakeDirectories(RunDirectory(out_)));
  ASSERT_OK_AND_ASSIGN(auto attempt, StartScript(out_, kTwoSleepers));
  const pid_t helper = Record().helper.pid;
  ASSERT_TRUE(WaitUntil([&] { return ScriptIsUp(); }));

  ASSERT_EQ(kill(helper, SIGKILL), 0);

  const AttemptExit exit = WaitForEnd(*attempt);
  EXPECT_EQ(exit.signal, SIGKILL);
  EXPECT_THAT(exit.message, HasSubstr("launch helper"));
  ASSERT_OK(attempt->CleanUp());
  ASSERT_OK(attempt->CleanUp());  // idempotent
  ExpectNothingLeft(helper);
}

TEST_F(LocalLauncher, EndsWithItsSupervisor) {
  ChildProcess driver = StartDriver();
  ASSERT_TRUE(WaitUntil([&] { return ScriptIsUp(); }));
  const pid_t session = Record().helper.pid;
  ASSERT_GE(ProcessesOfSession(session).size(), 4u);  // helper, mpirun, two ranks

  driver.Signal(SIGKILL);

  EXPECT_TRUE(WaitUntil([&] { return ProcessesOfSession(session).empty(); }));
  ExpectNothingLeft(session);
}

TEST_F(LocalLauncher, RefusesASecondRunInADirectoryInUse) {
  ChildProcess driver = StartDriver();
  ASSERT_TRUE(WaitUntil([&] { return ScriptIsUp(); }));
  const pid_t session = Record().helper.pid;

  EXPECT_THAT(RunGuard::Acquire(out_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another run")));

  driver.Signal(SIGKILL);
  driver.Wait();
  EXPECT_OK(RunGuard::Acquire(out_));  // at once, although the helper may still be at work
  ExpectNothingLeft(session);
}

TEST_F(LocalLauncher, SweepsWhatARunLeftWhenSupervisorAndHelperDiedTogether) {
  ChildProcess driver = StartDriver();
  ASSERT_TRUE(WaitUntil([&] { return ScriptIsUp(); }));
  const pid_t helper = Record().helper.pid;
  // Stopped first: neither may tidy up after the other.
  kill(helper, SIGSTOP);
  driver.Signal(SIGKILL);
  driver.Wait();
  kill(helper, SIGKILL);
  ASSERT_TRUE(WaitUntil([&] { return !IdentifyProcess(helper).has_value(); }));
  ASSERT_FALSE(ProcessesOfSession(helper).empty());  // two sleepers without PDEATHSIG

  EXPECT_OK(RunGuard::Acquire(out_));

  ExpectNothingLeft(helper);
}

TEST_F(LocalLauncher, NeverStartsForAMissingProgram) {
  ASSERT_OK(PosixFileSystem().MakeDirectories(RunDirectory(out_)));
  const std::unique_ptr<Launcher> launcher = MakeLocal();
  LaunchPlan plan = launcher->Plan(MakeSpec(out_, "true"), MakeHost(out_)).value();
  plan.helper_command = {"/nowhere/lockstep"};

  EXPECT_THAT(launcher->Start(plan),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nowhere/lockstep")));
  EXPECT_FALSE(Exists(plan.directories[0]));
}

constexpr char kPlanText[] = R"(argv setpriv
argv --pdeathsig
argv KILL
argv --
argv mpirun
argv -np
argv 3
argv --mca
argv btl
argv vader,self
argv --mca
argv odls_base_sigkill_timeout
argv 0
argv --mca
argv orte_tmpdir_base
argv /dev/shm/lockstep-ab12-2
argv --mca
argv btl_vader_backing_directory
argv /dev/shm/lockstep-ab12-2
argv --mca
argv osc_sm_backing_directory
argv /dev/shm/lockstep-ab12-2
argv --mca
argv osc_rdma_backing_directory
argv /dev/shm/lockstep-ab12-2
argv --mca
argv btl_vader_single_copy_mechanism
argv none
argv --mca
argv mpi_yield_when_idle
argv 1
argv --oversubscribe
argv --bind-to
argv none
argv --tag-output
argv -x
argv LOCKSTEP_JOB_ID
argv -x
argv LOCKSTEP_ATTEMPT
argv -x
argv LOCKSTEP_WORKERS
argv -x
argv LOCKSTEP_PROGRESS
argv -x
argv LOCKSTEP_SHM_DIR
argv -x
argv LOCKSTEP_ATTEMPT_TOKEN
argv /opt/lockstep-worker
argv --job
argv job.yaml
argv --resume
environment LOCKSTEP_JOB_ID=fashion
environment LOCKSTEP_ATTEMPT=2
environment LOCKSTEP_WORKERS=3
environment LOCKSTEP_PROGRESS=/dev/shm/lockstep-ab12-2/progress
environment LOCKSTEP_SHM_DIR=/dev/shm/lockstep-ab12-2
environment LOCKSTEP_ATTEMPT_TOKEN=ab12
environment TMPDIR=/dev/shm/lockstep-ab12-2
environment OMPI_ALLOW_RUN_AS_ROOT=1
environment OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
directory /dev/shm/lockstep-ab12-2
log /out/logs/attempt-2.log
progress /dev/shm/lockstep-ab12-2/progress
run /out/.run
warning 3 workers x 1 threads share 2 cores; the result is the same, but slower
)";

TEST(LocalLauncherPlan, IsThisText) {
  HostFacts host;
  host.cores = 2;
  host.root = true;
  host.cma_allowed = false;
  host.base_environment = {"HOME=/home/u", "OMPI_COMM_WORLD_RANK=3", "LOCKSTEP_ATTEMPT=9",
                           "LOCKSTEP_SIMD=avx2", "TMPDIR=/x"};
  const AttemptSpec spec = {.job_id = "fashion",
                            .attempt = 2,
                            .workers = 3,
                            .threads = 1,
                            .command = {"/opt/lockstep-worker", "--job", "job.yaml", "--resume"},
                            .output_directory = "/out",
                            .token = "ab12"};

  ASSERT_OK_AND_ASSIGN(const LaunchPlan plan, MakeLocal()->Plan(spec, host));

  EXPECT_THAT(plan.inherited_environment, ElementsAre("HOME=/home/u", "LOCKSTEP_SIMD=avx2"));
  EXPECT_EQ(plan.ToText(), kPlanText);
}

TEST(LocalLauncherPlan, WarnsOnlyBeyondTheCores) {
  HostFacts host;
  host.cores = 4;
  AttemptSpec spec = {
      .workers = 2, .threads = 2, .command = {"w"}, .output_directory = "/o", .token = "1"};
  EXPECT_THAT(MakeLocal()->Plan(spec, host)->warnings, IsEmpty());

  spec.workers = 3;
  EXPECT_THAT(MakeLocal()->Plan(spec, host)->warnings,
              ElementsAre(HasSubstr("3 workers x 2 threads share 4 cores")));
}

TEST(LocalLauncherPlan, RefusesNoWorkers) {
  const AttemptSpec spec = {.workers = 0, .command = {"w"}, .output_directory = "/o", .token = "1"};
  EXPECT_THAT(MakeLocal()->Plan(spec, {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("workers 0")));
}

TEST(LauncherRegistry, NamesTheLaunchersThereAreWhenOneIsUnknown) {
  EXPECT_OK(FindLauncher("local"));
  EXPECT_THAT(FindLauncher("lokal"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("local")));
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  if (command == lockstep::kLaunchHelperCommand) return lockstep::LaunchHelperMain(argc, argv);
  if (command == lockstep::kDrive) return lockstep::Drive(argv[2]);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
