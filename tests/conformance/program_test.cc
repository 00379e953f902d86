// The conformance suite of common/plan/programs, and a program with two models, made here: one hash
// for any count of ranks, also when the job goes on at another one. A new program is found by its
// file; where no job of kSmallJobs fits it, give it one.
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"

#include "common/plan/job_graph.h"
#include "tests/conformance/one_hash.h"
#include "tests/conformance/probe.h"
#include "tests/support/memory_dataset.h"
#include "tests/support/status_matchers.h"
#include "tests/support/training_run.h"

namespace lockstep::testing {
namespace {

using ::testing::SizeIs;

// --- small jobs ---

constexpr char kOneModel[] = R"(
model:
  inputs: {x: [6]}
  layers:
    - dense: {units: 8, activation: tanh}
    - batch_normalization
    - dropout: {rate: 0.2}
    - dense: {units: 3, name: code}
loss: mean_squared_error
optimizer: {adam: {learning_rate: 0.01}}
)";

// A coder and a decoder that learn from the data and from each other. The coder has five ownership
// blocks, the decoder one.
constexpr char kTwoModels[] = R"(
models:
  coder:
    inputs: {x: [6]}
    layers:
      - dense: {units: 1500, activation: tanh}
      - batch_normalization
      - dropout: {rate: 0.2}
      - dense: {units: 3, name: code}
  decoder:
    inputs: {latent: [3]}
    layers:
      - dense: {units: 9, activation: relu}
      - dropout: {rate: 0.1}
      - dense: {units: 6, name: image}
loss: {coder/code: mean_squared_error, decoder/image: mean_squared_error}
loss_weights: {coder/code: 0.25, decoder/image: 1}
optimizers:
  coder: {adam: {learning_rate: 0.02}}
  decoder: {sgd: {learning_rate: 0.05, momentum: 0.9}}
)";

constexpr char kGan[] = R"(
models:
  generator:
    inputs: {noise: [5]}
    layers:
      - dense: {units: 9}
      - batch_normalization
      - activation: {activation: relu}
      - dense: {units: 6, activation: tanh}
  discriminator:
    inputs: {x: [6]}
    layers:
      - dense: {units: 900, activation: relu}
      - batch_normalization
      - dropout: {rate: 0.2}
      - dense: {units: 1, activation: sigmoid}
optimizers:
  generator: {adam: {learning_rate: 0.01, beta_1: 0.5}}
  discriminator: {sgd: {learning_rate: 0.05, momentum: 0.9}}
)";

struct SmallJob {
  const char* models;
  Dataset (*data)();
};

Dataset TwoModelData() {
  Dataset data = OneModelData();
  data.inputs.push_back(MakeColumn("latent", Shape{3}, RandomFloats(kSamples * 3, 2)));
  data.targets.push_back(MakeColumn("image", Shape{6}, RandomFloats(kSamples * 6, 1)));
  return data;
}

Dataset GanData() {
  Dataset data = OneModelData();
  data.targets.clear();
  return data;
}

constexpr SmallJob kSmallJobs[] = {
    {kOneModel, &OneModelData}, {kTwoModels, &TwoModelData}, {kGan, &GanData}};

// --- the program with two models ---

constexpr size_t kCoder = 0;  // models stand by name
constexpr size_t kDecoder = 1;

// The decoder learns images from the codes of the data.
ProgramPhase RecordDecoder(ProgramContext& context) {
  ProgramPhase phase{.name = "decoder", .updates = {kDecoder}, .builder = context.NewBuilder()};
  StepBuilder& builder = *phase.builder;
  Model::Pass pass =
      context.RecordForward(builder, kDecoder, context.RecordInputsOf(builder, kDecoder), true);
  context.RecordBackward(builder, kDecoder, pass,
                         context.RecordLosses(builder, kDecoder, pass, true));
  return phase;
}

// The coder learns the codes of the data, and such that the decoder, as it is, makes the images of
// them.
ProgramPhase RecordCoder(ProgramContext& context) {
  ProgramPhase phase{.name = "coder", .updates = {kCoder}, .builder = context.NewBuilder()};
  StepBuilder& builder = *phase.builder;
  const JobGraph& graph = context.graph();
  const Model& coder = *graph.models[kCoder].model;
  Model::Pass codes =
      context.RecordForward(builder, kCoder, context.RecordInputsOf(builder, kCoder), true);
  Model::Pass images = context.RecordForward(builder, kDecoder, {codes.output(coder, 0)}, true);
  const Slice d_codes = context.RecordLosses(builder, kCoder, codes, true)[0];
  const std::vector<Slice> through_images = graph.models[kDecoder].model->Backward(
      builder, images, context.RecordLosses(builder, kDecoder, images, true),
      {.want_inputs = true});
  const int64_t elements = coder.tensors()[coder.outputs()[0]].shape.elements();
  const Slice sum = builder.AllocateActivation(elements);
  RecordAdd(builder, {"codes/gradient", {d_codes, through_images[0]}, sum, elements});
  context.RecordBackward(builder, kCoder, codes, {sum});
  return phase;
}

std::vector<ProgramPhase> RecordTrain(ProgramContext& context) {
  std::vector<ProgramPhase> phases;
  phases.push_back(RecordDecoder(context));
  phases.push_back(RecordCoder(context));
  return phases;
}

ProgramPhase RecordEvaluate(ProgramContext& context) {
  ProgramPhase phase{.name = "evaluate", .updates = {}, .builder = context.NewBuilder()};
  StepBuilder& builder = *phase.builder;
  for (const size_t model : {kCoder, kDecoder}) {
    const Model::Pass pass =
        context.RecordForward(builder, model, context.RecordInputsOf(builder, model), false);
    context.RecordLosses(builder, model, pass, false);
  }
  return phase;
}

absl::Status TwoModels(const JobGraph& graph) {
  if (graph.models.size() == 2) return absl::OkStatus();
  return absl::InvalidArgumentError("takes a coder and a decoder");
}

constexpr ProgramDef kPair = {"pair", "a coder and a decoder", &TwoModels, &RecordTrain,
                              &RecordEvaluate};

// --- what every program must do ---

TEST(Programs, GiveOneHashForAnySplitAndCut) {
  for (const ProgramDef* program : Programs()) {
    int fitting = 0;
    for (const SmallJob& small : kSmallJobs) {
      const std::string job =
          absl::StrCat(small.models, "program: ", program->name, "\n", kTraining);
      ASSERT_OK_AND_ASSIGN(const JobSpec spec, LoadJobSpec(job, "job.yaml", ""));
      const absl::StatusOr<JobGraph> graph = BuildJobGraph(spec);
      if (!graph.ok() || !program->check(*graph).ok()) continue;
      ++fitting;
      SCOPED_TRACE(program->name);
      const Dataset data = small.data();
      ExpectOneHash({.job = job, .train = &data, .validation = &data});
    }
    EXPECT_GT(fitting, 0) << program->name << ": give it a job in kSmallJobs";
  }
}

// --- supervised training, with memory of its own for every buffer ---

// As common/plan/programs/supervised.cc, but every temporary is filled with NaN first of all: it
// lives from there on, so no two share bytes, and what is read before it is written shows.
std::vector<ProgramPhase> RecordApart(ProgramContext& context) {
  ProgramPhase phase{.name = "train", .updates = {0}, .builder = context.NewBuilder()};
  StepBuilder& builder = *phase.builder;
  RecordUnwritten(builder);
  Model::Pass pass =
      context.RecordForward(builder, 0, context.RecordInputsOf(builder, 0), /*training=*/true);
  context.RecordBackward(builder, 0, pass,
                         context.RecordLosses(builder, 0, pass, /*with_gradients=*/true));
  std::vector<ProgramPhase> phases;
  phases.push_back(std::move(phase));
  return phases;
}

TEST(SupervisedProgram, TrainsTheSameBitsWhereBuffersShareMemory) {
  ASSERT_OK_AND_ASSIGN(const ProgramDef* const supervised, FindProgram("supervised"));
  ProgramDef apart = *supervised;
  apart.record_train = &RecordApart;
  const Dataset data = OneModelData();
  TrainingRunOptions options{
      .job = absl::StrCat(kOneModel, kTraining), .program = &apart, .train = &data};
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult expected, RunTraining(options));
  options.program = supervised;

  ASSERT_OK_AND_ASSIGN(const TrainingRunResult result, RunTraining(options));

  EXPECT_EQ(result.model_sha256, expected.model_sha256);
}

// The exemplar: several models and optimizers in one program, alternating.
class TwoModelProgram : public ::testing::Test {
 protected:
  TrainingRunOptions Options() const {
    return {.job = absl::StrCat(kTwoModels, kTraining),
            .program = &kPair,
            .train = &data_,
            .validation = &data_};
  }
  const Dataset data_ = TwoModelData();
};

TEST_F(TwoModelProgram, GivesOneHashForAnySplitAndCut) { ExpectOneHash(Options()); }

TEST_F(TwoModelProgram, LearnsInBothModels) {
  RecordingObserver observer;
  TrainingRunOptions options = Options();
  options.observer = &observer;
  options.job = absl::StrReplaceAll(options.job, {{"epochs: 2", "epochs: 20"}});

  ASSERT_OK(RunTraining(options));

  ASSERT_THAT(observer.epochs, SizeIs(20));
  const MetricValues& first = observer.epochs.front().metrics;
  const MetricValues& last = observer.epochs.back().metrics;
  ASSERT_THAT(first, SizeIs(6));
  for (size_t m = 3; m < first.size(); ++m) {
    EXPECT_LT(last[m].second, first[m].second) << first[m].first;
  }
  EXPECT_EQ(first[3].first, "val_loss");
  EXPECT_EQ(first[4].first, "val_coder/code_loss");
  EXPECT_EQ(first[5].first, "val_decoder/image_loss");
}

// A model whose optimizer stands still keeps its values; the other one does not.
TEST_F(TwoModelProgram, UpdatesEachModelByItsOwnOptimizer) {
  TrainingRunOptions options = Options();
  options.job = absl::StrReplaceAll(options.job, {{"epochs: 2", "steps: 1"}});
  options.ranks = 3;
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult both, RunTraining(options));
  options.job = absl::StrReplaceAll(options.job, {{"learning_rate: 0.05", "learning_rate: 0"}});
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult decoder_stands, RunTraining(options));

  // dense 2, batch_normalization 4, dense 2; dense 2, dense 2.
  ASSERT_THAT(both.variables, SizeIs(12));
  constexpr size_t kFirstOfDecoder = 8;
  for (size_t v = kFirstOfDecoder; v < both.variables.size(); ++v) {
    EXPECT_NE(both.variables[v], decoder_stands.variables[v]) << v;
  }
  // The coder learns through the decoder, which has moved before in just one of the runs.
  EXPECT_NE(both.variables[0], decoder_stands.variables[0]);
  options.job = absl::StrReplaceAll(options.job, {{"learning_rate: 0.02", "learning_rate: 0"}});
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult all_stand, RunTraining(options));
  EXPECT_NE(all_stand.variables[0], decoder_stands.variables[0]) << "the coder did move";
  for (size_t v = kFirstOfDecoder; v < both.variables.size(); ++v) {
    EXPECT_EQ(all_stand.variables[v], decoder_stands.variables[v]) << v;
  }
}

}  // namespace
}  // namespace lockstep::testing
