#include "coordinator/jobs/progress_watch.h"

#include "gmock/gmock.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;

ProgressLine Step(int64_t step) { return {.kind = ProgressLine::Kind::kStep, .step = step}; }
ProgressLine Phase(const std::string& phase) {
  return {.kind = ProgressLine::Kind::kPhase, .phase = phase};
}

TEST(ProgressWatch, AllowsTenSecondsForShortStepsAndNoMore) {
  ProgressWatch watch({}, absl::Seconds(0));
  for (int i = 1; i <= 100; ++i) watch.OnLine(Step(i), absl::Milliseconds(5 * i));

  EXPECT_EQ(watch.Hung(absl::Milliseconds(500) + absl::Seconds(10)), std::nullopt);
  EXPECT_THAT(watch.Hung(absl::Milliseconds(501) + absl::Seconds(10)).value_or(""),
              HasSubstr("after step 100"));
}

TEST(ProgressWatch, AllowsTenMediansForLongSteps) {
  ProgressWatch watch({}, absl::Seconds(0));
  for (int i = 1; i <= 9; ++i) watch.OnLine(Step(i), absl::Seconds(4 * i));
  watch.OnLine(Step(10), absl::Seconds(60));  // one long step moves no median

  EXPECT_EQ(watch.Hung(absl::Seconds(60 + 40)), std::nullopt);
  EXPECT_NE(watch.Hung(absl::Seconds(60 + 41)), std::nullopt);
}

TEST(ProgressWatch, GivesOtherPhasesTheirOwnLimit) {
  ProgressWatch watch({}, absl::Seconds(0));
  EXPECT_EQ(watch.Hung(absl::Minutes(10)), std::nullopt);
  EXPECT_THAT(watch.Hung(absl::Minutes(11)).value_or(""), HasSubstr("in phase start"));

  watch.OnLine(Step(1), absl::Minutes(10));
  watch.OnLine(Phase("evaluate"), absl::Minutes(10));
  EXPECT_EQ(watch.Hung(absl::Minutes(20)), std::nullopt);
  EXPECT_THAT(watch.Hung(absl::Minutes(21)).value_or(""), HasSubstr("in phase evaluate"));

  watch.OnLine(Phase("train"), absl::Minutes(20));  // back to steps
  EXPECT_NE(watch.Hung(absl::Minutes(20) + absl::Seconds(11)), std::nullopt);
}

TEST(ProgressWatch, CountsAPhaseAsNoStepDuration) {
  ProgressWatch watch({}, absl::Seconds(0));
  for (int i = 1; i <= 20; ++i) {
    watch.OnLine(Phase("evaluate"), absl::Seconds(100 * i));
    watch.OnLine(Step(i), absl::Seconds(100 * i + 90));
  }
  EXPECT_NE(watch.Hung(absl::Seconds(2090 + 11)), std::nullopt);
}

TEST(ProgressWatch, TakesACheckpointForNoSignOfTraining) {
  ProgressWatch watch({}, absl::Seconds(0));
  watch.OnLine(Step(1), absl::Seconds(1));
  watch.OnLine({.kind = ProgressLine::Kind::kCheckpoint, .step = 1}, absl::Seconds(10));
  EXPECT_NE(watch.Hung(absl::Seconds(12)), std::nullopt);
}

}  // namespace
}  // namespace lockstep
