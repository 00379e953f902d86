#include "common/nn/model.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"

#include "common/spec/job_yaml.h"
#include "common/spec/model_parser.h"
#include "tests/support/status_matchers.h"

namespace lockstep {
namespace {

using ::lockstep::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<std::unique_ptr<Model>> MakeModel(absl::string_view text) {
  const absl::StatusOr<Value> value = ParseYaml(text, "job.yaml");
  if (!value.ok()) return value.status();
  const absl::StatusOr<ModelSpec> spec = ParseModel(*value, "model", "model");
  if (!spec.ok()) return spec.status();
  return Model::Create(*spec);
}

auto Refuses(absl::string_view place, absl::string_view words) {
  return StatusIs(absl::StatusCode::kInvalidArgument,
                  AllOf(HasSubstr(std::string(place)), HasSubstr(std::string(words))));
}

// A pass of the model, recorded over one block of one subtree; nothing runs.
class Recorded {
 public:
  explicit Recorded(const Model& model, bool training = true)
      : model_(model), builder_({.blocks = 1, .shards = 1, .subtrees = {{0, 1}}}, {}) {
    for (size_t i = 0; i < model.input_count(); ++i) {
      inputs_.push_back(builder_.AllocateActivation(model.tensors()[i].shape.elements()));
    }
    for (size_t v = 0; v < model.variables().size(); ++v) {
      offsets_.push_back(static_cast<int64_t>(v));
    }
    pass_ = Forward(training);
  }

  Model::Pass Forward(bool training) {
    return model_.Forward(builder_, {.inputs = inputs_,
                                     .values = builder_.Allocate(4),
                                     .offsets = offsets_,
                                     .logits = std::vector<bool>(model_.outputs().size(), false),
                                     .training = training});
  }

  struct Wanted {
    bool inputs = false;
    bool variables = true;
  };
  std::vector<Slice> DOutputs() {
    std::vector<Slice> d_outputs;
    for (const size_t output : model_.outputs()) {
      d_outputs.push_back(builder_.AllocateActivation(model_.tensors()[output].shape.elements()));
    }
    return d_outputs;
  }
  std::vector<Slice> Backward(const Wanted& wanted) {
    Model::BackwardRequest request{.offsets = offsets_, .want_inputs = wanted.inputs};
    if (wanted.variables) request.gradients = {builder_.Allocate(4)};
    return model_.Backward(builder_, pass_, DOutputs(), request);
  }

  // Of a second pass too.
  void BackwardOverTwo() {
    Model::Pass second = Forward(/*training=*/true);
    model_.Backward(builder_, {{&pass_, DOutputs()}, {&second, DOutputs()}},
                    {.gradients = {builder_.Allocate(4)}, .offsets = offsets_});
  }

  // Labels of the calls that end in `what`.
  std::vector<std::string> Calls(absl::string_view what) const {
    std::vector<std::string> calls;
    for (const StepBuilder::Entry& entry : builder_.entries()) {
      if (absl::EndsWith(entry.info.label, what)) calls.push_back(entry.info.label);
    }
    return calls;
  }

 private:
  const Model& model_;
  StepBuilder builder_;
  std::vector<Slice> inputs_;
  std::vector<int64_t> offsets_;
  Model::Pass pass_;
};

constexpr char kBranches[] =
    "{inputs: {x: [6], z: [6]}, layers: ["
    "{dense: {units: 4, name: shared, inputs: x}}, {reuse: {layer: shared, name: again, inputs: "
    "z}}, "
    "{concatenate: {inputs: [shared, again], name: both}}, "
    "{dense: {units: 3, activation: softmax, name: kind}}], outputs: [both, kind]}";

TEST(Model, KnowsTheShapesAndCallsOfItsGraph) {
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Model> model, MakeModel(kBranches));

  EXPECT_EQ(model->input_count(), 2u);
  ASSERT_EQ(model->tensors().size(), 6u);
  EXPECT_EQ(model->tensors()[4].name, "both");
  EXPECT_EQ(model->tensors()[4].shape, Shape{8});
  EXPECT_THAT(model->outputs(), ElementsAre(4, 5));
  EXPECT_EQ(model->layers().size(), 3u) << "a layer called twice is one layer";
  EXPECT_THAT(model->layers()[0].calls, ElementsAre(0, 1));
  EXPECT_EQ(model->variables().size(), 4u);
  EXPECT_EQ(model->flops(), 2.0 * (2 * 6 * 4 + 8 * 3));
}

TEST(Model, OffersLogitsOnlyOfAnOutputThatNobodyElseTakes) {
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Model> model, MakeModel(kBranches));
  EXPECT_EQ(model->LogitsActivation(0), "");
  EXPECT_EQ(model->LogitsActivation(1), "softmax");

  ASSERT_OK_AND_ASSIGN(
      const std::unique_ptr<Model> consumed,
      MakeModel("{input_shape: [4], layers: [{dense: {units: 3, activation: softmax, name: kind}}, "
                "{dense: {units: 2, activation: sigmoid, name: flag}}], outputs: [kind, flag]}"));
  EXPECT_EQ(consumed->LogitsActivation(0), "");
  EXPECT_EQ(consumed->LogitsActivation(1), "sigmoid");
}

TEST(Model, SeesWhichTensorsLieBehindATrainableVariable) {
  ASSERT_OK_AND_ASSIGN(
      const std::unique_ptr<Model> model,
      MakeModel("{input_shape: [4], layers: [{dense: {units: 3, trainable: false}}, "
                "{batch_normalization: {scale: false, center: false}}, "
                "{dense: {units: 2}}, {activation: {activation: relu}}]}"));
  std::vector<bool> needed;
  for (const Model::Tensor& tensor : model->tensors()) needed.push_back(tensor.needs_gradient);

  EXPECT_THAT(needed, ElementsAre(false, false, false, true, true));
}

// Nothing is computed that no update needs.
TEST(Model, RecordsNoGradientTowardsWhatIsNotTrained) {
  ASSERT_OK_AND_ASSIGN(
      const std::unique_ptr<Model> model,
      MakeModel("{input_shape: [4], layers: [{dense: {units: 3, name: a, trainable: "
                "false}}, {dense: {units: 3, name: b}}, {dense: {units: 2, name: "
                "c}}]}"));
  Recorded pass(*model);
  const std::vector<Slice> d_inputs = pass.Backward({});

  EXPECT_THAT(pass.Calls("/backward_data"), ElementsAre("c/backward_data"));
  EXPECT_THAT(pass.Calls("/backward_weights"),
              ElementsAre("c/backward_weights", "b/backward_weights"));
  EXPECT_FALSE(d_inputs[0].valid());
}

TEST(Model, RecordsGradientsOfItsInputsWhereTheyAreWanted) {
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Model> model, MakeModel(kBranches));
  Recorded pass(*model);
  const std::vector<Slice> d_inputs = pass.Backward({.inputs = true, .variables = false});

  EXPECT_TRUE(d_inputs[0].valid() && d_inputs[1].valid());
  EXPECT_THAT(pass.Calls("/backward_data"),
              ElementsAre("kind/backward_data", "again/backward_data", "shared/backward_data"));
  EXPECT_TRUE(pass.Calls("/backward_weights").empty());
}

// Once, after Backward of every call.
TEST(Model, RecordsTheVariablesOfASharedLayerOnce) {
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Model> model, MakeModel(kBranches));
  Recorded pass(*model);
  pass.Backward({});

  EXPECT_THAT(pass.Calls("/backward_weights"),
              ElementsAre("kind/backward_weights", "shared/backward_weights"));
}

TEST(Model, RecordsTheVariablesOfSeveralPassesOnce) {
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Model> model,
                       MakeModel("{input_shape: [4], layers: [{dense: {units: 3, name: a}}, "
                                 "{dense: {units: 2, name: b}}]}"));
  Recorded passes(*model);
  passes.BackwardOverTwo();

  EXPECT_THAT(passes.Calls("/backward_data"), ElementsAre("b/backward_data", "b/backward_data"));
  EXPECT_THAT(passes.Calls("/backward_weights"),
              ElementsAre("b/backward_weights", "a/backward_weights"));
}

// Dropout, max pooling and batch normalization keep what Backward needs only in training.
TEST(ModelDeathTest, TakesNoGradientOfAnEvaluation) {
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Model> model, MakeModel(kBranches));
  Recorded pass(*model, /*training=*/false);

  EXPECT_DEATH(pass.Backward({}), "check failed: .*training");
}

TEST(Model, RefusesAnUnknownLayerByPlaceAndNearName) {
  EXPECT_THAT(
      MakeModel("{input_shape: [4], layers: [{dens: {units: 3}}]}"),
      Refuses("job.yaml:1:30: model.layers[0]", "unknown layer 'dens'; did you mean 'dense'?"));
}

TEST(Model, RefusesALayerThatItsInputDoesNotFit) {
  EXPECT_THAT(MakeModel("{input_shape: [4], layers: [{conv2d: {filters: 1, kernel_size: 3}}]}"),
              Refuses("model.layers[0].conv2d", "input shape (4,) is no image"));
  EXPECT_THAT(
      MakeModel("{input_shape: [4, 4, 1], layers: [{conv2d: {filters: 1, kernel_size: 5}}]}"),
      Refuses("model.layers[0].conv2d", "window of 5 is larger than input height 4"));
}

TEST(Model, RefusesASharedLayerOnAnotherShape) {
  EXPECT_THAT(
      MakeModel("{inputs: {x: [6], z: [5]}, layers: [{dense: {units: 4, name: a, inputs: x}}, "
                "{reuse: {layer: a, inputs: z}}, {concatenate: {inputs: [a, a_call]}}]}"),
      Refuses("model.layers[1]", "shared layer 'a' was made for input shape (6,), not (5,)"));
}

TEST(Model, RefusesAnInitializerThatCannotFillItsVariable) {
  EXPECT_OK(
      MakeModel("{input_shape: [4], layers: [{dense: {units: 3, kernel_initializer: "
                "orthogonal}}]}"));
  EXPECT_THAT(MakeModel("{input_shape: [4], layers: [{dense: {units: 3, bias_initializer: "
                        "orthogonal}}]}"),
              Refuses("bias_initializer", "needs a variable of two or more dimensions, not (3,)"));
  EXPECT_THAT(MakeModel("{input_shape: [4], layers: [{dense: {units: 3, kernel_initializer: "
                        "glorot_uniforn}}]}"),
              Refuses("kernel_initializer",
                      "unknown initializer 'glorot_uniforn'; did you mean 'glorot_uniform'"));
}

}  // namespace
}  // namespace lockstep
