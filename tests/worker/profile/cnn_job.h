// The CNN of the examples as a prepared job over 256 random images in memory. Thread: the test's.
#ifndef LOCKSTEP_TESTS_WORKER_PROFILE_CNN_JOB_H_
#define LOCKSTEP_TESTS_WORKER_PROFILE_CNN_JOB_H_

#include <memory>

#include "common/plan/job_graph.h"
#include "common/plan/prepared_job.h"
#include "common/spec/job_yaml.h"
#include "tests/support/memory_dataset.h"

namespace lockstep::testing {

inline constexpr char kCnnJob[] = R"(
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

inline PreparedJob CnnJob() {
  const JobSpec spec = *LoadJobSpec(kCnnJob, "job.yaml", "");
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

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_WORKER_PROFILE_CNN_JOB_H_
