// lockstep plan: the step of one worker as it will run: every kernel call and collective with its
// shapes, arithmetic, traffic and the time that this machine's roofs allow, and where the memory
// goes. With --measure, what each takes: the profiler.
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/job_request.h"
#include "cli/plan_report.h"
#include <CLI/CLI.hpp>

#include "common/base/status_macros.h"

namespace lockstep::cli::commands::plan {
namespace {

struct Request {
  JobRequest job;
  int32_t rank = 0;
  bool json = false;
  bool measure = false;
  std::string sort = "order";
};

absl::Status Show(const Request& request) {
  LOCKSTEP_ASSIGN_OR_RETURN(JobSpec spec, LoadJob(request.job));
  LOCKSTEP_ASSIGN_OR_RETURN(const OpenJob job, OpenAndPlan(std::move(spec)));
  const auto workers = static_cast<int32_t>(job.worker_bytes.size());
  if (request.rank < 0 || request.rank >= workers) {
    return absl::InvalidArgumentError(
        absl::StrCat("--rank ", request.rank, " of ", workers, " workers; use 0 to ", workers - 1));
  }
  const std::unique_ptr<StaticPlan> plan = job.prepared->PlanFor(workers, request.rank);
  const int64_t threads = job.prepared->spec.resources().threads;
  std::optional<StepProfile> profile;
  if (request.measure) {
    LOCKSTEP_RETURN_IF_ERROR(CheckMemory(job));
    LOCKSTEP_ASSIGN_OR_RETURN(
        profile, ProfileStep(*job.prepared, {.workers = workers, .rank = request.rank}));
  }
  LOCKSTEP_ASSIGN_OR_RETURN(const Roofs roofs,
                            MeasureRoofs(static_cast<int>(threads), RoofEffort::kQuick));
  const PlanReport report{.plan = plan.get(),
                          .roofs = &roofs,
                          .threads = threads,
                          .profile = profile.has_value() ? &*profile : nullptr,
                          .by_time = request.sort == "time"};
  if (request.json) {
    PrintJson(ToValue(report));
  } else {
    Print(ToText(report));
  }
  return absl::OkStatus();
}

std::function<int()> Add(CLI::App& app) {
  auto request = std::make_shared<Request>();
  AddJobOptions(app, request->job);
  app.add_option("--rank", request->rank, "whose plan; ranks differ in extents only");
  app.add_flag("--measure", request->measure,
               "train some steps on the job's data, keep nothing, and say what each call took");
  app.add_option("--sort", request->sort, "of the calls: as they run, or longest first")
      ->check(CLI::IsMember({"order", "time"}))
      ->type_name("order|time");
  app.add_flag("--json", request->json, "as JSON");
  return [request]() -> int {
    const absl::Status status = Show(*request);
    return status.ok() ? kSucceeded : Refuse(InFile(request->job, status));
  };
}

}  // namespace

extern const CommandDef kDef;
constinit const CommandDef kDef = {"plan", "print a worker's step call by call, or profile it",
                                   "lockstep plan job.yaml --measure --sort time", &Add};

}  // namespace lockstep::cli::commands::plan
