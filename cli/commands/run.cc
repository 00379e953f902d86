// lockstep run: train a job here and now, with live progress; no daemon, no configuration.
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
#include "common/env/file_system.h"
#include "common/plan/model_summary.h"

namespace lockstep::cli::commands::run {
namespace {

constexpr int64_t kResultBytesMax = int64_t{16} << 20;

struct Request {
  JobRequest job;
  bool resume = false;
  bool json = false;
};

// All that can be wrong with the request, before anything is started or written.
absl::StatusOr<JobSpec> Examine(const Request& request) {
  LOCKSTEP_ASSIGN_OR_RETURN(JobSpec spec, LoadJob(request.job));
  LOCKSTEP_ASSIGN_OR_RETURN(const OpenJob job, OpenAndPlan(spec));
  LOCKSTEP_RETURN_IF_ERROR(CheckMemory(job));
  LOCKSTEP_RETURN_IF_ERROR(InspectData(*job.prepared).status());
  LOCKSTEP_RETURN_IF_ERROR(
      PrepareOutput(PosixFileSystem(), spec.output().directory, request.resume));
  if (request.resume) {
    LOCKSTEP_ASSIGN_OR_RETURN(const std::optional<Checkpoint> checkpoint,
                              FindCheckpointOfJob(PosixFileSystem(), spec, job.prepared->graph));
    if (!checkpoint.has_value()) {
      std::fprintf(stderr, "no checkpoint to resume from; starting at step 0\n");
    }
  }
  std::fprintf(
      stderr, "%s\n",
      absl::StrCat(spec.name(), ": ", GroupedDigits(job.prepared->train.samples.size()),
                   " samples, batch ", spec.train().batch_size, " in ", spec.shards(), " shards, ",
                   spec.resources().workers, " workers x ", spec.resources().threads, " threads, ",
                   GroupedDigits(job.prepared->graph.parameters->parameter_count()), " parameters")
          .c_str());
  return spec;
}

int PrintResult(const JobSpec& spec, bool json) {
  const std::string& directory = spec.output().directory;
  const absl::StatusOr<std::string> text =
      ReadFile(PosixFileSystem(), JoinPath(directory, kResultName), kResultBytesMax);
  if (!text.ok()) {
    PrintError(text.status().message());
    return kJobFailed;
  }
  if (json) {
    Print(*text);
    return kSucceeded;
  }
  const nlohmann::ordered_json result =
      nlohmann::ordered_json::parse(*text, nullptr, /*allow_exceptions=*/false);
  for (const auto& [name, value] : result["metrics"].items()) {
    if (name.rfind("test_", 0) == 0) Print(absl::StrFormat("%s %.4f\n", name, value.get<double>()));
  }
  for (const auto& file : result["files"]) {
    Print(absl::StrCat("model ", JoinPath(directory, file.get<std::string>()), "\n"));
  }
  Print(absl::StrFormat("trained %d steps in %.1f s, %.0f samples/s\n",
                        result["steps"].get<int64_t>(), result["seconds"].get<double>(),
                        result["samples_per_second"].get<double>()));
  Print(absl::StrCat("model sha256 ", result["model_sha256"].get<std::string>(), "\n"));
  return kSucceeded;
}

int ReportEnd(const Job& job, const JobSpec& spec, const Request& request) {
  switch (job.state) {
    case JobState::kSucceeded:
      return PrintResult(spec, request.json);
    case JobState::kPaused:
      std::fprintf(stderr,
                   "interrupted at step %lld; go on with: lockstep run %s --resume --out %s\n",
                   static_cast<long long>(job.step), request.job.file.c_str(),
                   spec.output().directory.c_str());
      return kInterrupted;
    case JobState::kCancelled:
      return kCancelled;
    default:
      PrintError(absl::StrCat(job.message, " (", JobReasonName(job.reason), "); the logs are in ",
                              JoinPath(spec.output().directory, "logs")));
      return kJobFailed;
  }
}

int Run(const Request& request) {
  const absl::StatusOr<JobSpec> spec = Examine(request);
  if (!spec.ok()) return Refuse(spec.status());
  RunDisplay display(FindTerminal());
  const absl::StatusOr<Job> job = RunEmbedded({.spec = &*spec, .resume = request.resume}, display);
  if (!job.ok()) return Refuse(job.status());
  return ReportEnd(*job, *spec, request);
}

std::function<int()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  AddJobOptions(app, request->job);
  app.add_flag("--resume", request->resume, "go on from the newest checkpoint in --out");
  app.add_flag("--json", request->json, "print the result as JSON");
  return [request] { return Run(*request); };
}

}  // namespace

extern const CommandDef kDef;
constinit const CommandDef kDef = {"run", "train a job on this machine",
                                   "lockstep run job.yaml -n 4 --out out", &Add};

}  // namespace lockstep::cli::commands::run
