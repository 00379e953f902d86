// Signals as flags and counts, and a process's end with its parent's. Thread: the main one, early
// in main. Errors: none.
#ifndef LOCKSTEP_COMMON_ENV_SIGNALS_H_
#define LOCKSTEP_COMMON_ENV_SIGNALS_H_

#include <atomic>

namespace lockstep {

// Sets `flag` whenever `signal` arrives; the flag outlives the process's use of signals. System
// calls go on.
void SetFlagOnSignal(int signal, std::atomic<bool>* flag);
// The same for one that comes again and means more each time.
void CountSignal(int signal, std::atomic<int>* count);
// Writing to a pipe that nobody reads is an error of the call, not the end of the process.
void IgnoreBrokenPipes();
// SIGKILL to this process as soon as the one that started it has ended.
void DieWithParent();

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_ENV_SIGNALS_H_
