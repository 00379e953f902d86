// The GAN of examples/fashion_mnist_gan.yaml on real images, against Keras in float64 (gan.json).
// Distances and bounds as in cnn_golden_test.cc: twice what float32 is due here.
#include "gtest/gtest.h"

#include "common/data/data_cache.h"
#include "common/data/dataset_format.h"
#include "common/plan/job_graph.h"
#include "tests/golden/keras/keras_case.h"
#include "tests/support/memory_dataset.h"
#include "tests/support/status_matchers.h"
#include "tests/support/training_run.h"

namespace lockstep::testing {
namespace {

constexpr char kJob[] = R"(
name: fashion-gan
program: gan
models:
  generator:
    inputs: {noise: [100]}
    layers:
      - dense: {units: 256, activation: relu}
      - dense: {units: 512, activation: relu}
      - dense: {units: 784, activation: tanh}
      - reshape: {target_shape: [28, 28]}
  discriminator:
    inputs: {image: [28, 28]}
    layers:
      - flatten
      - dense: {units: 512, activation: relu}
      - dense: {units: 256, activation: relu}
      - dense: {units: 1, activation: sigmoid}
data:
  train:
    format: idx
    inputs: /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz
  preprocess: {scale: 0.00784313725490196, offset: -1}
train: {batch_size: 128, shuffle: false, seed: 7}
optimizers:
  generator: {adam: {learning_rate: 0.0002, beta_1: 0.5}}
  discriminator: {adam: {learning_rate: 0.0002, beta_1: 0.5}}
)";
constexpr int64_t kBatch = 128, kSteps = 30;
constexpr size_t kDiscriminator = 0, kGenerator = 1;

const Golden& Truth() {
  static const auto* truth = new Golden(Golden::Read("keras/gan.json"));
  return *truth;
}

// What the generator makes and the discriminator says of the data, brought home as in
// kSupervisedProbe.
std::vector<ProgramPhase> RecordForwards(ProgramContext& context) {
  ProgramPhase phase{.name = "probe", .updates = {}, .builder = context.NewBuilder()};
  StepBuilder& builder = *phase.builder;
  const Model::Pass made = context.RecordForward(
      builder, kGenerator,
      context.RecordNoise(builder, kGenerator, NoiseKind::kNormal, /*fixed=*/false), true);
  const Model::Pass judged = context.RecordForward(
      builder, kDiscriminator, context.RecordInputsOf(builder, kDiscriminator), true);
  const JobGraph& graph = context.graph();
  RecordRows(builder, 784, made.output(*graph.models[kGenerator].model, 0),
             context.feed.input_rows[1]);
  RecordRows(builder, 1, judged.output(*graph.models[kDiscriminator].model, 0),
             context.feed.input_rows[2]);
  std::vector<ProgramPhase> phases;
  phases.push_back(std::move(phase));
  return phases;
}

class GanGolden : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(gan_, FindProgram("gan"));
    ASSERT_OK_AND_ASSIGN(const JobSpec spec, LoadJobSpec(kJob, "job.yaml", ""));
    DataCache no_cache(PosixFileSystem(), "", 0);
    DataEnvironment environment{&PosixFileSystem(), &no_cache};
    ASSERT_OK_AND_ASSIGN(const Dataset whole,
                         OpenDataset(spec.data().train, {{"image"}, {}}, environment));
    data_.count = kBatch * kSteps;
    std::vector<uint8_t> pixels(static_cast<size_t>(data_.count * 784));
    for (int64_t n = 0; n < data_.count; ++n) {
      ASSERT_OK(whole.inputs[0]->Read(n, reinterpret_cast<std::byte*>(pixels.data() + n * 784)));
    }
    data_.inputs.push_back(MakeColumn("image", Shape{28, 28}, std::move(pixels)));
  }

  const ProgramDef* gan_ = nullptr;
  Dataset data_;
};

TEST_F(GanGolden, SamplesAndLogitsOfTheFirstBatch) {
  ProgramDef forwards = *gan_;
  forwards.record_train = &RecordForwards;
  AddOutputFields(data_, {Shape{28, 28}, Shape{1}});
  ASSERT_OK_AND_ASSIGN(
      const ProbeResult result,
      RunProbe({.job = kJob, .program = &forwards, .data = &data_, .samples = kBatch},
               {.ranks = 2}));
  ExpectWithin(DistanceOf(result.fields[1], Truth().at("made")), {8.5, 35}, "made");
  ExpectWithin(DistanceOf(result.fields[2], Truth().reals("judged")), {25, 104}, "judged");
}

TEST_F(GanGolden, GradientsOfTheFirstBatch) {
  ASSERT_OK_AND_ASSIGN(
      const ProbeResult result,
      RunProbe({.job = kJob, .program = gan_, .data = &data_, .samples = kBatch}, {.ranks = 2}));
  ASSERT_EQ(result.gradients.size(), 12u);
  for (const auto& [path, values] : result.gradients) {
    ExpectWithin(DistanceOf(values, Truth().at("gradients").at(TruthName(path))), {15.5, 58}, path);
  }
}

TEST_F(GanGolden, ThirtyStepsOfAdam) {
  const Golden truth = Truth().at("adam");
  RecordingObserver observer;
  std::vector<double> d_losses, g_losses;
  observer.on_step = [&](const StepReport& report) {
    d_losses.push_back(report.running[1]);
    g_losses.push_back(report.running[2]);
  };
  TrainingRunOptions options;
  options.job = kJob;
  options.train = &data_;
  options.ranks = 2;
  options.observer = &observer;
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult result, RunTraining(options));
  ExpectWithin(DistanceOfNumbers(d_losses, truth.reals("d_losses")), {0.7, 1}, "d_losses");
  ExpectWithin(DistanceOfNumbers(g_losses, truth.reals("g_losses")), {0.7, 1}, "g_losses");
  ASSERT_OK_AND_ASSIGN(const JobSpec spec, LoadJobSpec(kJob, "job.yaml", ""));
  ASSERT_OK_AND_ASSIGN(const JobGraph graph, BuildJobGraph(spec));
  ASSERT_EQ(result.variables.size(), 12u);
  for (size_t v = 0; v < result.variables.size(); ++v) {
    const std::string& path = graph.parameters->variables()[v].path;
    ExpectWithin(DistanceOf(result.variables[v], truth.at(TruthName(path))), {5.8, 130}, path);
  }
}

}  // namespace
}  // namespace lockstep::testing
