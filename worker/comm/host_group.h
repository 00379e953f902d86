// HostGroup: how the ranks of one host meet and exchange small things through shared memory, with
// futexes and no other system call. Thread: the trainer's.
// Errors: DEADLINE_EXCEEDED naming the rank that did not come, UNAVAILABLE once another rank has
// broken the group; from then on every call fails.
// Invariant: what a rank wrote before Meet is visible to all after it.
#ifndef LOCKSTEP_WORKER_COMM_HOST_GROUP_H_
#define LOCKSTEP_WORKER_COMM_HOST_GROUP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "common/base/futex.h"
#include "common/base/range.h"
#include "worker/comm/transport.h"

namespace lockstep {

class HostGroup {
 public:
  // All ranks of the host call it. `transport` outlives the group.
  static absl::StatusOr<std::unique_ptr<HostGroup>> Create(Transport& transport, Spin spin);

  int size() const { return static_cast<int>(boards_.size()); }
  const std::vector<int>& ranks() const { return transport_.host_ranks(); }
  int index() const { return index_; }  // this rank's place in ranks()

  // How long to wait for another rank. Infinite at first: loading data may take any time.
  void set_patience(absl::Duration patience) { patience_ = patience; }

  absl::Status Meet();
  // Copies the range places[r] of each rank r of this host into every `all`; places are by rank of
  // the group. This rank's own range of `all` is filled before.
  absl::Status Exchange(absl::Span<const Range> places, std::byte* all);
  // Lets the others fail at once instead of waiting.
  void Break();

 private:
  static constexpr int64_t kMailBytes = 4096;
  // One rank's part of the control memory. Zeroed memory is its initial state.
  struct alignas(64) Board {
    Futex arrivals;
    std::atomic<uint32_t> broken;
    alignas(64) std::byte mail[2][kMailBytes];
  };

  HostGroup(Transport& transport, std::unique_ptr<SharedMemory> memory, Spin spin);
  absl::Status Await(size_t peer);
  absl::Status Fail(absl::Status status);

  // Constant after construction.
  Transport& transport_;
  const std::unique_ptr<SharedMemory> memory_;
  const Spin spin_;
  std::vector<Board*> boards_;
  int index_ = 0;
  // Of this thread.
  absl::Duration patience_ = absl::InfiniteDuration();
  uint32_t meetings_ = 0;
  absl::Status status_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_COMM_HOST_GROUP_H_
