// Scalars of schedules and optimizers, in double, by operations that every IEEE machine rounds
// alike.
#ifndef LOCKSTEP_COMMON_OPTIM_SCHEDULE_MATH_H_
#define LOCKSTEP_COMMON_OPTIM_SCHEDULE_MATH_H_

#include <cstdint>

namespace lockstep {

// base^exponent by binary exponentiation, lowest bit first; exponent >= 0.
// docs/NUMERICS.md#6-losses-metrics-optimizers.
inline double PowerOf(double base, int64_t exponent) {
  double result = 1.0;
  for (double square = base; exponent > 0; exponent >>= 1, square *= square) {
    if (exponent & 1) result *= square;
  }
  return result;
}

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_OPTIM_SCHEDULE_MATH_H_
