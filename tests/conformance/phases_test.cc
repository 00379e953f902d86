// Programs that update one model in several phases of a step.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"

#include "tests/conformance/one_hash.h"
#include "tests/support/status_matchers.h"

namespace lockstep::testing {
namespace {

using ::testing::SizeIs;

// --- one model, a phase for each of its outputs ---

constexpr char kTwoHeads[] = R"(
model:
  inputs: {x: [6]}
  layers:
    - dense: {units: 1000, activation: tanh, name: trunk}
    - dense: {units: 3, name: code, inputs: trunk}
    - dense: {units: 6, name: image, inputs: trunk}
  outputs: [code, image]
loss: mean_squared_error
optimizer: {sgd: {learning_rate: 0.05}}
)";

template <size_t kHead>
ProgramPhase RecordHead(ProgramContext& context) {
  ProgramPhase phase{.name = "head", .updates = {0}, .builder = context.NewBuilder()};
  StepBuilder& builder = *phase.builder;
  Model::Pass pass =
      context.RecordForward(builder, 0, context.RecordInputsOf(builder, 0), /*training=*/true);
  std::vector<Slice> d_outputs = context.RecordLosses(builder, 0, pass, /*with_gradients=*/true);
  d_outputs[1 - kHead] = Slice{};
  context.RecordBackward(builder, 0, pass, std::move(d_outputs));
  return phase;
}

std::vector<ProgramPhase> RecordHeads(ProgramContext& context) {
  std::vector<ProgramPhase> phases;
  phases.push_back(RecordHead<0>(context));
  phases.push_back(RecordHead<1>(context));
  return phases;
}

std::vector<ProgramPhase> RecordFirstHead(ProgramContext& context) {
  std::vector<ProgramPhase> phases;
  phases.push_back(RecordHead<0>(context));
  return phases;
}

ProgramPhase RecordHeadsEvaluate(ProgramContext& context) { return RecordHead<0>(context); }

absl::Status AnyGraph(const JobGraph&) { return absl::OkStatus(); }

constexpr ProgramDef kHeads = {"heads", "outputs in turn", &AnyGraph, &RecordHeads,
                               &RecordHeadsEvaluate};
constexpr ProgramDef kFirstHead = {"first head", "one output", &AnyGraph, &RecordFirstHead,
                                   &RecordHeadsEvaluate};

Dataset TwoHeadData() {
  Dataset data = OneModelData();
  data.targets.push_back(MakeColumn("image", Shape{6}, RandomFloats(kSamples * 6, 1)));
  return data;
}

// What no loss of a phase depends on has gradient 0 in it, whatever the phase before has left.
TEST(PhasesOfOneModel, LeaveAloneWhatTheirLossDoesNotDependOn) {
  const Dataset data = TwoHeadData();
  TrainingRunOptions options{
      .job = absl::StrReplaceAll(absl::StrCat(kTwoHeads, kTraining), {{"epochs: 2", "steps: 1"}}),
      .program = &kFirstHead,
      .train = &data};
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult first, RunTraining(options));
  options.program = &kHeads;
  options.ranks = 3;

  ASSERT_OK_AND_ASSIGN(const TrainingRunResult both, RunTraining(options));

  // trunk, code, image: a kernel and a bias each. One SGD update of `code` in either run.
  ASSERT_THAT(both.variables, SizeIs(6));
  EXPECT_EQ(both.variables[2], first.variables[2]);
  EXPECT_EQ(both.variables[3], first.variables[3]);
  EXPECT_NE(both.variables[4], first.variables[4]);
}

TEST(PhasesOfOneModel, GiveOneHashForAnySplitAndCut) {
  const Dataset data = TwoHeadData();
  ExpectOneHash({.job = absl::StrCat(kTwoHeads, kTraining), .program = &kHeads, .train = &data});
}

std::vector<ProgramPhase> RecordFirstHeadTwice(ProgramContext& context) {
  std::vector<ProgramPhase> phases = RecordFirstHead(context);
  phases.push_back(RecordHead<0>(context));
  return phases;
}

constexpr ProgramDef kFirstHeadTwice = {"first head twice", "one output", &AnyGraph,
                                        &RecordFirstHeadTwice, &RecordHeadsEvaluate};

// Where all samples are alike, two updates in a step are those of two steps: also in Adam's
// corrections, which go by the count of updates.
TEST(PhasesOfOneModel, CountTheUpdatesOfTheirModel) {
  Dataset data{.count = 24};
  data.inputs.push_back(MakeColumn("x", Shape{6}, std::vector<float>(24 * 6, 0.5f)));
  data.targets.push_back(MakeColumn("code", Shape{3}, std::vector<float>(24 * 3, 0.25f)));
  data.targets.push_back(MakeColumn("image", Shape{6}, std::vector<float>(24 * 6, 0.75f)));
  const std::string job =
      absl::StrReplaceAll(absl::StrCat(kTwoHeads, kTraining),
                          {{"{sgd: {learning_rate: 0.05}}", "adam"}, {"epochs: 2", "steps: 2"}});
  TrainingRunOptions options{.job = absl::StrReplaceAll(job, {{"steps: 2", "steps: 4"}}),
                             .program = &kFirstHead,
                             .train = &data};
  ASSERT_OK_AND_ASSIGN(const TrainingRunResult each, RunTraining(options));
  options.job = job;
  options.program = &kFirstHeadTwice;

  ASSERT_OK_AND_ASSIGN(const TrainingRunResult twice, RunTraining(options));

  EXPECT_EQ(twice.model_sha256, each.model_sha256);
}

}  // namespace
}  // namespace lockstep::testing
