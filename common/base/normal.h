// The normal distribution's inverse by arithmetic that every IEEE machine rounds alike;
// docs/NUMERICS.md#4-random-numbers. Thread: pure. Errors: none.
#ifndef LOCKSTEP_COMMON_BASE_NORMAL_H_
#define LOCKSTEP_COMMON_BASE_NORMAL_H_

#include <cstdint>

namespace lockstep {

// The natural logarithm of a positive, finite, normal double; within 1 ulp (fdlibm's e_log).
double LogOf(double x);

// The x with Phi(x) = p, p in (0, 1), by AS241 (Wichura 1988), routine PPND16.
double InverseNormal(double p);

// A number of mean 0 and deviation 1 for a random word, and one cut at two deviations.
double NormalOf(uint32_t word);
double TruncatedNormalOf(uint32_t word);

// What Keras divides the deviation of a truncated normal by, to have it true after the cut.
inline constexpr double kTruncatedNormalDeviation = 0.87962566103423978;

}  // namespace lockstep

#endif  // LOCKSTEP_COMMON_BASE_NORMAL_H_
