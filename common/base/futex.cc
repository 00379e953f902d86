#include "common/base/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>

namespace lockstep {
namespace {

static_assert(sizeof(std::atomic<uint32_t>) == 4 && std::atomic<uint32_t>::is_always_lock_free);

}  // namespace

void Futex::WaitWhile(uint32_t value, Spin spin, absl::Duration limit) const {
  for (int32_t i = 0; i < static_cast<int32_t>(spin); ++i) {
    if (Load() != value) return;
    PauseCore();
  }
  // Either the changer sees this sleeper, or the kernel sees the changed word.
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  if (word_.load(std::memory_order_seq_cst) == value) {
    const timespec timeout = absl::ToTimespec(limit);
    syscall(SYS_futex, &word_, FUTEX_WAIT, value,
            limit == absl::InfiniteDuration() ? nullptr : &timeout, nullptr, 0);
  }
  sleepers_.fetch_sub(1, std::memory_order_seq_cst);
}

void Futex::WakeSleepers() { syscall(SYS_futex, &word_, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0); }

}  // namespace lockstep
