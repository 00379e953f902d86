// lockstep validate: everything that is known of a job before it runs: layers, parameters, memory,
// steps, shards, data.
#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/job_request.h"
#include <CLI/CLI.hpp>

#include "common/base/status_macros.h"
#include "common/plan/model_summary.h"

namespace lockstep::cli::commands::validate {
namespace {

struct Facts {
  std::vector<ModelSummary> models;
  DataFacts data;
  int64_t worker_bytes = 0;    // of the largest
  int64_t gradient_bytes = 0;  // summed in a step
  int64_t samples = 0;
  int64_t validation_samples = 0;
  int64_t test_samples = 0;
  int64_t steps_per_epoch = 0;
};

absl::StatusOr<Facts> Examine(const JobRequest& request, OpenJob& job) {
  LOCKSTEP_ASSIGN_OR_RETURN(JobSpec spec, LoadJob(request));
  LOCKSTEP_ASSIGN_OR_RETURN(job, OpenAndPlan(std::move(spec)));
  LOCKSTEP_RETURN_IF_ERROR(CheckMemory(job));
  Facts facts;
  LOCKSTEP_ASSIGN_OR_RETURN(facts.data, InspectData(*job.prepared));
  for (const JobModel& model : job.prepared->graph.models) {
    facts.models.push_back(Summarize(*model.model));
  }
  facts.worker_bytes = *std::max_element(job.worker_bytes.begin(), job.worker_bytes.end());
  facts.gradient_bytes = job.prepared->graph.parameters->trainable_elements() * 4;
  facts.samples = job.prepared->train.samples.size();
  if (job.prepared->validation) facts.validation_samples = job.prepared->validation->samples.size();
  if (job.prepared->test) facts.test_samples = job.prepared->test->samples.size();
  facts.steps_per_epoch = job.prepared->steps_per_epoch();
  return facts;
}

std::string SamplesText(const Facts& facts) {
  std::string text = absl::StrCat(GroupedDigits(facts.samples), " to train");
  if (facts.validation_samples > 0) {
    absl::StrAppend(&text, ", ", GroupedDigits(facts.validation_samples), " to validate");
  }
  if (facts.test_samples > 0) {
    absl::StrAppend(&text, ", ", GroupedDigits(facts.test_samples), " to test");
  }
  return text;
}

void PrintText(const JobSpec& spec, const Facts& facts) {
  for (const ModelSummary& model : facts.models) Print(ToText(model));
  const std::vector<std::vector<std::string>> rows = {
      {"job", spec.name()},
      {"samples", absl::StrCat(SamplesText(facts), " (content hash ", facts.data.hash, ")")},
      {"batch", absl::StrCat(spec.train().batch_size, " samples in ", spec.shards(), " shards")},
      {"steps", absl::StrCat(GroupedDigits(facts.steps_per_epoch), " per epoch")},
      {"workers", absl::StrCat(spec.resources().workers, " x ", spec.resources().threads,
                               " threads; any other number gives the same model")},
      {"memory", absl::StrCat(HumanBytes(facts.worker_bytes), " per worker")},
      {"gradients", absl::StrCat(HumanBytes(facts.gradient_bytes), " per step")},
      {"output", spec.output().directory},
  };
  Print("\n");
  for (const std::vector<std::string>& row : rows) {
    Print(absl::StrCat(row[0], std::string(11 - row[0].size(), ' '), row[1], "\n"));
  }
}

Value ToJsonValue(const JobSpec& spec, const Facts& facts) {
  Value::List models;
  for (const ModelSummary& model : facts.models) models.push_back(ToValue(model));
  Value value = Value::MakeMap();
  value.Set("name", Value::String(spec.name()));
  value.Set("models", Value::MakeList(std::move(models)));
  value.Set("samples", Value::Int(facts.samples));
  value.Set("validation_samples", Value::Int(facts.validation_samples));
  value.Set("test_samples", Value::Int(facts.test_samples));
  value.Set("data_hash", Value::String(facts.data.hash));
  value.Set("batch_size", Value::Int(spec.train().batch_size));
  value.Set("shards", Value::Int(spec.shards()));
  value.Set("steps_per_epoch", Value::Int(facts.steps_per_epoch));
  value.Set("workers", Value::Int(spec.resources().workers));
  value.Set("threads", Value::Int(spec.resources().threads));
  value.Set("memory_bytes_per_worker", Value::Int(facts.worker_bytes));
  value.Set("gradient_bytes_per_step", Value::Int(facts.gradient_bytes));
  value.Set("output_directory", Value::String(spec.output().directory));
  return value;
}

struct Request {
  JobRequest job;
  bool json = false;
};

int Run(const Request& request) {
  OpenJob job;
  const absl::StatusOr<Facts> facts = Examine(request.job, job);
  if (!facts.ok()) return Refuse(InFile(request.job, facts.status()));
  if (request.json) {
    PrintJson(ToJsonValue(job.prepared->spec, *facts));
  } else {
    PrintText(job.prepared->spec, *facts);
  }
  return kSucceeded;
}

std::function<int()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  AddJobOptions(app, request->job);
  app.add_flag("--json", request->json, "as JSON");
  return [request] { return Run(*request); };
}

}  // namespace

extern const CommandDef kDef;
constinit const CommandDef kDef = {"validate", "check a job and its data; print what it will need",
                                   "lockstep validate job.yaml -n 4", &Add};

}  // namespace lockstep::cli::commands::validate
