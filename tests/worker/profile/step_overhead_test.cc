// A step of the CNN spends at most 10 us outside its calls, batch loading and the operations over
// all parameters (issue of the compute engine, point 4). Timed: label slow.
#include <algorithm>
#include <memory>

#include "gtest/gtest.h"

#include "common/plan/job_graph.h"
#include "tests/support/memory_dataset.h"
#include "tests/support/status_matchers.h"
#include "worker/profile/step_profile.h"

namespace lockstep {
namespace {

using ::lockstep::testing::MakeColumn;
using ::lockstep::testing::RandomFloats;
using ::lockstep::testing::RandomLabels;

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

TEST(StepOverhead, OfTheCnnIsBelowTenMicroseconds) {
  const JobSpec spec = *LoadJobSpec(kJob, "job.yaml", "");
  auto data = std::make_shared<Dataset>();
  data->count = 256;
  data->inputs.push_back(MakeColumn("input_layer", Shape{28, 28, 1}, RandomFloats(256 * 784, 1)));
  data->targets.push_back(MakeColumn("dense_1", Shape{}, RandomLabels(256, 10, 1)));
  const PreparedJob job{.spec = spec,
                        .graph = *BuildJobGraph(spec),
                        .program = *FindProgram(spec.program()),
                        .train = {data, data->signature(), {0, 256}}};
  double best = 1;
  for (int attempt = 0; attempt < 5 && best > 10e-6; ++attempt) {  // the machine may be busy
    const absl::StatusOr<StepProfile> profile = ProfileStep(job, {.seconds = 1});
    ASSERT_OK(profile);
    best = std::min(best, profile->overhead);
  }
  RecordProperty("overhead_us", std::to_string(best * 1e6));
  EXPECT_LE(best, 10e-6);
}

}  // namespace
}  // namespace lockstep
