// WaitUntil: for what only another process can bring about. Polls; a test never sleeps otherwise.
#ifndef LOCKSTEP_TESTS_SUPPORT_WAIT_UNTIL_H_
#define LOCKSTEP_TESTS_SUPPORT_WAIT_UNTIL_H_

#include "absl/functional/function_ref.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace lockstep {

// False if it is not so within `limit`.
[[nodiscard]] inline bool WaitUntil(absl::FunctionRef<bool()> condition,
                                    absl::Duration limit = absl::Seconds(20)) {
  constexpr absl::Duration kPoll = absl::Milliseconds(2);
  for (absl::Duration waited; waited < limit; waited += kPoll) {
    if (condition()) return true;
    absl::SleepFor(kPoll);
  }
  return condition();
}

}  // namespace lockstep

#endif  // LOCKSTEP_TESTS_SUPPORT_WAIT_UNTIL_H_
