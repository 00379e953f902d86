// Permutation: a keyed order of [0, count): O(1) memory, O(1) seek, the same on every machine;
// docs/NUMERICS.md#4-random-numbers (shuffle). Thread: pure. Errors: none.
#ifndef LOCKSTEP_COMMON_BASE_PERMUTATION_H_
#define LOCKSTEP_COMMON_BASE_PERMUTATION_H_

#include <algorithm>
#include <bit>
#include <cstdint>

#include "common/base/philox.h"

namespace lockstep {

class Permutation {
 public:
  // The order of epoch `epoch` (from 0) under `seed`.
  Permutation(uint64_t seed, uint64_t epoch, int64_t count)
      : key_(RandomKey(seed, RandomPurpose::kShuffle)),
        epoch_(epoch),
        count_(static_cast<uint64_t>(count)) {
    const int bits = count > 1 ? static_cast<int>(std::bit_width(count_ - 1)) : 0;
    half_bits_ = (std::max(2, bits) + 1) / 2;
    half_mask_ = (uint64_t{1} << half_bits_) - 1;
  }

  // What stands at `position`, which is in [0, count).
  int64_t operator[](int64_t position) const {
    if (count_ <= 1) return position;
    auto value = static_cast<uint64_t>(position);
    do {
      value = Feistel(value);
    } while (value >= count_);  // cycle walking: the cycle holds `position` itself, so it ends
    return static_cast<int64_t>(value);
  }

 private:
  uint64_t Feistel(uint64_t value) const {
    uint64_t left = value >> half_bits_;
    uint64_t right = value & half_mask_;
    for (uint32_t round = 0; round < 4; ++round) {
      const uint32_t word =
          Philox({static_cast<uint32_t>(right), round, static_cast<uint32_t>(epoch_),
                  static_cast<uint32_t>(epoch_ >> 32)},
                 key_)[0];
      const uint64_t mixed = left ^ (word & half_mask_);
      left = right;
      right = mixed;
    }
    return (left << half_bits_) | right;
  }

  uint64_t key_;
  uint64_t epoch_;
  uint64_t count_;
  int half_bits_;
  uint64_t half_mask_;
};

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_BASE_PERMUTATION_H_
