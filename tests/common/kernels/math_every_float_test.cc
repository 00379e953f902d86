// Every float, for a machine with minutes to spare (label slow); math_test.cc samples.
#include <bit>

#include "gtest/gtest.h"

#include "tests/common/kernels/math_testing.h"

namespace lockstep::kernels {
namespace {

TEST(MathEveryFloat, IsWithinItsUlpBound) {
  for (const MathCase& c : kMathCases) {
    double worst = 0;
    float worst_at = 0;
    for (uint64_t bits = 0; bits < uint64_t{1} << 32; ++bits) {
      const float x = std::bit_cast<float>(static_cast<uint32_t>(bits));
      const double error = UlpError(c.twin(x), c.truth(static_cast<double>(x)));
      if (error > worst) worst = error, worst_at = x;
    }
    EXPECT_LE(worst, c.ulp_max) << c.name << " at " << std::hexfloat << worst_at;
    RecordProperty(c.name, std::to_string(worst));
  }
}

}  // namespace
}  // namespace lockstep::kernels
