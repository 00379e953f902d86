#include "common/optim/schedule_math.h"

#include <cmath>

#include "gtest/gtest.h"

namespace lockstep {
namespace {

TEST(PowerOf, HasTheExactSmallPowers) {
  EXPECT_EQ(PowerOf(0.9, 0), 1.0);
  EXPECT_EQ(PowerOf(0.9, 1), 0.9);
  EXPECT_EQ(PowerOf(0.5, 52), 0x1p-52);
  EXPECT_EQ(PowerOf(0.0, 3), 0.0);
}

// The lowest bit first: the order of the products is part of the result.
TEST(PowerOf, MultipliesSquaresFromTheLowestBit) {
  const double square = 0.999 * 0.999, fourth = square * square, eighth = fourth * fourth;

  EXPECT_EQ(PowerOf(0.999, 13), (0.999 * fourth) * eighth);
}

// A square doubles the relative error of its base and adds a rounding, so base^(2^k) is within
// 2^k units of 2^-53, and the products of at most 64 of them add as many.
TEST(PowerOf, StaysNearTheTruePowerOverALongRun) {
  for (const int64_t exponent : {10, 1000, 30000}) {
    const double truth = std::pow(0.999, static_cast<double>(exponent));
    EXPECT_NEAR(PowerOf(0.999, exponent), truth,
                2 * 0x1p-53 * static_cast<double>(exponent + 64) * truth);
  }
}

TEST(PowerOf, UnderflowsToZeroOverAnEndlessRun) {
  EXPECT_EQ(PowerOf(0.999, int64_t{1} << 53), 0.0);
}

}  // namespace
}  // namespace lockstep
