// Random cases of every kernel: shapes, slots and values are drawn from `Choices`, buffers lie
// between guard pages, and every SIMD target of this CPU must give the bits of the reference twin.
// The unit test draws from seeds, the differential fuzzer (tests/fuzz) from its input.
#ifndef LOCKSTEP_TESTS_COMMON_KERNELS_KERNEL_CASES_H_
#define LOCKSTEP_TESTS_COMMON_KERNELS_KERNEL_CASES_H_

#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "tests/common/kernels/guarded_buffer.h"
#include "tests/common/kernels/image_testing.h"

namespace lockstep::kernels {

// A stream of decisions: the bytes first, then random ones that follow from them.
class Choices {
 public:
  explicit Choices(absl::Span<const uint8_t> bytes);
  explicit Choices(uint32_t seed) : random_(seed) {}

  uint32_t Next();
  int64_t Below(int64_t end) { return static_cast<int64_t>(Next() % static_cast<uint64_t>(end)); }
  int64_t From(int64_t first, int64_t last) { return first + Below(last - first + 1); }
  bool Coin() { return Below(2) == 0; }
  template <class T>
  T Of(std::initializer_list<T> all) {
    return *(all.begin() + Below(static_cast<int64_t>(all.size())));
  }
  // Mostly small, at times up to `last`: the tails of tiles, and some whole ones.
  int64_t Extent(int64_t last) {
    return From(1, Below(4) == 0 ? last : std::min<int64_t>(last, 9));
  }
  Flush Edge() { return Coin() ? Flush::kStart : Flush::kEnd; }

  // Uniform, small whole numbers with ties and -0, tiny, huge, or sprinkled with NaN, infinities,
  // denormals and zeros.
  std::vector<float> Values(int64_t count);
  // Shards of samples in slots, some empty, the last ones smaller.
  SlotLayout Slots();
  // An aligned subtree of the layout's shards.
  SubtreeRange Subtree(const SlotLayout& layout);

 private:
  absl::Span<const uint8_t> bytes_;
  std::mt19937 random_;
};

using Floats = GuardedBuffer<float>;

// [N][features] in blocks, flush with a guard page; lanes without a sample are NaN.
inline std::vector<float> Packed(const SlotLayout& layout, int64_t features,
                                 const std::vector<float>& values) {
  const Blocks blocks = Pack(layout, features, values);
  return {blocks.begin(), blocks.end()};
}
inline std::vector<float> Unpacked(const SlotLayout& layout, int64_t features,
                                   const Floats& packed) {
  return Unpack(layout, features, Blocks(packed.data(), packed.data() + packed.size()));
}
inline std::vector<float> NanValues(int64_t count) {
  return std::vector<float>(static_cast<size_t>(count), std::numeric_limits<float>::quiet_NaN());
}

// The samples of a subtree's shards, and how many lie before them.
struct SubtreeSamples {
  ReferenceShards shards;
  int64_t before = 0;
};
SubtreeSamples SamplesOf(const SlotLayout& layout, const SubtreeRange& subtree);

// What differs, in words; empty: nothing.
using Difference = std::string;
// "y: element 3 of 20: ...", also where the bytes beside the buffer were written.
Difference Compare(absl::string_view what, const std::vector<float>& actual,
                   const std::vector<float>& expected);
Difference Untouched(absl::string_view what, bool intact);
// Of every SIMD target of this CPU in turn; the target's name goes before the difference.
Difference OnEveryTarget(const std::function<Difference()>& body);
// The first that is not empty.
Difference FirstOf(std::initializer_list<Difference> all);

struct KernelCase {
  const char* name;
  Difference (*run)(Choices& choose);
};
absl::Span<const KernelCase> DenseCases();
absl::Span<const KernelCase> Conv2dCases();
absl::Span<const KernelCase> PoolingCases();
absl::Span<const KernelCase> BatchNormCases();
absl::Span<const KernelCase> ElementCases();
absl::Span<const KernelCase> LossCases();
std::vector<KernelCase> AllKernelCases();

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_TESTS_COMMON_KERNELS_KERNEL_CASES_H_
