#include "common/kernels/simd_target.h"

#include <cstdlib>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep::kernels {
namespace {

class ScopedWord {
 public:
  explicit ScopedWord(const char* word) {
    const char* before = std::getenv("LOCKSTEP_SIMD");
    if (before != nullptr) before_ = before;
    setenv("LOCKSTEP_SIMD", word, 1);
  }
  ~ScopedWord() {
    if (before_.empty()) {
      unsetenv("LOCKSTEP_SIMD");
    } else {
      setenv("LOCKSTEP_SIMD", before_.c_str(), 1);
    }
  }

 private:
  std::string before_;
};

TEST(SimdTarget, RefusesAnUnknownWordAndNamesTheKnownOnes) {
  const ScopedWord word("sse2");
  const absl::Status status = InitSimd();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              ::testing::HasSubstr("'sse2' is no SIMD target; use one of"));
  EXPECT_THAT(std::string(status.message()),
              ::testing::HasSubstr(std::string(SupportedSimd().back())));
}

TEST(SimdTarget, RefusesATargetThatTheCpuLacks) {
#if defined(__aarch64__)
  const ScopedWord word("avx2");
#else
  const ScopedWord word("neon");
#endif
  const absl::Status status = InitSimd();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("is not supported by this CPU"));
}

TEST(SimdTarget, RefusesACpuWithoutFmaByItsName) {
  EXPECT_TRUE(CheckCpu({.name = "Any", .has_target = true}).ok());
  const absl::Status refused = CheckCpu({.name = "Intel Core i7-870", .has_target = false});
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()),
              ::testing::HasSubstr("this CPU (Intel Core i7-870) has neither AVX2 with FMA"));
  EXPECT_THAT(std::string(CheckCpu({}).message()), ::testing::HasSubstr("of no known name"));
}

TEST(SimdTarget, KnowsThisCpu) {
  const CpuFacts cpu = ThisCpu();
  EXPECT_TRUE(cpu.has_target);
#if defined(__x86_64__)
  EXPECT_NE(cpu.name, "");
#endif
}

TEST(SimdTarget, AcceptsEachSupportedWordAndTheEmptyOne) {
  for (const absl::string_view name : SupportedSimd()) {
    const ScopedWord word(std::string(name).c_str());
    EXPECT_TRUE(InitSimd().ok());
    EXPECT_EQ(SimdName(), name);
    const ScopedSimdForTest back(SupportedSimd().back());
  }
  const ScopedWord word("");
  EXPECT_TRUE(InitSimd().ok());
}

}  // namespace
}  // namespace lockstep::kernels
