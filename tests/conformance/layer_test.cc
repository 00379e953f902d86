// The conformance suite of common/nn/layers: what every layer must do, whatever it computes. The
// gradients are in layer_gradient_test.cc. A new layer is found by its file; its examples are all
// it has to give.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"

#include "common/checkpoint/safetensors.h"
#include "common/nn/layer_registry.h"
#include "tests/conformance/layer_cases.h"
#include "tests/conformance/model_probe.h"
#include "tests/support/status_matchers.h"

namespace lockstep::testing {
namespace {

constexpr BatchShape kBatch = kBatchShapes[0];
constexpr uint32_t kSeed = 7;

class LayerConformance : public ::testing::TestWithParam<LayerCase> {};
INSTANTIATE_TEST_SUITE_P(Examples, LayerConformance, ::testing::ValuesIn(LayerCases()),
                         LayerCaseName);

TEST(Layers, HaveExamples) {
  for (const LayerDef* def : Layers()) {
    EXPECT_FALSE(def->examples.empty()) << def->name << ": give kExamples, they are its tests";
  }
}

TEST_P(LayerConformance, AsksForExactlyTheMemoryOfItsInferredShape) {
  ASSERT_OK_AND_ASSIGN(const ModelProbe probe, ModelProbe::Create(ModelOf(GetParam()), kBatch));
  const Model& model = probe.model();
  constexpr int32_t kBlocks = 3;
  StepBuilder builder({.blocks = kBlocks}, {});
  std::vector<Slice> inputs;
  for (size_t i = 0; i < model.input_count(); ++i) {
    inputs.push_back(builder.AllocateActivation(model.tensors()[i].shape.elements()));
  }

  const Model::Pass pass =
      model.Forward(builder, {.inputs = inputs,
                              .values = builder.Allocate(4),
                              .offsets = std::vector<int64_t>(model.variables().size(), 0),
                              .logits = {false},
                              .training = true});

  const Slice output = pass.output(model, 0);
  const auto buffer = static_cast<size_t>(output.buffer - StepBuilder::kTemporaryBase);
  const Shape& shape = model.layers()[0].layer->output_shape();
  EXPECT_EQ(builder.buffer_bytes()[buffer], 4 * shape.elements() * kernels::kBlockLanes * kBlocks);
  EXPECT_EQ(output.offset_bytes, 0);
}

// What the layer leaves out of its output, or of the gradients of its inputs, stays NaN.
TEST_P(LayerConformance, WritesEveryValueOfItsInferredShape) {
  for (const Pass pass : {Pass::kTrain, Pass::kEvaluate}) {
    ASSERT_OK_AND_ASSIGN(const ModelProbe probe, ModelProbe::Create(ModelOf(GetParam()), kBatch));
    ASSERT_OK_AND_ASSIGN(const ModelOutcome outcome, probe.Run(probe.RandomPoint(kSeed), pass, {}));

    const auto is_nan = [](float value) { return std::isnan(value); };
    EXPECT_EQ(std::count_if(outcome.outputs[0].begin(), outcome.outputs[0].end(), is_nan), 0);
    for (const std::vector<float>& d_input : outcome.d_inputs) {
      EXPECT_EQ(std::count_if(d_input.begin(), d_input.end(), is_nan), 0);
    }
  }
}

// The exemplar: the lockstep contract of one layer, whose samples have slots of NaN beside them.
// Not near: equal.
TEST_P(LayerConformance, HasTheSameBitsForAnySplitThreadsAndSimdTarget) {
  for (const BatchShape& batch : kBatchShapes) {
    ASSERT_OK_AND_ASSIGN(const ModelProbe probe, ModelProbe::Create(ModelOf(GetParam()), batch));
    const ModelPoint point = probe.RandomPoint(kSeed);
    ASSERT_OK_AND_ASSIGN(const ModelOutcome expected, probe.Run(point, Pass::kTrain, {}));
    for (const Split& split : AllSplits()) {
      ASSERT_OK_AND_ASSIGN(const ModelOutcome outcome, probe.Run(point, Pass::kTrain, split));
      EXPECT_TRUE(SameBits(outcome, expected)) << split << ", " << batch.samples << " samples";
    }
  }
}

// Called twice the chains over samples or positions go on over the calls
// (docs/NUMERICS.md#5-layers); where a split cuts them must not show.
TEST_P(LayerConformance, HasTheSameBitsForAnySplitWhenItIsShared) {
  ASSERT_OK_AND_ASSIGN(const ModelProbe probe,
                       ModelProbe::Create(SharedModelOf(GetParam()), kBatch));
  const ModelPoint point = probe.RandomPoint(kSeed);
  ASSERT_OK_AND_ASSIGN(const ModelOutcome expected, probe.Run(point, Pass::kTrain, {}));
  for (const Split& split : AllSplits()) {
    ASSERT_OK_AND_ASSIGN(const ModelOutcome outcome, probe.Run(point, Pass::kTrain, split));
    EXPECT_TRUE(SameBits(outcome, expected)) << split;
  }
}

// Each consumer's finished sum is added to what is there, the last consumer's first. On inputs of
// their own but of the same values the two calls tell what each contributes.
TEST_P(LayerConformance, AddsItsGradientToThatOfAnotherConsumer) {
  ASSERT_OK_AND_ASSIGN(const ModelProbe apart,
                       ModelProbe::Create(SharedModelOf(GetParam()), kBatch));
  ASSERT_OK_AND_ASSIGN(const ModelProbe twice,
                       ModelProbe::Create(TwiceModelOf(GetParam()), kBatch));
  const ModelPoint point = twice.RandomPoint(kSeed);
  ModelPoint doubled = point;
  doubled.inputs.insert(doubled.inputs.end(), point.inputs.begin(), point.inputs.end());
  ASSERT_OK_AND_ASSIGN(ModelOutcome expected, apart.Run(doubled, Pass::kTrain, {}));
  for (size_t i = 0; i < point.inputs.size(); ++i) {
    const std::vector<float>& first = expected.d_inputs[i];
    std::vector<float>& sum = expected.d_inputs[point.inputs.size() + i];
    for (size_t k = 0; k < sum.size(); ++k) sum[k] += first[k];
  }
  expected.d_inputs.erase(expected.d_inputs.begin(),
                          expected.d_inputs.begin() + std::ssize(point.inputs));

  ASSERT_OK_AND_ASSIGN(const ModelOutcome outcome, twice.Run(point, Pass::kTrain, {}));

  EXPECT_TRUE(SameBits(outcome, expected));
}

TEST_P(LayerConformance, EvaluatesEachSampleOnItsOwnAndLeavesItsVariablesAlone) {
  ASSERT_OK_AND_ASSIGN(const ModelProbe probe, ModelProbe::Create(ModelOf(GetParam()), kBatch));
  const ModelPoint point = probe.RandomPoint(kSeed);
  ASSERT_OK_AND_ASSIGN(const ModelOutcome whole, probe.Run(point, Pass::kEvaluate, {}));
  EXPECT_TRUE(SameBits(whole.variables, point.variables));

  constexpr int64_t kFew = 9;
  ASSERT_OK_AND_ASSIGN(const ModelOutcome few,
                       probe.WithSamples(kFew).Run(probe.WithSamples(kFew).RandomPoint(kSeed),
                                                   Pass::kEvaluate, {.ranks = 3}));

  std::vector<float> first = whole.outputs[0];
  first.resize(few.outputs[0].size());
  EXPECT_TRUE(SameBits(few.outputs[0], first)) << "other samples change the outputs of the first";
}

TEST_P(LayerConformance, KeepsItsVariablesWhenItIsNotTrainable) {
  ASSERT_OK_AND_ASSIGN(const ModelProbe probe,
                       ModelProbe::Create(FrozenModelOf(GetParam()), kBatch));
  const ModelPoint point = probe.RandomPoint(kSeed);

  ASSERT_OK_AND_ASSIGN(const ModelOutcome outcome, probe.Run(point, Pass::kTrain, {}));

  EXPECT_TRUE(outcome.d_variables.empty());
  EXPECT_TRUE(SameBits(outcome.variables, point.variables));
}

// Through the bytes of a file, found by name in a model that has started from other values.
TEST_P(LayerConformance, ComputesTheSameBitsWhenItsVariablesAreRestored) {
  ASSERT_OK_AND_ASSIGN(const ModelProbe probe, ModelProbe::Create(ModelOf(GetParam()), kBatch));
  ModelPoint point = probe.RandomPoint(kSeed);
  ASSERT_OK_AND_ASSIGN(const ModelOutcome trained, probe.Run(point, Pass::kTrain, {}));
  std::vector<TensorSpec> specs;
  std::string values;
  for (size_t v = 0; v < trained.variables.size(); ++v) {
    specs.push_back({trained.variables[v].first, probe.model().variables()[v].shape});
    absl::StrAppend(&values, BytesOf(trained.variables[v].second));
  }
  ASSERT_OK_AND_ASSIGN(std::string file, EncodeSafetensorsHeader(specs, {}));
  absl::StrAppend(&file, values);
  point.variables = trained.variables;
  ASSERT_OK_AND_ASSIGN(const ModelOutcome expected, probe.Run(point, Pass::kEvaluate, {}));

  ASSERT_OK_AND_ASSIGN(const SafetensorsFile read, SafetensorsFile::Parse(file, "saved"));
  ASSERT_OK_AND_ASSIGN(const std::vector<TensorView> views, read.FloatViews());
  ASSERT_OK_AND_ASSIGN(const ModelProbe fresh, ModelProbe::Create(ModelOf(GetParam()), kBatch));
  ModelPoint restored = fresh.RandomPoint(kSeed);
  restored.variables.clear();
  for (const TensorView& view : views) {
    restored.variables.emplace_back(view.name,
                                    std::vector<float>(view.values.begin(), view.values.end()));
  }
  ASSERT_OK_AND_ASSIGN(const ModelOutcome outcome,
                       fresh.Run(restored, Pass::kEvaluate, {.ranks = 2}));

  EXPECT_TRUE(SameBits(outcome, expected));
}

}  // namespace
}  // namespace lockstep::testing
