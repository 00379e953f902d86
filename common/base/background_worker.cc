#include "common/base/background_worker.h"

#include <utility>

#include "common/base/mutex.h"
#include "common/base/thread.h"

namespace lockstep {

struct BackgroundWorker::State {
  Mutex mu;
  CondVar changed;
  std::function<void()> task ABSL_GUARDED_BY(mu);  // kept until it has run
  bool running ABSL_GUARDED_BY(mu) = false;
  bool stop ABSL_GUARDED_BY(mu) = false;

  void Serve() {
    for (;;) {
      mu.Lock();
      while (!stop && !running) changed.Wait(mu);
      const bool ending = !running;
      const std::function<void()> next = std::exchange(task, nullptr);
      mu.Unlock();
      if (ending) return;

      next();
      const MutexLock lock(mu);
      running = false;
      changed.NotifyAll();
    }
  }
};

BackgroundWorker::BackgroundWorker(const std::string& name)
    : state_(std::make_unique<State>()),
      thread_(name, [state = state_.get()] { state->Serve(); }) {}

BackgroundWorker::~BackgroundWorker() {
  {
    const MutexLock lock(state_->mu);
    state_->stop = true;
    state_->changed.NotifyAll();
  }
  thread_.Join();
}

bool BackgroundWorker::TryStart(std::function<void()> task) {
  const MutexLock lock(state_->mu);
  if (state_->running) return false;
  state_->task = std::move(task);
  state_->running = true;
  state_->changed.NotifyAll();
  return true;
}

bool BackgroundWorker::busy() const {
  const MutexLock lock(state_->mu);
  return state_->running;
}

void BackgroundWorker::Wait() {
  const MutexLock lock(state_->mu);
  while (state_->running) state_->changed.Wait(state_->mu);
}

}  // namespace lockstep
