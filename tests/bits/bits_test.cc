// The lockstep contract on the models of the examples: the gradients of five training steps and the
// model after them are one hash for every SIMD target of this CPU, any count of ranks and threads.
// Every target leaves a line "bits: MODEL TARGET CELLS GRADIENTS MODEL"; scripts/test-bits.sh
// compares those of several architectures.
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "common/kernels/simd_target.h"
#include "tests/bits/example_steps.h"
#include "tests/support/status_matchers.h"

namespace lockstep::testing {
namespace {

class Bits : public ::testing::TestWithParam<const char*> {};

void ExpectOneHash(const std::string& example, const std::vector<Split>& splits) {
  std::optional<StepHashes> expected;
  for (const absl::string_view simd : kernels::SupportedSimd()) {
    const kernels::ScopedSimdForTest forced(simd);
    ASSERT_EQ(kernels::SimdName(), simd);
    StepHashes hashes;
    for (const Split& split : splits) {
      ASSERT_OK_AND_ASSIGN(hashes, TrainExample(example, split));
      if (!expected.has_value()) expected = hashes;
      EXPECT_EQ(hashes, *expected) << example << ", " << simd << ", " << split;
    }
    std::printf("bits: %s %s %zu %s %s\n", example.c_str(), std::string(simd).c_str(),
                splits.size(), hashes.gradients.c_str(), hashes.model.c_str());
  }
}

TEST_P(Bits, AreTheSameOnOneRank) { ExpectOneHash(GetParam(), {{1, 1}, {1, 2}}); }

// A few cells of the matrix, in seconds.
TEST_P(Bits, AreTheSameOnADiagonal) {
  ExpectOneHash(GetParam(), {{1, 1}, {2, 2}, {3, 3}, {5, 1}, {8, 2}});
}

TEST_P(Bits, AreTheSameOverTheWholeMatrix) {
  std::vector<Split> splits;
  for (int ranks = 1; ranks <= 8; ++ranks) {
    for (int threads = 1; threads <= 3; ++threads) splits.push_back({ranks, threads});
  }
  ExpectOneHash(GetParam(), splits);
}

INSTANTIATE_TEST_SUITE_P(Examples, Bits, ::testing::Values("cnn", "lstm", "gan", "resnet20"),
                         [](const auto& example) { return std::string(example.param); });

}  // namespace
}  // namespace lockstep::testing
