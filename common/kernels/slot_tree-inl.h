// SlotTree: adds values held per slot (sample) along the sample tree, then the shard tree;
// docs/NUMERICS.md section 2. Blocks of the subtree come in ascending order, each with `width`
// vectors of 16 lanes; lanes without a sample of the subtree may hold anything and count as +0.
// Adjacent lanes are paired with vector instructions, then leaves are merged as a binary counter
// does, so that the tree of any number of shards needs one row of `width` floats per level. Thread:
// one per object. No errors.
#if defined(LOCKSTEP_COMMON_KERNELS_SLOT_TREE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LOCKSTEP_COMMON_KERNELS_SLOT_TREE_INL_H_
#undef LOCKSTEP_COMMON_KERNELS_SLOT_TREE_INL_H_
#else
#define LOCKSTEP_COMMON_KERNELS_SLOT_TREE_INL_H_
#endif

#include <algorithm>
#include <bit>
#include <cstdint>

#include "hwy/highway.h"

#include "common/base/check.h"
#include "common/kernels/block.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {

template <int kMaxWidth>
class SlotTree {
 public:
  using D = hwy::HWY_NAMESPACE::CappedTag<float, kBlockLanes>;
  static constexpr int kLanes = static_cast<int>(hwy::HWY_NAMESPACE::MaxLanes(D()));
  // Pairing reads whole vectors, hence the slack; what is there does not matter.
  static constexpr int kSlack = 2 * kBlockLanes;
  static constexpr int kLaneFloats = kMaxWidth * kBlockLanes + kSlack;

  SlotTree(const SlotMap& slots, SubtreeRange subtree)
      : slots_(slots),
        subtree_(subtree),
        leaves_(static_cast<int32_t>(
            std::bit_ceil(static_cast<uint32_t>(std::max(1, slots.shard_positions))))),
        shards_per_block_(std::max(1, kBlockLanes / slots.shard_slots)),
        blocks_per_shard_(std::max(1, slots.shard_slots / kBlockLanes)) {
    LOCKSTEP_DCHECK(slots.shard_positions <= slots.shard_slots);
    LOCKSTEP_DCHECK(std::has_single_bit(static_cast<uint32_t>(subtree.shards)));
  }

  int32_t first_block() const { return subtree_.first_shard * slots_.shard_slots / kBlockLanes; }
  int32_t last_block() const {
    return ((subtree_.first_shard + subtree_.shards) * slots_.shard_slots - 1) / kBlockLanes;
  }

  // Whether any slot of the block holds a sample of the subtree.
  bool HasSamples(int32_t block) const { return HeldLanes(slots_, subtree_, block) != 0; }

  // Empties the tree for the next `width` values.
  void Start(int width) {
    width_ = width;
    pushed_ = 0;
  }

  // lanes: [width][16] with kLaneFloats floats of room, overwritten; null: a block without samples.
  void AddBlock(int32_t block, float* lanes) {
    if (lanes != nullptr) {
      ClearUnheld(block, lanes);
      PairLanes(lanes);
    }
    if (shards_per_block_ > 1 || slots_.shard_slots == kBlockLanes) {
      const int32_t stride = kBlockLanes / std::min(leaves_, kBlockLanes);
      for (int32_t k = 0; k < shards_per_block_; ++k) {
        if (!InSubtree(block * shards_per_block_ + k)) continue;
        Push(lanes == nullptr ? nullptr : lanes + k * (slots_.shard_slots / leaves_), stride);
      }
      return;
    }
    // The shard has several blocks: each is one leaf of 16 positions; leaves beyond the shard's
    // slots are +0, and added.
    const int32_t shard_leaves = std::max(1, leaves_ / kBlockLanes);
    const int32_t leaf = block % blocks_per_shard_;
    if (leaf < shard_leaves) Push(lanes, kBlockLanes / std::min(leaves_, kBlockLanes));
    if (leaf != blocks_per_shard_ - 1) return;
    for (int32_t rest = blocks_per_shard_; rest < shard_leaves; ++rest) Push(nullptr, 1);
  }

  // The finished sums, [width].
  const float* sums() const {
    LOCKSTEP_DCHECK(std::has_single_bit(pushed_));
    return levels_[std::bit_width(pushed_ | 1u) - 1];
  }

 private:
  static constexpr int kLevels = 32;
  static constexpr int kRow = (kMaxWidth + kBlockLanes - 1) / kBlockLanes * kBlockLanes;

  bool InSubtree(int32_t shard) const {
    return shard >= subtree_.first_shard && shard < subtree_.first_shard + subtree_.shards;
  }

  void ClearUnheld(int32_t block, float* lanes) const {
    namespace hn = hwy::HWY_NAMESPACE;
    const D d;
    const uint32_t bits = HeldLanes(slots_, subtree_, block);
    if (bits == (1u << kBlockLanes) - 1) return;
    HWY_ALIGN float held[kBlockLanes];
    for (int lane = 0; lane < kBlockLanes; ++lane) held[lane] = (bits >> lane) & 1 ? 1.0f : 0.0f;
    for (int lane = 0; lane < kBlockLanes; lane += kLanes) {
      const auto mask = hn::Ne(hn::Load(d, held + lane), hn::Zero(d));
      for (int w = 0; w < width_; ++w) {
        float* value = lanes + w * kBlockLanes + lane;
        hn::Store(hn::IfThenElseZero(mask, hn::Load(d, value)), d, value);
      }
    }
  }

  // lanes[k] = lanes[2k] + lanes[2k + 1], as often as the sample tree has levels inside a block.
  void PairLanes(float* lanes) const {
    namespace hn = hwy::HWY_NAMESPACE;
    const D d;
    int count = width_ * kBlockLanes;
    for (int32_t size = std::min(leaves_, kBlockLanes); size > 1; size /= 2) {
      count /= 2;
      for (int k = 0; k < count; k += kLanes) {
        const auto low = hn::Load(d, lanes + 2 * k);
        const auto high = hn::Load(d, lanes + 2 * k + kLanes);
        hn::Store(hn::Add(hn::ConcatEven(d, high, low), hn::ConcatOdd(d, high, low)), d, lanes + k);
      }
    }
  }

  // Appends the leaf values[w * stride], or +0; `values` has room for a row.
  void Push(const float* values, int32_t stride) {
    namespace hn = hwy::HWY_NAMESPACE;
    const D d;
    HWY_ALIGN float gathered[kRow];
    if (values == nullptr || stride > 1) {
      for (int w = 0; w < width_; ++w) gathered[w] = values == nullptr ? 0.0f : values[w * stride];
      values = gathered;
    }
    int level = 0;
    for (; (pushed_ >> level) & 1; ++level) {
      for (int w = 0; w < width_; w += kLanes) {
        hn::Store(hn::Add(hn::Load(d, levels_[level] + w), hn::LoadU(d, values + w)), d,
                  gathered + w);
      }
      values = gathered;
    }
    std::copy(values, values + width_, levels_[level]);
    ++pushed_;
  }

  SlotMap slots_;
  SubtreeRange subtree_;
  int32_t leaves_;  // of a shard's sample tree
  int32_t shards_per_block_;
  int32_t blocks_per_shard_;

  int width_ = 0;
  uint32_t pushed_ = 0;
  HWY_ALIGN float levels_[kLevels][kRow];
};

}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#endif  // LOCKSTEP_COMMON_KERNELS_SLOT_TREE_INL_H_
