// AttemptExit: how one attempt ended.
#ifndef LOCKSTEP_COORDINATOR_LAUNCH_ATTEMPT_EXIT_H_
#define LOCKSTEP_COORDINATOR_LAUNCH_ATTEMPT_EXIT_H_

#include <string>

namespace lockstep {

struct AttemptExit {
  int code = 0;              // ExitCode of the lowest rank that failed; 0 where a signal is known
  int signal = 0;            // the signal that ended a rank or the launch itself; 0: none
  std::string message = {};  // the worker's own words, if it had any

  friend bool operator==(const AttemptExit&, const AttemptExit&) = default;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COORDINATOR_LAUNCH_ATTEMPT_EXIT_H_
