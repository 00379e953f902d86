#include "common/kernels/tree_sum.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/kernels/unroll.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/kernels/tree_sum.cc"
#include "hwy/foreach_target.h"  // Must come before highway.h.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// kCount vectors from e on. Adds partials in ascending order: two neighbours of one size are
// siblings, since both are aligned. Stack entries shrink towards the top, hence 32 hold any count.
template <int kCount, class D>
HWY_INLINE void SumAt(D d, const TreeSumArgs& args, int64_t e) {
  constexpr int kDepth = 32;
  constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(D()));
  HWY_ALIGN float sums[kDepth][kCount * kLanes];
  int32_t sizes[kDepth];
  int depth = 0;
  for (int32_t k = 0; k < args.partial_count; ++k) {
    hn::Vec<D> sum[kCount];
    LOCKSTEP_UNROLL
    for (int i = 0; i < kCount; ++i) sum[i] = hn::LoadU(d, args.partials[k] + e + i * kLanes);
    int32_t size = args.leaves[k];
    for (; depth > 0 && sizes[depth - 1] == size; size *= 2) {
      --depth;
      LOCKSTEP_UNROLL
      for (int i = 0; i < kCount; ++i)
        sum[i] = hn::Add(hn::LoadU(d, sums[depth] + i * kLanes), sum[i]);
    }
    LOCKSTEP_UNROLL
    for (int i = 0; i < kCount; ++i) hn::StoreU(sum[i], d, sums[depth] + i * kLanes);
    sizes[depth++] = size;
  }
  LOCKSTEP_DCHECK(depth == 1);
  LOCKSTEP_UNROLL
  for (int i = 0; i < kCount; ++i)
    hn::StoreU(hn::LoadU(d, sums[0] + i * kLanes), d, args.out + e + i * kLanes);
}

// Four vectors at once share the stack's bookkeeping.
void TreeSumImpl(const TreeSumArgs& args, UnitRange units) {
  const hn::CappedTag<float, kBlockLanes> d;
  const hn::CappedTag<float, 1> one;
  constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(d)), kRun = 4 * kLanes;
  const int64_t end = std::min(args.count, units.end * kFlatBlock);
  int64_t e = units.begin * kFlatBlock;
  for (; e + kRun <= end; e += kRun) SumAt<4>(d, args, e);
  for (; e + kLanes <= end; e += kLanes) SumAt<1>(d, args, e);
  for (; e < end; ++e) SumAt<1>(one, args, e);
}

// x - x is +0, or NaN where x is not finite.
bool AllFiniteImpl(const float* x, int64_t count) {
  const hn::CappedTag<float, kBlockLanes> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto sum = hn::Zero(d);
  int64_t e = 0;
  for (; e + lanes <= count; e += lanes) {
    const auto value = hn::LoadU(d, x + e);
    sum = hn::Add(sum, hn::Sub(value, value));
  }
  bool finite = hn::AllTrue(d, hn::Eq(sum, hn::Zero(d)));
  for (; e < count; ++e) finite &= x[e] - x[e] == 0.0f;
  return finite;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::kernels {

HWY_EXPORT(TreeSumImpl);
HWY_EXPORT(AllFiniteImpl);

void TreeSum(const TreeSumArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(args.partial_count > 0);
  HWY_DYNAMIC_DISPATCH(TreeSumImpl)(args, units);
}

bool AllFinite(const float* x, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(AllFiniteImpl)(x, count);
}

}  // namespace lockstep::kernels
#endif  // HWY_ONCE
