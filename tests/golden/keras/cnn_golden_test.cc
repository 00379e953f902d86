// The CNN of examples/fashion_mnist_cnn.yaml on real images, against Keras in float64 (cnn.json).
//
// Distances are in units of 2^-24 of an array's root mean square. A chain of K roundings walks
// about sqrt(K) / 2 of them; the longest one here has 5,408, so tens are float32's due, and no
// bound is far from that but one: where float32 decides a near tie of ReLU or max pooling otherwise
// than float64, an entry moves by a piece of its gradient, which Adam then divides by its size. It
// happens to the bias of filter 2 at step 14. Hence two bounds, a tight one for the median entry
// and a wide one for the worst. Our bits are the same on every machine, so each distance is a
// constant of this numerics_version; the bounds are twice the largest of its kind.
#include "gtest/gtest.h"

#include "tests/golden/keras/keras_case.h"
#include "tests/support/status_matchers.h"
#include "tests/support/training_run.h"

namespace lockstep::testing {
namespace {

constexpr char kJob[] = R"(
name: fashion-cnn
model:
  input_shape: [28, 28, 1]
  layers:
    - conv2d: {filters: 32, kernel_size: 3, activation: relu}
    - max_pooling2d
    - flatten
    - dense: {units: 128, activation: relu}
    - dense: {units: 10, activation: softmax}
data:
  train:
    format: idx
    inputs: /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz
    targets: /usr/share/datasets/fashion-mnist/train-labels-idx1-ubyte.gz
  preprocess: {scale: 0.00392156862745098}
loss: sparse_categorical_crossentropy
metrics: [accuracy]
)";
constexpr char kVariables[][20] = {"conv2d/kernel", "conv2d/bias",    "dense/kernel",
                                   "dense/bias",    "dense_1/kernel", "dense_1/bias"};
constexpr int64_t kBatch = 32, kSteps = 30;

std::string JobWith(absl::string_view optimizer, absl::string_view class_weight = "{}") {
  return absl::StrCat(
      kJob, "optimizer: ", optimizer,
      "\ntrain: {batch_size: 32, shuffle: false, seed: 7, class_weight: ", class_weight, "}\n");
}

const Golden& Truth() {
  static const auto* truth = new Golden(Golden::Read("keras/cnn.json"));
  return *truth;
}

// The first 30 batches of the training set, unshuffled.
class CnnGolden : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(data_, FirstSamples(JobWith("adam"), "dense_1", kBatch * kSteps));
  }

  void ExpectGradients(const std::string& job, const Golden& truth) {
    AddOutputFields(data_, {Shape{10}});
    const ProbeRequest request{
        .job = job, .program = &kSupervisedProbe, .data = &data_, .samples = kBatch};
    ASSERT_OK_AND_ASSIGN(const ProbeResult result, RunProbe(request, {.ranks = 2}));
    ExpectWithin(DistanceOf(result.fields[1], Truth().reals("logits")), kFirstBatch, "logits");
    ASSERT_EQ(result.gradients.size(), std::size(kVariables));
    for (const auto& [path, values] : result.gradients) {
      ExpectWithin(DistanceOf(values, truth.at(TruthName(path))), kFirstBatch, path);
    }
  }

  // Losses of all steps, the epoch's loss and accuracy, the final variables.
  void ExpectTraining(const std::string& job, const Golden& truth, const Bound& losses,
                      const Bound& variables) {
    RecordingObserver observer;
    TrainingRunOptions options;
    options.job = job;
    options.train = &data_;
    options.ranks = 2;
    options.observer = &observer;
    ASSERT_OK_AND_ASSIGN(const TrainingRunResult result, RunTraining(options));
    std::vector<double> by_step;
    for (const StepReport& step : observer.steps) by_step.push_back(step.loss);
    ExpectWithin(DistanceOfNumbers(by_step, truth.reals("losses")), losses, "losses");
    ASSERT_EQ(observer.epochs.size(), 1u);
    ExpectWithin(
        DistanceOfNumbers({observer.epochs[0].metrics[0].second}, truth.reals("epoch_loss")),
        losses, "epoch loss");
    EXPECT_EQ(observer.epochs[0].metrics[1].second, truth.reals("epoch_accuracy")[0]);
    ASSERT_EQ(result.variables.size(), std::size(kVariables));
    for (size_t v = 0; v < result.variables.size(); ++v) {
      ExpectWithin(DistanceOf(result.variables[v], truth.at(TruthName(kVariables[v]))), variables,
                   kVariables[v]);
    }
  }

  static constexpr Bound kFirstBatch = {.typical = 16, .worst = 128};

  Dataset data_;
};

TEST_F(CnnGolden, LogitsAndGradientsOfTheFirstBatch) {
  ExpectGradients(JobWith("adam"), Truth().at("gradients"));
}

TEST_F(CnnGolden, GradientsUnderClassWeights) {
  ExpectGradients(JobWith("adam", "{0: 2.0, 3: 0.25, 9: 1.5}"), Truth().at("class_weighted"));
}

TEST_F(CnnGolden, ThirtyStepsOfAdam) {
  ExpectTraining(JobWith("adam"), Truth().at("adam"), {8.5, 150}, {110, 44'000});
}

TEST_F(CnnGolden, ThirtyStepsOfSgdWithMomentum) {
  ExpectTraining(JobWith("{sgd: {momentum: 0.9}}"), Truth().at("sgd"), {2.5, 21}, {14, 310});
}

}  // namespace
}  // namespace lockstep::testing
