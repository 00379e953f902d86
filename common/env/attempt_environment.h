// The environment variables by which a launcher tells a worker which attempt it belongs to. Both
// sides read this list. A worker started without them (bare mpirun) has no supervisor and reports
// to nobody.
#ifndef LOCKSTEP_COMMON_ENV_ATTEMPT_ENVIRONMENT_H_
#define LOCKSTEP_COMMON_ENV_ATTEMPT_ENVIRONMENT_H_

namespace lockstep {

inline constexpr char kJobIdVariable[] = "LOCKSTEP_JOB_ID";
inline constexpr char kAttemptVariable[] = "LOCKSTEP_ATTEMPT";  // decimal, from 1
// The number of ranks that must meet; a launcher without the right PMI would start singletons.
inline constexpr char kWorkersVariable[] = "LOCKSTEP_WORKERS";
// A FIFO for progress lines (coordinator/launch/progress_channel.h has the format). Open with
// O_WRONLY | O_NONBLOCK, ignore SIGPIPE, write whole lines of at most PIPE_BUF bytes, drop a line
// on EAGAIN or EPIPE: training never waits for it.
inline constexpr char kProgressVariable[] = "LOCKSTEP_PROGRESS";
// A directory in shared memory that is removed with the attempt.
inline constexpr char kSharedMemoryVariable[] = "LOCKSTEP_SHM_DIR";
// Names every process of the attempt, so that leftovers are found and strangers are spared.
inline constexpr char kTokenVariable[] = "LOCKSTEP_ATTEMPT_TOKEN";

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_ENV_ATTEMPT_ENVIRONMENT_H_
