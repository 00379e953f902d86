// Run by ctest once per word of LOCKSTEP_SIMD: the forced target is the one whose code runs.
#include <algorithm>
#include <cstdlib>

#include "gtest/gtest.h"

#include "common/kernels/simd_target.h"

namespace lockstep::kernels {
namespace {

TEST(SimdForced, RunsTheForcedTarget) {
  const char* word = std::getenv("LOCKSTEP_SIMD");
  const auto supported = SupportedSimd();
  if (word == nullptr) {
    ASSERT_TRUE(InitSimd().ok());
    EXPECT_EQ(SimdName(), supported.back());
    return;
  }
  if (std::find(supported.begin(), supported.end(), word) == supported.end()) {
    EXPECT_EQ(InitSimd().code(), absl::StatusCode::kInvalidArgument);
    GTEST_SKIP() << word << " is not supported by this CPU or build";
  }
  ASSERT_TRUE(InitSimd().ok());
  EXPECT_EQ(SimdName(), word);
}

}  // namespace
}  // namespace lockstep::kernels
