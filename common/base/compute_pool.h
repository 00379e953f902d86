// ComputePool: a worker process's compute threads. Run cuts a kernel's units into one contiguous
// range per thread; units are outputs only, so the count of threads cannot change a bit.
// Thread: the trainer's, which takes part. Errors: none. Run allocates nothing and, with one
// thread, makes no system call; otherwise futexes only.
#ifndef LOCKSTEP_COMMON_BASE_COMPUTE_POOL_H_
#define LOCKSTEP_COMMON_BASE_COMPUTE_POOL_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"

#include "common/base/futex.h"
#include "common/base/thread.h"

namespace lockstep {

class ComputePool {
 public:
  // `threads` >= 1, this one counted. `spin`: kBrief where every thread has a core of its own.
  ComputePool(int threads, Spin spin);
  ~ComputePool();
  ComputePool(const ComputePool&) = delete;
  ComputePool& operator=(const ComputePool&) = delete;

  int threads() const { return threads_; }
  // Calls `work` for disjoint ranges that cover [0, units); returns when all are done.
  void Run(int64_t units, absl::FunctionRef<void(int64_t begin, int64_t end)> work) {
    if (threads_ == 1 || units <= 1) {
      if (units > 0) work(0, units);
      return;
    }
    RunShared(units, work);
  }

 private:
  using Work = absl::FunctionRef<void(int64_t, int64_t)>;
  void RunShared(int64_t units, Work work);
  void RunPart(int part) const;
  void Serve(int part);

  const int threads_;
  const Spin spin_;
  // Written by Run before a round starts, read by the threads in it.
  int64_t units_ = 0;
  const Work* work_ = nullptr;
  bool ending_ = false;
  Futex round_;    // counts rounds
  Futex arrived_;  // counts threads that have finished a round, over all rounds
  std::vector<Thread> workers_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_BASE_COMPUTE_POOL_H_
