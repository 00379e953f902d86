#include "common/kernels/tree_sum.h"

#include "common/base/check.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/kernels/tree_sum.cc"
#include "hwy/foreach_target.h"  // Must come before highway.h.
#include "hwy/highway.h"

#include "common/kernels/flat-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Adds partials in ascending order: two neighbours of one size are siblings, since both are
// aligned. Stack entries shrink towards the top, hence 32 hold any count.
struct TreeSumBody {
  const TreeSumArgs& args;
  template <class D>
  HWY_INLINE void operator()(D d, int64_t e) const {
    constexpr int kDepth = 32;
    HWY_ALIGN float sums[kDepth][kBlockLanes];
    int32_t sizes[kDepth];
    int depth = 0;
    for (int32_t k = 0; k < args.partial_count; ++k) {
      auto sum = hn::LoadU(d, args.partials[k] + e);
      int32_t size = args.leaves[k];
      for (; depth > 0 && sizes[depth - 1] == size; size *= 2)
        sum = hn::Add(hn::Load(d, sums[--depth]), sum);
      hn::Store(sum, d, sums[depth]);
      sizes[depth++] = size;
    }
    LOCKSTEP_DCHECK(depth == 1);
    hn::StoreU(hn::Load(d, sums[0]), d, args.out + e);
  }
};

void TreeSumImpl(const TreeSumArgs& args, UnitRange units) {
  ForFlat(args.count, units, TreeSumBody{args});
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
