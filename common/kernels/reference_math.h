// The scalar twins of math-inl.h: the same bits as float, the C++ library's functions as double
// (for gradient checks).
#ifndef LOCKSTEP_COMMON_KERNELS_REFERENCE_MATH_H_
#define LOCKSTEP_COMMON_KERNELS_REFERENCE_MATH_H_

#include <bit>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>

namespace lockstep::kernels {

inline double ReferenceExp(double x) { return std::exp(x); }
inline double ReferenceLog(double x) { return std::log(x); }
inline double ReferenceLog1p(double x) { return std::log1p(x); }
inline double ReferenceSigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }
inline double ReferenceTanh(double x) { return std::tanh(x); }

inline float ReferenceExp(float x) {
  if (std::isnan(x)) return x;
  if (x < -104.0f) x = -104.0f;
  if (x > 89.0f) x = 89.0f;
  const float shifted = std::fma(x, 0x1.715476p+0f, 0x1.8p23f);
  const float n = shifted - 0x1.8p23f;
  float r = std::fma(-n, 0.693359375f, x);
  r = std::fma(-n, -2.12194440e-4f, r);
  float p = 1.9875691500e-4f;
  for (const float c :
       {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f}) {
    p = std::fma(p, r, c);
  }
  p = std::fma(p, r * r, r) + 1.0f;
  const int32_t exponent = static_cast<int32_t>(n);
  const int32_t half = exponent >> 1;
  return p * std::bit_cast<float>((half + 127) << 23) *
         std::bit_cast<float>((exponent - half + 127) << 23);
}

inline float ReferenceLog(float x) {
  if (std::isnan(x) || x == std::numeric_limits<float>::infinity()) return x;
  if (x < 0) return std::numeric_limits<float>::quiet_NaN();
  if (x == 0) return -std::numeric_limits<float>::infinity();
  const bool tiny = x < 0x1p-126f;
  const int32_t bits = std::bit_cast<int32_t>(tiny ? x * 0x1p25f : x) - 0x3F3504F3;
  const float f = std::bit_cast<float>((bits & 0x007FFFFF) + 0x3F3504F3) - 1.0f;
  const float e = static_cast<float>(bits >> 23) - (tiny ? 25.0f : 0.0f);
  float p = 7.0376836292e-2f;
  for (const float c : {-1.1514610310e-1f, 1.1676998740e-1f, -1.2420140846e-1f, 1.4249322787e-1f,
                        -1.6668057665e-1f, 2.0000714765e-1f, -2.4999993993e-1f, 3.3333331174e-1f}) {
    p = std::fma(p, f, c);
  }
  float y = (p * f) * (f * f);
  y = std::fma(e, -2.12194440e-4f, y);
  y = std::fma(f * f, -0.5f, y);
  return std::fma(e, 0.693359375f, f + y);
}

inline float ReferenceLog1p(float x) {
  const float u = 1.0f + x;
  if (u == 1.0f) return x;
  const float log = ReferenceLog(u);
  if (u <= 0.0f || u == std::numeric_limits<float>::infinity()) return log;
  return log + (x - (u - 1.0f)) / u;
}

inline float ReferenceSigmoid(float x) {
  const float e = ReferenceExp(-std::fabs(x));
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

inline float ReferenceTanh(float x) {
  const float a = std::fabs(x);
  if (!(a < 0.625f)) return std::copysign(1.0f - 2.0f / (ReferenceExp(a + a) + 1.0f), x);
  const float z = a * a;
  float p = -5.70498872745e-3f;
  for (const float c :
       {2.06390887954e-2f, -5.37397155531e-2f, 1.33314422036e-1f, -3.33332819422e-1f}) {
    p = std::fma(p, z, c);
  }
  return std::copysign(std::fma(p * z, a, a), x);
}

}  // namespace lockstep::kernels

#endif  // LOCKSTEP_COMMON_KERNELS_REFERENCE_MATH_H_
