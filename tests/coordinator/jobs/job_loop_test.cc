// JobLoop with simulated time and attempts that live in the test: one Turn is one step of the
// world.
#include "coordinator/jobs/job_loop.h"

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"

#include "common/base/exit_codes.h"
#include "common/base/thread.h"
#include "coordinator/jobs/memory_job_store.h"
#include "tests/support/fake_launcher.h"
#include "tests/support/sim_clock.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::lockstep::testing::FakeLauncher;
using ::lockstep::testing::SimClock;
using ::lockstep::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Recorder final : public JobObserver {
 public:
  void OnJob(const Job& job) override { states.emplace_back(JobStateName(job.state)); }
  void OnLaunch(const Job& job, const LaunchPlan& plan) override {
    launches.push_back(absl::StrCat(job.attempt, ":", plan.argv[0]));
  }
  void OnProgress(const Job&, const ProgressLine& line) override { lines.push_back(line.json); }

  std::vector<std::string> states, launches, lines;
};

class JobLoopTest : public ::testing::Test {
 protected:
  void Submit(const std::string& id) {
    ASSERT_OK(loop_.Submit(
        {.id = id, .make_attempt = [](int attempt, bool resume) -> absl::StatusOr<AttemptSpec> {
           return AttemptSpec{.attempt = attempt, .command = {resume ? "resume" : "fresh"}};
         }}));
    Turn();
  }
  absl::Duration Turn() { return loop_.Turn().value(); }
  Job Get(const std::string& id) { return store_.Get(id).value(); }
  FakeLauncher::Control& Attempt(size_t number) { return *launcher_.attempts.at(number - 1); }
  void Request(decltype(JobRequest::what) what) {
    ASSERT_OK(loop_.Request({.id = "j", .what = what}));
    Turn();
  }

  SimClock clock_;
  MemoryJobStore store_;
  FakeLauncher launcher_;
  HostFacts host_;
  Recorder recorder_;
  JobLoop loop_{{&clock_, &store_, &launcher_, &host_, &recorder_}, {}};
};

// Exemplar: submit, steps, a worker's death, relaunch from the checkpoint, the end.
TEST_F(JobLoopTest, RunsAJobThroughAWorkersDeathToItsEnd) {
  Submit("j");
  Attempt(1).Report(R"({"kind":"step","step":1,"loss":0.5})");
  Attempt(1).Report(R"({"kind":"checkpoint","step":1})");
  Turn();
  EXPECT_EQ(Get("j").state, JobState::kRunning);

  Attempt(1).exit = AttemptExit{.signal = 9};
  Turn();
  EXPECT_EQ(Attempt(1).cleaned_up, 1);
  ASSERT_EQ(launcher_.attempts.size(), 2u);  // in the same turn: the first relaunch does not wait

  Attempt(2).Report(R"({"kind":"step","step":2})");
  Turn();
  Attempt(2).exit = AttemptExit{};
  Turn();

  EXPECT_EQ(Get("j").state, JobState::kSucceeded);
  EXPECT_TRUE(loop_.settled());
  EXPECT_THAT(recorder_.launches, ElementsAre("1:fresh", "2:resume"));
  EXPECT_THAT(recorder_.lines, ElementsAre(HasSubstr("\"loss\":0.5"), HasSubstr("checkpoint"),
                                           HasSubstr("\"step\":2")));
  EXPECT_THAT(recorder_.states,
              ElementsAre("QUEUED", "STARTING", "RUNNING", "STARTING", "RUNNING", "SUCCEEDED"));
}

TEST_F(JobLoopTest, KillsAnAttemptWhoseStepsStandStill) {
  Submit("j");
  Attempt(1).Report(R"({"kind":"step","step":1})");
  Turn();
  clock_.Advance(absl::Seconds(10));
  Turn();
  EXPECT_EQ(Attempt(1).killed, 0);

  clock_.Advance(absl::Milliseconds(1));
  Turn();
  EXPECT_EQ(Attempt(1).killed, 1);
  Turn();

  EXPECT_EQ(launcher_.attempts.size(), 2u);
  EXPECT_THAT(Get("j").history.at(3).message, StartsWith("no progress after step 1"));
}

TEST_F(JobLoopTest, WaitsOutTheBackoff) {
  Submit("j");
  Attempt(1).exit = AttemptExit{.signal = 9};
  Turn();
  Attempt(2).exit = AttemptExit{.signal = 9};
  EXPECT_EQ(Turn(), absl::Seconds(1));

  clock_.Advance(absl::Milliseconds(999));
  EXPECT_EQ(Turn(), absl::Milliseconds(1));
  EXPECT_EQ(launcher_.attempts.size(), 2u);
  clock_.Advance(absl::Milliseconds(1));
  Turn();

  EXPECT_EQ(launcher_.attempts.size(), 3u);
}

TEST_F(JobLoopTest, LearnsOfACheckpointFromTheAttemptThatGoesOnFromIt) {
  Submit("j");
  Attempt(1).exit = AttemptExit{.signal = 9};
  Turn();
  Attempt(2).Report(R"({"kind":"run","first_step":7})");
  Turn();

  EXPECT_EQ(Get("j").checkpoint_step, 7);
  EXPECT_EQ(Get("j").fruitless_attempts, 0);
}

TEST_F(JobLoopTest, AsksForACheckpointAndKillsAtTheDeadline) {
  Submit("j");
  Attempt(1).Report(R"({"kind":"phase","phase":"export"})");
  Request(PauseRequested{});
  EXPECT_EQ(Attempt(1).asked_to_stop, 1);

  clock_.Advance(absl::Seconds(60));
  Turn();
  EXPECT_EQ(Attempt(1).killed, 1);
  Turn();

  EXPECT_EQ(Get("j").state, JobState::kPaused);
  EXPECT_TRUE(loop_.settled());
}

TEST_F(JobLoopTest, ResumesAPausedJob) {
  Submit("j");
  Request(PauseRequested{});
  Attempt(1).exit = AttemptExit{.code = static_cast<int>(ExitCode::kStopped)};
  Turn();
  ASSERT_EQ(Get("j").state, JobState::kPaused);

  Request(ResumeRequested{});

  EXPECT_EQ(Get("j").state, JobState::kStarting);
  EXPECT_THAT(recorder_.launches, ElementsAre("1:fresh", "2:resume"));
}

TEST_F(JobLoopTest, BelievesTheRankThatKnowsTheCauseOverMpirunsCode) {
  Submit("j");
  Attempt(1).Report(R"({"kind":"error","code":69,"rank":0,"message":"rank 1 is gone"})");
  Attempt(1).Report(
      R"({"kind":"error","code":65,"rank":1,"message":"label 12 of sample 7 is outside 0..9"})");
  Attempt(1).exit = AttemptExit{.code = static_cast<int>(ExitCode::kLostPeer)};
  Turn();

  EXPECT_EQ(Get("j").state, JobState::kFailed);
  EXPECT_EQ(Get("j").reason, JobReason::kUserError);
  EXPECT_THAT(Get("j").message, HasSubstr("label 12 of sample 7"));
}

TEST_F(JobLoopTest, FailsAJobThatCannotBeLaunched) {
  launcher_.next_start = absl::NotFoundError("launcher local: 'mpirun' is not in PATH");
  Submit("j");

  EXPECT_EQ(Get("j").state, JobState::kFailed);
  EXPECT_THAT(Get("j").message, HasSubstr("mpirun"));
}

TEST_F(JobLoopTest, IgnoresASecondJobOfTheSameIdAndRequestsForNone) {
  Submit("j");
  Submit("j");
  ASSERT_OK(loop_.Request({.id = "nobody", .what = CancelRequested{}}));
  Turn();

  EXPECT_EQ(launcher_.attempts.size(), 1u);
  EXPECT_EQ(store_.List().size(), 1u);
}

TEST_F(JobLoopTest, EndsItsAttemptsWhenItIsDestroyed) {
  {
    JobLoop loop({&clock_, &store_, &launcher_, &host_, &recorder_}, {});
    ASSERT_OK(loop.Submit(
        {.id = "k", .make_attempt = [](int attempt, bool) -> absl::StatusOr<AttemptSpec> {
           return AttemptSpec{.attempt = attempt, .command = {"c"}};
         }}));
    ASSERT_OK(loop.Turn());
    ASSERT_FALSE(Attempt(1).destroyed);
  }
  EXPECT_TRUE(Attempt(1).destroyed);
}

TEST_F(JobLoopTest, RefusesWorkWhenTheInboxIsFull) {
  for (size_t i = 0; i < kJobMessagesMax; ++i)
    ASSERT_OK(loop_.Request({.id = "j", .what = CancelRequested{}}));
  EXPECT_THAT(loop_.Request({.id = "j", .what = CancelRequested{}}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("full")));
}

// Several threads post while the loop runs; with TSan this is the test of the inbox.
TEST(JobLoop, TakesRequestsFromOtherThreadsWhileItRuns) {
  MemoryJobStore store;
  FakeLauncher launcher;
  HostFacts host;
  Recorder recorder;
  JobLoop loop({&RealClock(), &store, &launcher, &host, &recorder}, {});
  std::vector<Thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back("client", [&loop, i] {
      const std::string id = absl::StrCat("job-", i);
      EXPECT_OK(loop.Submit(
          {.id = id, .make_attempt = [](int attempt, bool) -> absl::StatusOr<AttemptSpec> {
             return AttemptSpec{.attempt = attempt, .command = {"c"}};
           }}));
      EXPECT_OK(loop.Request({.id = id, .what = CancelRequested{}}));
      EXPECT_OK(loop.Request({.id = id, .what = CancelRequested{}}));  // the second one kills
    });
  }
  while (store.List().size() < 4 || !loop.settled()) ASSERT_OK(loop.Turn());
  threads.clear();
  EXPECT_OK(loop.RunUntilSettled());

  for (const Job& job : store.List()) EXPECT_EQ(job.state, JobState::kCancelled) << job.id;
}

// Any schedule of deaths, hangs, requests and time: never two live attempts of a job, numbers only
// grow, histories are legal.
TEST(JobLoop, KeepsOneLiveAttemptPerJobUnderARandomSchedule) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::mt19937 random(seed);
    SimClock clock;
    MemoryJobStore store;
    FakeLauncher launcher;
    HostFacts host;
    Recorder recorder;
    JobLoop loop({&clock, &store, &launcher, &host, &recorder}, {});
    ASSERT_OK(loop.Submit(
        {.id = "j", .make_attempt = [](int attempt, bool) -> absl::StatusOr<AttemptSpec> {
           return AttemptSpec{.attempt = attempt, .command = {"c"}};
         }}));
    int64_t step = 0;
    for (int i = 0; i < 80; ++i) {
      ASSERT_OK(loop.Turn());
      int live = 0;
      for (size_t k = 0; k < launcher.attempts.size(); ++k) {
        ASSERT_EQ(launcher.attempts[k]->attempt, static_cast<int>(k) + 1);
        live += launcher.attempts[k]->alive() ? 1 : 0;
      }
      ASSERT_LE(live, 1);
      if (launcher.attempts.empty()) continue;
      FakeLauncher::Control& newest = *launcher.attempts.back();
      switch (random() % 8) {
        case 0:
          if (newest.alive()) newest.exit = AttemptExit{.signal = 9};
          break;
        case 1:
          if (newest.alive()) newest.Report(absl::StrCat(R"({"kind":"step","step":)", ++step, "}"));
          break;
        case 2:
          if (newest.alive())
            newest.Report(absl::StrCat(R"({"kind":"checkpoint","step":)", step, "}"));
          break;
        case 3:
          clock.Advance(absl::Seconds(static_cast<int>(random() % 30)));
          break;
        case 4:
          if (random() % 4 == 0) loop.Request({.id = "j", .what = PauseRequested{}}).IgnoreError();
          break;
        case 5:
          loop.Request({.id = "j", .what = ResumeRequested{}}).IgnoreError();
          break;
        case 6:
          if (newest.alive() && newest.asked_to_stop > 0) newest.exit = AttemptExit{.code = 75};
          break;
        default:
          if (random() % 40 == 0)
            loop.Request({.id = "j", .what = CancelRequested{}}).IgnoreError();
          break;
      }
    }
    const Job job = store.Get("j").value();
    for (size_t k = 1; k < job.history.size(); ++k) {
      ASSERT_TRUE(IsLegalTransition(job.history[k - 1].state, job.history[k].state));
      ASSERT_LE(job.history[k - 1].attempt, job.history[k].attempt);
    }
  }
}

}  // namespace
}  // namespace lockstep
