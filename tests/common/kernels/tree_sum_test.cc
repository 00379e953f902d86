#include "common/kernels/tree_sum.h"

#include "gtest/gtest.h"

#include "common/kernels/reference_tree.h"
#include "tests/common/kernels/image_testing.h"

namespace lockstep::kernels {
namespace {

using TreeSums = SimdTest;
LOCKSTEP_EVERY_SIMD(TreeSums);

TEST_P(TreeSums, IsTheShardTreeForAnySplitIntoMaximalSubtrees) {
  constexpr int32_t kShards = 16;
  constexpr int64_t kCount = kFlatBlock + 21;
  std::vector<std::vector<float>> leaves;
  for (uint32_t s = 0; s < kShards; ++s) leaves.push_back(RandomValues(kCount, s + 1));
  const auto sum_of = [&](int32_t first, int32_t size) {
    std::vector<float> sum;
    for (size_t e = 0; e < static_cast<size_t>(kCount); ++e) {
      std::vector<float> values;
      for (int32_t s = first; s < first + size; ++s)
        values.push_back(leaves[static_cast<size_t>(s)][e]);
      sum.push_back(ReferenceTree(values, 1, 0.0f, [](float a, float b) { return a + b; }));
    }
    return sum;
  };
  const auto expected = sum_of(0, kShards);
  for (int32_t ranks = 1; ranks <= kShards; ++ranks) {
    std::vector<std::vector<float>> partials;
    std::vector<int32_t> sizes;
    for (int32_t rank = 0; rank < ranks; ++rank) {
      for (const auto& [first, size] :
           MaximalSubtrees(rank * kShards / ranks, (rank + 1) * kShards / ranks)) {
        partials.push_back(sum_of(first, size));
        sizes.push_back(size);
      }
    }
    std::vector<const float*> pointers;
    for (const auto& partial : partials) pointers.push_back(partial.data());
    const TreeSumArgs args{kCount, pointers.data(), sizes.data(),
                           static_cast<int32_t>(sizes.size()), partials[0].data()};  // in place
    RunInPieces(FlatUnits(kCount), 2, [&](UnitRange units) { TreeSum(args, units); });
    EXPECT_TRUE(SameBits(partials[0], expected)) << ranks << " ranks";
  }
}

TEST_P(TreeSums, AllFiniteSeesASingleBadValueAnywhere) {
  std::vector<float> x(131, std::numeric_limits<float>::max());
  x[5] = -0.0f;
  x[6] = 1e-45f;
  EXPECT_TRUE(AllFinite(x.data(), 131));
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    for (size_t k = 0; k < x.size(); ++k) {
      const float good = std::exchange(x[k], bad);
      EXPECT_FALSE(AllFinite(x.data(), 131)) << k;
      EXPECT_TRUE(AllFinite(x.data(), static_cast<int64_t>(k))) << k;
      x[k] = good;
    }
  }
}

}  // namespace
}  // namespace lockstep::kernels
