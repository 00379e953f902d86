#include "common/env/clock.h"

#include <ctime>

#include "absl/time/clock.h"

namespace lockstep {
namespace {

class SystemClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
  absl::Duration Monotonic() const override {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return absl::DurationFromTimespec(now);
  }
};

}  // namespace

const Clock& RealClock() {
  static const SystemClock* const clock = new SystemClock;
  return *clock;
}

void PauseFor(absl::Duration duration) { absl::SleepFor(duration); }

}  // namespace lockstep
