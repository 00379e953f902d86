// The vectors of numerics.json against initialisers, optimizers as a job makes them, seeds of
// losses, reported sums, the hash, and one whole job; see functions_golden_test.cc.
#include <bit>

#include "gtest/gtest.h"

#include "common/base/numerics_version.h"
#include "common/checkpoint/model_hash.h"
#include "common/kernels/reference_optimizers.h"
#include "common/kernels/simd_target.h"
#include "common/nn/initializers.h"
#include "common/optim/optimizer_registry.h"
#include "common/plan/job_graph.h"
#include "common/spec/job_yaml.h"
#include "tests/golden/golden_file.h"
#include "tests/support/memory_dataset.h"
#include "tests/support/status_matchers.h"
#include "tests/support/training_run.h"
#include "worker/data/batch_loader.h"

namespace lockstep {
namespace {

using ::lockstep::testing::Golden;
using ::lockstep::testing::MakeColumn;
using ::lockstep::testing::Numerics;
using ::lockstep::testing::RecordingObserver;
using ::lockstep::testing::RunTraining;
using ::lockstep::testing::TrainingRunOptions;
using ::lockstep::testing::TrainingRunResult;

std::vector<uint32_t> Bits(absl::Span<const float> values) {
  std::vector<uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

absl::StatusOr<Node> NodeOf(const std::string& yaml) {
  const absl::StatusOr<Value> value = ParseYaml(yaml, "golden");
  if (!value.ok()) return value.status();
  return ParseNode(*value, "golden");
}

TEST(GoldenFile, IsOfThisNumericsVersion) {
  EXPECT_EQ(Numerics().integer("numerics_version"), kNumericsVersion);
}

TEST(GoldenInitializers, FillVariables) {
  for (const Golden& c : Numerics().cases("initializers")) {
    ASSERT_OK_AND_ASSIGN(const Node node, NodeOf(c.text("initializer")));
    const Shape shape(c.integers("shape"));
    std::vector<float> values(static_cast<size_t>(shape.elements()));
    ASSERT_OK(CheckInitializer(node, shape));
    Initialize(node, shape, {c.word("seed"), static_cast<uint32_t>(c.integer("variable"))},
               absl::MakeSpan(values));
    EXPECT_EQ(Bits(values), Bits(c.floats("values"))) << c.text("initializer") << shape.ToString();
  }
}

TEST(GoldenInitializers, EveryOneHasAVector) {
  std::vector<std::string> seen;
  for (const Golden& c : Numerics().cases("initializers")) {
    ASSERT_OK_AND_ASSIGN(const Node node, NodeOf(c.text("initializer")));
    seen.push_back(node.type);
  }
  for (const InitializerDef* def : Initializers()) {
    EXPECT_NE(std::find(seen.begin(), seen.end(), def->name), seen.end()) << def->name;
  }
}

TEST(GoldenOptimizers, UpdateAsTheJobSays) {
  for (const Golden& c : Numerics().cases("optimizers")) {
    ASSERT_OK_AND_ASSIGN(const Node node, NodeOf(c.text("optimizer")));
    ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Optimizer> optimizer, MakeOptimizer(node));
    std::vector<float> value = c.floats("value"), values;
    const std::vector<float> gradients = c.floats("gradient");
    std::vector<std::vector<float>> state(optimizer->state_slots().size(),
                                          std::vector<float>(value.size(), 0.0f));
    OptimizerRange range{.count = static_cast<int64_t>(value.size()),
                         .gradient = gradients.data(),
                         .value = value.data()};
    for (std::vector<float>& slot : state) range.state.push_back(slot.data());
    for (int64_t t = 1; range.gradient != gradients.data() + gradients.size(); ++t) {
      optimizer->BeginStep(t);
      optimizer->Update(range, {0, kernels::FlatUnits(range.count)});
      values.insert(values.end(), value.begin(), value.end());
      range.gradient += range.count;
    }
    EXPECT_EQ(Bits(values), Bits(c.floats("values"))) << node.type;
    for (size_t slot = 0; slot < state.size(); ++slot) {
      EXPECT_EQ(Bits(state[slot]), Bits(c.floats(slot == 0 ? "m" : "v"))) << node.type;
    }
  }
}

// alpha shows in the update of one parameter from +0 state.
TEST(GoldenOptimizers, AdamsStepSizeAtFarSteps) {
  const Golden c = Numerics().at("alphas");
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Optimizer> adam, MakeOptimizer(Node{.type = "adam"}));
  const std::vector<float> alphas = c.floats("alpha");
  const std::vector<int64_t> steps = c.integers("t");
  for (size_t k = 0; k < steps.size(); ++k) {
    float gradient = 1.0f, value = 0.0f, m = 0.0f, v = 0.0f;
    adam->BeginStep(steps[k]);
    adam->Update({.count = 1, .gradient = &gradient, .value = &value, .state = {&m, &v}}, {0, 1});
    float expected = 0.0f, expected_m = 0.0f, expected_v = 0.0f;
    kernels::AdamArgs args{};
    args.alpha = alphas[k];
    args.one_minus_beta1 = static_cast<float>(1.0 - 0.9);
    args.one_minus_beta2 = static_cast<float>(1.0 - 0.999);
    args.epsilon = 1e-7f;
    kernels::ReferenceAdam(args, gradient, &expected_m, &expected_v, &expected);
    EXPECT_EQ(Bits({value}), Bits({expected})) << "step " << steps[k];
  }
}

constexpr char kWeightedJob[] = R"(
name: weighted
model:
  input_shape: [1]
  layers: [{dense: {units: 3, activation: softmax}}]
data: {train: {format: idx, inputs: a, targets: b}}
train: {batch_size: 8, shards: 4, shuffle: false, class_weight: {0: 0.3, 2: 1.7}}
loss: sparse_categorical_crossentropy
loss_weights: {dense: 0.3}
optimizer: sgd
)";

// What the planner lays out for one rank, as plain arrays.
struct FeedMemory {
  explicit FeedMemory(const BatchGeometry& geometry)
      : slots(static_cast<size_t>(geometry.blocks) * kernels::kBlockLanes),
        rows(slots * 4),
        labels(slots),
        position(slots),
        count(static_cast<size_t>(geometry.shards)),
        seed(slots),
        weight(slots) {}
  Feed feed() {
    return {.input_rows = {rows.data()},
            .target_rows = {nullptr},
            .labels = {labels.data()},
            .seeds = {seed.data()},
            .weights = {weight.data()},
            .shard_count = count.data(),
            .batch_position = position.data()};
  }

  size_t slots;
  std::vector<std::byte> rows;
  std::vector<int32_t> labels, position, count;
  std::vector<float> seed, weight;
};

TEST(GoldenWeights, SeedsAndReportedSums) {
  const Golden c = Numerics().at("weights");
  ASSERT_OK_AND_ASSIGN(const JobSpec spec, LoadJobSpec(kWeightedJob, "job.yaml", ""));
  ASSERT_OK_AND_ASSIGN(const JobGraph graph, BuildJobGraph(spec));
  Dataset data;
  data.count = static_cast<int64_t>(c.integers("label").size());
  data.inputs.push_back(
      MakeColumn("input_layer", Shape{1}, std::vector<float>(c.integers("label").size())));
  data.targets.push_back(MakeColumn("dense", Shape{}, c.integers("label")));
  data.weights = MakeColumn("weights", Shape{}, c.doubles("sample_weight"));
  const BatchGeometry geometry = GeometryOf(8, static_cast<int32_t>(spec.shards()), 1, 0);
  FeedMemory memory(geometry);
  BatchLoader loader(data, graph, spec.train().class_weight, geometry, memory.feed());
  const ShardPlan plan({0, data.count}, 8, /*shuffle=*/false, 0);

  ASSERT_OK(loader.Load(plan, plan.Batch(0)));

  std::vector<float> weight, seed, loss(memory.slots, 7.0f);
  for (size_t slot = 0; slot < memory.slots; ++slot) {
    const int64_t sample = loader.SampleInSlot(static_cast<int64_t>(slot));
    if (sample < 0) continue;
    weight.push_back(memory.weight[slot]);
    seed.push_back(memory.seed[slot]);
    loss[slot] = c.floats("loss")[static_cast<size_t>(sample)];
  }
  EXPECT_EQ(Bits(weight), Bits(c.floats("weight")));
  EXPECT_EQ(Bits(seed), Bits(c.floats("seed")));
  EXPECT_EQ(std::vector<int64_t>(memory.count.begin(), memory.count.end()), c.integers("counts"));
  const kernels::SlotMap slots{geometry.blocks, geometry.shards, geometry.shard_slots,
                               geometry.shard_positions, memory.count.data()};
  const double sum = SumOfSubtree(slots, {0, geometry.shards}, loss.data(), memory.weight.data());
  EXPECT_EQ(std::bit_cast<uint64_t>(sum), c.word("reported"));
}

TEST(GoldenHash, OfGivenTensors) {
  const Golden c = Numerics().at("hash");
  std::vector<std::vector<float>> values;
  for (const Golden& tensor : c.cases("tensors")) values.push_back(tensor.floats("values"));
  std::vector<TensorView> views;
  for (const Golden& tensor : c.cases("tensors")) {
    views.push_back({tensor.text("path"), Shape(tensor.integers("shape")), values[views.size()]});
  }
  EXPECT_EQ(ModelSha256(views), c.text("sha256"));
}

// The lockstep contract against a program that shares no code with us: shuffle, shards, decoding,
// convolution, batch normalisation, pooling, dropout, a dense layer, class weights, Adam, the sum
// that is reported and the hash, for every count of workers and every SIMD target of this CPU.
TEST(GoldenHash, OfATrainedJobForAnyCountOfWorkers) {
  const Golden c = Numerics().at("hash").at("job");
  Dataset data;
  const std::vector<int64_t> labels = c.integers("labels"), images = c.integers("images");
  data.count = static_cast<int64_t>(labels.size());
  data.inputs.push_back(
      MakeColumn("input_layer", Shape{4, 4}, std::vector<uint8_t>(images.begin(), images.end())));
  data.targets.push_back(MakeColumn("dense", Shape{}, labels));
  for (const absl::string_view simd : kernels::SupportedSimd()) {
    const kernels::ScopedSimdForTest forced(simd);
    for (int ranks = 1; ranks <= 4; ++ranks) {
      RecordingObserver observer;
      TrainingRunOptions options;
      options.job = c.text("yaml");
      options.train = &data;
      options.ranks = ranks;
      options.observer = &observer;

      ASSERT_OK_AND_ASSIGN(const TrainingRunResult result, RunTraining(options));

      EXPECT_EQ(result.model_sha256, c.text("trained_sha256")) << simd << ", " << ranks << " ranks";
      std::vector<uint64_t> losses;
      for (const EpochReport& epoch : observer.epochs) {
        losses.push_back(std::bit_cast<uint64_t>(epoch.metrics[0].second));
      }
      EXPECT_EQ(losses, c.words("losses")) << simd << ", " << ranks << " ranks";
    }
  }
}

TEST(GoldenHash, OfTheJobsInitialValues) {
  const Golden c = Numerics().at("hash").at("job");
  ASSERT_OK_AND_ASSIGN(const JobSpec spec, LoadJobSpec(c.text("yaml"), "job.yaml", ""));
  ASSERT_OK_AND_ASSIGN(const JobGraph graph, BuildJobGraph(spec));
  std::vector<std::vector<float>> values;
  std::vector<TensorView> views;
  for (const ParameterSet::Variable& variable : graph.parameters->variables()) {
    values.emplace_back(static_cast<size_t>(variable.shape.elements()));
    Initialize(variable.initializer, variable.shape,
               {spec.train().seed, static_cast<uint32_t>(views.size())},
               absl::MakeSpan(values.back()));
    views.push_back({variable.path, variable.shape, values.back()});
  }
  EXPECT_EQ(ModelSha256(views), c.text("initial_sha256"));
}

}  // namespace
}  // namespace lockstep
