// The profiler's figures add up, ranks are measured together, and a step of the CNN spends next to
// nothing outside its calls.
#include "worker/profile/step_profile.h"

#include <memory>
#include <numeric>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/env/host.h"
#include "common/plan/job_graph.h"
#include "tests/support/memory_dataset.h"
#include "tests/support/status_matchers.h"
#include "worker/profile/roofs.h"

namespace lockstep {
namespace {

using ::lockstep::testing::MakeColumn;
using ::lockstep::testing::RandomFloats;
using ::lockstep::testing::RandomLabels;
using ::lockstep::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// The CNN of the examples.
constexpr char kJob[] = R"(
name: cnn
model:
  input_shape: [28, 28, 1]
  layers:
    - conv2d: {filters: 32, kernel_size: 3, activation: relu}
    - max_pooling2d
    - flatten
    - dense: {units: 128, activation: relu}
    - dense: {units: 10, activation: softmax}
data:
  train: {format: idx, inputs: a, targets: b}
train: {batch_size: 32, epochs: 1000}
loss: sparse_categorical_crossentropy
optimizer: adam
metrics: [accuracy]
)";

PreparedJob CnnJob() {
  const JobSpec spec = *LoadJobSpec(kJob, "job.yaml", "");
  constexpr int64_t kSamples = 256;
  auto data = std::make_shared<Dataset>();
  data->count = kSamples;
  data->inputs.push_back(
      MakeColumn("input_layer", Shape{28, 28, 1}, RandomFloats(kSamples * 784, 1)));
  data->targets.push_back(MakeColumn("dense_1", Shape{}, RandomLabels(kSamples, 10, 1)));
  return {.spec = spec,
          .graph = *BuildJobGraph(spec),
          .program = *FindProgram(spec.program()),
          .train = {data, data->signature(), {0, kSamples}}};
}

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
