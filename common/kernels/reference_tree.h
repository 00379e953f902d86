// The sample tree and the shard tree as docs/NUMERICS.md section 2 writes them: plain, slow, for
// tests and checking mode.
#ifndef LOCKSTEP_COMMON_KERNELS_REFERENCE_TREE_H_
#define LOCKSTEP_COMMON_KERNELS_REFERENCE_TREE_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace lockstep::kernels {

// Shards of samples: shard s holds count[s] <= positions of them; samples are numbered shard by
// shard.
struct ReferenceShards {
  int32_t positions = 0;
  std::vector<int32_t> count;

  int64_t samples() const {
    int64_t sum = 0;
    for (const int32_t n : count) sum += n;
    return sum;
  }
};

// Adds adjacent pairs until one value is left; `leaves` is padded to a power of two with `empty`,
// which is added.
template <class T, class Merge>
T ReferenceTree(std::vector<T> leaves, size_t minimum_leaves, const T& empty, Merge merge) {
  leaves.resize(std::bit_ceil(std::max(leaves.size(), std::max<size_t>(1, minimum_leaves))), empty);
  while (leaves.size() > 1) {
    std::vector<T> next;
    for (size_t i = 0; i < leaves.size(); i += 2) next.push_back(merge(leaves[i], leaves[i + 1]));
    leaves = std::move(next);
  }
  return leaves[0];
}

// The sample trees of all shards, then the shard tree. value(sample) gives a leaf.
template <class T, class Value, class Merge>
T ReferenceShardTree(const ReferenceShards& shards, const T& empty, Value value, Merge merge) {
  std::vector<T> sums;
  int64_t sample = 0;
  for (const int32_t count : shards.count) {
    std::vector<T> leaves;
    for (int32_t k = 0; k < count; ++k) leaves.push_back(value(sample++));
    sums.push_back(
        ReferenceTree(std::move(leaves), static_cast<size_t>(shards.positions), empty, merge));
  }
  return ReferenceTree(std::move(sums), 1, empty, merge);
}

// The same for numbers.
template <class T, class Value>
T ReferenceShardSum(const ReferenceShards& shards, Value value) {
  return ReferenceShardTree(shards, T{0}, value, [](T a, T b) { return a + b; });
}

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_REFERENCE_TREE_H_
