// The residual network of resnet.yaml against Keras in float64 (resnet.json): all parts of
// examples/fashion_mnist_resnet20.yaml. See cnn_golden_test.cc.
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

constexpr int64_t kBatch = 16;
constexpr int64_t kSteps = 30;

std::string JobWith(absl::string_view optimizer) {
  std::ifstream in("tests/golden/keras/resnet.yaml");
  const std::string model{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  return absl::StrCat(model, "optimizer: ", optimizer, "\n");
}

const Golden& Truth() {
  static const auto* truth = new Golden(Golden::Read("keras/resnet.json"));
  return *truth;
}

Dataset Samples() {
  Dataset data;
  data.count = kBatch * kSteps;
  data.inputs.push_back(
      MakeColumn("input_layer", Shape{5, 7, 1}, RandomFloats(data.count * 35, 300)));
  data.targets.push_back(MakeColumn("classes", Shape{}, RandomLabels(data.count, 3, 301)));
  return data;
}

// Bounds are twice the measured distances. Moving means are sums that cancel: of activations of
// both signs that are many times as large.
constexpr Bound kFirstBatch = {.typical = 31, .worst = 49};
constexpr Bound kLosses = {.typical = 1, .worst = 3};
constexpr Bound kVariables = {.typical = 21, .worst = 40};
constexpr Bound kMovingMeans = {.typical = 70, .worst = 830};

// Losses of all steps and the final variables, trained or moving.
void ExpectTraining(const std::string& job, const Golden& truth) {
  const Dataset data = Samples();
  RecordingObserver observer;
  TrainingRunOptions options;
  options.job = job;
  options.train = &data;
  options.ranks = 3;
  options.observer = &observer;
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult result, RunTraining(options));
  std::vector<double> by_step;
  for (const StepReport& step : observer.steps) by_step.push_back(step.loss);
  ExpectWithin(DistanceOfNumbers(by_step, truth.reals("losses")), kLosses, "losses");
  ASSERT_OK_AND_ASSIGN(const JobSpec spec, LoadJobSpec(job, "job.yaml", ""));
  ASSERT_OK_AND_ASSIGN(const JobGraph graph, BuildJobGraph(spec));
  ASSERT_EQ(result.variables.size(), 29u);
  for (size_t v = 0; v < result.variables.size(); ++v) {
    const std::string& path = graph.parameters->variables()[v].path;
    ExpectWithin(DistanceOf(result.variables[v], truth.at(TruthName(path))),
                 absl::EndsWith(path, "moving_mean") ? kMovingMeans : kVariables, path);
  }
}

TEST(ResnetGolden, LogitsAndGradientsOfTheFirstBatch) {
  Dataset data = Samples();
  AddOutputFields(data, {Shape{3}});
  const std::string job = JobWith("adam");
  const ProbeRequest request{
      .job = job, .program = &kSupervisedProbe, .data = &data, .samples = kBatch};
  ASSERT_OK_AND_ASSIGN(const ProbeResult result, RunProbe(request, {.ranks = 3}));
  ExpectWithin(DistanceOf(result.fields[1], Truth().reals("logits")), kFirstBatch, "logits");
  ASSERT_EQ(result.gradients.size(), 19u);
  for (const auto& [path, values] : result.gradients) {
    ExpectWithin(DistanceOf(values, Truth().at("gradients").at(TruthName(path))), kFirstBatch,
                 path);
  }
}

TEST(ResnetGolden, ThirtyStepsOfAdam) { ExpectTraining(JobWith("adam"), Truth().at("adam")); }

TEST(ResnetGolden, ThirtyStepsOfSgdWithMomentum) {
  ExpectTraining(JobWith("{sgd: {momentum: 0.9}}"), Truth().at("sgd"));
}

}  // namespace
}  // namespace lockstep::testing
