// The profiler's figures add up, ranks are measured together, and a step of the CNN spends next to
// nothing outside its calls.
#include "worker/profile/step_profile.h"

#include <numeric>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/env/host.h"
#include "tests/support/status_matchers.h"
#include "tests/worker/profile/cnn_job.h"
#include "worker/profile/roofs.h"

namespace lockstep {
namespace {

using ::lockstep::testing::CnnJob;
using ::lockstep::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(StepProfile, CallsAndPartsAddUpToTheStep) {
  const PreparedJob job = CnnJob();
  const auto plan = job.PlanFor(1, 0);

  const absl::StatusOr<StepProfile> profile = ProfileStep(job, {.seconds = 0.3});

  ASSERT_OK(profile);
  EXPECT_GE(profile->steps, 5);
  ASSERT_THAT(profile->calls, SizeIs(1));
  EXPECT_THAT(profile->calls[0], SizeIs(plan->train()[0].phase.builder->entries().size()));
  for (const double seconds : profile->calls[0]) EXPECT_GT(seconds, 0);
  const double sum = std::accumulate(profile->parts.begin(), profile->parts.end(), 0.0);
  // Medians of parts beside the median of the whole.
  EXPECT_NEAR(sum, profile->timed_step, 0.5 * profile->timed_step);
  EXPECT_LT(profile->calls_sum(), profile->step * 1.5);
}

TEST(StepProfile, EveryCallSaysItsShapes) {
  const PreparedJob job = CnnJob();
  const auto plan = job.PlanFor(2, 1);
  for (const StepBuilder::Entry& entry : plan->train()[0].phase.builder->entries()) {
    EXPECT_NE(entry.info.shapes, "") << entry.info.label;
  }
  const auto& entries = plan->train()[0].phase.builder->entries();
  const auto shapes_of = [&](absl::string_view label) {
    for (const auto& entry : entries) {
      if (entry.info.label == label) return entry.info.shapes;
    }
    return std::string();
  };
  // With the pooling behind it.
  EXPECT_EQ(shapes_of("conv2d/forward"), "28x28x1 -> 13x13x32");
  EXPECT_EQ(shapes_of("conv2d/backward_weights"), "kernel 3x3x1x32, bias 32");
  EXPECT_EQ(shapes_of("dense/backward_data"), "128 -> 5408");
  EXPECT_EQ(shapes_of("dense_1/loss"), "10");
}

TEST(StepProfile, RefusesWorkersThatWouldShareCores) {
  const PreparedJob job = CnnJob();
  EXPECT_THAT(ProfileStep(job, {.workers = UsableCores() + 1}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("cores to be measured")));
}

TEST(Roofs, AreRatesThatFallFromLevelToLevel) {
  const absl::StatusOr<Roofs> roofs = MeasureRoofs(1, RoofEffort::kQuick);

  ASSERT_OK(roofs);
  EXPECT_GT(roofs->flops, 1e8);
  ASSERT_GE(roofs->levels.size(), 3u);
  for (size_t l = 1; l < roofs->levels.size(); ++l) {
    EXPECT_GT(roofs->levels[l].bytes, roofs->levels[l - 1].bytes);
    EXPECT_LE(roofs->levels[l].bytes_per_second, roofs->levels[l - 1].bytes_per_second);
  }
  EXPECT_GT(roofs->levels.back().bytes_per_second, 1e7);
}

TEST(Roofs, TheLowerOneBindsACall) {
  const Roofs roofs{.flops = 100, .levels = {{1000, 50}, {10000, 10}}};
  EXPECT_DOUBLE_EQ(roofs.BytesPerSecond(1000), 50);
  EXPECT_DOUBLE_EQ(roofs.BytesPerSecond(1001), 10);
  EXPECT_DOUBLE_EQ(roofs.BytesPerSecond(1e9), 10);
  const ExpectedTime compute = ExpectedTimeOf(roofs, 300, 100);
  EXPECT_DOUBLE_EQ(compute.seconds, 3);
  EXPECT_FALSE(compute.by_memory);
  const ExpectedTime memory = ExpectedTimeOf(roofs, 100, 100);
  EXPECT_DOUBLE_EQ(memory.seconds, 2);
  EXPECT_TRUE(memory.by_memory);
}

}  // namespace
}  // namespace lockstep
