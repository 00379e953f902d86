// PlannedJob: a job text with its graph, a data signature that fits it, and the plan of any rank.
#ifndef LOCKSTEP_TESTS_COMMON_PLAN_PLANNED_JOB_H_
#define LOCKSTEP_TESTS_COMMON_PLAN_PLANNED_JOB_H_

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "common/plan/job_graph.h"
#include "common/plan/shard_plan.h"
#include "common/plan/static_plan.h"

namespace lockstep::testing {

inline constexpr absl::string_view kSource =
    "data: {train: {format: idx, inputs: a, targets: b}}\n";

class PlannedJob {
 public:
  // `job`: all but `data`.
  static absl::StatusOr<PlannedJob> Create(absl::string_view job) {
    absl::StatusOr<JobSpec> spec = LoadJobSpec(absl::StrCat(job, kSource), "job.yaml", "");
    if (!spec.ok()) return spec.status();
    PlannedJob planned;
    planned.spec_ = std::make_unique<JobSpec>(*std::move(spec));
    absl::StatusOr<JobGraph> graph = BuildJobGraph(*planned.spec_);
    if (!graph.ok()) return graph.status();
    planned.graph_ = std::make_unique<JobGraph>(*std::move(graph));
    planned.signature_ = std::make_unique<DataSignature>(SignatureOf(*planned.graph_));
    return planned;
  }

  const JobSpec& spec() const { return *spec_; }
  const JobGraph& graph() const { return *graph_; }
  const DataSignature& signature() const { return *signature_; }
  int32_t shards() const { return static_cast<int32_t>(spec_->shards()); }

  PlanRequest RequestFor(int32_t workers, int32_t rank) const {
    return {.spec = spec_.get(),
            .graph = graph_.get(),
            .program = *FindProgram("supervised"),
            .train = signature_.get(),
            .geometry = GeometryOf(spec_->train().batch_size, shards(), workers, rank),
            .workers = workers,
            .rank = rank};
  }
  std::unique_ptr<StaticPlan> PlanFor(int32_t workers, int32_t rank) const {
    return StaticPlan::Create(RequestFor(workers, rank));
  }

 private:
  // Floats for inputs and values, int64 labels.
  static DataSignature SignatureOf(const JobGraph& graph) {
    DataSignature signature;
    for (const JobModel& job_model : graph.models) {
      for (size_t i = 0; i < job_model.model->input_count(); ++i) {
        const Model::Tensor& input = job_model.model->tensors()[i];
        signature.inputs.push_back({input.name, kernels::SampleType::kF32, input.shape});
      }
    }
    for (const JobOutput& output : graph.outputs) {
      const Model& model = *graph.models[output.model].model;
      const Model::Tensor& tensor = model.tensors()[model.outputs()[output.output]];
      const bool labels = output.loss->target_kind() == TargetKind::kLabels;
      signature.targets.push_back({tensor.name,
                                   labels ? kernels::SampleType::kI64 : kernels::SampleType::kF32,
                                   labels ? Shape{} : tensor.shape});
    }
    return signature;
  }

  std::unique_ptr<JobSpec> spec_;
  std::unique_ptr<JobGraph> graph_;
  std::unique_ptr<DataSignature> signature_;
};

// The model of examples/fashion_mnist_cnn.yaml.
inline constexpr absl::string_view kCnnJob = R"(
model:
  input_shape: [28, 28, 1]
  layers:
    - conv2d: {filters: 32, kernel_size: 3, activation: relu}
    - max_pooling2d
    - flatten
    - dense: {units: 128, activation: relu}
    - dense: {units: 10, activation: softmax}
train: {batch_size: 32}
loss: sparse_categorical_crossentropy
optimizer: adam
metrics: [accuracy]
)";

// Nine residual blocks on 32 x 32 images, as ResNet-20 has (He et al. 2016), of one width.
inline std::string ResidualJob() {
  std::string job =
      "model:\n  input_shape: [32, 32, 3]\n  layers:\n"
      "    - conv2d: {filters: 16, kernel_size: 3, padding: same, name: block0}\n";
  for (int block = 1; block <= 9; ++block) {
    const std::string before = absl::StrCat("block", block - 1);
    absl::StrAppend(&job, "    - batch_normalization: {inputs: ", before, "}\n",
                    "    - activation: {activation: relu}\n",
                    "    - conv2d: {filters: 16, kernel_size: 3, padding: same}\n",
                    "    - batch_normalization\n    - activation: {activation: relu}\n",
                    "    - conv2d: {filters: 16, kernel_size: 3, padding: same, name: c", block,
                    "}\n", "    - add: {inputs: [", before, ", c", block, "], name: block", block,
                    "}\n");
  }
  return job +
         "    - global_average_pooling2d\n"
         "    - dense: {units: 10, activation: softmax}\n"
         "train: {batch_size: 64}\n"
         "loss: sparse_categorical_crossentropy\n"
         "optimizer: {sgd: {momentum: 0.9}}\n";
}

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_COMMON_PLAN_PLANNED_JOB_H_
