// Elementary functions on vectors of floats, defined by their operations: every target and the
// scalar twin (reference_math.h) give the same bits. Only + - * / fma, comparisons, selections and
// integer operations, each in the order written here.
//
// exp      x to [-104, 89]; n = rint(x log2 e); r = x - n ln 2 in two parts;
//          (1 + (r + r^2 P5(r))) 2^(n/2) 2^(n-n/2). Overflow +inf; underflow to denormals, then +0;
//          exp(+-0) = 1. Error 1.1 ulp.
// log      x = 2^e (1 + f), 1 + f in [sqrt(1/2), sqrt(2)); f - f^2/2 + f^3 P8(f) + e ln 2, in two
//          parts; denormals are scaled by 2^25. log(+-0) = -inf; x < 0: NaN; log(+inf) = +inf.
//          Error 1 ulp.
// log1p    u = 1 + x; log(u) + (x - (u - 1)) / u; where u = 1: x; where u <= 0 or u = +inf: log(u).
//          log1p(-1) = -inf; x < -1: NaN; keeps -0. Error 2 ulp.
// sigmoid  e = exp(-|x|); (x < 0 ? e : 1) / (1 + e). 0 at -inf, 1 at +inf. Error 2.5 ulp.
// tanh     a = |x| < 0.625: a + a^3 P4(a^2); else 1 - 2 / (exp(2a) + 1); then the sign of x.
//          Keeps -0; +-1 at +-inf. Error 2 ulp.
//
// NaN passes through all of them.
// A NaN is found with IsNaN: Highway 1.0.3's Ne is an ordered comparison on x86 and false for NaN.
// Errors are bounds over all floats, in units of the last place of the true value; tests measure
// them. Coefficients: Cephes (Moshier), single precision.
#if defined(LOCKSTEP_COMMON_KERNELS_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LOCKSTEP_COMMON_KERNELS_MATH_INL_H_
#undef LOCKSTEP_COMMON_KERNELS_MATH_INL_H_
#else
#define LOCKSTEP_COMMON_KERNELS_MATH_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"

#include "common/kernels/activation.h"
#include "common/kernels/unroll.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {

// The parts of exp: p = e^r, and n as the low bits of `shifted`. Of several vectors at once,
// operation by operation: one alone is a chain of latencies.
template <int kCount, class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE void ExpParts(D d, const V (&x)[kCount], V (&p)[kCount], V (&shifted)[kCount]) {
  namespace hn = hwy::HWY_NAMESPACE;
  // The addition of 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
  const V magic = hn::Set(d, 0x1.8p23f);
  V r[kCount];
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k) shifted[k] = hn::MulAdd(x[k], hn::Set(d, 0x1.715476p+0f), magic);
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k) p[k] = hn::Sub(shifted[k], magic);
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k) r[k] = hn::NegMulAdd(p[k], hn::Set(d, 0.693359375f), x[k]);
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k) r[k] = hn::NegMulAdd(p[k], hn::Set(d, -2.12194440e-4f), r[k]);
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k)
    p[k] = hn::MulAdd(hn::Set(d, 1.9875691500e-4f), r[k], hn::Set(d, 1.3981999507e-3f));
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k) p[k] = hn::MulAdd(p[k], r[k], hn::Set(d, 8.3334519073e-3f));
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k) p[k] = hn::MulAdd(p[k], r[k], hn::Set(d, 4.1665795894e-2f));
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k) p[k] = hn::MulAdd(p[k], r[k], hn::Set(d, 1.6666665459e-1f));
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k) p[k] = hn::MulAdd(p[k], r[k], hn::Set(d, 5.0000001201e-1f));
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k) p[k] = hn::MulAdd(p[k], hn::Mul(r[k], r[k]), r[k]);
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k) p[k] = hn::Add(p[k], hn::Set(d, 1.0f));
}

template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V Exp(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::RebindToSigned<D> di;
  // A NaN is neither below nor above and passes.
  x = hn::IfThenElse(hn::Lt(x, hn::Set(d, -104.0f)), hn::Set(d, -104.0f), x);
  x = hn::IfThenElse(hn::Gt(x, hn::Set(d, 89.0f)), hn::Set(d, 89.0f), x);
  V in[1] = {x}, p[1], shifted[1];
  ExpParts(d, in, p, shifted);
  // Two factors, since 2^n alone may be denormal or overflow; only the second product rounds.
  const auto exponent = hn::Sub(hn::BitCast(di, shifted[0]), hn::Set(di, 0x4B400000));
  const auto half = hn::ShiftRight<1>(exponent);
  const auto bias = hn::Set(di, 127);
  const V scale = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(half, bias)));
  const V rest = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(hn::Sub(exponent, half), bias)));
  const V result = hn::Mul(hn::Mul(p[0], scale), rest);
  return hn::IfThenElse(hn::Eq(x, x), result, x);
}

template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V Log(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::RebindToSigned<D> di;
  const V zero = hn::Zero(d);
  const auto tiny = hn::Lt(x, hn::Set(d, 0x1p-126f));
  const V normal = hn::IfThenElse(tiny, hn::Mul(x, hn::Set(d, 0x1p25f)), x);
  const auto root_half = hn::Set(di, 0x3F3504F3);
  const auto bits = hn::Sub(hn::BitCast(di, normal), root_half);
  const V f = hn::Sub(hn::BitCast(d, hn::Add(hn::And(bits, hn::Set(di, 0x007FFFFF)), root_half)),
                      hn::Set(d, 1.0f));
  const V e = hn::Sub(hn::ConvertTo(d, hn::ShiftRight<23>(bits)),
                      hn::IfThenElseZero(tiny, hn::Set(d, 25.0f)));
  V p = hn::Set(d, 7.0376836292e-2f);
  p = hn::MulAdd(p, f, hn::Set(d, -1.1514610310e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.1676998740e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, -1.2420140846e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.4249322787e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, -1.6668057665e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 2.0000714765e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, -2.4999993993e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 3.3333331174e-1f));
  const V square = hn::Mul(f, f);
  V y = hn::Mul(hn::Mul(p, f), square);
  y = hn::MulAdd(e, hn::Set(d, -2.12194440e-4f), y);
  y = hn::MulAdd(square, hn::Set(d, -0.5f), y);
  V result = hn::MulAdd(e, hn::Set(d, 0.693359375f), hn::Add(f, y));
  const V infinity = hn::BitCast(d, hn::Set(di, 0x7F800000));
  result = hn::IfThenElse(hn::Eq(x, zero), hn::Neg(infinity), result);
  result = hn::IfThenElse(hn::Lt(x, zero), hn::BitCast(d, hn::Set(di, 0x7FC00000)), result);
  // +inf and NaN are their own logarithms.
  return hn::IfThenElse(hn::Or(hn::Eq(x, infinity), hn::IsNaN(x)), x, result);
}

template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V Log1p(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::RebindToSigned<D> di;
  const V one = hn::Set(d, 1.0f);
  const V u = hn::Add(one, x);
  const V log = Log(d, u);
  const V lost = hn::Sub(x, hn::Sub(u, one));
  const V result = hn::Add(log, hn::Div(lost, u));
  const V infinity = hn::BitCast(d, hn::Set(di, 0x7F800000));
  const auto edge = hn::Or(hn::Le(u, hn::Zero(d)), hn::Eq(u, infinity));
  return hn::IfThenElse(hn::Eq(u, one), x, hn::IfThenElse(edge, log, result));
}

// exp in place, of values none of which is above +0 (or NaN): one bound suffices, and
// 2^(n + 64) 2^-64 are factors of which only the second product rounds.
template <int kCount, class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE void ExpsBelowZero(D d, V (&x)[kCount]) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::RebindToSigned<D> di;
  const V least = hn::Set(d, -104.0f);
  const auto bias = hn::Set(di, (64 + 127) << 23);
  V p[kCount], shifted[kCount];
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k) x[k] = hn::IfThenElse(hn::Lt(x[k], least), least, x[k]);
  ExpParts(d, x, p, shifted);
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k) {
    const auto power = hn::Add(hn::ShiftLeft<23>(hn::BitCast(di, shifted[k])), bias);
    x[k] = hn::Mul(hn::Mul(p[k], hn::BitCast(d, power)), hn::Set(d, 0x1p-64f));
  }
}

// In place.
template <int kCount, class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE void Sigmoids(D d, V (&x)[kCount]) {
  namespace hn = hwy::HWY_NAMESPACE;
  const V one = hn::Set(d, 1.0f);
  V e[kCount];
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k) e[k] = hn::Or(x[k], hn::Set(d, -0.0f));
  ExpsBelowZero(d, e);
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k) {
    x[k] = hn::Div(hn::IfThenElse(hn::Lt(x[k], hn::Zero(d)), e[k], one), hn::Add(one, e[k]));
  }
}

template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V Sigmoid(D d, V x) {
  V result[1] = {x};
  Sigmoids(d, result);
  return result[0];
}

// In place. exp's argument is 1.25 or more where its value is used, and from 18.1 on the result is
// 1: bounded by 44, n only adds to the exponent. A NaN passes through the polynomial.
template <int kCount, class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE void Tanhs(D d, V (&x)[kCount]) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::RebindToSigned<D> di;
  const V one = hn::Set(d, 1.0f), most = hn::Set(d, 44.0f);
  V twice[kCount], e[kCount], p[kCount];
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k) twice[k] = hn::Abs(x[k]);
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k) twice[k] = hn::Add(twice[k], twice[k]);
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k)
    twice[k] = hn::IfThenElse(hn::Gt(twice[k], most), most, twice[k]);
  ExpParts(d, twice, e, p);
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k) {
    const auto n = hn::ShiftLeft<23>(hn::BitCast(di, p[k]));
    e[k] = hn::BitCast(d, hn::Add(hn::BitCast(di, e[k]), n));
  }
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k)
    e[k] = hn::Sub(one, hn::Div(hn::Set(d, 2.0f), hn::Add(e[k], one)));
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k) {
    const V z = hn::Mul(x[k], x[k]);
    p[k] = hn::MulAdd(hn::Set(d, -5.70498872745e-3f), z, hn::Set(d, 2.06390887954e-2f));
    p[k] = hn::MulAdd(p[k], z, hn::Set(d, -5.37397155531e-2f));
    p[k] = hn::MulAdd(p[k], z, hn::Set(d, 1.33314422036e-1f));
    p[k] = hn::MulAdd(p[k], z, hn::Set(d, -3.33332819422e-1f));
    p[k] = hn::Mul(p[k], z);
  }
  LOCKSTEP_UNROLL
  for (int k = 0; k < kCount; ++k) {
    const V a = hn::Abs(x[k]);
    const V small = hn::MulAdd(p[k], a, a);
    x[k] = hn::CopySign(hn::IfThenElse(hn::Ge(a, hn::Set(d, 0.625f)), e[k], small), x[k]);
  }
}

template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V Tanh(D d, V x) {
  V result[1] = {x};
  Tanhs(d, result);
  return result[0];
}

// x > 0 or NaN: x; else +0.
template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V Relu(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  return hn::IfThenZeroElse(hn::Le(x, hn::Zero(d)), x);
}

template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V Activate(D d, Activation activation, V x) {
  switch (activation) {
    case Activation::kLinear:
      break;
    case Activation::kRelu:
      return Relu(d, x);
    case Activation::kSigmoid:
      return Sigmoid(d, x);
    case Activation::kTanh:
      return Tanh(d, x);
  }
  return x;
}

// d_y act'(x) from the output y.
template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V Derivative(D d, Activation activation, V y, V d_y) {
  namespace hn = hwy::HWY_NAMESPACE;
  const V one = hn::Set(d, 1.0f);
  switch (activation) {
    case Activation::kLinear:
      break;
    case Activation::kRelu:
      return hn::IfThenZeroElse(hn::Le(y, hn::Zero(d)), d_y);
    case Activation::kSigmoid:
      return hn::Mul(d_y, hn::Mul(y, hn::Sub(one, y)));
    case Activation::kTanh:
      return hn::Mul(d_y, hn::NegMulAdd(y, y, one));
  }
  return d_y;
}

// What is stored of optimizer state and elsewhere where denormals would pile up: |x| < 2^-126
// becomes +0; NaN passes.
template <class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE V WithoutDenormals(D d, V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  return hn::IfThenZeroElse(hn::Lt(hn::Abs(x), hn::Set(d, 0x1p-126f)), x);
}

}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#endif  // LOCKSTEP_COMMON_KERNELS_MATH_INL_H_
