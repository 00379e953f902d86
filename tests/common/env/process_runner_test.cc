#include "common/env/process_runner.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"

#include "common/env/host.h"
#include "common/env/proc_file.h"
#include "common/env/unique_fd.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::lockstep::testing::StatusIs;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ProcessRunner : public ::testing::Test {
 protected:
  ProcessRunner()
      : output_(absl::StrCat(::testing::TempDir(), "process_runner_", getpid(), ".out")) {}
  ~ProcessRunner() override { unlink(output_.c_str()); }

  ProcessSpec Shell(const std::string& script) {
    return {.argv = {"sh", "-c", script},
            .environment = {"PATH=/usr/bin:/bin"},
            .output_file = output_};
  }
  std::string Run(const ProcessSpec& spec) {
    absl::StatusOr<ChildProcess> child = ChildProcess::Start(spec);
    EXPECT_OK(child);
    child->Wait();
    return ReadProcFile(output_).value_or("");
  }

  std::string output_;
};

TEST_F(ProcessRunner, ReportsCodeOrSignal) {
  EXPECT_EQ(ChildProcess::Start(Shell("exit 65"))->Wait(), (ProcessExit{.code = 65}));
  EXPECT_EQ(ChildProcess::Start(Shell("kill -9 $$"))->Wait(), (ProcessExit{.signal = SIGKILL}));
}

TEST_F(ProcessRunner, NamesAProgramThatIsNotThere) {
  EXPECT_THAT(ChildProcess::Start({.argv = {"/nowhere/program"}}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nowhere/program")));
}

TEST_F(ProcessRunner, GivesExactlyTheEnvironmentItWasTold) {
  setenv("LOCKSTEP_TEST_SECRET", "1", 1);
  EXPECT_THAT(Run({.argv = {"/usr/bin/env"}, .environment = {"A=b c"}, .output_file = output_}),
              "A=b c\n");
}

TEST_F(ProcessRunner, GivesNoDescriptorBeyondThoseNamed) {
  const UniqueFd leaky(open("/dev/null", O_RDONLY));  // not close-on-exec
  const UniqueFd wanted(open("/dev/zero", O_RDONLY));
  ProcessSpec spec = Shell("readlink /proc/$$/fd/0 /proc/$$/fd/3; exec ls /proc/self/fd");
  spec.descriptors = {wanted.get()};

  // 4 is the directory that ls itself reads.
  EXPECT_EQ(Run(spec), "/dev/null\n/dev/zero\n0\n1\n2\n3\n4\n");
}

TEST_F(ProcessRunner, RestoresSignalsThatTheCallerBlockedOrIgnored) {
  sigset_t blocked, old;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, &old);
  const sighandler_t handler = signal(SIGINT, SIG_IGN);

  const ProcessExit term = ChildProcess::Start(Shell("kill -TERM $$; exit 3"))->Wait();
  const ProcessExit interrupt = ChildProcess::Start(Shell("kill -INT $$; exit 3"))->Wait();
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  signal(SIGINT, handler);

  EXPECT_EQ(term.signal, SIGTERM);
  EXPECT_EQ(interrupt.signal, SIGINT);
}

TEST_F(ProcessRunner, PollsWithoutBlockingAndAnswersForEver) {
  ASSERT_OK_AND_ASSIGN(ChildProcess child, ChildProcess::Start(Shell("exec sleep 1000")));
  EXPECT_EQ(child.Poll(), std::nullopt);
  ASSERT_OK_AND_ASSIGN(const int fd, child.OpenPidFd());
  const UniqueFd owned(fd);

  child.Signal(SIGKILL);
  pollfd watched = {.fd = fd, .events = POLLIN, .revents = 0};
  ASSERT_EQ(poll(&watched, 1, 10000), 1);

  EXPECT_EQ(child.Poll(), (ProcessExit{.signal = SIGKILL}));
  EXPECT_EQ(child.Poll(), (ProcessExit{.signal = SIGKILL}));
  child.Signal(SIGKILL);  // the pid is nobody's now
}

TEST_F(ProcessRunner, IdentifiesLiveProcessesOnly) {
  EXPECT_EQ(IdentifyProcess(getpid()), IdentifyProcess(getpid()));
  ASSERT_OK_AND_ASSIGN(ChildProcess child, ChildProcess::Start(Shell("exec sleep 1000")));
  const std::optional<ProcessIdentity> identity = IdentifyProcess(child.pid());
  ASSERT_TRUE(identity.has_value());
  EXPECT_NE(identity, IdentifyProcess(getpid()));

  child.Signal(SIGKILL);
  child.Wait();

  EXPECT_EQ(IdentifyProcess(child.pid()), std::nullopt);
}

TEST_F(ProcessRunner, KillsASessionButOnlyWhatCarriesTheMark) {
  ProcessSpec spec = Shell("MARK=yes sleep 1000 & sleep 1000 & echo up; wait");
  spec.new_session = true;
  ASSERT_OK_AND_ASSIGN(ChildProcess leader, ChildProcess::Start(spec));
  while (ProcessesOfSession(leader.pid(), "MARK=yes").empty() ||
         ProcessesOfSession(leader.pid()).size() < 3) {
  }

  EXPECT_TRUE(KillSession(leader.pid(), "MARK=yes"));
  EXPECT_THAT(ProcessesOfSession(leader.pid()), Contains(leader.pid()));

  EXPECT_TRUE(KillSession(leader.pid()));
  EXPECT_EQ(leader.Wait().signal, SIGKILL);
  EXPECT_THAT(ProcessesOfSession(leader.pid()), IsEmpty());
}

TEST(Host, FindsProgramsInThePathOnly) {
  ASSERT_OK_AND_ASSIGN(const std::string shell, FindExecutable("sh"));
  EXPECT_TRUE(std::filesystem::path(shell).is_absolute());
  EXPECT_THAT(FindExecutable("no-such-program"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no-such-program")));
  EXPECT_GE(UsableCores(), 1);
}

}  // namespace
}  // namespace lockstep
