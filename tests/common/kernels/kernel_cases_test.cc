// Every kernel over random shapes and values: the bits of its twin on every target, and nothing
// touched beside its buffers. LOCKSTEP_CASES sets how many cases each kernel gets.
#include "tests/common/kernels/kernel_cases.h"

#include <cstdlib>

#include "gtest/gtest.h"

namespace lockstep::kernels {
namespace {

int CasesWanted() {
  const char* const wanted = std::getenv("LOCKSTEP_CASES");
  return wanted == nullptr ? 40 : std::atoi(wanted);
}

class KernelCases : public ::testing::TestWithParam<KernelCase> {};

TEST_P(KernelCases, HaveTheBitsOfTheTwinBetweenGuardPages) {
  const int wanted = CasesWanted();
  ASSERT_GT(wanted, 0);
  for (int seed = 0; seed < wanted; ++seed) {
    Choices choose(static_cast<uint32_t>(seed));
    ASSERT_EQ(GetParam().run(choose), "") << "seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(All, KernelCases, ::testing::ValuesIn(AllKernelCases()),
                         [](const ::testing::TestParamInfo<KernelCase>& one) {
                           return std::string(one.param.name);
                         });

// The guard itself: one element beyond either end ends the process.
TEST(GuardedBufferDeathTest, EndsTheProcessOneElementBeyondEitherEnd) {
  GuardedBuffer<float> start(5, Flush::kStart), end(5, Flush::kEnd);
  volatile float* const before = start.data() - 1;
  volatile float* const after = end.data() + 5;
  EXPECT_DEATH(static_cast<void>(*before), "");
  EXPECT_DEATH(*after = 1.0f, "");
  EXPECT_TRUE(start.intact());
  start.data()[5] = 1.0f;
  EXPECT_FALSE(start.intact());
}

TEST(Choices, DifferenceIsSeenAndNamed) {
  EXPECT_EQ(Compare("y", {1.0f, 2.0f}, {1.0f, 2.0f}), "");
  EXPECT_NE(Compare("y", {1.0f, 0.0f}, {1.0f, -0.0f}), "");
  EXPECT_EQ(OnEveryTarget([] { return Difference("wrong"); }),
            std::string(SupportedSimd().front()) + ": wrong");
}

}  // namespace
}  // namespace lockstep::kernels
