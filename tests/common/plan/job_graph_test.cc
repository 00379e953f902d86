#include "common/plan/job_graph.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"

#include "tests/common/plan/planned_job.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::lockstep::testing::IsOk;
using ::lockstep::testing::PlannedJob;
using ::lockstep::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::string_view kJob =
    "model:\n"
    "  inputs: {image: [6, 6, 1], extra: [4]}\n"
    "  layers:\n"
    "    - conv2d: {filters: 2, kernel_size: 3, inputs: image}\n"
    "    - flatten\n"
    "    - concatenate: {inputs: [flatten, extra]}\n"
    "    - dense: {units: 3, activation: softmax, name: kind}\n"
    "    - dense: {units: 2, name: size, inputs: concatenate}\n"
    "  outputs: [kind, size]\n"
    "loss: {kind: sparse_categorical_crossentropy, size: mean_squared_error}\n"
    "optimizer: {adam: {learning_rate: 0.01}}\n";

using Replacements = std::vector<std::pair<absl::string_view, absl::string_view>>;

absl::Status GraphStatus(const Replacements& replacements) {
  return PlannedJob::Create(absl::StrReplaceAll(kJob, replacements)).status();
}
auto Refuses(absl::string_view place, absl::string_view words) {
  return StatusIs(absl::StatusCode::kInvalidArgument,
                  AllOf(HasSubstr(std::string(place)), HasSubstr(std::string(words))));
}

// --- BuildJobGraph ---

TEST(JobGraph, ResolvesModelsOutputsAndParameters) {
  ASSERT_OK_AND_ASSIGN(const PlannedJob planned, PlannedJob::Create(kJob));
  const JobGraph& graph = planned.graph();

  ASSERT_EQ(graph.models.size(), 1u);
  ASSERT_EQ(graph.outputs.size(), 2u);
  EXPECT_EQ(graph.outputs[0].key, "kind");
  EXPECT_TRUE(graph.outputs[0].logits) << "softmax feeds cross-entropy";
  EXPECT_FALSE(graph.outputs[1].logits);
  EXPECT_EQ(graph.outputs[0].first_sum, 0u);
  EXPECT_EQ(graph.outputs[1].first_sum, 1u);
  EXPECT_EQ(graph.sum_count, 2u);
  EXPECT_EQ(graph.models[0].offsets.size(), graph.parameters->variables().size());
}

// The only output of a job needs no name in metrics.
TEST(JobGraph, NamesOutputsOnlyWhereThereAreSeveral) {
  ASSERT_OK_AND_ASSIGN(
      const PlannedJob planned,
      PlannedJob::Create("model: {input_shape: [4], layers: [{dense: {units: 2}}]}\n"
                         "loss: mean_squared_error\noptimizer: sgd\n"));

  EXPECT_EQ(planned.graph().outputs[0].key, "");
}

TEST(JobGraph, CountsASumForEveryMetric) {
  ASSERT_OK_AND_ASSIGN(
      const PlannedJob planned,
      PlannedJob::Create(absl::StrCat(
          absl::StrReplaceAll(
              kJob, {{"units: 2", "units: 1"}, {"mean_squared_error", "binary_crossentropy"}}),
          "metrics: [accuracy]\n")));
  const JobGraph& graph = planned.graph();

  EXPECT_EQ(graph.sum_count, 4u);
  EXPECT_EQ(graph.outputs[1].first_sum, 2u);
  EXPECT_THAT(graph.outputs[0].metrics, ElementsAre(MetricKind::kCategoricalAccuracy));
  EXPECT_THAT(graph.outputs[1].metrics, ElementsAre(MetricKind::kBinaryAccuracy));
  EXPECT_THAT(graph.outputs[1].metric_names, ElementsAre("accuracy"));
}

TEST(JobGraph, RefusesUnknownTypesWithNearNames) {
  EXPECT_THAT(
      GraphStatus({{"flatten\n", "flaten\n"}, {"[flatten,", "[flaten,"}}),
      Refuses("job.yaml:5:7: model.layers[1]", "unknown layer 'flaten'; did you mean 'flatten'?"));
  EXPECT_THAT(GraphStatus({{"mean_squared_error", "mean_square_error"}}),
              Refuses("loss.size",
                      "unknown loss 'mean_square_error'; did you mean "
                      "'mean_squared_error'?"));
  EXPECT_THAT(GraphStatus({{"{adam:", "{adm:"}}),
              Refuses("optimizer", "unknown optimizer 'adm'; did you mean 'adam'"));
  EXPECT_THAT(GraphStatus({{"optimizer:", "metrics: [acuracy]\noptimizer:"}}),
              Refuses("metrics[0]", "unknown metric 'acuracy'; did you mean 'accuracy'?"));
}

TEST(JobGraph, RefusesOptionsThatTheTypeDoesNotHave) {
  EXPECT_THAT(GraphStatus({{"learning_rate", "learning_rat"}}),
              Refuses("optimizer.adam", "did you mean 'learning_rate'?"));
  EXPECT_THAT(
      GraphStatus({{"filters: 2", "filters: 2, kernel: 3"}}),
      Refuses("model.layers[0].conv2d.kernel", "unknown option; did you mean 'kernel_size'"));
  EXPECT_THAT(GraphStatus({{"size: mean_squared_error",
                            "size: {mean_squared_error: {from_logits: true}}"}}),
              Refuses("loss.size.mean_squared_error.from_logits", "unknown option"));
  EXPECT_THAT(GraphStatus({{"optimizer:", "metrics: [{accuracy: {threshold: 1}}]\noptimizer:"}}),
              Refuses("metrics[0].accuracy.threshold", "unknown option"));
}

// Classes are counted by the output; one accepted, one refused neighbour.
TEST(JobGraph, RefusesAnOutputThatTheLossCannotTake) {
  EXPECT_THAT(GraphStatus({{"units: 3", "units: 2"}}), IsOk());
  EXPECT_THAT(GraphStatus({{"units: 3", "units: 1"}}),
              Refuses("loss.kind.sparse_categorical_crossentropy",
                      "output shape (1,) is not (classes,) with 2 or more"));
  EXPECT_THAT(GraphStatus({{"- dense: {units: 2, name: size, inputs: concatenate}",
                            "- conv2d: {filters: 2, kernel_size: 1, name: size, inputs: image}"},
                           {"size: mean_squared_error", "size: categorical_crossentropy"}}),
              Refuses("loss.size", "output shape (6, 6, 2) is not (classes,)"));
}

TEST(JobGraph, RefusesAMetricThatSaysNothingAboutALoss) {
  EXPECT_THAT(GraphStatus({{"optimizer:", "metrics: [accuracy]\noptimizer:"}}),
              Refuses("metrics[0].accuracy", "says nothing about loss 'mean_squared_error'"));
}

// --- MatchData ---

class MatchDataTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(PlannedJob planned, PlannedJob::Create(kJob));
    planned_ = std::make_unique<PlannedJob>(std::move(planned));
    data_ = planned_->signature();
  }
  absl::Status Match() const { return MatchData(planned_->graph(), data_, "data.train"); }

  std::unique_ptr<PlannedJob> planned_;
  DataSignature data_;
};

TEST_F(MatchDataTest, TakesInputsByNameInAnyOrderAndOthersBeside) {
  std::swap(data_.inputs[0], data_.inputs[1]);
  data_.inputs.push_back({"unused", kernels::SampleType::kU8, Shape{1}});

  EXPECT_OK(Match());
}

TEST_F(MatchDataTest, RefusesAnInputWithoutData) {
  data_.inputs[1].name = "other";

  EXPECT_THAT(Match(), Refuses("data.train.inputs",
                               "the model's input 'extra' has no data; it has 'image', 'other'"));
}

TEST_F(MatchDataTest, TakesImagesWithoutTheirOneChannel) {
  data_.inputs[0].shape = Shape{6, 6};
  EXPECT_OK(Match());

  data_.inputs[0].shape = Shape{6, 7};
  EXPECT_THAT(Match(), Refuses("data.train.inputs",
                               "samples have shape (6, 7) but the model's input 'image' takes "
                               "(6, 6, 1); set model.input_shape to [6, 7]"));
  data_.inputs[0].shape = Shape{36};
  EXPECT_THAT(Match(), Refuses("data.train.inputs", "samples have shape (36,)"));
}

TEST_F(MatchDataTest, RefusesAnotherCountOfTargets) {
  data_.targets.pop_back();

  EXPECT_THAT(Match(), Refuses("data.train.targets", "1 targets for 2 outputs with a loss"));
}

TEST_F(MatchDataTest, TakesOneLabelASample) {
  data_.targets[0].shape = Shape{1};
  EXPECT_OK(Match());

  data_.targets[0].shape = Shape{3};
  EXPECT_THAT(Match(), Refuses("data.train.targets",
                               "targets have shape (3,), 1 values a sample are wanted for output "
                               "shape (3,)"));
}

TEST_F(MatchDataTest, RefusesLabelsThatAreNoIntegers) {
  data_.targets[0].type = kernels::SampleType::kU8;
  EXPECT_OK(Match());

  for (const auto type : {kernels::SampleType::kF32, kernels::SampleType::kF64}) {
    data_.targets[0].type = type;
    EXPECT_THAT(Match(), Refuses("data.train.targets",
                                 "class labels are stored as floating point; store them as "
                                 "integers"));
  }
}

TEST_F(MatchDataTest, TakesValuesOfTheOutputsSizeInAnyType) {
  data_.targets[1].type = kernels::SampleType::kU8;
  EXPECT_OK(Match());

  data_.targets[1].shape = Shape{3};
  EXPECT_THAT(Match(), Refuses("data.train.targets", "2 values a sample are wanted"));
}

}  // namespace
}  // namespace lockstep
