// Futex: a 32-bit word that one thread changes and others wait for, in one process or, placed in
// shared memory, in several. Waiting spins a while, then sleeps in the kernel.
// Thread: any. Errors: none. Invariant: a change made before WakeAll is seen by every waiter.
#ifndef LOCKSTEP_COMMON_BASE_FUTEX_H_
#define LOCKSTEP_COMMON_BASE_FUTEX_H_

#include <atomic>
#include <cstdint>

#include "absl/time/time.h"

namespace lockstep {

// How often a waiter looks before it sleeps; about 100 us where a core is free for it, none where
// waiters would keep the awaited from their core.
enum class Spin : int32_t { kNone = 0, kBrief = 4'000 };

class Futex {
 public:
  uint32_t Load() const { return word_.load(std::memory_order_acquire); }

  // Everything this thread wrote before is visible to whoever sees the new value.
  void StoreAndWake(uint32_t value) {
    word_.store(value, std::memory_order_seq_cst);
    WakeAll();
  }
  // Returns the new value.
  uint32_t AddAndWake(uint32_t amount) {
    const uint32_t value = word_.fetch_add(amount, std::memory_order_seq_cst) + amount;
    WakeAll();
    return value;
  }
  // Makes sleeping waiters look at their condition again.
  void WakeAll() {
    if (sleepers_.load(std::memory_order_seq_cst) > 0) WakeSleepers();
  }

  // Returns once the word is not `value`, or `limit` has passed, or without cause.
  void WaitWhile(uint32_t value, Spin spin, absl::Duration limit) const;

 private:
  void WakeSleepers();

  std::atomic<uint32_t> word_{0};
  mutable std::atomic<uint32_t> sleepers_{0};
};

// Tells the core that this is a wait.
inline void PauseCore() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_BASE_FUTEX_H_
