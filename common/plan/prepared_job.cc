#include "common/plan/prepared_job.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/base/fingerprint.h"
#include "common/base/status_macros.h"
#include "common/plan/job_graph.h"
#include "common/plan/shard_plan.h"

namespace lockstep {
namespace {

// What the data has to deliver: every input of the models once, then a target per loss of the job.
DataNames NamesOf(const JobSpec& spec, const JobGraph& graph) {
  DataNames names;
  for (size_t m = 0; m < graph.models.size(); ++m) {
    if (!graph.models[m].from_data) continue;
    for (const InputSpec& input : spec.models()[m].inputs) {
      if (std::find(names.inputs.begin(), names.inputs.end(), input.name) == names.inputs.end()) {
        names.inputs.push_back(input.name);
      }
    }
  }
  for (const LossSpec& loss : spec.losses()) {
    names.targets.push_back(OutputKey(spec, loss.model, loss.output));
  }
  return names;
}

absl::StatusOr<JobDataset> Open(const PreparedJob& job, const DataSourceSpec& source,
                                DataEnvironment& environment) {
  LOCKSTEP_ASSIGN_OR_RETURN(Dataset dataset,
                            OpenDataset(source, NamesOf(job.spec, job.graph), environment));
  JobDataset opened{.dataset = std::make_shared<const Dataset>(std::move(dataset))};
  opened.signature = opened.dataset->signature();
  opened.samples = {0, opened.dataset->count};
  LOCKSTEP_RETURN_IF_ERROR(MatchData(job.graph, opened.signature, source.where));
  return opened;
}

// Keras: the last samples, before any shuffling.
absl::Status Split(PreparedJob& job, double share) {
  const int64_t count = job.train.dataset->count;
  const auto kept = static_cast<int64_t>(std::floor(static_cast<double>(count) * (1.0 - share)));
  if (kept < 1 || kept >= count) {
    return absl::InvalidArgumentError(absl::StrCat("data.validation_split: ", share, " of ", count,
                                                   " samples leaves ", kept, " for training and ",
                                                   count - kept, " for validation; both need one"));
  }
  job.validation = job.train;
  job.train.samples = {0, kept};
  job.validation->samples = {kept, count};
  return absl::OkStatus();
}

absl::Status CheckLabels(const PreparedJob& job, const Manifest& manifest, absl::string_view what) {
  for (size_t o = 0; o < job.graph.outputs.size(); ++o) {
    const JobOutput& output = job.graph.outputs[o];
    if (output.loss->target_kind() != TargetKind::kLabels) continue;
    const Model& model = *job.graph.models[output.model].model;
    const int64_t classes = model.tensors()[model.outputs()[output.output]].shape.back();
    const ColumnManifest& column = manifest.targets[o];
    const bool low = column.min.value_or(0) < 0;
    if (!low && column.max.value_or(0) < classes) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        what, ".targets: sample ", low ? column.min_sample : column.max_sample, " has label ",
        low ? *column.min : *column.max, ", outside 0 to ", classes - 1, " of output '",
        column.field.name, "'; give the last layer one unit per class, or correct the labels"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Manifest>> Inspect(const PreparedJob& job,
                                                const std::optional<JobDataset>& data,
                                                absl::string_view what) {
  if (!data.has_value() || data->dataset == job.train.dataset) return std::nullopt;
  LOCKSTEP_ASSIGN_OR_RETURN(Manifest manifest, MakeManifest(*data->dataset));
  LOCKSTEP_RETURN_IF_ERROR(CheckLabels(job, manifest, what));
  return std::optional<Manifest>(std::move(manifest));
}

}  // namespace

int64_t PreparedJob::steps_per_epoch() const {
  const int64_t batch_size = spec.train().batch_size;
  return (train.samples.size() + batch_size - 1) / batch_size;
}

std::unique_ptr<StaticPlan> PreparedJob::PlanFor(int32_t workers, int32_t rank) const {
  PlanRequest request{.spec = &spec,
                      .graph = &graph,
                      .program = program,
                      .train = &train.signature,
                      .geometry = GeometryOf(spec.train().batch_size,
                                             static_cast<int32_t>(spec.shards()), workers, rank),
                      .workers = workers,
                      .rank = rank};
  if (validation.has_value()) request.evaluations.push_back(&validation->signature);
  if (test.has_value()) request.evaluations.push_back(&test->signature);
  return StaticPlan::Create(request);
}

absl::Status CheckWorkers(const JobSpec& spec, int64_t workers) {
  if (workers <= spec.shards()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("resources.workers: ", workers, " workers for ", spec.shards(),
                   " shards of a batch of ", spec.train().batch_size, "; use at most ",
                   spec.shards(), " workers or a larger train.batch_size"));
}

absl::StatusOr<std::unique_ptr<PreparedJob>> PrepareJob(JobSpec spec,
                                                        DataEnvironment& environment) {
  LOCKSTEP_ASSIGN_OR_RETURN(JobGraph graph, BuildJobGraph(spec));
  LOCKSTEP_ASSIGN_OR_RETURN(const ProgramDef* const program, FindProgram(spec.program()));
  LOCKSTEP_RETURN_IF_ERROR(program->check(graph));
  std::unique_ptr<PreparedJob> job(
      new PreparedJob{.spec = std::move(spec), .graph = std::move(graph), .program = program});
  const DataSpec& data = job->spec.data();
  LOCKSTEP_ASSIGN_OR_RETURN(job->train, Open(*job, data.train, environment));
  if (data.validation.has_value()) {
    LOCKSTEP_ASSIGN_OR_RETURN(job->validation, Open(*job, *data.validation, environment));
  }
  if (data.validation_split.has_value()) {
    LOCKSTEP_RETURN_IF_ERROR(Split(*job, *data.validation_split));
  }
  if (data.test.has_value()) {
    LOCKSTEP_ASSIGN_OR_RETURN(job->test, Open(*job, *data.test, environment));
  }
  return job;
}

absl::StatusOr<DataFacts> InspectData(const PreparedJob& job) {
  DataFacts facts;
  LOCKSTEP_ASSIGN_OR_RETURN(facts.train, MakeManifest(*job.train.dataset));
  LOCKSTEP_RETURN_IF_ERROR(CheckLabels(job, facts.train, "data.train"));
  LOCKSTEP_ASSIGN_OR_RETURN(facts.validation, Inspect(job, job.validation, "data.validation"));
  LOCKSTEP_ASSIGN_OR_RETURN(facts.test, Inspect(job, job.test, "data.test"));
  const std::string validation =
      facts.validation.has_value() ? facts.validation->ContentHash() : "";
  facts.hash = ToHex(FingerprintOf128(absl::StrCat(facts.train.ContentHash(), validation)));
  return facts;
}

}  // namespace lockstep
