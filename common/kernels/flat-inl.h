// Flat passes: body(d, element) for vectors of `d` over the elements of blocks of 4,096, the rest
// of a count that no vector divides one by one. Bits do not depend on the vector, since bodies are
// elementwise.
#if defined(LOCKSTEP_COMMON_KERNELS_FLAT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LOCKSTEP_COMMON_KERNELS_FLAT_INL_H_
#undef LOCKSTEP_COMMON_KERNELS_FLAT_INL_H_
#else
#define LOCKSTEP_COMMON_KERNELS_FLAT_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"

#include "common/kernels/block.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {

// Body: a struct with template <class D> HWY_INLINE void operator()(D d, int64_t element) const.
template <class Body>
HWY_INLINE void ForFlat(int64_t count, UnitRange units, const Body& body) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::CappedTag<float, kBlockLanes> d;
  const hn::CappedTag<float, 1> one;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t end = units.end * kFlatBlock < count ? units.end * kFlatBlock : count;
  int64_t e = units.begin * kFlatBlock;
  for (; e + lanes <= end; e += lanes) body(d, e);
  for (; e < end; ++e) body(one, e);
}

}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#endif  // LOCKSTEP_COMMON_KERNELS_FLAT_INL_H_
