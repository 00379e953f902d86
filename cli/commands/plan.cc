// lockstep plan: the step of one worker as it will run: every kernel call and collective with its
// arithmetic and traffic, and where the memory goes.
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/command.h"
#include "cli/job_request.h"
#include <CLI/CLI.hpp>

#include "common/base/status_macros.h"
#include "common/plan/model_summary.h"

namespace lockstep::cli::commands::plan {
namespace {

struct Request {
  JobRequest job;
  int32_t rank = 0;
  bool json = false;
};

using Entry = StepBuilder::Entry;

std::string LabelOf(const Entry& entry) {
  if (entry.kind == Entry::Kind::kCall) return entry.info.label;
  return absl::StrCat(entry.collective.label, " (collective)");
}

void PrintPhase(const PlannedPhase& phase) {
  std::vector<std::vector<std::string>> rows = {{"#", "call", "FLOPs", "bytes"}};
  const std::vector<Entry>& entries = phase.phase.builder->entries();
  for (size_t i = 0; i < entries.size(); ++i) {
    const CallInfo& info = entries[i].info;
    rows.push_back({absl::StrCat(i), LabelOf(entries[i]),
                    info.flops > 0 ? HumanCount(info.flops) : "",
                    info.bytes > 0 ? HumanBytes(static_cast<int64_t>(info.bytes)) : ""});
  }
  Print(absl::StrCat("phase '", phase.phase.name, "'\n",
                     FormatTable(rows, {true, false, true, true}), "arena ",
                     HumanBytes(phase.arena.bytes), ", no layout needs less than ",
                     HumanBytes(phase.arena_lower_bound), "\n\n"));
}

void PrintText(const StaticPlan& plan) {
  for (const PlannedPhase& phase : plan.train()) PrintPhase(phase);
  for (const PlannedEvaluation& evaluation : plan.evaluations()) PrintPhase(evaluation.phase);
  std::vector<std::vector<std::string>> rows = {{"memory", "bytes"}};
  for (const PersistentBuffer& buffer : plan.persistent()) {
    rows.push_back({buffer.name, HumanBytes(buffer.bytes)});
  }
  rows.push_back({"arena", HumanBytes(plan.arena_bytes())});
  rows.push_back({"in all", HumanBytes(plan.bytes())});
  Print(FormatTable(rows, {false, true}));
}

Value PhaseValue(const PlannedPhase& phase) {
  Value::List calls;
  for (const Entry& entry : phase.phase.builder->entries()) {
    Value call = Value::MakeMap();
    const bool kernel = entry.kind == Entry::Kind::kCall;
    call.Set("label", Value::String(kernel ? entry.info.label : entry.collective.label));
    call.Set("kind", Value::String(kernel ? "kernel" : "collective"));
    call.Set("flops", Value::Float(entry.info.flops));
    call.Set("bytes", Value::Float(entry.info.bytes));
    calls.push_back(std::move(call));
  }
  Value value = Value::MakeMap();
  value.Set("name", Value::String(phase.phase.name));
  value.Set("calls", Value::MakeList(std::move(calls)));
  value.Set("arena_bytes", Value::Int(phase.arena.bytes));
  value.Set("arena_lower_bound_bytes", Value::Int(phase.arena_lower_bound));
  return value;
}

Value PlanValue(const StaticPlan& plan) {
  Value::List phases;
  for (const PlannedPhase& phase : plan.train()) phases.push_back(PhaseValue(phase));
  for (const PlannedEvaluation& evaluation : plan.evaluations()) {
    phases.push_back(PhaseValue(evaluation.phase));
  }
  Value::List buffers;
  for (const PersistentBuffer& buffer : plan.persistent()) {
    Value entry = Value::MakeMap();
    entry.Set("name", Value::String(buffer.name));
    entry.Set("bytes", Value::Int(buffer.bytes));
    buffers.push_back(std::move(entry));
  }
  Value value = Value::MakeMap();
  value.Set("phases", Value::MakeList(std::move(phases)));
  value.Set("buffers", Value::MakeList(std::move(buffers)));
  value.Set("arena_bytes", Value::Int(plan.arena_bytes()));
  value.Set("bytes", Value::Int(plan.bytes()));
  return value;
}

absl::Status Show(const Request& request) {
  LOCKSTEP_ASSIGN_OR_RETURN(JobSpec spec, LoadJob(request.job));
  LOCKSTEP_ASSIGN_OR_RETURN(const OpenJob job, OpenAndPlan(std::move(spec)));
  const auto workers = static_cast<int32_t>(job.worker_bytes.size());
  if (request.rank < 0 || request.rank >= workers) {
    return absl::InvalidArgumentError(
        absl::StrCat("--rank ", request.rank, " of ", workers, " workers; use 0 to ", workers - 1));
  }
  const std::unique_ptr<StaticPlan> plan = job.prepared->PlanFor(workers, request.rank);
  if (request.json) {
    PrintJson(PlanValue(*plan));
  } else {
    PrintText(*plan);
  }
  return absl::OkStatus();
}

std::function<int()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  AddJobOptions(app, request->job);
  app.add_option("--rank", request->rank, "whose plan; ranks differ in extents only");
  app.add_flag("--json", request->json, "as JSON");
  return [request]() -> int {
    const absl::Status status = Show(*request);
    return status.ok() ? kSucceeded : Refuse(InFile(request->job, status));
  };
}

}  // namespace

extern const CommandDef kDef;
constinit const CommandDef kDef = {"plan", "print a worker's step call by call",
                                   "lockstep plan job.yaml -n 2", &Add};

}  // namespace lockstep::cli::commands::plan
