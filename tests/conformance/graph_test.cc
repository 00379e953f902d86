// A model that is a graph: two inputs, two outputs with losses of their own weights, a layer called
// twice, a sum and a concatenation. Its gradients, its one hash, the names of its metrics.
#include "gmock/gmock.h"

#include "tests/conformance/gradient_check.h"
#include "tests/support/memory_dataset.h"
#include "tests/support/status_matchers.h"
#include "tests/support/training_run.h"

namespace lockstep::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

// `again` feeds three layers, `joined` two: gradients are added in the order backward meets them.
constexpr char kModel[] =
    "{inputs: {a: [4, 3], b: [4, 3]}, layers: ["
    "{dense: {units: 5, activation: tanh, name: shared, inputs: a}}, "
    "{reuse: {layer: shared, name: again, inputs: b}}, "
    "{add: {inputs: [shared, again, shared], name: sum}}, "
    "{batch_normalization: {name: norm, inputs: sum}}, "
    "{concatenate: {inputs: [norm, again], name: joined}}, "
    "{flatten: {inputs: joined, name: flat}}, "
    "{dense: {units: 3, activation: softmax, name: kind, inputs: flat}}, "
    "{dense: {units: 2, activation: sigmoid, name: flags, inputs: flat}}], "
    "outputs: [kind, flags]}";

constexpr int64_t kSamples = 50;
constexpr double kFlagsWeight = 0.25;

Dataset GraphData() {
  Dataset data{.count = kSamples};
  // Not in the order of the model's inputs: names decide.
  data.inputs.push_back(MakeColumn("b", Shape{4, 3}, RandomFloats(kSamples * 12, 1)));
  data.inputs.push_back(MakeColumn("a", Shape{4, 3}, RandomFloats(kSamples * 12, 2)));
  data.targets.push_back(MakeColumn("kind", Shape{}, RandomLabels(kSamples, 3, 3)));
  std::vector<uint8_t> flags;
  for (const int64_t label : RandomLabels(kSamples * 2, 2, 4)) {
    flags.push_back(static_cast<uint8_t>(label));
  }
  data.targets.push_back(MakeColumn("flags", Shape{2}, std::move(flags)));
  return data;
}

class GraphModel : public ::testing::Test {
 protected:
  TrainingRunOptions Options() {
    return {.job = std::string("model: ") + kModel +
                   "\nloss: {kind: sparse_categorical_crossentropy, flags: binary_crossentropy}\n"
                   "loss_weights: {kind: 1, flags: 0.25}\n"
                   "metrics: [accuracy]\n"
                   "optimizer: {adam: {learning_rate: 0.01}}\n"
                   "data: {train: {format: idx, inputs: a, targets: b}}\n"
                   "train: {batch_size: 20, epochs: 2, shards: 8, seed: 1}\n",
            .train = &data_,
            .validation = &data_,
            .observer = &observer_};
  }
  const Dataset data_ = GraphData();
  RecordingObserver observer_;
};

TEST_F(GraphModel, HasTheGradientsOfItsOutputs) {
  ASSERT_OK_AND_ASSIGN(const ModelProbe probe,
                       ModelProbe::Create(kModel, {.batch_size = 8, .shards = 4, .samples = 5}));
  const ModelPoint point = probe.RandomPoint(1);

  EXPECT_TRUE(HasTheGradient(probe, point, kEveryOperand, 2));
  for (size_t operand = 0; operand < OperandCount(probe); ++operand) {
    EXPECT_TRUE(HasTheGradient(probe, point, operand, 3)) << "operand " << operand;
  }
}

TEST_F(GraphModel, GivesOneHashForAnySplit) {
  TrainingRunOptions options = Options();
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult expected, RunTraining(options));
  for (const Split split : {Split{3, 2, 1}, {5, 1, 2}, {8, 1, 1}}) {
    options.ranks = split.ranks;
    options.threads = split.threads;
    options.hosts = split.hosts;
    ASSERT_OK_AND_ASSIGN(const TrainingRunResult result, RunTraining(options));
    EXPECT_EQ(result.model_sha256, expected.model_sha256) << split;
    EXPECT_EQ(result.result.metrics, expected.result.metrics) << split;
  }
}

TEST_F(GraphModel, ReportsTheWeightedLossThenEveryOutput) {
  TrainingRunOptions options = Options();
  options.ranks = 2;

  ASSERT_OK(RunTraining(options));

  EXPECT_THAT(observer_.start.metric_names,
              ElementsAre("loss", "kind_loss", "kind_accuracy", "flags_loss", "flags_accuracy"));
  ASSERT_THAT(observer_.epochs, SizeIs(2));
  const MetricValues& metrics = observer_.epochs[1].metrics;
  ASSERT_THAT(metrics, SizeIs(10));
  EXPECT_EQ(metrics[5].first, "val_loss");
  EXPECT_EQ(metrics[9].first, "val_flags_accuracy");
  for (const size_t first : {size_t{0}, size_t{5}}) {
    EXPECT_DOUBLE_EQ(metrics[first].second,
                     metrics[first + 1].second + kFlagsWeight * metrics[first + 3].second);
  }
  EXPECT_LT(metrics[5].second, observer_.epochs[0].metrics[5].second) << "it learns";
}

}  // namespace
}  // namespace lockstep::testing
