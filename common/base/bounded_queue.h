// BoundedQueue: messages from any thread to one that owns its state. Full: the sender is told, the
// queue does not grow. Thread: any. Errors: none. Invariant: first in, first out.
#ifndef LOCKSTEP_COMMON_BASE_BOUNDED_QUEUE_H_
#define LOCKSTEP_COMMON_BASE_BOUNDED_QUEUE_H_

#include <cstddef>
#include <deque>
#include <optional>
#include <utility>

#include "absl/time/time.h"

#include "common/base/mutex.h"

namespace lockstep {

template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t count_max) : count_max_(count_max) {}

  // False, and nothing done, when the queue is full or closed.
  [[nodiscard]] bool TryPush(T message) {
    const MutexLock lock(mu_);
    if (closed_ || messages_.size() >= count_max_) return false;
    messages_.push_back(std::move(message));
    changed_.NotifyAll();
    return true;
  }

  std::optional<T> TryPop() {
    const MutexLock lock(mu_);
    return PopLocked();
  }

  // The next message; nullopt once the queue is closed and empty.
  std::optional<T> Pop() {
    const MutexLock lock(mu_);
    while (messages_.empty() && !closed_) changed_.Wait(mu_);
    return PopLocked();
  }

  // Returns once there is a message, the queue is closed or `limit` has passed.
  void WaitFor(absl::Duration limit) {
    const MutexLock lock(mu_);
    if (messages_.empty() && !closed_) changed_.WaitFor(mu_, limit);
  }

  // No more pushes; what is in it can still be popped.
  void Close() {
    const MutexLock lock(mu_);
    closed_ = true;
    changed_.NotifyAll();
  }

  bool empty() const {
    const MutexLock lock(mu_);
    return messages_.empty();
  }

 private:
  std::optional<T> PopLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (messages_.empty()) return std::nullopt;
    T message = std::move(messages_.front());
    messages_.pop_front();
    return message;
  }

  const size_t count_max_;
  mutable Mutex mu_;
  CondVar changed_;
  std::deque<T> messages_ ABSL_GUARDED_BY(mu_);
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_BASE_BOUNDED_QUEUE_H_
