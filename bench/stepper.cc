#include "bench/stepper.h"

#include <algorithm>
#include <limits>

#include "bench/harness.h"
#include "common/base/status_macros.h"
#include "common/env/clock.h"
#include "common/env/file_system.h"
#include "common/env/host.h"
#include "common/spec/job_yaml.h"
#include "worker/comm/local_group.h"

namespace lockstep::bench {
namespace {

// Threads may spin while each has a core of its own.
Spin SpinOf(const StepSetup& setup) {
  return setup.workers * setup.threads <= UsableCores() ? Spin::kBrief : Spin::kNone;
}

bool HasMatrix(const Layer& layer) {
  return std::any_of(layer.variables().begin(), layer.variables().end(),
                     [](const VariableSpec& variable) { return variable.shape.ndim() > 1; });
}

// Of one sample; the products only.
double SampleFlops(const Model& model) {
  double flops = 0;
  for (const Model::Call& call : model.calls()) {
    const Layer& layer = *model.layers()[call.layer].layer;
    if (HasMatrix(layer))
      flops += layer.training_flops(model.tensors()[call.inputs[0]].needs_gradient);
  }
  return flops;
}

}  // namespace

Stepper::Stepper(const StepSetup& setup, Communicator& communicator)
    : setup_(setup),
      cache_(DataCache::FromEnvironment(PosixFileSystem())),
      environment_{&PosixFileSystem(), &cache_},
      pool_(setup.threads, SpinOf(setup)) {
  Require(Prepare(communicator));
}

void Stepper::Run(int steps) {
  for (int i = 0; i < steps; ++i) Require(trainer_->RunStep());
}

std::vector<Stepper::CallTime> Stepper::TimeCalls(int steps) {
  std::vector<CallTime> calls;
  for (size_t phase = 0; phase < plan_->train().size(); ++phase) {
    const auto& entries = plan_->train()[phase].phase.builder->entries();
    std::vector<double> best(entries.size(), std::numeric_limits<double>::infinity());
    for (int i = 0; i < steps; ++i) {
      std::vector<double> seconds(entries.size(), 0.0);
      Require(trainer_->executor().RunTimed(phase, RealClock(), absl::MakeSpan(seconds)));
      for (size_t e = 0; e < best.size(); ++e) best[e] = std::min(best[e], seconds[e]);
    }
    for (size_t e = 0; e < entries.size(); ++e) {
      const bool kernel = entries[e].kind == StepBuilder::Entry::Kind::kCall;
      calls.push_back({.label = kernel ? entries[e].info.label : entries[e].collective.label,
                       .seconds = best[e],
                       .flops = entries[e].info.flops,
                       .bytes = entries[e].info.bytes});
    }
  }
  return calls;
}

double Stepper::flops() const {
  // Another program than the supervised one runs a model more or less than once a step.
  if (job_->spec.program().type != "supervised") return plan_->flops() * setup_.workers;
  double flops = 0;
  for (const JobModel& model : job_->graph.models) flops += SampleFlops(*model.model);
  return flops * static_cast<double>(setup_.batch_size);
}

absl::Status Stepper::Prepare(Communicator& communicator) {
  LOCKSTEP_ASSIGN_OR_RETURN(const std::string text,
                            ReadFile(PosixFileSystem(), setup_.job_file, kYamlBytesMax));
  LOCKSTEP_ASSIGN_OR_RETURN(Value value, ParseYaml(text, setup_.job_file));
  Value train = Value::MakeMap();
  train.Set("batch_size", Value::Int(setup_.batch_size));
  train.Set("epochs", Value::Int(1'000'000));
  train.Set("shards", Value::Int(setup_.shards));
  value.Set("train", std::move(train));
  LOCKSTEP_ASSIGN_OR_RETURN(JobSpec spec,
                            ParseJobSpec(value, ParentPath(AbsolutePath(setup_.job_file))));
  LOCKSTEP_ASSIGN_OR_RETURN(job_, PrepareJob(std::move(spec), environment_));
  plan_ = job_->PlanFor(communicator.size(), communicator.rank());
  LOCKSTEP_ASSIGN_OR_RETURN(
      trainer_, Trainer::Create({.spec = &job_->spec,
                                 .graph = &job_->graph,
                                 .plan = plan_.get(),
                                 .communicator = &communicator,
                                 .pool = &pool_,
                                 .train = {job_->train.dataset.get(), job_->train.samples},
                                 .fs = &PosixFileSystem(),
                                 .clock = &RealClock(),
                                 .requests = &requests_}));
  trainer_->Initialize();
  return absl::OkStatus();
}

void AsRanks(const StepSetup& setup, absl::FunctionRef<void(Communicator&)> body) {
  Require(FirstFailure(RunLocalGroup(
      {.ranks = setup.workers, .shards = static_cast<int32_t>(setup.shards), .spin = SpinOf(setup)},
      [&](Communicator& communicator) {
        body(communicator);
        return absl::OkStatus();
      })));
}

}  // namespace lockstep::bench
