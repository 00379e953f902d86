#include "tests/support/training_run.h"

#include <utility>

#include "common/base/mutex.h"
#include "common/base/numerics_version.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/job_output.h"
#include "common/checkpoint/model_hash.h"
#include "common/plan/job_graph.h"
#include "common/plan/shard_plan.h"
#include "common/spec/job_identity.h"
#include "worker/comm/local_group.h"

namespace lockstep::testing {
namespace {

absl::StatusOr<const ProgramDef*> ProgramOf(const TrainingRunOptions& options,
                                            const JobSpec& spec) {
  if (options.program != nullptr) return options.program;
  return FindProgram(spec.program());
}

// What all ranks need; each makes its own graph and plan, as processes do.
absl::Status RunRank(const TrainingRunOptions& options, const JobSpec& spec,
                     Communicator& communicator, TrainingRunResult* result) {
  LOCKSTEP_ASSIGN_OR_RETURN(const JobGraph graph, BuildJobGraph(spec));
  LOCKSTEP_ASSIGN_OR_RETURN(const ProgramDef* const program, ProgramOf(options, spec));
  LOCKSTEP_RETURN_IF_ERROR(program->check(graph));
  const DataSignature train = options.train->signature();
  LOCKSTEP_RETURN_IF_ERROR(MatchData(graph, train, "data.train"));
  PlanRequest request{
      .spec = &spec,
      .graph = &graph,
      .program = program,
      .train = &train,
      .geometry = GeometryOf(spec.train().batch_size, static_cast<int32_t>(spec.shards()),
                             options.ranks, communicator.rank()),
      .workers = options.ranks,
      .rank = communicator.rank()};
  std::vector<DataSignature> signatures;
  for (const Dataset* data : {options.validation, options.test}) {
    if (data != nullptr) signatures.push_back(data->signature());
  }
  for (const DataSignature& signature : signatures) request.evaluations.push_back(&signature);
  const std::unique_ptr<StaticPlan> plan = StaticPlan::Create(request);
  ComputePool pool(options.threads, Spin::kNone);
  TrainingRequests requests;
  const bool leads = communicator.rank() == 0;
  TrainerParts parts{.spec = &spec,
                     .graph = &graph,
                     .plan = plan.get(),
                     .communicator = &communicator,
                     .pool = &pool,
                     .train = {options.train, {0, options.train->count}},
                     .fs = options.fs == nullptr ? &PosixFileSystem() : options.fs,
                     .clock = &RealClock(),
                     .observer = leads ? options.observer : nullptr,
                     .requests = options.requests == nullptr ? &requests : options.requests,
                     .checkpoint_root = options.checkpoint_root,
                     .data_hash = "data",
                     .fingerprint_every = options.fingerprint_every};
  size_t evaluation = 0;
  if (options.validation != nullptr) {
    parts.validation = {options.validation, {0, options.validation->count}, evaluation++};
  }
  if (options.test != nullptr) {
    parts.test = {options.test, {0, options.test->count}, evaluation};
  }
  LOCKSTEP_ASSIGN_OR_RETURN(const std::unique_ptr<Trainer> trainer, Trainer::Create(parts));
  trainer->Initialize();
  if (options.resume) {
    LOCKSTEP_ASSIGN_OR_RETURN(const CheckpointLayout layout, LayoutOfJob(graph));
    const absl::StatusOr<LoadedCheckpoint> loaded =
        LoadCheckpoint(*parts.fs, options.checkpoint_root,
                       {.numerics_version = kNumericsVersion,
                        .job_identity = CanonicalJobIdentity(spec),
                        .layout = &layout});
    if (loaded.ok()) {
      LOCKSTEP_RETURN_IF_ERROR(trainer->Restore(loaded->checkpoint));
    } else if (!absl::IsNotFound(loaded.status())) {
      return loaded.status();
    }
  }
  LOCKSTEP_ASSIGN_OR_RETURN(TrainingResult trained, trainer->Run());
  if (!leads) return absl::OkStatus();
  result->result = std::move(trained);
  const std::vector<TensorView> variables = trainer->parameters().Variables();
  result->model_sha256 = ModelSha256(variables);
  for (const TensorView& variable : variables) {
    result->variables.emplace_back(variable.values.begin(), variable.values.end());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TrainingRunResult> RunTraining(const TrainingRunOptions& options) {
  LOCKSTEP_ASSIGN_OR_RETURN(const JobSpec spec, LoadJobSpec(options.job, "job.yaml", ""));
  TrainingRunResult result;
  const std::vector<absl::Status> statuses = RunLocalGroup(
      {.ranks = options.ranks,
       .shards = static_cast<int32_t>(spec.shards()),
       .hosts = options.hosts},
      [&](Communicator& communicator) { return RunRank(options, spec, communicator, &result); });
  LOCKSTEP_RETURN_IF_ERROR(FirstFailure(statuses));
  return result;
}

}  // namespace lockstep::testing
