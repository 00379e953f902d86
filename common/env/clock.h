// Clock: the only source of time outside common/env. Thread: any. Errors: none.
// Invariant: Monotonic() never goes back and is what every timer uses; Now() only stamps records.
#ifndef LOCKSTEP_COMMON_ENV_CLOCK_H_
#define LOCKSTEP_COMMON_ENV_CLOCK_H_

#include "absl/time/time.h"

namespace lockstep {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;            // wall clock
  virtual absl::Duration Monotonic() const = 0;  // since an arbitrary start
};

// Lives as long as the process.
const Clock& RealClock();

// Blocks this thread; for polling what cannot be waited for.
void PauseFor(absl::Duration duration);

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_ENV_CLOCK_H_
