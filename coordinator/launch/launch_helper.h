// The launch helper: a small process between the supervisor and mpirun, one per attempt, leader of
// a session of its own. It is mpirun's parent, hence knows the true exit status, and outlives its
// supervisor just long enough to end everything. Thread: the whole process. Errors: to stderr,
// which is the attempt's log; exit code 1. Invariant: when it has ended by itself, no process of
// its session and no directory of the attempt is left.
#ifndef LOCKSTEP_COORDINATOR_LAUNCH_LAUNCH_HELPER_H_
#define LOCKSTEP_COORDINATOR_LAUNCH_LAUNCH_HELPER_H_

#include "common/env/process_runner.h"

namespace lockstep {

// The hidden first argument by which the CLI runs LaunchHelperMain.
inline constexpr char kLaunchHelperCommand[] = "__launch-helper";

// Descriptor 3 is a stream from the supervisor. Bytes are orders; the end of file means that it is
// gone.
enum class HelperOrder : char { kCheckpoint = 'c', kStop = 's', kKill = 'k' };

// What the helper tells its supervisor last. Plain bytes on the wire.
struct HelperReport {
  bool ran = false;        // PROGRAM has run to `exit`
  ProcessExit exit;        // where it has
  char message[240] = {};  // why not, where it has not: the log's disk may be full
};

// `<program> __launch-helper RUN_DIRECTORY PROGRAM [ARGUMENT ...]`: runs PROGRAM with this
// process's environment and waits for its end. kCheckpoint sends it SIGUSR1, kStop SIGUSR2 again
// and again (mpirun forwards both to every rank). RUN_DIRECTORY holds the attempt's record, into
// which the helper writes who it is, and later receives the outcome, which also goes to the
// supervisor as a HelperReport.
int LaunchHelperMain(int argc, char** argv);

}  // namespace lockstep

#endif  // LOCKSTEP_COORDINATOR_LAUNCH_LAUNCH_HELPER_H_
