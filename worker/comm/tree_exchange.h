// TreeExchange: a few values per subtree of every rank, combined along the shard tree; the same
// bits on every rank. For losses, metrics and moments; gradients have
// Communicator::ReduceScatterTree. Thread: the trainer's. Errors: the communicator's. T is plain
// bytes on the wire.
#ifndef LOCKSTEP_WORKER_COMM_TREE_EXCHANGE_H_
#define LOCKSTEP_WORKER_COMM_TREE_EXCHANGE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "absl/status/status.h"

#include "common/base/status_macros.h"
#include "worker/comm/communicator.h"

namespace lockstep {

// The shard tree over one value per subtree, given in shard order: `value(s)` of subtree s. Two
// neighbours of one size are siblings, since both are aligned; sizes shrink towards the top of the
// stack, so 32 entries hold any count.
template <typename T, typename Value, typename Combine>
T CombineSubtrees(const std::vector<SubtreePlace>& subtrees, Value value, Combine combine) {
  T sums[32];
  int32_t sizes[32];
  int depth = 0;
  for (size_t s = 0; s < subtrees.size(); ++s) {
    T sum = value(s);
    int32_t size = subtrees[s].shards.count;
    for (; depth > 0 && sizes[depth - 1] == size; size *= 2) sum = combine(sums[--depth], sum);
    sums[depth] = sum;
    sizes[depth++] = size;
  }
  return sums[0];
}

// `partials`: [subtrees of this rank][count]; `result`: [count].
template <typename T, typename Combine>
absl::Status TreeExchange(Communicator& communicator, const T* partials, int64_t count,
                          Combine combine, T* result) {
  static_assert(std::is_trivially_copyable_v<T>);
  const int64_t part_bytes = count * static_cast<int64_t>(sizeof(T));
  LOCKSTEP_ASSIGN_OR_RETURN(
      const std::byte* const parts,
      communicator.GatherParts(reinterpret_cast<const std::byte*>(partials), part_bytes));
  for (int64_t i = 0; i < count; ++i) {
    const auto value = [&](size_t subtree) {
      T part;
      std::memcpy(
          &part,
          parts + (static_cast<int64_t>(subtree) * count + i) * static_cast<int64_t>(sizeof(T)),
          sizeof(T));
      return part;
    };
    result[i] = CombineSubtrees<T>(communicator.subtrees(), value, combine);
  }
  return absl::OkStatus();
}

}  // namespace lockstep

#endif  // LOCKSTEP_WORKER_COMM_TREE_EXCHANGE_H_
