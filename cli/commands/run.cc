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
#include "common/checkpoint/checkpoint_files.h"
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

struct Examined {
  OpenJob open;
  std::string data_hash;
};

// All that can be wrong with the job and its data, before anything is written.
absl::StatusOr<Examined> Examine(const Request& request) {
  Examined examined;
  LOCKSTEP_ASSIGN_OR_RETURN(JobSpec spec, LoadJob(request.job));
  LOCKSTEP_ASSIGN_OR_RETURN(examined.open, OpenAndPlan(std::move(spec)));
  const PreparedJob& job = *examined.open.prepared;
  LOCKSTEP_RETURN_IF_ERROR(CheckMemory(examined.open));
  LOCKSTEP_ASSIGN_OR_RETURN(const DataFacts facts, InspectData(job));
  examined.data_hash = facts.hash;
  LOCKSTEP_RETURN_IF_ERROR(MakeOutput(PosixFileSystem(), job.spec.output().directory));
  return examined;
}

// The same of what the output directory holds; then says what is about to run.
absl::Status ExamineOutput(const Examined& examined, bool resume) {
  const PreparedJob& job = *examined.open.prepared;
  const JobSpec& spec = job.spec;
  if (!resume) {
    LOCKSTEP_RETURN_IF_ERROR(CheckOutputIsNew(PosixFileSystem(), spec.output().directory));
  } else {
    LOCKSTEP_ASSIGN_OR_RETURN(const std::optional<Checkpoint> checkpoint,
                              FindCheckpointOfJob(PosixFileSystem(), job, examined.data_hash));
    if (!checkpoint.has_value()) {
      std::fprintf(stderr, "no checkpoint to resume from; starting at step 0\n");
    }
  }
  std::fprintf(
      stderr, "%s\n",
      absl::StrCat(spec.name(), ": ", GroupedDigits(job.train.samples.size()), " samples, batch ",
                   spec.train().batch_size, " in ", spec.shards(), " shards, ",
                   spec.resources().workers, " workers x ", spec.resources().threads, " threads, ",
                   GroupedDigits(job.graph.parameters->parameter_count()), " parameters")
          .c_str());
  return absl::OkStatus();
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

// What the directory says: the news of a last checkpoint may not have come before the end.
void ReportInterrupt(const JobSpec& spec, const JobRequest& request) {
  const absl::StatusOr<std::vector<CheckpointName>> found =
      FindCheckpoints(PosixFileSystem(), CheckpointRoot(spec.output().directory));
  const bool any = found.ok() && !found->empty();
  const std::string where =
      any ? absl::StrCat("; the newest checkpoint is of step ", found->front().step)
          : " before the first checkpoint";
  std::fprintf(stderr, "interrupted%s; go on with: lockstep run%s --resume\n", where.c_str(),
               CommandLineOf(request).c_str());
}

int ReportEnd(const Job& job, const JobSpec& spec, const Request& request) {
  switch (job.state) {
    case JobState::kSucceeded:
      return PrintResult(spec, request.json);
    case JobState::kPaused:
      ReportInterrupt(spec, request.job);
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
  absl::StatusOr<Examined> examined = Examine(request);
  if (!examined.ok()) return Refuse(InFile(request.job, examined.status()));
  const JobSpec spec = examined->open.prepared->spec;
  const auto check_output = [&examined, &request] {
    const Examined job = *std::move(examined);  // closed before the workers need the memory
    return ExamineOutput(job, request.resume);
  };
  RunDisplay display(FindTerminal());
  const absl::StatusOr<Job> job =
      RunEmbedded({.spec = &spec, .check_output = check_output, .resume = request.resume}, display);
  display.Finish();
  if (!job.ok()) return Refuse(job.status());
  return ReportEnd(*job, spec, request);
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
