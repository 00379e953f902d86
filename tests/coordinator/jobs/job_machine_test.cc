// AdvanceJob as a table: each row is a story of events and the states and effects it must give. The
// random test at the end feeds what no table thinks of.
#include "coordinator/jobs/job_machine.h"

#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"

#include "common/base/exit_codes.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::lockstep::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int Code(ExitCode code) { return static_cast<int>(code); }

std::string ToText(const JobEffect& effect) {
  struct Visitor {
    std::string operator()(const LaunchAttempt& e) {
      return absl::StrCat("launch ", e.attempt, e.resume ? " resume" : "");
    }
    std::string operator()(const AskToStop& e) { return absl::StrCat("ask ", e.attempt); }
    std::string operator()(const KillAttempt& e) { return absl::StrCat("kill ", e.attempt); }
    std::string operator()(const StartTimer& e) {
      return absl::StrCat(e.timer == JobTimer::kBackoff ? "backoff " : "deadline ", e.attempt, " ",
                          absl::FormatDuration(e.delay));
    }
  };
  return std::visit(Visitor{}, effect);
}

// A job under test and what the last event made it do.
class Story {
 public:
  template <typename Event>
  Story& On(Event event) {
    time_ += absl::Seconds(1);
    absl::StatusOr<JobAdvance> advance = AdvanceJob(job_, {.time = time_, .what = event}, policy_);
    effects_.clear();
    status_ = advance.status();
    if (!advance.ok()) return *this;
    job_ = advance->job;
    for (const JobEffect& effect : advance->effects) effects_.push_back(ToText(effect));
    return *this;
  }

  Story& Starting() { return On(SlotsGranted{}); }
  Story& Running() { return Starting().On(StepCommitted{1, 1}); }
  Story& Exit(int attempt, ExitCode code) {
    return On(AttemptExited{attempt, {.code = Code(code)}});
  }
  Story& Killed(int attempt) { return On(AttemptExited{attempt, {.signal = 9}}); }

  const Job& job() const { return job_; }
  JobState state() const { return job_.state; }
  const std::vector<std::string>& effects() const { return effects_; }
  const absl::Status& status() const { return status_; }

 private:
  absl::Time time_ = absl::UnixEpoch();
  JobPolicy policy_;
  Job job_ = CreateJob("j", absl::UnixEpoch());
  std::vector<std::string> effects_;
  absl::Status status_;
};

// Exemplar: a whole life. Every transition carries its attempt, reason and the event's time.
TEST(JobMachine, LivesFromQueuedToSucceeded) {
  Story story;
  EXPECT_EQ(story.state(), JobState::kQueued);

  EXPECT_THAT(story.On(SlotsGranted{}).effects(), ElementsAre("launch 1"));
  EXPECT_EQ(story.state(), JobState::kStarting);
  EXPECT_THAT(story.On(LaunchStarted{1}).effects(), IsEmpty());
  EXPECT_THAT(story.On(StepCommitted{1, 1}).effects(), IsEmpty());
  EXPECT_EQ(story.state(), JobState::kRunning);
  story.On(CheckpointWritten{1, 5}).On(StepCommitted{1, 9}).Exit(1, ExitCode::kOk);

  EXPECT_EQ(story.state(), JobState::kSucceeded);
  EXPECT_EQ(story.job().step, 9);
  EXPECT_EQ(story.job().checkpoint_step, 5);
  ASSERT_EQ(story.job().history.size(), 4u);
  EXPECT_EQ(story.job().history.back(),
            (JobTransition{JobState::kSucceeded, JobReason::kNone, "finished", 1,
                           absl::UnixEpoch() + absl::Seconds(6)}));
}

TEST(JobMachine, RelaunchesADeadWorkerAtOnceFromItsCheckpoint) {
  Story story;
  story.Running().On(CheckpointWritten{1, 5});

  EXPECT_THAT(story.Killed(1).effects(), ElementsAre("launch 2 resume"));

  EXPECT_EQ(story.state(), JobState::kStarting);
  const JobTransition& recovering = story.job().history[3];
  EXPECT_EQ(recovering.state, JobState::kRecovering);
  EXPECT_EQ(recovering.reason, JobReason::kWorkerDied);
  EXPECT_THAT(recovering.message, HasSubstr("signal 9"));
}

// A worker may die between publishing a checkpoint and telling of it: what the next one goes on
// from says so.
TEST(JobMachine, CountsACheckpointThatOnlyTheNextAttemptTellsOf) {
  Story story;
  story.Running().Killed(1);
  ASSERT_EQ(story.job().fruitless_attempts, 1);

  story.On(AttemptResumed{2, 7});

  EXPECT_EQ(story.job().checkpoint_step, 7);
  EXPECT_THAT(story.Killed(2).effects(), ElementsAre("launch 3 resume")) << "at once";
  EXPECT_THAT(story.On(AttemptResumed{3, 7}).Killed(3).effects(), ElementsAre("backoff 3 1s"))
      << "from the same step: nothing gained";
}

TEST(JobMachine, WaitsLongerBetweenFruitlessAttemptsAndThenGivesUp) {
  Story story;
  EXPECT_THAT(story.Running().Killed(1).effects(), ElementsAre("launch 2 resume"));
  EXPECT_THAT(story.Killed(2).effects(), ElementsAre("backoff 2 1s"));
  EXPECT_EQ(story.state(), JobState::kRecovering);
  EXPECT_THAT(story.On(TimerFired{JobTimer::kBackoff, 2}).effects(),
              ElementsAre("launch 3 resume"));

  EXPECT_THAT(story.On(StepCommitted{3, 4}).Killed(3).effects(), IsEmpty());

  EXPECT_EQ(story.state(), JobState::kFailed);
  EXPECT_EQ(story.job().reason, JobReason::kCrashLoop);
  EXPECT_THAT(story.job().message, HasSubstr("3 attempts in a row"));
  EXPECT_THAT(story.job().message, HasSubstr("step 4"));
}

TEST(JobMachine, DoublesTheBackoffUpToItsMaximum) {
  JobPolicy policy;
  policy.fruitless_attempts_max = 100;
  Job job =
      AdvanceJob(CreateJob("j", absl::UnixEpoch()), {.time = {}, .what = SlotsGranted{}}, policy)
          ->job;

  std::vector<std::string> seen;
  for (int i = 1; i <= 10; ++i) {
    JobAdvance died =
        AdvanceJob(job, {.time = {}, .what = AttemptExited{job.attempt, {.signal = 9}}}, policy)
            .value();
    ASSERT_EQ(died.effects.size(), 1u);
    seen.push_back(ToText(died.effects[0]));
    job = died.job;
    if (job.state == JobState::kRecovering) {
      job =
          AdvanceJob(job, {.time = {}, .what = TimerFired{JobTimer::kBackoff, job.attempt}}, policy)
              ->job;
    }
  }

  EXPECT_THAT(seen, ElementsAre("launch 2 resume", "backoff 2 1s", "backoff 3 2s", "backoff 4 4s",
                                "backoff 5 8s", "backoff 6 16s", "backoff 7 32s", "backoff 8 1m",
                                "backoff 9 1m", "backoff 10 1m"));
}

TEST(JobMachine, RefillsItsBudgetWithEveryNewCheckpoint) {
  Story story;
  story.Running();
  for (int attempt = 1; attempt <= 20; ++attempt) {
    story.On(CheckpointWritten{attempt, attempt}).Killed(attempt);
    ASSERT_EQ(story.state(), JobState::kStarting) << attempt;
  }
  EXPECT_EQ(story.job().attempt, 21);
}

TEST(JobMachine, TakesNoCheckpointForProgressThatIsNotNew) {
  Story story;
  story.Running().On(CheckpointWritten{1, 5}).Killed(1);
  story.On(CheckpointWritten{2, 5}).Killed(2);
  story.On(CheckpointWritten{3, 5}).Killed(3).On(TimerFired{JobTimer::kBackoff, 3});
  EXPECT_EQ(story.On(CheckpointWritten{4, 5}).Killed(4).state(), JobState::kFailed);
}

TEST(JobMachine, RetriesByTheTableOfExitCodes) {
  for (const ExitCodeInfo& info : kExitCodes) {
    Story story;
    story.Running().Exit(1, info.code);
    switch (info.retry) {
      case RetryClass::kDone:
        EXPECT_EQ(story.state(), JobState::kSucceeded) << info.name;
        break;
      case RetryClass::kStopped:
        EXPECT_EQ(story.state(), JobState::kPaused) << info.name;
        break;
      case RetryClass::kRetry:
        EXPECT_EQ(story.state(), JobState::kStarting) << info.name;
        EXPECT_EQ(story.job().attempt, 2) << info.name;
        break;
      case RetryClass::kNever:
        EXPECT_EQ(story.state(), JobState::kFailed) << info.name;
        EXPECT_EQ(JobReasonName(story.job().reason), info.name);
        EXPECT_THAT(story.effects(), IsEmpty()) << info.name;
        break;
    }
  }
}

TEST(JobMachine, SaysWhyAWorkerFailedInItsOwnWords) {
  Story story;
  story.Running().On(AttemptExited{
      1, {.code = Code(ExitCode::kNonFinite), .message = "loss is NaN in layer 'dense'"}});
  EXPECT_EQ(story.job().message, "a value became NaN or infinite: loss is NaN in layer 'dense'");
}

TEST(JobMachine, RetriesALaunchUnlessItCanNeverWork) {
  EXPECT_EQ(Story().Starting().On(LaunchFailed{1, absl::InternalError("fork")}).state(),
            JobState::kStarting);

  Story never;
  never.Starting().On(LaunchFailed{1, absl::NotFoundError("no mpirun")});
  EXPECT_EQ(never.state(), JobState::kFailed);
  EXPECT_EQ(never.job().reason, JobReason::kLaunchFailed);
  EXPECT_EQ(never.job().message, "no mpirun");
}

TEST(JobMachine, KillsAHungAttemptOnceAndRecovers) {
  Story story;
  EXPECT_THAT(story.Running().On(AttemptHung{1, "no progress"}).effects(), ElementsAre("kill 1"));
  EXPECT_THAT(story.On(AttemptHung{1, "no progress"}).effects(), IsEmpty());

  EXPECT_THAT(story.Killed(1).effects(), ElementsAre("launch 2 resume"));

  EXPECT_EQ(story.job().history[3].reason, JobReason::kHung);
  EXPECT_EQ(story.job().history[3].message, "no progress");
}

TEST(JobMachine, PausesAfterACheckpoint) {
  Story story;
  EXPECT_THAT(story.Running().On(PauseRequested{}).effects(),
              ElementsAre("ask 1", "deadline 1 1m"));
  EXPECT_EQ(story.state(), JobState::kRunning);

  story.On(CheckpointWritten{1, 3}).Exit(1, ExitCode::kStopped);

  EXPECT_EQ(story.state(), JobState::kPaused);
  EXPECT_EQ(story.job().reason, JobReason::kInterrupted);
}

TEST(JobMachine, PausesAtOnceWhenAskedTwice) {
  Story story;
  EXPECT_THAT(story.Running().On(PauseRequested{}).On(PauseRequested{}).effects(),
              ElementsAre("kill 1"));
  EXPECT_EQ(story.Killed(1).state(), JobState::kPaused);
  EXPECT_THAT(story.job().message, HasSubstr("before it could write a checkpoint"));
}

TEST(JobMachine, KillsAtTheStopDeadlineAndOnlyThen) {
  Story story;
  EXPECT_THAT(story.Running().On(TimerFired{JobTimer::kStopDeadline, 1}).effects(), IsEmpty());
  story.On(PauseRequested{});
  EXPECT_THAT(story.On(TimerFired{JobTimer::kStopDeadline, 0}).effects(), IsEmpty());
  EXPECT_THAT(story.On(TimerFired{JobTimer::kStopDeadline, 1}).effects(), ElementsAre("kill 1"));
}

TEST(JobMachine, PausesBetweenAttemptsAndResumesWithAFreshBudget) {
  Story story;
  story.Running().Killed(1).Killed(2);
  ASSERT_EQ(story.state(), JobState::kRecovering);
  EXPECT_EQ(story.On(PauseRequested{}).state(), JobState::kPaused);
  EXPECT_THAT(story.On(TimerFired{JobTimer::kBackoff, 2}).effects(), IsEmpty());

  EXPECT_EQ(story.On(ResumeRequested{}).state(), JobState::kQueued);
  EXPECT_THAT(story.On(SlotsGranted{}).effects(), ElementsAre("launch 3 resume"));
  EXPECT_EQ(story.job().fruitless_attempts, 0);
}

TEST(JobMachine, CancelsThroughACheckpointOrAtOnceWhereNothingRuns) {
  Story running;
  EXPECT_THAT(running.Running().On(CancelRequested{}).effects(),
              ElementsAre("ask 1", "deadline 1 1m"));
  EXPECT_EQ(running.state(), JobState::kCancelling);
  EXPECT_THAT(running.On(CancelRequested{}).effects(), ElementsAre("kill 1"));
  EXPECT_EQ(running.Killed(1).state(), JobState::kCancelled);

  EXPECT_EQ(Story().On(CancelRequested{}).state(), JobState::kCancelled);
  EXPECT_EQ(Story().Running().Killed(1).Killed(2).On(CancelRequested{}).state(),
            JobState::kCancelled);
}

TEST(JobMachine, LetsAJobThatFinishedWhileBeingStoppedSucceed) {
  EXPECT_EQ(Story().Running().On(CancelRequested{}).Exit(1, ExitCode::kOk).state(),
            JobState::kSucceeded);
  EXPECT_EQ(Story().Running().On(PauseRequested{}).Exit(1, ExitCode::kOk).state(),
            JobState::kSucceeded);
}

TEST(JobMachine, TurnsAPauseIntoACancelWithoutAskingAgain) {
  Story story;
  story.Running().On(PauseRequested{});
  EXPECT_THAT(story.On(CancelRequested{}).effects(), IsEmpty());
  EXPECT_EQ(story.Exit(1, ExitCode::kStopped).state(), JobState::kCancelled);
}

TEST(JobMachine, RefusesRequestsThatTheStateForbids) {
  Story done;
  done.Running().Exit(1, ExitCode::kOk);
  EXPECT_THAT(done.On(CancelRequested{}).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("cannot cancel in state SUCCEEDED")));
  EXPECT_THAT(done.On(PauseRequested{}).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("pause")));
  EXPECT_THAT(done.On(ResumeRequested{}).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("resume")));
  EXPECT_THAT(Story().Running().On(ResumeRequested{}).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("RUNNING")));
  EXPECT_THAT(Story().Running().On(CancelRequested{}).On(PauseRequested{}).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("CANCELLING")));
}

TEST(JobMachine, IgnoresReportsOfAnyAttemptButTheLiveOne) {
  Story story;
  story.Running().Killed(1);
  const Job before = story.job();

  story.On(StepCommitted{1, 99})
      .On(CheckpointWritten{1, 99})
      .On(AttemptHung{1, "x"})
      .Exit(1, ExitCode::kOk);
  story.On(LaunchFailed{1, absl::InternalError("x")})
      .Exit(7, ExitCode::kOk)
      .On(StepCommitted{7, 3});

  EXPECT_EQ(story.job(), before);
}

JobEvent RandomEvent(std::mt19937& random, const Job& job) {
  const auto pick = [&random](int count) {
    return static_cast<int>(random() % static_cast<unsigned>(count));
  };
  const int attempt = job.attempt - (pick(4) == 0 ? 1 : 0) + (pick(16) == 0 ? 1 : 0);
  const ExitCodeInfo& code =
      kExitCodes[static_cast<size_t>(pick(static_cast<int>(kExitCodes.size())))];
  const AttemptExit exit =
      pick(2) == 0 ? AttemptExit{.signal = 9} : AttemptExit{.code = Code(code.code)};
  const absl::Time time = absl::UnixEpoch();
  switch (pick(13)) {
    case 0:
      return {time, SlotsGranted{}};
    case 1:
      return {time, LaunchStarted{attempt}};
    case 2:
      return {time, LaunchFailed{attempt, pick(8) == 0 ? absl::NotFoundError("x")
                                                       : absl::InternalError("x")}};
    case 3:
      return {time, StepCommitted{attempt, pick(100)}};
    case 4:
      return {time, CheckpointWritten{attempt, job.checkpoint_step + pick(3)}};
    case 5:
      return {time, AttemptHung{attempt, "x"}};
    case 6:
    case 7:
      return {time, AttemptExited{attempt, exit}};
    case 8:
      return {time,
              TimerFired{pick(2) == 0 ? JobTimer::kBackoff : JobTimer::kStopDeadline, attempt}};
    case 9:
      return {time, PauseRequested{}};
    case 10:
      return {time, ResumeRequested{}};
    case 11:
      return {time, AttemptResumed{attempt, pick(100)}};
    default:
      return {time, CancelRequested{}};
  }
}

TEST(JobMachine, KeepsItsInvariantsUnderAnyOrderOfEvents) {
  std::set<JobState> visited;
  for (unsigned seed = 0; seed < 3000; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::mt19937 random(seed);
    Job job = CreateJob("j", absl::UnixEpoch());
    for (int i = 0; i < 60; ++i) {
      const absl::StatusOr<JobAdvance> advance = AdvanceJob(job, RandomEvent(random, job), {});
      if (!advance.ok()) continue;
      const Job& next = advance->job;
      int launches = 0;
      for (const JobEffect& effect : advance->effects)
        launches += std::holds_alternative<LaunchAttempt>(effect) ? 1 : 0;

      if (IsTerminal(job.state)) {
        ASSERT_EQ(next, job);
      }
      ASSERT_EQ(next.attempt, job.attempt + launches);  // one more for each launch, never less
      ASSERT_LE(launches, 1);
      if (launches == 1 && job.attempt_alive) {
        ASSERT_EQ(next.history[job.history.size()].state,
                  JobState::kRecovering);  // the old one was seen to end
      }
      for (size_t k = job.history.size(); k < next.history.size(); ++k) {
        ASSERT_TRUE(IsLegalTransition(next.history[k - 1].state, next.history[k].state));
      }
      ASSERT_EQ(next.state, next.history.back().state);
      const bool state_has_attempt = next.state == JobState::kStarting ||
                                     next.state == JobState::kRunning ||
                                     next.state == JobState::kCancelling;
      ASSERT_EQ(next.attempt_alive, state_has_attempt);
      job = next;
      visited.insert(job.state);
    }
  }
  EXPECT_EQ(visited.size(), 9u);  // the walk has been everywhere
}

}  // namespace
}  // namespace lockstep
