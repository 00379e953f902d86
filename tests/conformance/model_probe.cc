#include "tests/conformance/model_probe.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/base/check.h"
#include "common/base/permutation.h"
#include "common/base/status_macros.h"
#include "common/spec/job_spec.h"
#include "tests/support/memory_dataset.h"

namespace lockstep::testing {
namespace {

// Not the first one, and its high word counts: what a random mask sees of the step.
constexpr int64_t kStep = (int64_t{1} << 32) + 7;

// The fields of the data in order: inputs, gradients of outputs, then what comes back: outputs,
// gradients of inputs.
struct FieldPlan {
  explicit FieldPlan(const Model& model)
      : inputs(model.input_count()), outputs(model.outputs().size()) {}
  size_t d_output(size_t o) const { return inputs + o; }
  size_t output(size_t o) const { return inputs + outputs + o; }
  size_t d_input(size_t i) const { return inputs + 2 * outputs + i; }

  size_t inputs;
  size_t outputs;
};

std::vector<Slice> RecordModelInputs(ProgramContext& context, StepBuilder& builder) {
  const Model& model = *context.graph().models[0].model;
  std::vector<Slice> inputs = context.RecordInputsOf(builder, 0);
  for (size_t i = 0; i < inputs.size(); ++i) {
    RecordGarbage(builder, model.tensors()[i].shape.elements(), inputs[i]);
  }
  return inputs;
}

void RecordOutputs(ProgramContext& context, StepBuilder& builder, const Model::Pass& pass) {
  const Model& model = *context.graph().models[0].model;
  const FieldPlan fields(model);
  for (size_t o = 0; o < fields.outputs; ++o) {
    const int64_t elements = model.tensors()[model.outputs()[o]].shape.elements();
    RecordRows(builder, elements, pass.output(model, o), context.feed.input_rows[fields.output(o)]);
  }
}

std::vector<ProgramPhase> RecordTrain(ProgramContext& context) {
  ProgramPhase phase{.name = "gradients", .updates = {0}, .builder = context.NewBuilder()};
  StepBuilder& builder = *phase.builder;
  const JobModel& job_model = context.graph().models[0];
  const Model& model = *job_model.model;
  const FieldPlan fields(model);
  RecordUnwritten(builder);
  Model::Pass pass = context.RecordForward(builder, 0, RecordModelInputs(context, builder), true);
  RecordOutputs(context, builder, pass);
  std::vector<Slice> d_outputs;
  for (size_t o = 0; o < fields.outputs; ++o) {
    d_outputs.push_back(context.RecordInput(builder, fields.d_output(o)));
    RecordGarbage(builder, model.tensors()[model.outputs()[o]].shape.elements(), d_outputs.back());
  }
  const std::vector<Slice> d_inputs = model.Backward(
      builder, pass, std::move(d_outputs),
      {.gradients = context.gradients, .offsets = job_model.offsets, .want_inputs = true});
  for (size_t i = 0; i < fields.inputs; ++i) {
    RecordRows(builder, model.tensors()[i].shape.elements(), d_inputs[i],
               context.feed.input_rows[fields.d_input(i)]);
  }
  std::vector<ProgramPhase> phases;
  phases.push_back(std::move(phase));
  return phases;
}

ProgramPhase RecordEvaluate(ProgramContext& context) {
  ProgramPhase phase{.name = "outputs", .updates = {}, .builder = context.NewBuilder()};
  StepBuilder& builder = *phase.builder;
  RecordUnwritten(builder);
  RecordOutputs(context, builder,
                context.RecordForward(builder, 0, RecordModelInputs(context, builder), false));
  return phase;
}

absl::Status AnyGraph(const JobGraph&) { return absl::OkStatus(); }

constexpr ProgramDef kModelProgram = {"probe", "a model as a function", &AnyGraph, &RecordTrain,
                                      &RecordEvaluate};

// What a field that comes back holds before: nobody may read it, everything of it is written.
std::vector<float> Unwritten(int64_t count) {
  return std::vector<float>(static_cast<size_t>(count), std::nanf(""));
}

// The inputs of RandomPoint: 2 k + 1.5 - E for k = 0 ... E - 1 over E + 1, none of them 0.
std::vector<float> SpacedRows(int64_t samples, int64_t elements, uint32_t seed) {
  const std::vector<float> scales = RandomFloats(samples, seed);
  std::vector<float> rows;
  for (int64_t n = 0; n < samples; ++n) {
    const double scale = 0.75 - 0.25 * static_cast<double>(scales[static_cast<size_t>(n)]);
    const Permutation order(seed, static_cast<uint64_t>(n), elements);
    for (int64_t e = 0; e < elements; ++e) {
      const auto place = static_cast<double>(2 * order[e] - elements) + 1.5;
      rows.push_back(static_cast<float>(scale * place / static_cast<double>(elements + 1)));
    }
  }
  return rows;
}

}  // namespace

::testing::AssertionResult SameBits(const Tensors& actual, const Tensors& expected) {
  if (actual.size() != expected.size()) return ::testing::AssertionFailure() << "counts differ";
  for (size_t t = 0; t < actual.size(); ++t) {
    const ::testing::AssertionResult same = SameBits(actual[t], expected[t]);
    if (!same) return ::testing::AssertionFailure() << "tensor " << t << ": " << same.message();
  }
  return ::testing::AssertionSuccess();
}

::testing::AssertionResult SameBits(const ModelOutcome& actual, const ModelOutcome& expected) {
  const ::testing::AssertionResult outputs = SameBits(actual.outputs, expected.outputs);
  if (!outputs) return ::testing::AssertionFailure() << "output " << outputs.message();
  const ::testing::AssertionResult d_inputs = SameBits(actual.d_inputs, expected.d_inputs);
  if (!d_inputs) return ::testing::AssertionFailure() << "input gradient " << d_inputs.message();
  const ::testing::AssertionResult d_variables = SameBits(actual.d_variables, expected.d_variables);
  if (!d_variables) return ::testing::AssertionFailure() << "gradient of " << d_variables.message();
  const ::testing::AssertionResult variables = SameBits(actual.variables, expected.variables);
  if (!variables) return ::testing::AssertionFailure() << "variable " << variables.message();
  return ::testing::AssertionSuccess();
}

absl::StatusOr<ModelProbe> ModelProbe::Create(const std::string& model, const BatchShape& batch) {
  ModelProbe probe(batch);
  // Under `models` a loss may be absent: the program has its own.
  probe.job_ = absl::StrCat("models: {m: ", model,
                            "}\n"
                            "data: {train: {format: idx, inputs: a, targets: b}}\n"
                            "optimizers: {m: sgd}\n"
                            "train: {seed: 5, batch_size: ",
                            batch.batch_size, ", shards: ", batch.shards, "}\n");
  LOCKSTEP_ASSIGN_OR_RETURN(const JobSpec spec, LoadJobSpec(probe.job_, "job.yaml", ""));
  LOCKSTEP_ASSIGN_OR_RETURN(probe.model_, Model::Create(spec.models()[0]));
  return probe;
}

ModelProbe ModelProbe::WithSamples(int64_t samples) const {
  ModelProbe probe = *this;
  probe.batch_.samples = samples;
  return probe;
}

ModelPoint ModelProbe::RandomPoint(uint32_t seed) const {
  ModelPoint point;
  for (size_t i = 0; i < model_->input_count(); ++i) {
    point.inputs.push_back(SpacedRows(batch_.samples, model_->tensors()[i].shape.elements(),
                                      seed + 100 * static_cast<uint32_t>(i)));
  }
  for (size_t v = 0; v < model_->variables().size(); ++v) {
    const Model::Variable& variable = model_->variables()[v];
    std::vector<float> values =
        RandomFloats(variable.shape.elements(), seed + 1000 + static_cast<uint32_t>(v));
    if (!variable.trainable) {
      for (float& value : values) value = 1.0f + value / 2;
    }
    point.variables.emplace_back(variable.path, std::move(values));
  }
  for (size_t o = 0; o < model_->outputs().size(); ++o) {
    point.d_outputs.push_back(RandomFloats(batch_.samples * OutputShape(o).elements(),
                                           seed + 2000 + static_cast<uint32_t>(o)));
  }
  return point;
}

absl::StatusOr<ModelOutcome> ModelProbe::Run(const ModelPoint& point, Pass pass,
                                             const Split& split) const {
  const FieldPlan fields(*model_);
  Dataset data{.count = batch_.samples};
  const auto add = [&](const std::string& name, const Shape& shape, std::vector<float> rows) {
    data.inputs.push_back(MakeColumn(name, shape, std::move(rows)));
  };
  for (size_t i = 0; i < fields.inputs; ++i) {
    add(model_->tensors()[i].name, model_->tensors()[i].shape, point.inputs[i]);
  }
  for (size_t o = 0; o < fields.outputs; ++o) {
    add(absl::StrCat("d_output ", o), OutputShape(o), point.d_outputs[o]);
  }
  for (size_t o = 0; o < fields.outputs; ++o) {
    add(absl::StrCat("output ", o), OutputShape(o),
        Unwritten(batch_.samples * OutputShape(o).elements()));
  }
  for (size_t i = 0; i < fields.inputs; ++i) {
    const Shape& shape = model_->tensors()[i].shape;
    add(absl::StrCat("d_input ", i), shape, Unwritten(batch_.samples * shape.elements()));
  }
  LOCKSTEP_ASSIGN_OR_RETURN(ProbeResult result, RunProbe({.job = job_,
                                                          .program = &kModelProgram,
                                                          .data = &data,
                                                          .samples = batch_.samples,
                                                          .pass = pass,
                                                          .step = kStep,
                                                          .variables = point.variables},
                                                         split));
  ModelOutcome outcome{.d_variables = std::move(result.gradients),
                       .variables = std::move(result.variables)};
  for (size_t o = 0; o < fields.outputs; ++o) {
    outcome.outputs.push_back(std::move(result.fields[fields.output(o)]));
  }
  for (size_t i = 0; i < fields.inputs && pass == Pass::kTrain; ++i) {
    outcome.d_inputs.push_back(std::move(result.fields[fields.d_input(i)]));
  }
  return outcome;
}

}  // namespace lockstep::testing
