// StepTimes: where the time of a step goes, part by part; every moment belongs to one part. Thread:
// the trainer's. Errors: none.
#ifndef LOCKSTEP_WORKER_TRAIN_STEP_TIMES_H_
#define LOCKSTEP_WORKER_TRAIN_STEP_TIMES_H_

#include <array>
#include <cstddef>
#include <vector>

#include "absl/time/time.h"

#include "common/env/clock.h"
#include "common/plan/static_plan.h"

namespace lockstep {

enum class StepPart : size_t {
  kLoad,      // the batch into the feed
  kCalls,     // the plan's lists, with walking them
  kReduce,    // gradients over all shards
  kCheck,     // of the sums for non-finite values
  kExchange,  // of control words, losses and metrics
  kUpdate,    // optimizer and gathering of values
  kReport,    // metrics, checkpoints' stages
};
inline constexpr size_t kStepPartCount = 7;

// Seconds, added up over steps.
struct StepTimes {
  std::vector<std::vector<double>> calls;      // [phase][entry of its list]
  std::array<double, kStepPartCount> parts{};  // by StepPart
  absl::Duration last;                         // when the part that runs began

  void Start(const StaticPlan& plan, const Clock& clock) {
    if (calls.empty()) {
      for (const PlannedPhase& phase : plan.train()) {
        calls.emplace_back(phase.phase.builder->entries().size(), 0.0);
      }
    }
    last = clock.Monotonic();
  }
  void Lap(StepPart part, const Clock& clock) {
    const absl::Duration now = clock.Monotonic();
    parts[static_cast<size_t>(part)] += absl::ToDoubleSeconds(now - last);
    last = now;
  }
};

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_TRAIN_STEP_TIMES_H_
