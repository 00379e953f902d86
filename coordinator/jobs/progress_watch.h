// ProgressWatch: decides when a live attempt is hung, from its own words only: a process stuck in a
// collective still beats. Thread: pure values; time is handed in (monotonic). Errors: none.
// Invariant: while training only a committed step counts as life; elsewhere any line does.
#ifndef LOCKSTEP_COORDINATOR_JOBS_PROGRESS_WATCH_H_
#define LOCKSTEP_COORDINATOR_JOBS_PROGRESS_WATCH_H_

#include <array>
#include <cstddef>
#include <optional>
#include <string>

#include "absl/time/time.h"

#include "coordinator/launch/progress_channel.h"

namespace lockstep {

struct ProgressLimits {
  absl::Duration step_floor = absl::Seconds(10);  // a step may take the greater of this and
  double step_factor = 10;                        // so many times the median of the last ones
  absl::Duration phase = absl::Minutes(10);       // silence in any other phase, the start included
};

class ProgressWatch {
 public:
  ProgressWatch(const ProgressLimits& limits, absl::Duration now) : limits_(limits), life_(now) {}

  void OnLine(const ProgressLine& line, absl::Duration now);
  // What is wrong, or nullopt.
  std::optional<std::string> Hung(absl::Duration now) const;

 private:
  static constexpr size_t kSteps = 64;  // the median's window

  absl::Duration MedianStep() const;

  ProgressLimits limits_;
  absl::Duration life_;  // the last sign of it
  std::string phase_ = "start";
  int64_t step_ = 0;
  bool timing_ =
      false;  // the last sign of life was a step, so the next interval is a step's duration
  size_t step_count_ = 0;
  std::array<absl::Duration, kSteps> steps_ = {};
};

}  // namespace lockstep

#endif  // LOCKSTEP_COORDINATOR_JOBS_PROGRESS_WATCH_H_
