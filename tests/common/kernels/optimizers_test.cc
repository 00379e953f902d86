// Optimizer updates have the bits of their reference twins; see dense_test.cc for the pattern.
#include "common/kernels/optimizers.h"

#include "gtest/gtest.h"

#include "common/kernels/reference_optimizers.h"
#include "tests/common/kernels/image_testing.h"

namespace lockstep::kernels {
namespace {

constexpr int64_t kCount = 2 * kFlatBlock + 13;  // no vector divides it

// Ranges begin at any element.
constexpr size_t kOffset = 3;

std::vector<float> Gradients() {
  auto gradient = RandomValues(kCount + kOffset, 1);
  gradient[kOffset] = 0.0f;
  gradient[kOffset + 1] = 1e-30f;  // its square underflows
  gradient[kOffset + 2] = 1e-39f;
  return gradient;
}

using Optimizers = SimdTest;
LOCKSTEP_EVERY_SIMD(Optimizers);

TEST_P(Optimizers, SgdHasTheBitsOfTheReference) {
  const auto gradient = Gradients();
  for (const float momentum : {0.0f, 0.9f}) {
    for (const bool nesterov : {false, true}) {
      auto value = RandomValues(kCount + kOffset, 2), expected = value;
      std::vector<float> velocity(value.size(), 0.0f), velocity_expected = velocity;
      float* state = momentum == 0 ? nullptr : velocity.data() + kOffset;
      const SgdArgs args{kCount,
                         0.05f,
                         momentum,
                         nesterov,
                         gradient.data() + kOffset,
                         state,
                         value.data() + kOffset};
      for (int step = 0; step < 3; ++step) {
        for (size_t k = kOffset; k < value.size(); ++k) {
          ReferenceSgd(args, gradient[k], momentum == 0 ? nullptr : &velocity_expected[k],
                       &expected[k]);
        }
        RunInPieces(FlatUnits(kCount), 2, [&](UnitRange units) { Sgd(args, units); });
      }
      EXPECT_TRUE(SameBits(value, expected));
      EXPECT_TRUE(SameBits(velocity, velocity_expected));
    }
  }
}

TEST_P(Optimizers, AdamHasTheBitsOfTheReference) {
  const auto gradient = Gradients();
  auto value = RandomValues(kCount + kOffset, 2), expected = value;
  std::vector<float> m(value.size(), 0.0f), v = m, m_expected = m, v_expected = m;
  AdamArgs args{kCount,
                0.001f,
                0.1f,
                0.001f,
                1e-7f,
                gradient.data() + kOffset,
                m.data() + kOffset,
                v.data() + kOffset,
                value.data() + kOffset};
  for (int step = 0; step < 3; ++step) {
    for (size_t k = kOffset; k < value.size(); ++k) {
      ReferenceAdam(args, gradient[k], &m_expected[k], &v_expected[k], &expected[k]);
    }
    RunInPieces(FlatUnits(kCount), 2, [&](UnitRange units) { Adam(args, units); });
  }
  EXPECT_TRUE(SameBits(value, expected));
  EXPECT_TRUE(SameBits(m, m_expected));
  EXPECT_TRUE(SameBits(v, v_expected));
}

TEST_P(Optimizers, StateKeepsNoDenormals) {
  const std::vector<float> gradient = {1e-38f, -1e-38f, 1e-36f};
  std::vector<float> m(3, 0.0f), v(3, 0.0f), value(3, 1.0f);
  Adam({3, 0.001f, 0.1f, 0.001f, 1e-7f, gradient.data(), m.data(), v.data(), value.data()}, {0, 1});
  EXPECT_TRUE(SameBits({m[0], m[1]}, {0.0f, 0.0f}));
  EXPECT_FLOAT_EQ(m[2], 1e-37f);
  EXPECT_TRUE(SameBits(v, {0.0f, 0.0f, 0.0f}));
}

}  // namespace
}  // namespace lockstep::kernels
