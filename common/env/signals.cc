#include "common/env/signals.h"

#include <signal.h>
#include <sys/prctl.h>

#include <array>
#include <cstddef>

#include "common/base/check.h"

namespace lockstep {
namespace {

using Flag = std::atomic<std::atomic<bool>*>;
static_assert(Flag::is_always_lock_free, "a handler may only touch such");

std::array<Flag, NSIG>& Flags() {
  static std::array<Flag, NSIG> flags;
  return flags;
}

extern "C" void LockstepOnSignal(int signal) {
  std::atomic<bool>* const flag = Flags()[static_cast<size_t>(signal)];
  if (flag != nullptr) *flag = true;
}

}  // namespace

void SetFlagOnSignal(int signal, std::atomic<bool>* flag) {
  Flags()[static_cast<size_t>(signal)] = flag;
  struct sigaction action = {};
  action.sa_handler = &LockstepOnSignal;
  action.sa_flags = SA_RESTART;
  LOCKSTEP_CHECK(sigaction(signal, &action, nullptr) == 0);
}

void IgnoreBrokenPipes() { ::signal(SIGPIPE, SIG_IGN); }

void DieWithParent() { prctl(PR_SET_PDEATHSIG, SIGKILL); }

}  // namespace lockstep
