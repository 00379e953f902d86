#include "common/env/signals.h"

#include <signal.h>
#include <sys/prctl.h>

#include <array>
#include <cstddef>

#include "common/base/check.h"

namespace lockstep {
namespace {

// What a signal changes; null: nothing.
struct Targets {
  std::atomic<std::atomic<bool>*> flag;
  std::atomic<std::atomic<int>*> count;
};
static_assert(std::atomic<std::atomic<int>*>::is_always_lock_free &&
                  std::atomic<std::atomic<bool>*>::is_always_lock_free &&
                  std::atomic<int>::is_always_lock_free,
              "a handler may only touch such");

Targets& TargetsOf(int signal) {
  static std::array<Targets, NSIG> targets;
  return targets[static_cast<size_t>(signal)];
}

extern "C" void LockstepOnSignal(int signal) {
  std::atomic<bool>* const flag = TargetsOf(signal).flag;
  if (flag != nullptr) *flag = true;
  std::atomic<int>* const count = TargetsOf(signal).count;
  if (count != nullptr) ++*count;
}

void Catch(int signal) {
  struct sigaction action = {};
  action.sa_handler = &LockstepOnSignal;
  action.sa_flags = SA_RESTART;
  LOCKSTEP_CHECK(sigaction(signal, &action, nullptr) == 0);
}

}  // namespace

void SetFlagOnSignal(int signal, std::atomic<bool>* flag) {
  TargetsOf(signal).flag = flag;
  Catch(signal);
}

void CountSignal(int signal, std::atomic<int>* count) {
  TargetsOf(signal).count = count;
  Catch(signal);
}

void IgnoreBrokenPipes() { ::signal(SIGPIPE, SIG_IGN); }

void DieWithParent() { prctl(PR_SET_PDEATHSIG, SIGKILL); }

}  // namespace lockstep
