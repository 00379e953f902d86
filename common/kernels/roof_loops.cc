#include "common/kernels/roof_loops.h"

#include <cstddef>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/kernels/roof_loops.cc"
#include "hwy/foreach_target.h"  // Must come before highway.h.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::CappedTag<float, 16>;

// Returns the FLOPs done; the result keeps the compiler from leaving the work out.
double FmaImpl(size_t rounds, float* out) {
  const D d;
  const auto factor = hn::Set(d, 0.999999f);
  const auto summand = hn::Set(d, 1e-6f);
  // Different starts, or the compiler does one chain's work for all.
  auto sum0 = hn::Set(d, 1.0f);
  auto sum1 = hn::Set(d, 2.0f);
  auto sum2 = hn::Set(d, 3.0f);
  auto sum3 = hn::Set(d, 4.0f);
  auto sum4 = hn::Set(d, 5.0f);
  auto sum5 = hn::Set(d, 6.0f);
  auto sum6 = hn::Set(d, 7.0f);
  auto sum7 = hn::Set(d, 8.0f);
  auto sum8 = hn::Set(d, 9.0f);
  auto sum9 = hn::Set(d, 10.0f);
  auto sum10 = hn::Set(d, 11.0f);
  auto sum11 = hn::Set(d, 12.0f);
  for (size_t i = 0; i < rounds; ++i) {
    sum0 = hn::MulAdd(sum0, factor, summand);
    sum1 = hn::MulAdd(sum1, factor, summand);
    sum2 = hn::MulAdd(sum2, factor, summand);
    sum3 = hn::MulAdd(sum3, factor, summand);
    sum4 = hn::MulAdd(sum4, factor, summand);
    sum5 = hn::MulAdd(sum5, factor, summand);
    sum6 = hn::MulAdd(sum6, factor, summand);
    sum7 = hn::MulAdd(sum7, factor, summand);
    sum8 = hn::MulAdd(sum8, factor, summand);
    sum9 = hn::MulAdd(sum9, factor, summand);
    sum10 = hn::MulAdd(sum10, factor, summand);
    sum11 = hn::MulAdd(sum11, factor, summand);
  }
  auto sum = hn::Add(hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3)),
                     hn::Add(hn::Add(sum4, sum5), hn::Add(sum6, sum7)));
  sum = hn::Add(sum, hn::Add(hn::Add(sum8, sum9), hn::Add(sum10, sum11)));
  hn::Store(sum, d, out);
  return 2.0 * 12 * static_cast<double>(hn::Lanes(d)) * static_cast<double>(rounds);
}

// a = b + 3 c; returns the bytes moved.
double TriadImpl(float* a, const float* b, const float* c, size_t count) {
  const D d;
  const auto factor = hn::Set(d, 3.0f);
  for (size_t i = 0; i < count; i += hn::Lanes(d)) {
    hn::Store(hn::MulAdd(factor, hn::Load(d, c + i), hn::Load(d, b + i)), d, a + i);
  }
  return 12.0 * static_cast<double>(count);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::kernels {

HWY_EXPORT(FmaImpl);
HWY_EXPORT(TriadImpl);

double FmaLoop(int64_t rounds, float* sink) {
  return HWY_DYNAMIC_DISPATCH(FmaImpl)(static_cast<size_t>(rounds), sink);
}

double TriadLoop(float* a, const float* b, const float* c, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(TriadImpl)(a, b, c, static_cast<size_t>(count));
}

}  // namespace lockstep::kernels
#endif  // HWY_ONCE
