// The scalar twins against the C++ library, sampled. That vectors have the twins' bits is shown
// through the kernels that use them (activation_test.cc, losses_test.cc) and here through sigmoid
// and tanh over samples of all floats.
#include <bit>
#include <limits>
#include <random>

#include "gtest/gtest.h"

#include "common/kernels/activation.h"
#include "tests/common/kernels/image_testing.h"
#include "tests/common/kernels/math_testing.h"

namespace lockstep::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int64_t kSamples = 1 << 18;

float AnyFloat(std::mt19937& generator) {
  return std::bit_cast<float>(static_cast<uint32_t>(generator()));
}

TEST(Math, IsWithinItsUlpBoundOnSampledFloats) {
  for (const MathCase& c : kMathCases) {
    std::mt19937 generator(7);
    for (int64_t k = 0; k < kSamples; ++k) {
      // Half of the samples where the functions bend.
      const float x = k % 2 == 0 ? AnyFloat(generator)
                                 : static_cast<float>(static_cast<int32_t>(generator())) * 0x1p-24f;
      ASSERT_LE(UlpError(c.twin(x), c.truth(static_cast<double>(x))), c.ulp_max)
          << c.name << " " << std::hexfloat << x;
    }
  }
}

TEST(Math, HasTheEdgeCasesOfItsTable) {
  EXPECT_TRUE(SameBits(
      {ReferenceExp(0.0f), ReferenceExp(-0.0f), ReferenceExp(kInfinity), ReferenceExp(-kInfinity),
       ReferenceExp(89.0f), ReferenceExp(-104.0f), ReferenceExp(-103.0f)},
      {1.0f, 1.0f, kInfinity, 0.0f, kInfinity, 0.0f, 0x1p-149f}));
  EXPECT_TRUE(SameBits(
      {ReferenceLog(0.0f), ReferenceLog(-0.0f), ReferenceLog(1.0f), ReferenceLog(kInfinity)},
      {-kInfinity, -kInfinity, 0.0f, kInfinity}));
  EXPECT_TRUE(std::isnan(ReferenceLog(-1e-45f)));
  EXPECT_TRUE(SameBits({ReferenceLog1p(-0.0f), ReferenceLog1p(0.0f), ReferenceLog1p(-1.0f),
                        ReferenceLog1p(kInfinity)},
                       {-0.0f, 0.0f, -kInfinity, kInfinity}));
  EXPECT_TRUE(std::isnan(ReferenceLog1p(-1.5f)));
  EXPECT_TRUE(
      SameBits({ReferenceSigmoid(0.0f), ReferenceSigmoid(kInfinity), ReferenceSigmoid(-kInfinity)},
               {0.5f, 1.0f, 0.0f}));
  EXPECT_TRUE(SameBits({ReferenceTanh(0.0f), ReferenceTanh(-0.0f), ReferenceTanh(kInfinity),
                        ReferenceTanh(-kInfinity)},
                       {0.0f, -0.0f, 1.0f, -1.0f}));
  for (const MathCase& c : kMathCases) EXPECT_TRUE(std::isnan(c.twin(std::nanf("")))) << c.name;
}

using VectorMath = SimdTest;
LOCKSTEP_EVERY_SIMD(VectorMath);

TEST_P(VectorMath, HasTheTwinsBitsOnSampledFloats) {
  for (const Activation activation : {Activation::kSigmoid, Activation::kTanh}) {
    std::mt19937 generator(9);
    Blocks x = NanBlocks(kSamples), y = x;
    for (float& value : x) value = AnyFloat(generator);
    std::vector<float> expected;
    for (const float value : x) {
      expected.push_back(activation == Activation::kTanh ? ReferenceTanh(value)
                                                         : ReferenceSigmoid(value));
    }
    const ActivationForwardArgs args{kSamples, activation, x.data(), y.data()};
    ActivationForward(args, {0, ActivationForwardUnits(args)});
    EXPECT_TRUE(SameBits({y.begin(), y.end()}, expected));
  }
}

}  // namespace
}  // namespace lockstep::kernels
