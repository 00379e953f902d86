#include "tests/golden/keras/keras_case.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/data/data_cache.h"
#include "common/data/dataset_format.h"
#include "common/env/file_system.h"
#include "common/spec/job_yaml.h"
#include "tests/support/memory_dataset.h"

namespace lockstep::testing {
namespace {

constexpr double kUnit = 0x1p-24;
constexpr int64_t kEntries = 64;

// `unit`: what the errors are relative to.
Distance Summarize(std::vector<double> errors, double unit) {
  std::sort(errors.begin(), errors.end());
  return {errors[errors.size() / 2] / unit / kUnit, errors.back() / unit / kUnit};
}

absl::Status Check(const JobGraph& graph) {
  return graph.models.size() == 1 ? absl::OkStatus() : absl::InvalidArgumentError("one model");
}

void RecordOutputs(ProgramContext& context, StepBuilder& builder, const Model::Pass& pass) {
  const Model& model = *context.graph().models[0].model;
  const size_t first = model.input_count();
  for (size_t o = 0; o < model.outputs().size(); ++o) {
    const Shape& shape = model.tensors()[model.outputs()[o]].shape;
    RecordRows(builder, shape.elements(), pass.output(model, o),
               context.feed.input_rows[first + o]);
  }
}

ProgramPhase Record(ProgramContext& context, bool training) {
  ProgramPhase phase{.name = "probe", .updates = {}, .builder = context.NewBuilder()};
  if (training) phase.updates = {0};
  StepBuilder& builder = *phase.builder;
  Model::Pass pass =
      context.RecordForward(builder, 0, context.RecordInputsOf(builder, 0), training);
  RecordOutputs(context, builder, pass);
  std::vector<Slice> d_outputs = context.RecordLosses(builder, 0, pass, training);
  if (training) context.RecordBackward(builder, 0, pass, std::move(d_outputs));
  return phase;
}

std::vector<ProgramPhase> RecordTrain(ProgramContext& context) {
  std::vector<ProgramPhase> phases;
  phases.push_back(Record(context, /*training=*/true));
  return phases;
}

ProgramPhase RecordEvaluate(ProgramContext& context) { return Record(context, /*training=*/false); }

absl::StatusOr<std::vector<uint8_t>> First(const Column& column, int64_t samples) {
  const int64_t size = column.sample_bytes();
  std::vector<uint8_t> values(static_cast<size_t>(samples * size));
  for (int64_t n = 0; n < samples; ++n) {
    LOCKSTEP_RETURN_IF_ERROR(
        column.Read(n, reinterpret_cast<std::byte*>(values.data() + n * size)));
  }
  return values;
}

}  // namespace

absl::StatusOr<Dataset> FirstSamples(const std::string& job, const std::string& target,
                                     int64_t samples) {
  LOCKSTEP_ASSIGN_OR_RETURN(const JobSpec spec, LoadJobSpec(job, "job.yaml", ""));
  DataCache no_cache(PosixFileSystem(), "", 0);
  DataEnvironment environment{&PosixFileSystem(), &no_cache};
  LOCKSTEP_ASSIGN_OR_RETURN(
      const Dataset whole,
      OpenDataset(spec.data().train, {{"input_layer"}, {target}}, environment));
  LOCKSTEP_ASSIGN_OR_RETURN(std::vector<uint8_t> pixels, First(*whole.inputs[0], samples));
  LOCKSTEP_ASSIGN_OR_RETURN(std::vector<uint8_t> labels, First(*whole.targets[0], samples));
  Dataset data{.count = samples};
  data.inputs.push_back(MakeColumn("input_layer", Shape{28, 28}, std::move(pixels)));
  data.targets.push_back(MakeColumn(target, Shape{}, std::move(labels)));
  return data;
}

const ProgramDef kSupervisedProbe = {"supervised_probe", "supervised, with its outputs", &Check,
                                     &RecordTrain, &RecordEvaluate};

void AddOutputFields(Dataset& data, const std::vector<Shape>& outputs) {
  for (const Shape& shape : outputs) {
    data.inputs.push_back(
        MakeColumn(absl::StrCat("output_", data.inputs.size()), shape,
                   std::vector<float>(static_cast<size_t>(data.count * shape.elements()))));
  }
}

Distance DistanceOf(const std::vector<float>& actual, const std::vector<double>& truth) {
  LOCKSTEP_CHECK(actual.size() == truth.size());
  double squares = 0;
  std::vector<double> errors;
  for (size_t k = 0; k < truth.size(); ++k) {
    squares += truth[k] * truth[k];
    errors.push_back(std::abs(static_cast<double>(actual[k]) - truth[k]));
  }
  return Summarize(errors, std::sqrt(squares / static_cast<double>(truth.size())));
}

Distance DistanceOf(const std::vector<float>& actual, const Golden& truth) {
  const auto size = static_cast<int64_t>(actual.size());
  const double norm = truth.reals("norm").at(0);
  double squares = 0, sum = 0;
  for (const float value : actual) {
    squares += static_cast<double>(value) * static_cast<double>(value);
    sum += static_cast<double>(value);
  }
  const std::vector<double> entries = truth.reals("entries");
  LOCKSTEP_CHECK(std::ssize(entries) == std::min(size, kEntries));
  const int64_t stride = size <= kEntries ? 1 : (size / kEntries) | 1;
  std::vector<double> errors;
  for (int64_t k = 0; k < std::ssize(entries); ++k) {
    const auto value = static_cast<double>(actual[static_cast<size_t>(k * stride % size)]);
    errors.push_back(std::abs(value - entries[static_cast<size_t>(k)]));
  }
  Distance distance = Summarize(errors, norm / std::sqrt(static_cast<double>(size)));
  for (const double error :
       {std::abs(std::sqrt(squares) - norm), std::abs(sum - truth.reals("sum").at(0))}) {
    distance.worst = std::max(distance.worst, error / norm / kUnit);
  }
  return distance;
}

Distance DistanceOfNumbers(const std::vector<double>& actual, const std::vector<double>& truth) {
  LOCKSTEP_CHECK(actual.size() == truth.size());
  std::vector<double> errors;
  for (size_t k = 0; k < truth.size(); ++k) {
    const double error = std::abs(actual[k] - truth[k]);
    errors.push_back(error == 0 ? 0 : error / std::abs(truth[k]));
  }
  return Summarize(errors, 1);
}

void ExpectWithin(const Distance& distance, const Bound& bound, const std::string& what) {
  ::testing::Test::RecordProperty(
      what, absl::StrFormat("median %.2f of %g, worst %.2f of %g", distance.typical, bound.typical,
                            distance.worst, bound.worst));
  EXPECT_LE(distance.typical, bound.typical) << what << ", median";
  EXPECT_LE(distance.worst, bound.worst) << what << ", worst";
}

std::string TruthName(absl::string_view path) { return absl::StrReplaceAll(path, {{"/", "."}}); }

}  // namespace lockstep::testing
