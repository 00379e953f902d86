// The engine's activation layout and the vocabulary every kernel's arguments share.
//
// Activations: [blocks][features][kBlockLanes] floats, 64-byte aligned: 16 samples side by side,
// their features in Keras' row-major order (H, W, C for images), so that Flatten and Reshape move
// nothing. Parameters keep Keras' layout. A sample's place among the blocks is its slot: block =
// slot / 16, lane = slot % 16. Each shard has `shard_slots` slots (a power of two up to 16, or a
// multiple of 16), of which the first `shard_count[s]` hold samples at this step; the others hold
// finite or non-finite garbage that no kernel lets into a sum over samples.
#ifndef LOCKSTEP_COMMON_KERNELS_BLOCK_H_
#define LOCKSTEP_COMMON_KERNELS_BLOCK_H_

#include <algorithm>
#include <cstdint>

namespace lockstep::kernels {

inline constexpr int kBlockLanes = 16;

// Where this rank's samples lie. `shard_count` has `shards` entries and changes from step to step;
// the rest is fixed.
struct SlotMap {
  int32_t blocks = 0;           // of 16 slots
  int32_t shards = 0;           // shards this rank holds
  int32_t shard_slots = 0;      // slots a shard has
  int32_t shard_positions = 0;  // c = ceil(B/S): the sample tree is padded to bit_ceil(c)
  const int32_t* shard_count = nullptr;
};

// Units [begin, end) of a kernel's work: outputs only, so threads never share a sum. What a unit
// is, each kernel says.
struct UnitRange {
  int64_t begin = 0;
  int64_t end = 0;
};

// Units of elementwise kernels over flat ranges: blocks of 4,096 elements.
inline constexpr int64_t kFlatBlock = 4096;
inline constexpr int64_t FlatUnits(int64_t count) { return (count + kFlatBlock - 1) / kFlatBlock; }

// A maximal aligned subtree of the shard tree, as a range of this rank's local shards (`shards` is
// a power of two).
struct SubtreeRange {
  int32_t first_shard = 0;
  int32_t shards = 0;
};

// Bit l: whether lane l of `block` holds a sample of these shards.
inline uint32_t HeldLanes(const SlotMap& slots, SubtreeRange range, int64_t block) {
  const int64_t first = block * kBlockLanes / slots.shard_slots;  // shard of lane 0
  const int64_t offset = block * kBlockLanes - first * slots.shard_slots;
  uint32_t held = 0;
  for (int lane = 0; lane < kBlockLanes; lane += slots.shard_slots) {
    const int64_t shard = first + lane / slots.shard_slots;
    if (shard < range.first_shard || shard >= range.first_shard + range.shards) continue;
    const int64_t count = slots.shard_count[shard] - offset;
    if (count > 0) held |= ((1u << std::min<int64_t>(count, kBlockLanes)) - 1) << lane;
  }
  return held;
}

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_BLOCK_H_
