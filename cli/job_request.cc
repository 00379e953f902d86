#include "cli/job_request.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include <CLI/CLI.hpp>

#include "common/base/status_macros.h"
#include "common/checkpoint/exporter_registry.h"
#include "common/checkpoint/job_output.h"
#include "common/env/file_system.h"
#include "common/env/host.h"
#include "common/plan/model_summary.h"
#include "common/spec/job_yaml.h"

namespace lockstep::cli {
namespace {

std::string QuotedForShell(absl::string_view word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || absl::StrContains("/._-+,:=@%", static_cast<char>(c));
  });
  if (plain) return std::string(word);
  return absl::StrCat("'", absl::StrReplaceAll(word, {{"'", "'\\''"}}), "'");
}

}  // namespace

void AddResourceOptions(CLI::App& app, JobRequest& request) {
  app.add_option("job", request.file, "the job file, YAML or JSON")->required()->type_name("FILE");
  app.add_option("-n,--workers", request.overrides.workers, "worker processes")->type_name("N");
  app.add_option("--threads", request.overrides.threads, "compute threads of each worker")
      ->type_name("N");
}

void AddJobOptions(CLI::App& app, JobRequest& request) {
  AddResourceOptions(app, request);
  app.add_option("--steps", request.overrides.steps, "end after this many updates")->type_name("N");
  app.add_option("--epochs", request.overrides.epochs, "end after this many epochs")
      ->type_name("N");
  app.add_option("--seed", request.overrides.seed, "of all random numbers")->type_name("N");
  app.add_option("--out", request.overrides.out, "the output directory")->type_name("DIR");
}

absl::StatusOr<JobSpec> LoadJob(const JobRequest& request) {
  const absl::StatusOr<std::string> text = ReadFile(PosixFileSystem(), request.file, kYamlBytesMax);
  if (!text.ok()) {
    return absl::Status(text.status().code(), absl::StrCat("job: ", text.status().message(),
                                                           "; give the path of a job file"));
  }
  LOCKSTEP_ASSIGN_OR_RETURN(
      JobSpec spec, LoadJobSpec(*text, request.file, ParentPath(AbsolutePath(request.file))));
  LOCKSTEP_ASSIGN_OR_RETURN(Overrides overrides, ParseOverrides(request.overrides));
  if (overrides.out.has_value() && !overrides.out->empty()) {
    overrides.out = AbsolutePath(*overrides.out);
  }
  return ApplyOverrides(std::move(spec), overrides);
}

absl::Status InFile(const JobRequest& request, const absl::Status& status) {
  const absl::string_view message = status.message();
  const bool known = absl::StartsWith(message, request.file) || absl::StartsWith(message, "job: ");
  return known || absl::StartsWith(message, "--") ? status : Annotate(status, request.file);
}

std::string CommandLineOf(const JobRequest& request) {
  std::string line = absl::StrCat(" ", QuotedForShell(request.file));
  const auto add = [&line](const char* option, const std::optional<std::string>& word) {
    if (word.has_value()) absl::StrAppend(&line, " ", option, " ", QuotedForShell(*word));
  };
  add("--workers", request.overrides.workers);
  add("--threads", request.overrides.threads);
  add("--steps", request.overrides.steps);
  add("--epochs", request.overrides.epochs);
  add("--seed", request.overrides.seed);
  add("--out", request.overrides.out);
  return line;
}

absl::StatusOr<OpenJob> OpenAndPlan(JobSpec spec) {
  LOCKSTEP_RETURN_IF_ERROR(CheckWorkers(spec, spec.resources().workers));
  LOCKSTEP_RETURN_IF_ERROR(ExportersOf(spec).status());
  OpenJob job{.cache = std::make_unique<DataCache>(DataCache::FromEnvironment(PosixFileSystem()))};
  DataEnvironment environment{&PosixFileSystem(), job.cache.get()};
  LOCKSTEP_ASSIGN_OR_RETURN(job.prepared, PrepareJob(std::move(spec), environment));
  const auto workers = static_cast<int32_t>(job.prepared->spec.resources().workers);
  for (int32_t rank = 0; rank < workers; ++rank) {
    job.worker_bytes.push_back(job.prepared->PlanFor(workers, rank)->bytes());
  }
  return job;
}

absl::Status CheckMemory(const OpenJob& job) {
  const int64_t largest = *std::max_element(job.worker_bytes.begin(), job.worker_bytes.end());
  const std::optional<int64_t> limit = job.prepared->spec.resources().memory_bytes;
  if (limit.has_value() && largest > *limit) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "resources.memory: a worker needs ", HumanBytes(largest), ", ", HumanBytes(*limit),
        " are allowed; use more workers, a smaller train.batch_size, or allow more"));
  }
  const int64_t total =
      std::accumulate(job.worker_bytes.begin(), job.worker_bytes.end(), int64_t{0});
  const int64_t available = AvailableMemoryBytes();
  if (total <= available) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("resources.workers: ", job.worker_bytes.size(), " workers need ",
                   HumanBytes(total), " together, this host has ", HumanBytes(available),
                   " to give; use a smaller train.batch_size, fewer workers, or a larger host"));
}

}  // namespace lockstep::cli
