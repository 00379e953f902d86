// BackgroundWorker: one thread that runs one task at a time for its owner.
// Thread: every call by the owner. Errors: none.
// Invariant: what a task wrote is visible to the owner once busy() is false or Wait() has returned.
#ifndef LOCKSTEP_COMMON_BASE_BACKGROUND_WORKER_H_
#define LOCKSTEP_COMMON_BASE_BACKGROUND_WORKER_H_

#include <functional>
#include <memory>
#include <string>

#include "common/base/thread.h"

namespace lockstep {

class BackgroundWorker {
 public:
  explicit BackgroundWorker(const std::string& name);  // of the thread
  BackgroundWorker(const BackgroundWorker&) = delete;
  BackgroundWorker& operator=(const BackgroundWorker&) = delete;
  ~BackgroundWorker();  // after the task that is running

  // False, and nothing done, while a task is running: there is no queue.
  [[nodiscard]] bool TryStart(std::function<void()> task);
  bool busy() const;
  void Wait();  // until no task is running

 private:
  struct State;
  const std::unique_ptr<State> state_;
  Thread thread_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_BASE_BACKGROUND_WORKER_H_
