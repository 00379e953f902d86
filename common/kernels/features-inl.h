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
#include "common/kernels/math-inl.h"
#include "common/kernels/unroll.h"

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
      for (int64_t l = 0; l < width; ++l)
        sums[l] = hwy::HWY_NAMESPACE::Add(sums[2 * l], sums[2 * l + 1]);
    }
    return sums[0];
  }

 private:
  V chains_[16];
};

// The greatest x[k][lane] over k < features (at least 1); a NaN wins. Four chains side by side,
// since each step waits for the last; of +0 and -0 either.
HWY_INLINE LaneChains::V MaxOverFeatures(int64_t features, const float* x) {
  namespace hn = hwy::HWY_NAMESPACE;
  using V = LaneChains::V;
  constexpr int kChains = 4;
  const LaneChains::D d;
  const auto challenge = [](V& max, V next) HWY_ATTR {
    max = hn::IfThenElse(hn::Or(hn::Gt(next, max), hn::IsNaN(next)), next, max);
  };
  V max[kChains];
  LOCKSTEP_UNROLL
  for (V& each : max) each = hn::Load(d, x);
  int64_t k = 1;
  for (; k + kChains <= features; k += kChains) {
    LOCKSTEP_UNROLL
    for (int c = 0; c < kChains; ++c) challenge(max[c], hn::Load(d, x + (k + c) * kBlockLanes));
  }
  for (; k < features; ++k) challenge(max[0], hn::Load(d, x + k * kBlockLanes));
  LOCKSTEP_UNROLL
  for (int c = 1; c < kChains; ++c) challenge(max[0], max[c]);
  return max[0];
}

// body(k, e_k), k ascending, with e_k = exp(x[k][lane] - max) where no x is greater than max.
// Several at once, operation by operation: one alone is a chain of latencies.
template <class Body>
HWY_INLINE void ForExponentials(int64_t features, const float* x, LaneChains::V max,
                                const Body& body) {
  namespace hn = hwy::HWY_NAMESPACE;
  constexpr int kAtOnce = 4;
  const LaneChains::D d;
  int64_t k = 0;
  for (; k + kAtOnce <= features; k += kAtOnce) {
    LaneChains::V e[kAtOnce];
    LOCKSTEP_UNROLL
    for (int i = 0; i < kAtOnce; ++i) e[i] = hn::Sub(hn::Load(d, x + (k + i) * kBlockLanes), max);
    ExpsBelowZero(d, e);
    LOCKSTEP_UNROLL
    for (int i = 0; i < kAtOnce; ++i) body(k + i, e[i]);
  }
  for (; k < features; ++k) {
    LaneChains::V e[1] = {hn::Sub(hn::Load(d, x + k * kBlockLanes), max)};
    ExpsBelowZero(d, e);
    body(k, e[0]);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#endif  // LOCKSTEP_COMMON_KERNELS_FEATURES_INL_H_
