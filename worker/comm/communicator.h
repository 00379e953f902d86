// Communicator: the collectives of a fixed set of ranks, each of which holds a part of the job's
// shards. The sums follow the shard tree (docs/NUMERICS.md#2-the-four-reductions), so no count of
// ranks, host layout, transport or algorithm can change a bit.
// Every rank calls the same operations with the same sizes in the same order.
// Thread: the trainer's. Errors: DEADLINE_EXCEEDED (a rank did not come), UNAVAILABLE (a rank has
// failed); the group is then broken and every later call fails. Allocates only while it is new:
// after the first step of each kind nothing more.
#ifndef LOCKSTEP_WORKER_COMM_COMMUNICATOR_H_
#define LOCKSTEP_WORKER_COMM_COMMUNICATOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "common/base/compute_pool.h"
#include "common/base/range.h"
#include "common/base/shard_tree.h"
#include "worker/comm/host_group.h"
#include "worker/comm/transport.h"

namespace lockstep {

// A part of every rank's memory that ranks of the same host may read.
class SharedBuffer {
 public:
  std::byte* data() const { return memory_->addresses()[place_]; }  // this rank's
  // Of the rank at `place` among those of this host.
  std::byte* peer(size_t place) const { return memory_->addresses()[place]; }

 private:
  friend class Communicator;
  SharedBuffer(std::unique_ptr<SharedMemory> memory, size_t place)
      : memory_(std::move(memory)), place_(place) {}

  std::unique_ptr<SharedMemory> memory_;
  size_t place_;
};

// The gradients to be added: in `buffer` every rank has one flat array of `stride` floats for each
// of its subtrees, in order.
struct TreeReduction {
  const SharedBuffer* buffer = nullptr;
  int64_t stride = 0;
  absl::Span<const Range> owned;  // by rank, elements of [0, stride); disjoint
};

class Communicator {
 public:
  // `shards`: S of the job, at least as many as ranks. All ranks call it. `spin`: kBrief where
  // every rank has a core of its own.
  static absl::StatusOr<std::unique_ptr<Communicator>> Create(std::unique_ptr<Transport> transport,
                                                              int32_t shards, Spin spin);

  int rank() const { return transport_->rank(); }
  int size() const { return transport_->size(); }
  int host_size() const { return host_->size(); }  // ranks of this host
  // The subtrees of all ranks, in shard order.
  const std::vector<SubtreePlace>& subtrees() const { return subtrees_; }

  // How long to wait for another rank; infinite at first.
  void set_patience(absl::Duration patience);

  absl::StatusOr<SharedBuffer> AllocateShared(int64_t bytes);

  // Small things: copies places[r] of each rank r into every rank's `all`. Its own range is filled
  // by the caller before.
  absl::Status Exchange(absl::Span<const Range> places, std::byte* all);

  // One part of `part_bytes` per subtree of this rank; the result holds those of all ranks in shard
  // order and is valid until the next call.
  absl::StatusOr<const std::byte*> GatherParts(const std::byte* mine, int64_t part_bytes);

  // Sums along the shard tree; each rank receives those of its owned range in place of its first
  // array. No rank may write its arrays again before the next collective of all ranks has returned.
  absl::Status ReduceScatterTree(const TreeReduction& reduction, ComputePool& pool);

  // Copies the byte range places[r] of each rank r's part of `buffer` into every rank's part. No
  // rank may write its range again before the next collective of all ranks has returned.
  absl::Status AllGather(const SharedBuffer& buffer, absl::Span<const Range> places,
                         ComputePool& pool);

  absl::Status Broadcast(absl::Span<std::byte> bytes, int root);
  absl::Status Barrier() { return Broadcast({}, 0); }

  // Lets the other ranks fail at once instead of waiting for this one.
  void Break() { host_->Break(); }

 private:
  struct Remote {
    int rank;
    std::vector<int32_t> subtrees;  // indices into subtrees_
  };

  Communicator(std::unique_ptr<Transport> transport, std::unique_ptr<HostGroup> host,
               int32_t shards);
  absl::Status StartRemoteExchange(absl::Span<const Range> places, std::byte* all);
  absl::Status StartRemotePartials(const TreeReduction& reduction);

  // Constant after construction.
  const std::unique_ptr<Transport> transport_;
  const std::unique_ptr<HostGroup> host_;
  std::vector<SubtreePlace> subtrees_;
  int32_t own_subtrees_ = 0;
  std::vector<int> place_of_rank_;  // among the ranks of this host; -1: on another one
  std::vector<Remote> remotes_;
  std::vector<int32_t> leaves_;  // shards of each subtree
  // Of the trainer's thread; grown on first use.
  absl::Duration patience_ = absl::InfiniteDuration();
  std::vector<Range> places_;
  std::vector<std::byte> parts_;
  std::vector<std::vector<float>> received_;  // by subtree; of remote ranks
  std::vector<const float*> partials_;        // by subtree
};

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_COMM_COMMUNICATOR_H_
