// SimClock: time that moves only when a test says so.
#ifndef LOCKSTEP_TESTS_SUPPORT_SIM_CLOCK_H_
#define LOCKSTEP_TESTS_SUPPORT_SIM_CLOCK_H_

#include "absl/time/time.h"

#include "common/env/clock.h"

namespace lockstep::testing {

class SimClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::UnixEpoch() + elapsed_; }
  absl::Duration Monotonic() const override { return elapsed_; }
  void Advance(absl::Duration by) { elapsed_ += by; }

 private:
  absl::Duration elapsed_ = absl::Seconds(1000);
};

}  // namespace lockstep::testing

#endif  // LOCKSTEP_TESTS_SUPPORT_SIM_CLOCK_H_
