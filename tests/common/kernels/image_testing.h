// What the tests of the image kernels share: samples in slots, random splits into units, bitwise
// comparison, one run per SIMD target.
#ifndef LOCKSTEP_TESTS_COMMON_KERNELS_IMAGE_TESTING_H_
#define LOCKSTEP_TESTS_COMMON_KERNELS_IMAGE_TESTING_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

#include "common/kernels/block.h"
#include "common/kernels/reference_tree.h"
#include "common/kernels/simd_target.h"

namespace lockstep::kernels {

// 64-byte aligned storage, as the arena's; filled with NaN so that what a kernel forgets to write
// is seen.
template <class T>
struct AlignedAllocator {
  using value_type = T;
  AlignedAllocator() = default;
  template <class U>
  explicit AlignedAllocator(const AlignedAllocator<U>&) {}
  T* allocate(size_t n) {
    return static_cast<T*>(::operator new (n * sizeof(T), std::align_val_t{64}));
  }
  void deallocate(T* p, size_t) { ::operator delete (p, std::align_val_t{64}); }
  friend bool operator==(const AlignedAllocator&, const AlignedAllocator&) { return true; }
};
using Blocks = std::vector<float, AlignedAllocator<float>>;

inline Blocks NanBlocks(int64_t elements) {
  return Blocks(static_cast<size_t>(elements), std::numeric_limits<float>::quiet_NaN());
}

template <class T = float>
std::vector<T> RandomValues(int64_t count, uint32_t seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<T> uniform(-1, 1);
  std::vector<T> values(static_cast<size_t>(count));
  for (T& value : values) value = uniform(generator);
  return values;
}

// Shards in slots. Samples are numbered shard by shard, as ReferenceShards does.
struct SlotLayout {
  int32_t shard_slots = 16;
  ReferenceShards shards;

  int32_t blocks() const {
    const int64_t slots = static_cast<int64_t>(shards.count.size()) * shard_slots;
    return static_cast<int32_t>((slots + kBlockLanes - 1) / kBlockLanes);
  }
  SlotMap map() const {
    return {.blocks = blocks(),
            .shards = static_cast<int32_t>(shards.count.size()),
            .shard_slots = shard_slots,
            .shard_positions = shards.positions,
            .shard_count = shards.count.data()};
  }
  SubtreeRange all() const { return {0, static_cast<int32_t>(shards.count.size())}; }
  // The slot of every sample.
  std::vector<int64_t> slots() const {
    std::vector<int64_t> slots;
    for (size_t s = 0; s < shards.count.size(); ++s) {
      for (int32_t k = 0; k < shards.count[s]; ++k)
        slots.push_back(static_cast<int64_t>(s) * shard_slots + k);
    }
    return slots;
  }
};

// n samples in as few blocks as they need.
inline SlotLayout OneShard(int32_t n) {
  return {.shard_slots = (n + kBlockLanes - 1) / kBlockLanes * kBlockLanes,
          .shards = {.positions = n, .count = {n}}};
}

// [N][features] to [blocks][features][16]; lanes without a sample are NaN.
inline Blocks Pack(const SlotLayout& layout, int64_t features, const std::vector<float>& values) {
  Blocks packed = NanBlocks(layout.blocks() * features * kBlockLanes);
  size_t next = 0;
  for (const int64_t slot : layout.slots()) {
    for (int64_t f = 0; f < features; ++f) {
      const int64_t at = (slot / kBlockLanes * features + f) * kBlockLanes + slot % kBlockLanes;
      packed[static_cast<size_t>(at)] = values[next++];
    }
  }
  return packed;
}

inline std::vector<float> Unpack(const SlotLayout& layout, int64_t features, const Blocks& packed) {
  std::vector<float> values;
  for (const int64_t slot : layout.slots()) {
    for (int64_t f = 0; f < features; ++f) {
      const int64_t at = (slot / kBlockLanes * features + f) * kBlockLanes + slot % kBlockLanes;
      values.push_back(packed[static_cast<size_t>(at)]);
    }
  }
  return values;
}

// Equal bits; any NaN equals any other.
inline ::testing::AssertionResult SameBits(const std::vector<float>& actual,
                                           const std::vector<float>& expected) {
  if (actual.size() != expected.size()) return ::testing::AssertionFailure() << "sizes differ";
  for (size_t k = 0; k < actual.size(); ++k) {
    if (std::isnan(actual[k]) && std::isnan(expected[k])) continue;
    if (std::bit_cast<uint32_t>(actual[k]) != std::bit_cast<uint32_t>(expected[k])) {
      return ::testing::AssertionFailure()
             << "element " << k << " of " << actual.size() << ": " << std::hexfloat << actual[k]
             << ", expected " << expected[k];
    }
  }
  return ::testing::AssertionSuccess();
}

// Runs all units in random pieces and random order, as threads would.
template <class Run>
void RunInPieces(int64_t units, uint32_t seed, Run run) {
  std::mt19937 generator(seed);
  std::vector<UnitRange> pieces;
  for (int64_t begin = 0; begin < units;) {
    const int64_t end = std::min<int64_t>(units, begin + 1 + static_cast<int64_t>(generator() % 5));
    pieces.push_back({begin, end});
    begin = end;
  }
  for (size_t i = pieces.size(); i > 1; --i) std::swap(pieces[i - 1], pieces[generator() % i]);
  for (const UnitRange& piece : pieces) run(piece);
}

// The maximal aligned subtrees of shards [begin, end) of the job, as (first shard, shards).
inline std::vector<std::pair<int32_t, int32_t>> MaximalSubtrees(int32_t begin, int32_t end) {
  std::vector<std::pair<int32_t, int32_t>> subtrees;
  while (begin < end) {
    int32_t size = 1;
    while (begin % (2 * size) == 0 && begin + 2 * size <= end) size *= 2;
    subtrees.emplace_back(begin, size);
    begin += size;
  }
  return subtrees;
}

// The sum of shards [first, first + size) from partials by subtree.
template <class T, class Merge>
T MergeSubtrees(const std::map<std::pair<int32_t, int32_t>, T>& partials, int32_t first,
                int32_t size, Merge merge) {
  const auto found = partials.find({first, size});
  if (found != partials.end()) return found->second;
  return merge(MergeSubtrees(partials, first, size / 2, merge),
               MergeSubtrees(partials, first + size / 2, size / 2, merge));
}

// |numeric - analytic| by central differences, relative to the larger of the gradient and 1: below
// 1e-6 for a double reference. loss(values) is called with one value moved.
template <class Loss>
void ExpectGradient(std::vector<double> values, const std::vector<double>& gradient, Loss loss) {
  constexpr double kStep = 1e-5;
  for (size_t k = 0; k < values.size(); ++k) {
    const double value = values[k];
    values[k] = value + kStep;
    const double up = loss(values);
    values[k] = value - kStep;
    const double down = loss(values);
    values[k] = value;
    const double numeric = (up - down) / (2 * kStep);
    EXPECT_NEAR(numeric, gradient[k], 1e-6 * std::max(1.0, std::abs(gradient[k])))
        << "element " << k;
  }
}

// One run per SIMD target; a target this CPU lacks is skipped by name.
class SimdTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const auto supported = SupportedSimd();
    if (std::find(supported.begin(), supported.end(), GetParam()) == supported.end()) {
      GTEST_SKIP() << GetParam() << " is not supported by this CPU or build";
    }
    forced_.emplace(GetParam());
    ASSERT_EQ(SimdName(), GetParam());
  }

 private:
  std::optional<ScopedSimdForTest> forced_;
};

inline std::string SimdTestName(const ::testing::TestParamInfo<const char*>& info) {
  return info.param;
}

#define LOCKSTEP_EVERY_SIMD(suite) \
  INSTANTIATE_TEST_SUITE_P(Simd, suite, ::testing::Values("avx2", "avx512", "neon"), SimdTestName)

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_TESTS_COMMON_KERNELS_IMAGE_TESTING_H_
