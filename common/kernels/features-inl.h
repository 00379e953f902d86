// Reductions over the features of one block: kLanes samples side by side, the feature axis a loop.
// docs/NUMERICS.md section 2.
#if defined(LOCKSTEP_COMMON_KERNELS_FEATURES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LOCKSTEP_COMMON_KERNELS_FEATURES_INL_H_
#undef LOCKSTEP_COMMON_KERNELS_FEATURES_INL_H_
#else
#define LOCKSTEP_COMMON_KERNELS_FEATURES_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"

#include "common/kernels/block.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {

// Lane chains over k, then the adjacent-pair tree; "lane" is NUMERICS' word for k mod 16, not for a
// SIMD lane.
class LaneChains {
 public:
  using D = hwy::HWY_NAMESPACE::CappedTag<float, kBlockLanes>;
  using V = hwy::HWY_NAMESPACE::Vec<D>;

  HWY_INLINE LaneChains() {
    for (V& chain : chains_) chain = hwy::HWY_NAMESPACE::Zero(D());
  }
  HWY_INLINE void Add(int64_t k, V value) {
    chains_[k % 16] = hwy::HWY_NAMESPACE::Add(chains_[k % 16], value);
  }
  HWY_INLINE V Total() const {
    V sums[16];
    for (int l = 0; l < 16; ++l) sums[l] = chains_[l];
    for (int width = 8; width > 0; width /= 2) {
      for (int l = 0; l < width; ++l)
        sums[l] = hwy::HWY_NAMESPACE::Add(sums[2 * l], sums[2 * l + 1]);
    }
    return sums[0];
  }

 private:
  V chains_[16];
};

// The greatest x[k][lane] over k < features (at least 1); a NaN wins.
HWY_INLINE LaneChains::V MaxOverFeatures(int64_t features, const float* x) {
  namespace hn = hwy::HWY_NAMESPACE;
  const LaneChains::D d;
  auto max = hn::Load(d, x);
  for (int64_t k = 1; k < features; ++k) {
    const auto next = hn::Load(d, x + k * kBlockLanes);
    max = hn::IfThenElse(hn::Or(hn::Gt(next, max), hn::IsNaN(next)), next, max);
  }
  return max;
}

}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#endif  // LOCKSTEP_COMMON_KERNELS_FEATURES_INL_H_
