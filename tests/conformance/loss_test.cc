// The conformance suite of common/nn/losses: value and gradient against the definition in double,
// weights and divisor (docs/NUMERICS.md#6-losses-metrics-optimizers), the form that takes logits,
// one result for any split. A new loss is found by its file and asks for its definition in
// loss_reference.cc.
#include <algorithm>
#include <cmath>
#include <memory>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"

#include "common/nn/loss_registry.h"
#include "tests/conformance/loss_reference.h"
#include "tests/conformance/model_probe.h"
#include "tests/support/memory_dataset.h"
#include "tests/support/status_matchers.h"

namespace lockstep::testing {
namespace {

constexpr double kLossWeight = 0.7;  // no float

// --- a program that brings the gradient of the model's one input home ---

constexpr size_t kGradientField = 1;

std::vector<ProgramPhase> RecordTrain(ProgramContext& context) {
  ProgramPhase phase{.name = "loss", .updates = {0}, .builder = context.NewBuilder()};
  StepBuilder& builder = *phase.builder;
  const JobModel& job_model = context.graph().models[0];
  const Model& model = *job_model.model;
  const int64_t elements = model.tensors()[0].shape.elements();
  RecordUnwritten(builder);
  std::vector<Slice> inputs = context.RecordInputsOf(builder, 0);
  RecordGarbage(builder, elements, inputs[0]);
  Model::Pass pass = context.RecordForward(builder, 0, std::move(inputs), /*training=*/true);
  const std::vector<Slice> d_inputs = model.Backward(
      builder, pass, context.RecordLosses(builder, 0, pass, /*with_gradients=*/true),
      {.gradients = context.gradients, .offsets = job_model.offsets, .want_inputs = true});
  RecordRows(builder, elements, d_inputs[0], context.feed.input_rows[kGradientField]);
  std::vector<ProgramPhase> phases;
  phases.push_back(std::move(phase));
  return phases;
}

ProgramPhase RecordEvaluate(ProgramContext& context) {
  ProgramPhase phase{.name = "loss", .updates = {}, .builder = context.NewBuilder()};
  StepBuilder& builder = *phase.builder;
  RecordUnwritten(builder);
  const Model::Pass pass =
      context.RecordForward(builder, 0, context.RecordInputsOf(builder, 0), /*training=*/false);
  context.RecordLosses(builder, 0, pass, /*with_gradients=*/false);
  return phase;
}

absl::Status AnyGraph(const JobGraph&) { return absl::OkStatus(); }

constexpr ProgramDef kLossProgram = {"loss", "the gradient of the loss by the input", &AnyGraph,
                                     &RecordTrain, &RecordEvaluate};

// --- cases: every loss in every form ---

struct LossCase {
  const LossDef* def;
  OutputForm form;
};

OutputForm PlainForm(const LossDef& def) {
  const bool has_forms = std::any_of(def.options.begin(), def.options.end(),
                                     [](const auto& doc) { return doc.name == "from_logits"; });
  return has_forms ? OutputForm::kProbabilities : OutputForm::kValues;
}

std::vector<LossCase> LossCases() {
  std::vector<LossCase> cases;
  for (const LossDef* def : Losses()) {
    cases.push_back({def, PlainForm(*def)});
    const bool has_logits = cases.back().form == OutputForm::kProbabilities;
    if (has_logits) cases.push_back({def, OutputForm::kLogits});
  }
  return cases;
}

void PrintTo(const LossCase& loss_case, std::ostream* out) { *out << loss_case.def->name; }

std::string CaseName(const ::testing::TestParamInfo<LossCase>& info) {
  return absl::StrCat(info.param.def->name,
                      info.param.form == OutputForm::kLogits ? "_logits" : "");
}

std::string LossText(const LossCase& loss_case) {
  return loss_case.form == OutputForm::kLogits
             ? absl::StrCat("{", loss_case.def->name, ": {from_logits: true}}")
             : std::string(loss_case.def->name);
}

bool TakesLabels(const LossDef& def) {
  const absl::StatusOr<Options> options = CheckOptions(def.options, Value::MakeMap(), "loss");
  return (*def.make(*options))->target_kind() == TargetKind::kLabels;
}

bool Accepts(const LossDef& def, const Shape& shape) {
  const absl::StatusOr<Options> options = CheckOptions(def.options, Value::MakeMap(), "loss");
  return (*def.make(*options))->CheckOutput(shape).ok();
}

// What the lanes of a class axis can meet: fewer than 16, more, several chains of two.
std::vector<Shape> ShapesOf(const LossDef& def) {
  std::vector<Shape> shapes;
  for (const Shape& shape : {Shape{1}, Shape{2}, Shape{10}, Shape{33}, Shape{2, 3}}) {
    if (Accepts(def, shape)) shapes.push_back(shape);
  }
  return shapes;
}

// --- a batch of outputs, targets and weights ---

struct LossBatch {
  Shape shape;
  int64_t samples;
  std::vector<float> x;               // [samples][elements]
  std::vector<float> target;          // the same; of labels, 1 at the label
  std::vector<int64_t> labels;        // of losses that take them
  std::vector<double> weights;        // of the samples
  std::vector<double> class_weights;  // of the samples' labels; 1 where there are none

  bool weighs_classes() const { return !labels.empty() && shape.back() >= 10; }
  std::vector<double> Row(const std::vector<float>& values, size_t sample) const {
    const auto begin = values.begin() + static_cast<int64_t>(sample) * shape.elements();
    return {begin, begin + shape.elements()};
  }
};

// A weight of the first and of the last of ten classes.
constexpr char kClassWeightText[] = "{0: 0.3, 9: 2.5}";
double ClassWeight(int64_t label) { return label == 0 ? 0.3 : label == 9 ? 2.5 : 1.0; }

// Logits within 8; probabilities with 0 and 1 among them, which are clipped; targets with 0 and 1.
void FillValues(OutputForm form, LossBatch& batch) {
  const int64_t count = batch.samples * batch.shape.elements();
  batch.x = RandomFloats(count, 3);
  batch.target = RandomFloats(count, 4);
  for (float& x : batch.x) x = form == OutputForm::kProbabilities ? (x + 1.05f) / 2.1f : x * 8;
  for (size_t k = 0; k < batch.target.size(); ++k) {
    batch.target[k] = k % 3 == 0 ? static_cast<float>(k % 2) : (batch.target[k] + 1) / 2;
  }
  if (form == OutputForm::kProbabilities) {
    batch.x.front() = 0.0f;
    batch.x.back() = 1.0f;
  }
}

// Both ends of the classes among them.
void FillLabels(LossBatch& batch) {
  const int64_t classes = batch.shape.back();
  batch.labels = RandomLabels(batch.samples, classes, 6);
  batch.labels.front() = 0;
  batch.labels.back() = classes - 1;
  std::fill(batch.target.begin(), batch.target.end(), 0.0f);
  for (size_t n = 0; n < batch.labels.size(); ++n) {
    const int64_t at = static_cast<int64_t>(n) * classes + batch.labels[n];
    batch.target[static_cast<size_t>(at)] = 1.0f;
    if (batch.weighs_classes()) batch.class_weights[n] = ClassWeight(batch.labels[n]);
  }
}

LossBatch MakeBatch(const LossCase& loss_case, const Shape& shape, int64_t samples) {
  LossBatch batch{.shape = shape, .samples = samples};
  FillValues(loss_case.form, batch);
  for (const float weight : RandomFloats(samples, 5)) {
    const bool none = batch.weights.size() % 4 == 1;
    batch.weights.push_back(none ? 0.0 : 1.0 + static_cast<double>(weight));
  }
  batch.class_weights.assign(batch.weights.size(), 1.0);
  if (TakesLabels(*loss_case.def)) FillLabels(batch);
  return batch;
}

Dataset DatasetOf(const LossBatch& batch) {
  Dataset data{.count = batch.samples};
  data.inputs.push_back(MakeColumn("input_layer", batch.shape, batch.x));
  data.inputs.push_back(
      MakeColumn("d_x", batch.shape, std::vector<float>(batch.x.size(), std::nanf(""))));
  data.targets.push_back(batch.labels.empty() ? MakeColumn("y", batch.shape, batch.target)
                                              : MakeColumn("y", Shape{}, batch.labels));
  data.weights = MakeColumn("weights", Shape{}, batch.weights);
  return data;
}

// `layer`: the last one, called y.
std::string JobOf(const std::string& layer, const std::string& loss, const LossBatch& batch,
                  const BatchShape& shape) {
  return absl::StrCat("model: {input_shape: ", batch.shape.ToJson(), ", layers: [", layer,
                      "]}\nloss: ", loss, "\nloss_weights: {y: ", kLossWeight,
                      "}\noptimizer: sgd\ndata: {train: {format: idx, inputs: a, targets: b}}\n",
                      "train: {seed: 2, batch_size: ", shape.batch_size, ", shards: ", shape.shards,
                      ", class_weight: ", batch.weighs_classes() ? kClassWeightText : "{}", "}\n");
}

constexpr char kLinear[] = "{activation: {activation: linear, name: y}}";

class LossConformance : public ::testing::TestWithParam<LossCase> {};
INSTANTIATE_TEST_SUITE_P(Forms, LossConformance, ::testing::ValuesIn(LossCases()), CaseName);

TEST_P(LossConformance, HasADefinitionAndTakesAtLeastOneShape) {
  EXPECT_NE(FindLossReference(GetParam().def->name, GetParam().form), nullptr)
      << "write the definition in loss_reference.cc";
  EXPECT_FALSE(ShapesOf(*GetParam().def).empty());
}

// The exemplar. The seed of a sample is float(w x loss weight / count): double until its end.
TEST_P(LossConformance, HasTheValueAndGradientOfItsDefinitionWeightedAndDivided) {
  const LossReference& reference = *FindLossReference(GetParam().def->name, GetParam().form);
  const BatchShape shape = kBatchShapes[1];  // most shards are empty
  for (const Shape& output : ShapesOf(*GetParam().def)) {
    SCOPED_TRACE(output.ToString());
    const LossBatch batch = MakeBatch(GetParam(), output, shape.samples);
    const Dataset data = DatasetOf(batch);

    ASSERT_OK_AND_ASSIGN(const ProbeResult result,
                         RunProbe({.job = JobOf(kLinear, LossText(GetParam()), batch, shape),
                                   .program = &kLossProgram,
                                   .data = &data,
                                   .samples = batch.samples},
                                  {.ranks = 3}));

    double sum = 0, sum_bound = 0;
    for (size_t n = 0; n < batch.weights.size(); ++n) {
      const LossTruth truth = reference.truth(batch.Row(batch.x, n), batch.Row(batch.target, n));
      const auto weight = static_cast<float>(batch.weights[n] * batch.class_weights[n]);
      const auto seed = static_cast<float>(static_cast<double>(weight) * kLossWeight /
                                           static_cast<double>(batch.samples));
      sum += static_cast<double>(weight) * truth.loss;
      sum_bound += static_cast<double>(weight) * truth.loss_bound;
      const std::vector<double> d_x = batch.Row(result.fields[kGradientField], n);
      for (size_t k = 0; k < d_x.size(); ++k) {
        EXPECT_NEAR(d_x[k], static_cast<double>(seed) * truth.d_x[k],
                    static_cast<double>(seed) * truth.d_x_bound[k])
            << "sample " << n << ", value " << k;
      }
    }
    ASSERT_EQ(result.sums.size(), 1u);
    EXPECT_NEAR(result.sums[0], sum, sum_bound);
  }
}

TEST_P(LossConformance, HasTheSameBitsForAnySplitThreadsAndSimdTarget) {
  const Shape output = ShapesOf(*GetParam().def).back();
  for (const BatchShape& shape : kBatchShapes) {
    const LossBatch batch = MakeBatch(GetParam(), output, shape.samples);
    const Dataset data = DatasetOf(batch);
    const ProbeRequest request{.job = JobOf(kLinear, LossText(GetParam()), batch, shape),
                               .program = &kLossProgram,
                               .data = &data,
                               .samples = batch.samples};
    ASSERT_OK_AND_ASSIGN(const ProbeResult expected, RunProbe(request, {}));
    for (const Split& split : AllSplits()) {
      ASSERT_OK_AND_ASSIGN(const ProbeResult result, RunProbe(request, split));
      EXPECT_TRUE(SameBits(result, expected)) << split << ", " << batch.samples << " samples";
    }
  }
}

TEST_P(LossConformance, ReportsTheSameLossWhenItEvaluates) {
  const BatchShape shape = kBatchShapes[0];
  const LossBatch batch = MakeBatch(GetParam(), ShapesOf(*GetParam().def)[0], shape.samples);
  const Dataset data = DatasetOf(batch);
  ProbeRequest request{.job = JobOf(kLinear, LossText(GetParam()), batch, shape),
                       .program = &kLossProgram,
                       .data = &data,
                       .samples = batch.samples};
  ASSERT_OK_AND_ASSIGN(const ProbeResult trained, RunProbe(request, {}));
  request.pass = Pass::kEvaluate;

  ASSERT_OK_AND_ASSIGN(const ProbeResult evaluated, RunProbe(request, {.ranks = 2}));

  EXPECT_EQ(evaluated.sums, trained.sums);
}

// --- softmax and sigmoid, taken as logits ---

struct Taken {
  const LossDef* def;
  std::string activation;
};

// Losses with the activations whose logits they take.
std::vector<Taken> TakenActivations() {
  std::vector<Taken> all;
  for (const LossDef* def : Losses()) {
    const absl::StatusOr<Options> options = CheckOptions(def->options, Value::MakeMap(), "loss");
    const std::unique_ptr<Loss> loss = *def->make(*options);
    for (const char* activation : {"softmax", "sigmoid"}) {
      if (loss->TakesLogitsOf(activation)) all.push_back({def, activation});
    }
  }
  return all;
}

absl::StatusOr<ProbeResult> RunLast(const std::string& layer, const LossCase& loss_case,
                                    const LossBatch& batch) {
  const Dataset data = DatasetOf(batch);
  return RunProbe({.job = JobOf(layer, LossText(loss_case), batch, kBatchShapes[0]),
                   .program = &kLossProgram,
                   .data = &data,
                   .samples = batch.samples},
                  {.ranks = 2});
}

TEST(LossLogits, AreTakenFromTheActivationThatFeedsTheLoss) {
  ASSERT_FALSE(TakenActivations().empty());
  for (const Taken& taken : TakenActivations()) {
    const LossCase logits{taken.def, OutputForm::kLogits};
    const LossCase plain{taken.def, OutputForm::kProbabilities};
    const LossBatch batch = MakeBatch(logits, Shape{10}, kBatchShapes[0].samples);
    for (const char* layer : {"activation: {", "dense: {units: 10, "}) {
      SCOPED_TRACE(absl::StrCat(layer, " ", taken.activation, " ", taken.def->name));
      const auto with = [layer](absl::string_view activation) {
        return absl::StrCat("{", layer, "activation: ", activation, ", name: y}}");
      };
      ASSERT_OK_AND_ASSIGN(const ProbeResult linear, RunLast(with("linear"), logits, batch));

      ASSERT_OK_AND_ASSIGN(const ProbeResult fused, RunLast(with(taken.activation), plain, batch));
      ASSERT_OK_AND_ASSIGN(const ProbeResult twice, RunLast(with(taken.activation), logits, batch));

      EXPECT_TRUE(SameBits(fused, linear));
      EXPECT_FALSE(SameBits(twice, linear))
          << "from_logits is the user's word: nothing is left out";
    }
  }
}

}  // namespace
}  // namespace lockstep::testing
