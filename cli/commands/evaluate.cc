// lockstep evaluate: losses and metrics of a trained model on a job's test (or validation) data.
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/command.h"
#include "cli/job_request.h"
#include "cli/run_display.h"
#include "nlohmann/json.hpp"
#include <CLI/CLI.hpp>

#include "common/base/status_macros.h"
#include "common/checkpoint/job_output.h"
#include "common/checkpoint/safetensors.h"
#include "common/env/file_system.h"

namespace lockstep::cli::commands::evaluate {
namespace {

struct Request {
  JobRequest job;
  std::string model;
  bool json = false;
};

absl::Status CheckModel(const std::string& path, const JobGraph& graph) {
  LOCKSTEP_ASSIGN_OR_RETURN(const SafetensorsFile file,
                            SafetensorsFile::Open(PosixFileSystem(), path));
  LOCKSTEP_ASSIGN_OR_RETURN(const std::vector<TensorView> tensors, file.FloatViews());
  return MatchVariables(tensors, graph, path).status();
}

absl::StatusOr<JobSpec> Examine(const Request& request) {
  LOCKSTEP_ASSIGN_OR_RETURN(JobSpec spec, LoadJob(request.job));
  LOCKSTEP_ASSIGN_OR_RETURN(const OpenJob job, OpenAndPlan(spec));
  LOCKSTEP_RETURN_IF_ERROR(CheckMemory(job));
  if (!job.prepared->test.has_value() && !job.prepared->validation.has_value()) {
    return absl::FailedPreconditionError(
        "data: has neither 'test' nor 'validation' to evaluate on; add one");
  }
  LOCKSTEP_RETURN_IF_ERROR(CheckModel(request.model, job.prepared->graph));
  return spec;
}

int PrintEvaluation(const std::string& line, bool json) {
  const nlohmann::ordered_json evaluation =
      nlohmann::ordered_json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!evaluation.is_object()) {
    PrintError("the workers ended without a result");
    return kJobFailed;
  }
  if (json) {
    Print(line + "\n");
    return kSucceeded;
  }
  for (const auto& [name, value] : evaluation["metrics"].items()) {
    Print(absl::StrFormat("%s %.6f\n", name, value.get<double>()));
  }
  Print(absl::StrCat("model sha256 ", evaluation["model_sha256"].get<std::string>(), "\n"));
  return kSucceeded;
}

// The run's records and logs lie in a directory that goes with it.
int Run(Request request) {
  FileSystem& fs = PosixFileSystem();
  const absl::StatusOr<std::string> directory =
      fs.MakeUniqueDirectory(JoinPath(TemporaryDirectory(), "lockstep-evaluate-"));
  if (!directory.ok()) return Refuse(directory.status());
  request.model = AbsolutePath(request.model);
  request.job.overrides.out = *directory;
  const absl::StatusOr<JobSpec> spec = Examine(request);
  int code = kRequestWrong;
  if (!spec.ok()) {
    Refuse(InFile(request.job, spec.status()));
  } else {
    RunDisplay display(FindTerminal());
    const absl::StatusOr<Job> job =
        RunEmbedded({.spec = &*spec, .worker_options = {"--evaluate", request.model}}, display);
    display.Finish();
    if (!job.ok()) {
      Refuse(job.status());
    } else if (job->state == JobState::kSucceeded) {
      code = PrintEvaluation(display.evaluation(), request.json);
    } else {
      code = job->state == JobState::kPaused ? kInterrupted : kJobFailed;
      PrintError(job->message);
    }
  }
  fs.RemoveTree(*directory).IgnoreError();  // a temporary directory; the system clears it too
  return code;
}

std::function<int()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  AddResourceOptions(app, request->job);
  app.add_option("model", request->model, "a model.safetensors of this job")->required();
  app.add_flag("--json", request->json, "as JSON");
  return [request] { return Run(*request); };
}

}  // namespace

extern const CommandDef kDef;
constinit const CommandDef kDef = {"evaluate", "measure a trained model on the job's test data",
                                   "lockstep evaluate job.yaml out/model.safetensors -n 2", &Add};

}  // namespace lockstep::cli::commands::evaluate
