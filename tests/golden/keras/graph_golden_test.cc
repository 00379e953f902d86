// The graph of graph.yaml against Keras in float64 (graph.json): branches, a shared layer, batch
// normalization over the global batch, pooling with ties, sample and loss weights, validation. See
// cnn_golden_test.cc.
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "common/plan/job_graph.h"
#include "tests/golden/keras/keras_case.h"
#include "tests/support/memory_dataset.h"
#include "tests/support/status_matchers.h"
#include "tests/support/training_run.h"

namespace lockstep::testing {
namespace {

constexpr char kEntropy[] =
    "loss: {classes: categorical_crossentropy, flags: binary_crossentropy, sign: "
    "binary_crossentropy}\n"
    "metrics: [accuracy]\n"
    "optimizer: {adam: {learning_rate: 0.01}}\n";
constexpr char kSquares[] =
    "loss: {classes: mean_squared_error, flags: binary_crossentropy, sign: binary_crossentropy}\n"
    "optimizer: {sgd: {learning_rate: 0.1, momentum: 0.9, nesterov: true}}\n";

std::string JobWith(absl::string_view rest) {
  std::ifstream in("tests/golden/keras/graph.yaml");
  const std::string model{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  return absl::StrCat(model, rest);
}

const Golden& Truth() {
  static const auto* truth = new Golden(Golden::Read("keras/graph.json"));
  return *truth;
}

// Integers in [0, most) as floats.
std::vector<float> RandomLevels(int64_t count, int64_t most, uint32_t seed) {
  const std::vector<int64_t> levels = RandomLabels(count, most, seed);
  return {levels.begin(), levels.end()};
}

enum class Pixels { kTied, kReal };  // tied: integers, whose sums are equal in max pooling

// samples() of make_graph_goldens.py.
Dataset Samples(int64_t count, uint32_t seed, Pixels pixels) {
  Dataset data;
  data.count = count;
  const int64_t size = count * 8 * 7 * 2;
  data.inputs.push_back(MakeColumn(
      "image", Shape{8, 7, 2},
      pixels == Pixels::kTied ? RandomLevels(size, 3, seed) : RandomFloats(size, seed + 5)));
  data.inputs.push_back(MakeColumn("vector", Shape{5}, RandomFloats(count * 5, seed)));
  std::vector<float> one_hot(static_cast<size_t>(count * 3));
  const std::vector<int64_t> labels = RandomLabels(count, 3, seed + 1);
  for (size_t n = 0; n < labels.size(); ++n) one_hot[3 * n + static_cast<size_t>(labels[n])] = 1;
  data.targets.push_back(MakeColumn("classes", Shape{3}, std::move(one_hot)));
  data.targets.push_back(MakeColumn("flags", Shape{2}, RandomLevels(count * 2, 2, seed + 2)));
  data.targets.push_back(MakeColumn("sign", Shape{1}, RandomLevels(count, 2, seed + 6)));
  return data;
}

Dataset WeightedSamples(Pixels pixels) {
  Dataset data = Samples(40, 100, pixels);
  std::vector<double> weights;
  for (const float value : RandomFloats(data.count, 103)) {
    weights.push_back(static_cast<double>(value) * 0.75 + 1);
  }
  data.weights = MakeColumn("weights", Shape{}, std::move(weights));
  return data;
}

// One way to train: a job, its data, what Keras made of it.
struct Case {
  std::string job;
  Pixels pixels;
  Golden truth;
};

Case Entropy() { return {JobWith(kEntropy), Pixels::kReal, Truth().at("entropy")}; }
Case Squares() { return {JobWith(kSquares), Pixels::kTied, Truth().at("squares")}; }

// Twice the measured distances: chains are at most 56 long (8 x 7 positions), so few roundings add
// up.
constexpr Bound kFirstBatch = {.typical = 18, .worst = 40};
constexpr Bound kLosses = {.typical = 1.3, .worst = 1.5};
constexpr Bound kFinal = {.typical = 20, .worst = 32};

// Outputs come home as logits where the loss takes them; a mean squared error takes the softmax.
void ExpectGradients(const Case& c, const Bound& bound) {
  Dataset data = WeightedSamples(c.pixels);
  AddOutputFields(data, {Shape{3}, Shape{2}, Shape{1}});
  const ProbeRequest request{
      .job = c.job, .program = &kSupervisedProbe, .data = &data, .samples = 16};
  ASSERT_OK_AND_ASSIGN(const ProbeResult result, RunProbe(request, {.ranks = 3}));
  const Golden logits = c.truth.at("logits");
  if (absl::StrContains(c.job, "categorical_crossentropy")) {
    ExpectWithin(DistanceOf(result.fields[2], logits.reals("classes")), bound, "classes");
  }
  ExpectWithin(DistanceOf(result.fields[3], logits.reals("flags")), bound, "flags");
  ExpectWithin(DistanceOf(result.fields[4], logits.reals("sign")), bound, "sign");
  ASSERT_EQ(result.gradients.size(), 19u);
  for (const auto& [path, values] : result.gradients) {
    ExpectWithin(DistanceOf(values, c.truth.at("gradients").at(TruthName(path))), bound, path);
  }
}

// Every metric of every epoch by Keras' name, then the final variables.
void ExpectTraining(const Case& c, const Bound& losses, const Bound& variables) {
  const Dataset train = WeightedSamples(c.pixels), validation = Samples(24, 200, c.pixels);
  RecordingObserver observer;
  TrainingRunOptions options;
  options.job = c.job;
  options.train = &train;
  options.validation = &validation;
  options.ranks = 3;
  options.observer = &observer;
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult result, RunTraining(options));
  ASSERT_EQ(observer.epochs.size(), 4u);
  for (size_t metric = 0; metric < observer.epochs[0].metrics.size(); ++metric) {
    std::vector<double> values;
    for (const EpochReport& epoch : observer.epochs) values.push_back(epoch.metrics[metric].second);
    const std::string& name = observer.epochs[0].metrics[metric].first;
    const std::vector<double> expected = c.truth.at("history").reals(name);
    if (absl::StrContains(name, "accuracy")) {
      EXPECT_EQ(values, expected) << name;
    } else {
      ExpectWithin(DistanceOfNumbers(values, expected), losses, name);
    }
  }
  ASSERT_OK_AND_ASSIGN(const JobSpec spec, LoadJobSpec(c.job, "job.yaml", ""));
  ASSERT_OK_AND_ASSIGN(const JobGraph graph, BuildJobGraph(spec));
  ASSERT_EQ(result.variables.size(), 21u);
  for (size_t v = 0; v < result.variables.size(); ++v) {
    const std::string& path = graph.parameters->variables()[v].path;
    ExpectWithin(DistanceOf(result.variables[v], c.truth.at("final").at(TruthName(path))),
                 variables, path);
  }
}

TEST(GraphGolden, OutputsAndGradientsUnderCrossEntropies) {
  ExpectGradients(Entropy(), kFirstBatch);
}

TEST(GraphGolden, GradientsThroughSoftmaxAndTiesUnderSquares) {
  ExpectGradients(Squares(), kFirstBatch);
}

TEST(GraphGolden, FourEpochsOfAdamWithMetricsAndValidation) {
  ExpectTraining(Entropy(), kLosses, kFinal);
}

TEST(GraphGolden, FourEpochsOfNesterovWithMetricsAndValidation) {
  ExpectTraining(Squares(), kLosses, kFinal);
}

}  // namespace
}  // namespace lockstep::testing
