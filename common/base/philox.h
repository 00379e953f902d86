// Philox4x32-10 (Salmon et al., SC 2011): random numbers as a function of key and counter, never a
// stream; docs/NUMERICS.md#4-random-numbers. Thread: pure. Errors: none.
// Invariant: equal bits on every machine; common/kernels/philox-inl.h is the same on vectors.
#ifndef LOCKSTEP_COMMON_BASE_PHILOX_H_
#define LOCKSTEP_COMMON_BASE_PHILOX_H_

#include <array>
#include <cstdint>

namespace lockstep {

enum class RandomPurpose : uint64_t {
  kInitializer = 1,
  kShuffle = 2,
  kDropout = 3,
  kNoise = 4,
  kAugmentation = 5,
  kFixedNoise = 6,
};

// The finaliser of Steele et al. 2014, of x + 0x9E3779B97F4A7C15.
constexpr uint64_t SplitMix64(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// The Philox key of a purpose under the job's seed; its low half is the first key word.
constexpr uint64_t RandomKey(uint64_t seed, RandomPurpose purpose) {
  return SplitMix64(seed ^ SplitMix64(static_cast<uint64_t>(purpose)));
}

using PhiloxBlock = std::array<uint32_t, 4>;

constexpr PhiloxBlock Philox(PhiloxBlock counter, uint64_t key) {
  auto key_0 = static_cast<uint32_t>(key);
  auto key_1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t product_0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t product_1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(product_1 >> 32) ^ counter[1] ^ key_0,
               static_cast<uint32_t>(product_1),
               static_cast<uint32_t>(product_0 >> 32) ^ counter[3] ^ key_1,
               static_cast<uint32_t>(product_0)};
    key_0 += 0x9E3779B9u;
    key_1 += 0xBB67AE85u;
  }
  return counter;
}

// The initialisers' numbers: words of elements 4 `group` to 4 `group` + 3 of a variable.
constexpr PhiloxBlock InitializerWords(uint64_t key, uint32_t variable, uint64_t group) {
  return Philox({static_cast<uint32_t>(group), static_cast<uint32_t>(group >> 32), variable, 0},
                key);
}

// [0, 1), exact.
constexpr float UniformOf(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_BASE_PHILOX_H_
