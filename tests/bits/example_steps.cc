#include "tests/bits/example_steps.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "common/base/sha256.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/model_hash.h"
#include "common/plan/job_graph.h"
#include "common/plan/prepared_job.h"
#include "common/spec/job_yaml.h"
#include "tests/support/memory_dataset.h"
#include "worker/comm/local_group.h"
#include "worker/train/trainer.h"

namespace lockstep::testing {
namespace {

constexpr int kSteps = 5;

// Black as often as not, as the real images are: pooling has ties.
std::vector<uint8_t> RandomPixels(int64_t count, uint32_t seed) {
  std::vector<uint8_t> pixels;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t word = Philox({static_cast<uint32_t>(i), seed, 2, 0}, 99)[0];
    pixels.push_back(word % 2 == 0 ? uint8_t{0} : static_cast<uint8_t>(word >> 24));
  }
  return pixels;
}

// Images and labels as the IDX files have them, for every input and target that the job asks for.
Dataset SamplesFor(const JobSpec& spec, const JobGraph& graph) {
  const int64_t batch = spec.train().batch_size;
  const int64_t count = 2 * batch + batch * 21 / 32;  // 21 of 32: shards are of 4
  Dataset data{.count = count};
  for (const JobModel& job_model : graph.models) {
    for (size_t i = 0; job_model.from_data && i < job_model.model->input_count(); ++i) {
      const Model::Tensor& input = job_model.model->tensors()[i];
      data.inputs.push_back(MakeColumn(input.name, input.shape,
                                       RandomPixels(count * input.shape.elements(), /*seed=*/1)));
    }
  }
  for (const JobOutput& output : graph.outputs) {
    if (!output.has_target) continue;
    const Model& model = *graph.models[output.model].model;
    const Model::Tensor& tensor = model.tensors()[model.outputs()[output.output]];
    const std::vector<int64_t> labels = RandomLabels(count, tensor.shape.back(), /*seed=*/1);
    data.targets.push_back(
        MakeColumn(tensor.name, Shape{}, std::vector<uint8_t>(labels.begin(), labels.end())));
  }
  return data;
}

absl::StatusOr<JobSpec> ReadExample(absl::string_view example) {
  const std::string file = absl::StrCat("examples/fashion_mnist_", example, ".yaml");
  LOCKSTEP_ASSIGN_OR_RETURN(const std::string text,
                            ReadFile(PosixFileSystem(), file, kYamlBytesMax));
  return LoadJobSpec(text, file, "");
}

absl::string_view BytesOf(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

// What the ranks bring together; rank 0 hashes it.
struct Gathered {
  std::vector<float> gradients;  // of one step, as the job's flat buffer has them
  Sha256 gradients_hash;         // of all steps so far
  StepHashes hashes;
};

// The sums that this rank owns; they stay in its buffer until its next step.
void GatherGradients(const StaticPlan& plan, const float* sums, Gathered& gathered) {
  for (const OwnedModel& owned : plan.owned()) {
    std::copy(sums + owned.own.begin, sums + owned.own.end,
              gathered.gradients.begin() + owned.own.begin);
  }
}

// All ranks together.
absl::Status RunSteps(const StaticPlan& plan, Communicator& communicator, Trainer& trainer,
                      Gathered& gathered) {
  const float* const sums = trainer.executor().At(plan.slices().gradients[0]);
  for (int step = 0; step < kSteps; ++step) {
    LOCKSTEP_RETURN_IF_ERROR(trainer.RunStep());
    GatherGradients(plan, sums, gathered);
    LOCKSTEP_RETURN_IF_ERROR(communicator.Barrier());
    if (communicator.rank() == 0) gathered.gradients_hash.Update(BytesOf(gathered.gradients));
    LOCKSTEP_RETURN_IF_ERROR(communicator.Barrier());
  }
  return absl::OkStatus();
}

// Graph and plan are the rank's own, as in a process.
absl::Status RunRank(const JobSpec& spec, const std::shared_ptr<const Dataset>& data, int threads,
                     Communicator& communicator, Gathered& gathered) {
  LOCKSTEP_ASSIGN_OR_RETURN(JobGraph graph, BuildJobGraph(spec));
  LOCKSTEP_ASSIGN_OR_RETURN(const ProgramDef* const program, FindProgram(spec.program()));
  LOCKSTEP_RETURN_IF_ERROR(program->check(graph));
  LOCKSTEP_RETURN_IF_ERROR(MatchData(graph, data->signature(), "data.train"));
  const PreparedJob job{.spec = spec,
                        .graph = std::move(graph),
                        .program = program,
                        .train = {data, data->signature(), {0, data->count}}};
  const std::unique_ptr<StaticPlan> plan = job.PlanFor(communicator.size(), communicator.rank());
  ComputePool pool(threads, Spin::kNone);
  TrainingRequests requests;
  LOCKSTEP_ASSIGN_OR_RETURN(const std::unique_ptr<Trainer> trainer,
                            Trainer::Create({.spec = &job.spec,
                                             .graph = &job.graph,
                                             .plan = plan.get(),
                                             .communicator = &communicator,
                                             .pool = &pool,
                                             .train = {data.get(), job.train.samples},
                                             .fs = &PosixFileSystem(),
                                             .clock = &RealClock(),
                                             .requests = &requests,
                                             .fingerprint_every = 1}));
  trainer->Initialize();
  LOCKSTEP_RETURN_IF_ERROR(RunSteps(*plan, communicator, *trainer, gathered));
  if (communicator.rank() == 0) {
    gathered.hashes = {.gradients = gathered.gradients_hash.FinishHex(),
                       .model = ModelSha256(trainer->parameters().Variables())};
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<StepHashes> TrainExample(absl::string_view example, const Split& split) {
  LOCKSTEP_ASSIGN_OR_RETURN(const JobSpec spec, ReadExample(example));
  LOCKSTEP_ASSIGN_OR_RETURN(const JobGraph graph, BuildJobGraph(spec));
  const auto data = std::make_shared<const Dataset>(SamplesFor(spec, graph));
  Gathered gathered;
  gathered.gradients.resize(static_cast<size_t>(graph.parameters->trainable_elements()));
  LOCKSTEP_RETURN_IF_ERROR(FirstFailure(
      RunLocalGroup({.ranks = split.ranks,
                     .shards = static_cast<int32_t>(spec.shards()),
                     .hosts = split.ranks % 2 == 0 ? 2 : 1},
                    [&](Communicator& communicator) {
                      return RunRank(spec, data, split.threads, communicator, gathered);
                    })));
  return gathered.hashes;
}

}  // namespace lockstep::testing
