#include "common/kernels/optimizers.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/kernels/optimizers.cc"
#include "hwy/foreach_target.h"  // Must come before highway.h.
#include "hwy/highway.h"

#include "common/kernels/flat-inl.h"
#include "common/kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Ranges are those of a flat buffer and need not be aligned to vectors.
struct SgdBody {
  const SgdArgs& args;
  template <class D>
  HWY_INLINE void operator()(D d, int64_t e) const {
    const auto rate = hn::Set(d, args.learning_rate), momentum = hn::Set(d, args.momentum);
    const auto gradient = hn::LoadU(d, args.gradient + e);
    const auto value = hn::LoadU(d, args.value + e);
    if (args.velocity == nullptr) {
      hn::StoreU(hn::NegMulAdd(rate, gradient, value), d, args.value + e);
      return;
    }
    auto velocity =
        hn::NegMulAdd(rate, gradient, hn::Mul(momentum, hn::LoadU(d, args.velocity + e)));
    velocity = WithoutDenormals(d, velocity);
    hn::StoreU(velocity, d, args.velocity + e);
    const auto step =
        args.nesterov ? hn::NegMulAdd(rate, gradient, hn::Mul(momentum, velocity)) : velocity;
    hn::StoreU(hn::Add(value, step), d, args.value + e);
  }
};

void SgdImpl(const SgdArgs& args, UnitRange units) { ForFlat(args.count, units, SgdBody{args}); }

struct AdamBody {
  const AdamArgs& args;
  template <class D>
  HWY_INLINE void operator()(D d, int64_t e) const {
    const auto g = hn::LoadU(d, args.gradient + e);
    auto m = hn::LoadU(d, args.m + e), v = hn::LoadU(d, args.v + e);
    m = WithoutDenormals(d, hn::MulAdd(hn::Sub(g, m), hn::Set(d, args.one_minus_beta1), m));
    v = WithoutDenormals(
        d, hn::MulAdd(hn::Sub(hn::Mul(g, g), v), hn::Set(d, args.one_minus_beta2), v));
    hn::StoreU(m, d, args.m + e);
    hn::StoreU(v, d, args.v + e);
    const auto divisor = hn::Add(hn::Sqrt(v), hn::Set(d, args.epsilon));
    const auto step = hn::Div(hn::Mul(hn::Set(d, args.alpha), m), divisor);
    hn::StoreU(hn::Sub(hn::LoadU(d, args.value + e), step), d, args.value + e);
  }
};

void AdamImpl(const AdamArgs& args, UnitRange units) { ForFlat(args.count, units, AdamBody{args}); }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::kernels {

HWY_EXPORT(SgdImpl);
HWY_EXPORT(AdamImpl);

void Sgd(const SgdArgs& args, UnitRange units) { HWY_DYNAMIC_DISPATCH(SgdImpl)(args, units); }

void Adam(const AdamArgs& args, UnitRange units) { HWY_DYNAMIC_DISPATCH(AdamImpl)(args, units); }

}  // namespace lockstep::kernels
#endif  // HWY_ONCE
