#include "common/base/thread.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace lockstep {

Thread::Thread(const std::string& name, std::function<void()> run) {
  // Inherited by the new thread, so no signal can slip in before it blocks them itself.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([name, run = std::move(run)] {
    pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
    run();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace lockstep
