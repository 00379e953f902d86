// Ring: a fixed number of places through which one thread hands values to one other. No locks, and
// no allocation but what assigning a T does. Thread: one pushes, one pops. Errors: none.
#ifndef LOCKSTEP_COMMON_BASE_RING_H_
#define LOCKSTEP_COMMON_BASE_RING_H_

#include <atomic>
#include <cstddef>
#include <utility>
#include <vector>

namespace lockstep {

template <typename T>
class Ring {
 public:
  explicit Ring(size_t places) : values_(places) {}

  // Calls `fill(T&)` on the next place, which holds an old value. False, and nothing done, if the
  // ring is full.
  template <typename Fill>
  [[nodiscard]] bool TryPush(Fill fill) {
    const size_t pushed = pushed_.load(std::memory_order_relaxed);
    if (pushed - popped_.load(std::memory_order_acquire) == values_.size()) return false;
    fill(values_[pushed % values_.size()]);
    pushed_.store(pushed + 1, std::memory_order_release);
    return true;
  }

  // Calls `take(const T&)` on the oldest value. False if there is none.
  template <typename Take>
  [[nodiscard]] bool TryPop(Take take) {
    const size_t popped = popped_.load(std::memory_order_relaxed);
    if (pushed_.load(std::memory_order_acquire) == popped) return false;
    take(std::as_const(values_[popped % values_.size()]));
    popped_.store(popped + 1, std::memory_order_release);
    return true;
  }

 private:
  std::vector<T> values_;
  alignas(64) std::atomic<size_t> pushed_{0};
  alignas(64) std::atomic<size_t> popped_{0};
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_BASE_RING_H_
