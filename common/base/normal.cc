#include "common/base/normal.h"

#include <bit>
#include <cmath>
#include <cstddef>

namespace lockstep {
namespace {

// ((c[7] x + c[6]) x + ...) x + c[0], each operation rounded on its own.
double Polynomial(const double (&c)[8], double x) {
  double sum = c[7];
  for (size_t i = 7; i-- > 0;) sum = sum * x + c[i];
  return sum;
}

constexpr double kCenterTop[8] = {3.3871328727963666080e0,  1.3314166789178437745e+2,
                                  1.9715909503065514427e+3, 1.3731693765509461125e+4,
                                  4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                  3.3430575583588128105e+4, 2.5090809287301226727e+3};
constexpr double kCenterBottom[8] = {1.0,
                                     4.2313330701600911252e+1,
                                     6.8718700749205790830e+2,
                                     5.3941960214247511077e+3,
                                     2.1213794301586595867e+4,
                                     3.9307895800092710610e+4,
                                     2.8729085735721942674e+4,
                                     5.2264952788528545610e+3};
constexpr double kMiddleTop[8] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                                  5.76949722146069140550e0,  3.64784832476320460504e0,
                                  1.27045825245236838258e0,  2.41780725177450611770e-1,
                                  2.27238449892691845833e-2, 7.74545014278341407640e-4};
constexpr double kMiddleBottom[8] = {1.0,
                                     2.05319162663775882187e0,
                                     1.67638483018380384940e0,
                                     6.89767334985100004550e-1,
                                     1.48103976427480074590e-1,
                                     1.51986665636164571966e-2,
                                     5.47593808499534494600e-4,
                                     1.05075007164441684324e-9};
constexpr double kTailTop[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                1.78482653991729133580e0,  2.96560571828504891230e-1,
                                2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                2.71155556874348757815e-5, 2.01033439929228813265e-7};
constexpr double kTailBottom[8] = {1.0,
                                   5.99832206555887937690e-1,
                                   1.36929880922735805310e-1,
                                   1.48753612908506148525e-2,
                                   7.86869131145613259100e-4,
                                   1.84631831751005468180e-5,
                                   1.42151175831644588870e-7,
                                   2.04426310338993978564e-15};

// The middle of a word's interval of [0, 1).
double Probability(uint32_t word) { return (static_cast<double>(word) + 0.5) * 0x1p-32; }

}  // namespace

double LogOf(double x) {
  // x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)).
  constexpr uint64_t kRootHalf = 0x3FE6A09E667F3BCDu;
  constexpr uint64_t kMantissa = 0x000FFFFFFFFFFFFFu;
  const auto offset = static_cast<int64_t>(std::bit_cast<uint64_t>(x) - kRootHalf);
  const auto k = static_cast<double>(offset >> 52);
  const double f =
      std::bit_cast<double>((static_cast<uint64_t>(offset) & kMantissa) + kRootHalf) - 1.0;
  const double s = f / (2.0 + f);
  const double z = s * s;
  const double w = z * z;
  const double even = w * (3.999999999940941908e-01 +
                           w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
  const double odd = z * (6.666666666666735130e-01 +
                          w * (2.857142874366239149e-01 +
                               w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
  const double half_square = 0.5 * f * f;
  return k * 6.93147180369123816490e-01 -
         ((half_square - (s * (half_square + (odd + even)) + k * 1.90821492927058770002e-10)) - f);
}

double InverseNormal(double p) {
  const double q = p - 0.5;
  if (std::fabs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    return q * Polynomial(kCenterTop, r) / Polynomial(kCenterBottom, r);
  }
  const double r = std::sqrt(-LogOf(q < 0 ? p : 1.0 - p));
  const double x = r <= 5.0 ? Polynomial(kMiddleTop, r - 1.6) / Polynomial(kMiddleBottom, r - 1.6)
                            : Polynomial(kTailTop, r - 5.0) / Polynomial(kTailBottom, r - 5.0);
  return q < 0 ? -x : x;
}

double NormalOf(uint32_t word) { return InverseNormal(Probability(word)); }

double TruncatedNormalOf(uint32_t word) {
  constexpr double kLow = 0.022750131948179195;  // Phi(-2)
  constexpr double kHigh = 0.9772498680518208;   // Phi(2)
  return InverseNormal(kLow + Probability(word) * (kHigh - kLow));
}

}  // namespace lockstep
