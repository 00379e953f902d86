#include "common/plan/job_graph.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "common/base/status_macros.h"
#include "common/nn/loss_registry.h"
#include "common/optim/optimizer_registry.h"

namespace lockstep {
namespace {

const Model::Tensor& OutputTensor(const JobGraph& graph, const JobOutput& output) {
  const Model& model = *graph.models[output.model].model;
  return model.tensors()[model.outputs()[output.output]];
}

// The model and output that a loss is for; the spec's parser has checked that they exist.
absl::Status Locate(const JobSpec& spec, const LossSpec& loss, JobOutput& output) {
  for (size_t m = 0; m < spec.models().size(); ++m) {
    const ModelSpec& model = spec.models()[m];
    if (model.name != loss.model) continue;
    for (size_t o = 0; o < model.outputs.size(); ++o) {
      if (model.outputs[o] != loss.output) continue;
      output.model = m;
      output.output = o;
      return absl::OkStatus();
    }
  }
  return loss.loss.Error(absl::StrCat("no output '", loss.output, "' to take the loss of"));
}

absl::StatusOr<JobOutput> MakeOutput(const JobSpec& spec, const LossSpec& loss,
                                     const JobGraph& graph) {
  JobOutput output;
  LOCKSTEP_RETURN_IF_ERROR(Locate(spec, loss, output));
  LOCKSTEP_ASSIGN_OR_RETURN(const LossDef* const def, FindLoss(loss.loss));
  LOCKSTEP_ASSIGN_OR_RETURN(const Options options, CheckOptions(def->options, loss.loss.options,
                                                                loss.loss.OptionsWhere()));
  LOCKSTEP_ASSIGN_OR_RETURN(output.loss, def->make(options));
  const Shape& shape = OutputTensor(graph, output).shape;
  if (const absl::Status fits = output.loss->CheckOutput(shape); !fits.ok()) {
    return loss.loss.Error(fits.message());
  }
  output.key = spec.losses().size() > 1 ? OutputKey(spec, loss.model, loss.output) : "";
  output.loss_weight = loss.weight;
  output.logits =
      output.loss->TakesLogitsOf(graph.models[output.model].model->LogitsActivation(output.output));
  for (const Node& metric : spec.metrics()) {
    LOCKSTEP_ASSIGN_OR_RETURN(const MetricKind kind, MetricOf(metric, *def, shape));
    output.metrics.push_back(kind);
    output.metric_names.push_back(metric.type);
  }
  return output;
}

// The spec's parser has seen to it that every model has one.
absl::StatusOr<std::unique_ptr<Optimizer>> OptimizerOf(const JobSpec& spec, const Model& model) {
  for (const OptimizerSpec& optimizer : spec.optimizers()) {
    if (optimizer.model == model.name()) return MakeOptimizer(optimizer.optimizer);
  }
  return absl::InternalError(absl::StrCat("model '", model.name(), "' has no optimizer"));
}

// As in Keras, where there is just one output and its targets are classes.
absl::Status CheckClassWeight(const JobSpec& spec, const JobGraph& graph) {
  const std::map<int64_t, double>& weights = spec.train().class_weight;
  if (weights.empty()) return absl::OkStatus();
  if (graph.outputs.size() != 1 || graph.outputs[0].loss->target_kind() != TargetKind::kLabels) {
    return absl::InvalidArgumentError(
        "train.class_weight: needs one output with class labels, as of "
        "sparse_categorical_crossentropy; use sample_weights instead");
  }
  const int64_t classes = OutputTensor(graph, graph.outputs[0]).shape.back();
  const int64_t greatest = weights.rbegin()->first;
  if (greatest < classes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("train.class_weight: class ", greatest,
                                                 " of an output with ", classes,
                                                 " classes; remove it"));
}

absl::Status CompleteByProgram(const JobSpec& spec, JobGraph& graph) {
  LOCKSTEP_ASSIGN_OR_RETURN(const ProgramDef* const program, FindProgram(spec.program()));
  LOCKSTEP_ASSIGN_OR_RETURN(graph.program, CheckOptions(program->options, spec.program().options,
                                                        spec.program().OptionsWhere()));
  return program->complete == nullptr ? absl::OkStatus() : program->complete(spec, graph);
}

const DataField* FindField(const std::vector<DataField>& fields, const std::string& name) {
  for (const DataField& field : fields) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

std::string Names(const std::vector<DataField>& fields) {
  return absl::StrJoin(fields, ", ", [](std::string* out, const DataField& field) {
    absl::StrAppend(out, "'", field.name, "'");
  });
}

absl::Status MatchInput(const Model::Tensor& input, const DataSignature& data,
                        absl::string_view what) {
  const DataField* const field = FindField(data.inputs, input.name);
  if (field == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(what, ".inputs: the model's input '", input.name,
                                                   "' has no data; it has ", Names(data.inputs)));
  }
  // (28, 28) of an image file serves (28, 28, 1): the same values in the same order.
  std::vector<int64_t> widened = field->shape.dims();
  widened.push_back(1);
  if (field->shape == input.shape || Shape(widened) == input.shape) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, ".inputs: samples have shape ", field->shape.ToString(),
                   " but the model's input '", input.name, "' takes ", input.shape.ToString(),
                   "; set model.input_shape to ", field->shape.ToJson()));
}

absl::Status MatchTarget(const JobGraph& graph, size_t index, const DataSignature& data,
                         absl::string_view what) {
  const JobOutput& output = graph.outputs[index];
  const DataField& field = data.targets[index];
  const Shape& shape = OutputTensor(graph, output).shape;
  const int64_t wanted = output.loss->target_kind() == TargetKind::kLabels ? 1 : shape.elements();
  if (field.shape.elements() != wanted) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ".targets: targets have shape ", field.shape.ToString(), ", ", wanted,
                     " values a sample are wanted for output shape ", shape.ToString(),
                     "; use another loss or other targets"));
  }
  const bool real =
      field.type == kernels::SampleType::kF32 || field.type == kernels::SampleType::kF64;
  if (output.loss->target_kind() == TargetKind::kLabels && real) {
    return absl::InvalidArgumentError(absl::StrCat(
        what, ".targets: class labels are stored as floating point; store them as integers"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<JobGraph> BuildJobGraph(const JobSpec& spec) {
  JobGraph graph;
  std::vector<const Model*> models;
  for (const ModelSpec& model_spec : spec.models()) {
    LOCKSTEP_ASSIGN_OR_RETURN(std::unique_ptr<Model> model, Model::Create(model_spec));
    models.push_back(model.get());
    LOCKSTEP_ASSIGN_OR_RETURN(std::unique_ptr<Optimizer> optimizer, OptimizerOf(spec, *model));
    graph.models.push_back({.model = std::move(model), .optimizer = std::move(optimizer)});
  }
  graph.parameters = std::make_unique<ParameterSet>(models);
  for (size_t m = 0; m < graph.models.size(); ++m) {
    graph.models[m].offsets = graph.parameters->OffsetsOf(m);
  }
  for (const LossSpec& loss : spec.losses()) {
    LOCKSTEP_ASSIGN_OR_RETURN(JobOutput output, MakeOutput(spec, loss, graph));
    output.first_sum = graph.sum_count;
    graph.sum_count += 1 + output.metrics.size();
    graph.outputs.push_back(std::move(output));
  }
  LOCKSTEP_RETURN_IF_ERROR(CheckClassWeight(spec, graph));
  LOCKSTEP_RETURN_IF_ERROR(CompleteByProgram(spec, graph));
  return graph;
}

absl::Status MatchData(const JobGraph& graph, const DataSignature& data, absl::string_view what) {
  for (const JobModel& job_model : graph.models) {
    for (size_t i = 0; job_model.from_data && i < job_model.model->input_count(); ++i) {
      LOCKSTEP_RETURN_IF_ERROR(MatchInput(job_model.model->tensors()[i], data, what));
    }
  }
  const auto wanted = std::count_if(graph.outputs.begin(), graph.outputs.end(),
                                    [](const JobOutput& output) { return output.has_target; });
  if (std::ssize(data.targets) != wanted) {
    return absl::InvalidArgumentError(absl::StrCat(what, ".targets: ", data.targets.size(),
                                                   " targets for ", wanted,
                                                   " outputs with a loss; give one for each"));
  }
  for (size_t o = 0; o < graph.outputs.size(); ++o) {
    if (graph.outputs[o].has_target) LOCKSTEP_RETURN_IF_ERROR(MatchTarget(graph, o, data, what));
  }
  return absl::OkStatus();
}

}  // namespace lockstep
