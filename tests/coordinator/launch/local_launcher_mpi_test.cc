// The local launcher with the real mpirun and programs that know nothing of MPI, hence of no way to
// die by themselves.
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

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

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class LocalLauncherMpi : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = absl::StrCat(::testing::TempDir(), "mpiXXXXXX");
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    out_ = name;
  }
  void TearDown() override {
    attempt_.reset();
    for (const std::string& directory : plan_.directories)
      EXPECT_FALSE(std::filesystem::exists(directory)) << directory;
    EXPECT_THAT(ProcessesOfSession(session_), IsEmpty());
    ASSERT_OK(PosixFileSystem().RemoveTree(out_));
  }

  // Two ranks of a shell script, below `out_`/subdirectory.
  void Start(const std::string& script, const std::string& subdirectory = "") {
    const std::string out = absl::StrCat(out_, subdirectory);
    ASSERT_OK(PosixFileSystem().MakeDirectories(RunDirectory(out)));
    ASSERT_OK_AND_ASSIGN(HostFacts host, FindHostFacts());
    const std::unique_ptr<Launcher> launcher = FindLauncher("local").value()->make();
    ASSERT_OK_AND_ASSIGN(plan_, launcher->Plan({.job_id = "job",
                                                .workers = 2,
                                                .command = {"/bin/sh", "-c", script},
                                                .environment = {absl::StrCat("OUT=", out)},
                                                .output_directory = out,
                                                .token = MakeRunToken()},
                                               host));
    ASSERT_OK_AND_ASSIGN(attempt_, launcher->Start(plan_));
    ASSERT_TRUE(WaitUntil([&] {
      const auto record = ReadAttemptRecord(RunDirectory(out));
      if (record.ok()) session_ = record->helper.pid;
      return session_ != 0 || attempt_->Poll().has_value();
    }));
  }

  AttemptExit WaitForEnd() {
    std::optional<AttemptExit> exit;
    EXPECT_TRUE(WaitUntil([&] { return (exit = attempt_->Poll()).has_value(); })) << "no end";
    return exit.value_or(AttemptExit{.code = -1});
  }

  void WaitForTwoRanks() {
    int up = 0;
    EXPECT_TRUE(
        WaitUntil([&] { return (up += static_cast<int>(attempt_->Progress().size())) >= 2; }));
  }

  std::string out_;
  LaunchPlan plan_;
  pid_t session_ = 0;
  std::unique_ptr<Attempt> attempt_;
};

constexpr char kReportAndSleep[] =
    "echo '{\"kind\":\"step\",\"step\":1}' > $LOCKSTEP_PROGRESS; exec sleep 1000";

TEST_F(LocalLauncherMpi, RunsTheRanksAndTagsTheirOutput) {
  Start("echo rank-$OMPI_COMM_WORLD_RANK-of-$LOCKSTEP_WORKERS in $TMPDIR");

  EXPECT_EQ(WaitForEnd(), (AttemptExit{.code = 0}));

  const std::string log = ReadProcFile(plan_.log_file).value();
  EXPECT_THAT(log, HasSubstr("rank-0-of-2"));
  EXPECT_THAT(log, HasSubstr("rank-1-of-2"));
}

TEST_F(LocalLauncherMpi, WorksBelowALongPath) {
  Start("exit 0", absl::StrCat("/", std::string(120, 'd'), "/", std::string(60, 'e')));

  EXPECT_EQ(WaitForEnd(), (AttemptExit{.code = 0})) << ReadProcFile(plan_.log_file).value_or("");
}

TEST_F(LocalLauncherMpi, PassesOnTheFailingRanksExitCode) {
  Start("if [ $OMPI_COMM_WORLD_RANK = 1 ]; then exit 67; fi; exec sleep 1000");

  EXPECT_EQ(WaitForEnd().code, 67);
}

TEST_F(LocalLauncherMpi, ReportsARankThatWasKilled) {
  Start("if [ $OMPI_COMM_WORLD_RANK = 1 ]; then kill -9 $$; fi; exec sleep 1000");

  EXPECT_EQ(WaitForEnd().signal, SIGKILL);
}

TEST_F(LocalLauncherMpi, ForwardsAStopToEveryRank) {
  Start(
      "trap 'exit 75' USR2; echo '{\"kind\":\"step\",\"step\":1}' > $LOCKSTEP_PROGRESS; while :; "
      "do sleep 0.02; done");
  WaitForTwoRanks();

  attempt_->AskToStop();

  EXPECT_EQ(WaitForEnd().code, 75);
}

TEST_F(LocalLauncherMpi, KillLeavesNoRankBehind) {
  Start(kReportAndSleep);
  WaitForTwoRanks();

  const absl::Time start = absl::Now();
  attempt_->Kill();

  EXPECT_EQ(WaitForEnd().signal, SIGKILL);
  EXPECT_LT(absl::Now() - start, absl::Seconds(2));
}

TEST_F(LocalLauncherMpi, SurvivesTheDeathOfTheHelper) {
  Start(kReportAndSleep);
  WaitForTwoRanks();

  kill(session_, SIGKILL);

  EXPECT_EQ(WaitForEnd().signal, SIGKILL);
}

TEST_F(LocalLauncherMpi, SurvivesTheDeathOfMpirun) {
  Start(kReportAndSleep);
  WaitForTwoRanks();
  pid_t mpirun = 0;
  for (const pid_t pid : ProcessesOfSession(session_)) {
    const std::string name = ReadProcFile(absl::StrCat("/proc/", pid, "/comm")).value_or("");
    if (name == "mpirun\n" || name == "orterun\n") mpirun = pid;
  }
  ASSERT_NE(mpirun, 0);

  kill(mpirun, SIGKILL);

  EXPECT_EQ(WaitForEnd().signal, SIGKILL);
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == lockstep::kLaunchHelperCommand)
    return lockstep::LaunchHelperMain(argc, argv);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
