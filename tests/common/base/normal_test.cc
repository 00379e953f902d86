#include "common/base/normal.h"

#include <cmath>

#include "gmock/gmock.h"

namespace lockstep {
namespace {

TEST(LogOf, IsWithinOneUlpOfTheLibrarys) {
  for (double x = 0x1p-40; x < 0x1p40; x *= 1.0009765) {
    const double truth = std::log(x);
    EXPECT_NEAR(LogOf(x), truth, std::fabs(truth) * 0x1p-52) << x;
  }
  EXPECT_EQ(LogOf(1.0), 0.0);
}

// Phi(x) by the library's complementary error function; an error of Phi is one of x times the
// density.
TEST(InverseNormal, InvertsTheDistributionFunction) {
  for (double p = 1e-9; p < 1.0; p = p < 1e-3 ? p * 1.7 : p + 0.0007) {
    const double x = InverseNormal(p);
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * M_PI);
    const double phi = std::erfc(-x / std::sqrt(2.0)) / 2;
    EXPECT_NEAR((phi - p) / density, 0.0, 1e-13 * (1 + std::fabs(x))) << p;
  }
  EXPECT_EQ(InverseNormal(0.5), 0.0);
}

TEST(TruncatedNormalOf, StaysWithinTwoDeviations) {
  EXPECT_NEAR(TruncatedNormalOf(0), -2.0, 1e-8);
  EXPECT_NEAR(TruncatedNormalOf(0xffffffffu), 2.0, 1e-8);
  EXPECT_NEAR(TruncatedNormalOf(0x80000000u), 0.0, 1e-8);
}

}  // namespace
}  // namespace lockstep
