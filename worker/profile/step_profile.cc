#include "worker/profile/step_profile.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"

#include "common/base/compute_pool.h"
#include "common/base/status_macros.h"
#include "common/env/file_system.h"
#include "common/env/host.h"
#include "common/kernels/simd_target.h"
#include "common/plan/job_graph.h"
#include "worker/comm/local_group.h"
#include "worker/train/trainer.h"

namespace lockstep {
namespace {

constexpr int kWarmUpSteps = 3;
constexpr int kStepsMin = 5;
constexpr int kStepsMax = 400;

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double SecondsOf(Trainer& trainer, absl::Status& status, StepTimes* times) {
  const absl::Duration begin = RealClock().Monotonic();
  status = trainer.RunStep(times);
  return absl::ToDoubleSeconds(RealClock().Monotonic() - begin);
}

// Medians of the entries of one vector per step.
std::vector<double> MediansOf(const std::vector<StepTimes>& steps, size_t phase) {
  std::vector<double> medians;
  for (size_t e = 0; e < steps[0].calls[phase].size(); ++e) {
    std::vector<double> seconds;
    for (const StepTimes& times : steps) seconds.push_back(times.calls[phase][e]);
    medians.push_back(Median(std::move(seconds)));
  }
  return medians;
}

// Of one step: its parts differ from step to step more than this does.
double OverheadOf(const StepTimes& times) {
  const auto part = [&times](StepPart p) { return times.parts[static_cast<size_t>(p)]; };
  double walk = part(StepPart::kCalls);
  for (const std::vector<double>& phase : times.calls) {
    walk -= std::accumulate(phase.begin(), phase.end(), 0.0);
  }
  return walk + part(StepPart::kExchange) + part(StepPart::kReport);
}

StepProfile ProfileOf(const std::vector<double>& plain, const std::vector<double>& timed,
                      const std::vector<StepTimes>& steps) {
  StepProfile profile{
      .steps = static_cast<int>(steps.size()), .step = Median(plain), .timed_step = Median(timed)};
  for (size_t phase = 0; phase < steps[0].calls.size(); ++phase) {
    profile.calls.push_back(MediansOf(steps, phase));
  }
  std::vector<double> overheads;
  for (const StepTimes& times : steps) overheads.push_back(OverheadOf(times));
  profile.overhead = Median(std::move(overheads));
  for (size_t part = 0; part < kStepPartCount; ++part) {
    std::vector<double> seconds;
    for (const StepTimes& times : steps) seconds.push_back(times.parts[part]);
    profile.parts[part] = Median(std::move(seconds));
  }
  return profile;
}

// Every rank does as many steps as rank 0 finds time for: they meet in each.
absl::StatusOr<StepProfile> ProfileRank(Trainer& trainer, Communicator& communicator,
                                        double seconds) {
  absl::Status status;
  double one = 0;
  for (int i = 0; i < kWarmUpSteps; ++i) {
    one = SecondsOf(trainer, status, nullptr);
    LOCKSTEP_RETURN_IF_ERROR(status);
  }
  int pairs =
      static_cast<int>(std::clamp(seconds / (2 * one), double{kStepsMin}, double{kStepsMax}));
  LOCKSTEP_RETURN_IF_ERROR(
      communicator.Broadcast({reinterpret_cast<std::byte*>(&pairs), sizeof(pairs)}, 0));
  std::vector<double> plain, timed;
  std::vector<StepTimes> steps(static_cast<size_t>(pairs));
  for (StepTimes& times : steps) {
    plain.push_back(SecondsOf(trainer, status, nullptr));
    LOCKSTEP_RETURN_IF_ERROR(status);
    timed.push_back(SecondsOf(trainer, status, &times));
    LOCKSTEP_RETURN_IF_ERROR(status);
  }
  return ProfileOf(plain, timed, steps);
}

// A rank has a graph of its own: its optimizers have state.
absl::StatusOr<std::unique_ptr<PreparedJob>> OfOneRank(const PreparedJob& job) {
  LOCKSTEP_ASSIGN_OR_RETURN(JobGraph graph, BuildJobGraph(job.spec));
  return std::unique_ptr<PreparedJob>(new PreparedJob{.spec = job.spec,
                                                      .graph = std::move(graph),
                                                      .program = job.program,
                                                      .train = job.train,
                                                      .validation = job.validation,
                                                      .test = job.test});
}

absl::StatusOr<StepProfile> RunRank(const PreparedJob& shared, const ProfileRequest& request,
                                    Communicator& communicator) {
  LOCKSTEP_ASSIGN_OR_RETURN(const std::unique_ptr<PreparedJob> own, OfOneRank(shared));
  const PreparedJob& job = *own;
  const std::unique_ptr<StaticPlan> plan = job.PlanFor(request.workers, communicator.rank());
  ComputePool pool(static_cast<int>(job.spec.resources().threads), Spin::kBrief);
  TrainingRequests requests;
  LOCKSTEP_ASSIGN_OR_RETURN(const std::unique_ptr<Trainer> trainer,
                            Trainer::Create({.spec = &job.spec,
                                             .graph = &job.graph,
                                             .plan = plan.get(),
                                             .communicator = &communicator,
                                             .pool = &pool,
                                             .train = {job.train.dataset.get(), job.train.samples},
                                             .fs = &PosixFileSystem(),
                                             .clock = &RealClock(),
                                             .requests = &requests}));
  trainer->Initialize();
  return ProfileRank(*trainer, communicator, request.seconds);
}

}  // namespace

double StepProfile::calls_sum() const {
  double sum = 0;
  for (const std::vector<double>& phase : calls)
    sum = std::accumulate(phase.begin(), phase.end(), sum);
  return sum;
}

absl::StatusOr<StepProfile> ProfileStep(const PreparedJob& job, const ProfileRequest& request) {
  LOCKSTEP_RETURN_IF_ERROR(kernels::InitSimd());
  const int64_t wanted = request.workers * job.spec.resources().threads;
  if (wanted > UsableCores()) {
    return absl::FailedPreconditionError(
        absl::StrCat(request.workers, " workers of ", job.spec.resources().threads,
                     " threads want ", wanted, " cores to be measured on, this process may use ",
                     UsableCores(), "; measure with fewer (-n, --threads) or on another machine"));
  }
  absl::StatusOr<StepProfile> profile = absl::UnknownError("the rank did not run");
  const std::vector<absl::Status> statuses =
      RunLocalGroup({.ranks = request.workers,
                     .shards = static_cast<int32_t>(job.spec.shards()),
                     .spin = Spin::kBrief},
                    [&](Communicator& communicator) {
                      absl::StatusOr<StepProfile> own = RunRank(job, request, communicator);
                      const absl::Status status = own.status();
                      if (communicator.rank() == request.rank) profile = std::move(own);
                      return status;
                    });
  LOCKSTEP_RETURN_IF_ERROR(FirstFailure(statuses));
  return profile;
}

}  // namespace lockstep
