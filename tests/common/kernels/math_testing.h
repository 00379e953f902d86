// What the tests of the elementary functions share: the functions of math-inl.h by kernels that
// contain them, and their true values.
#ifndef LOCKSTEP_TESTS_COMMON_KERNELS_MATH_TESTING_H_
#define LOCKSTEP_TESTS_COMMON_KERNELS_MATH_TESTING_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "common/kernels/reference_math.h"

namespace lockstep::kernels {

struct MathCase {
  const char* name;
  float (*twin)(float);
  double (*truth)(double);
  double ulp_max;
};

inline constexpr MathCase kMathCases[] = {
    {"exp", ReferenceExp, std::exp, 1.1},
    {"log", ReferenceLog, std::log, 1.0},
    {"log1p", ReferenceLog1p, std::log1p, 2.0},
    {"sigmoid", ReferenceSigmoid,
     [](double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); },
     2.5},
    {"tanh", ReferenceTanh, std::tanh, 2.0},
};

// |value - truth| in units of the last place of a float of that size; double's error is 2^-29 of
// it. 0 where both are NaN or equal.
inline double UlpError(float value, double truth) {
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  if (std::isnan(value) || std::isnan(truth))
    return std::isnan(value) && std::isnan(truth) ? 0 : kInfinite;
  if (static_cast<float>(truth) == value)
    return std::signbit(truth) == std::signbit(value) ? 0 : kInfinite;
  if (std::isinf(value)) return kInfinite;
  const int exponent = std::max(std::ilogb(truth), -126);
  return std::fabs(static_cast<double>(value) - truth) / std::ldexp(1.0, exponent - 23);
}

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_TESTS_COMMON_KERNELS_MATH_TESTING_H_
