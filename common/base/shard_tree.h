// The shard tree: the adjacent-pair binary tree over the S shards of a job (a power of two), and
// who holds which part of it; docs/NUMERICS.md#3-shards. Thread: pure. Errors: none. Invariant: the
// tree and its sums depend on S alone; workers only decide where a part is computed.
#ifndef LOCKSTEP_COMMON_BASE_SHARD_TREE_H_
#define LOCKSTEP_COMMON_BASE_SHARD_TREE_H_

#include <bit>
#include <cstdint>
#include <vector>

#include "common/base/check.h"

namespace lockstep {

// Shards [first, first + count).
struct ShardRange {
  int32_t first = 0;
  int32_t count = 0;
  friend bool operator==(const ShardRange&, const ShardRange&) = default;
};

// The contiguous shards of worker `rank`: [floor(rank S / W), floor((rank + 1) S / W)). W <= S.
inline ShardRange ShardsOfWorker(int32_t shards, int32_t workers, int32_t rank) {
  const int64_t begin = int64_t{rank} * shards / workers;
  const int64_t end = (int64_t{rank} + 1) * shards / workers;
  return {static_cast<int32_t>(begin), static_cast<int32_t>(end - begin)};
}

// The maximal aligned subtrees of a range, in order: [1, 5) of 8 is [1, 2), [2, 4), [4, 5).
inline std::vector<ShardRange> MaximalSubtrees(ShardRange range) {
  std::vector<ShardRange> subtrees;
  while (range.count > 0) {
    const auto fits = static_cast<int32_t>(std::bit_floor(static_cast<uint32_t>(range.count)));
    const int32_t aligned = range.first == 0 ? fits : (range.first & -range.first);
    const int32_t count = aligned < fits ? aligned : fits;
    subtrees.push_back({range.first, count});
    range = {range.first + count, range.count - count};
  }
  return subtrees;
}

// One subtree among those of all workers, which in this order cover all shards.
struct SubtreePlace {
  ShardRange shards;  // of the job
  int32_t rank = 0;   // of the worker that holds it
  int32_t index = 0;  // among that worker's subtrees
};

inline std::vector<SubtreePlace> AllSubtrees(int32_t shards, int32_t workers) {
  LOCKSTEP_CHECK(std::has_single_bit(static_cast<uint32_t>(shards)));
  LOCKSTEP_CHECK(workers >= 1 && workers <= shards);
  std::vector<SubtreePlace> places;
  for (int32_t rank = 0; rank < workers; ++rank) {
    int32_t index = 0;
    for (const ShardRange subtree : MaximalSubtrees(ShardsOfWorker(shards, workers, rank))) {
      places.push_back({subtree, rank, index++});
    }
  }
  return places;
}

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_BASE_SHARD_TREE_H_
