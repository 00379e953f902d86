#include "common/kernels/zero_padding2d.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/kernels/zero_padding2d.cc"
#include "hwy/foreach_target.h"  // Must come before highway.h.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::CappedTag<float, kBlockLanes>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));

HWY_INLINE void Clear(int64_t floats, float* HWY_RESTRICT to) {
  const D d;
  for (int64_t e = 0; e < floats; e += kLanes) hn::Store(hn::Zero(d), d, to + e);
}

HWY_INLINE void Copy(int64_t floats, const float* HWY_RESTRICT from, float* HWY_RESTRICT to) {
  const D d;
  for (int64_t e = 0; e < floats; e += kLanes) hn::Store(hn::Load(d, from + e), d, to + e);
}

HWY_INLINE void AddTo(int64_t floats, const float* HWY_RESTRICT from, float* HWY_RESTRICT to) {
  const D d;
  for (int64_t e = 0; e < floats; e += kLanes) {
    hn::Store(hn::Add(hn::Load(d, to + e), hn::Load(d, from + e)), d, to + e);
  }
}

void ForwardImpl(const ZeroPadding2dForwardArgs& args, UnitRange units) {
  const ZeroPadding2dGeometry& g = args.geometry;
  const int64_t cell = g.channels * kBlockLanes;
  const int64_t out_row = g.out_w() * cell;
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const int64_t block = unit / g.out_h();
    const int64_t h = unit % g.out_h() - g.top;
    float* const y = args.y + unit * out_row;
    if (h < 0 || h >= g.height) {
      Clear(out_row, y);
      continue;
    }
    const float* const x = args.x + (block * g.height + h) * g.width * cell;
    Clear(g.left * cell, y);
    Copy(g.width * cell, x, y + g.left * cell);
    Clear(g.right * cell, y + (g.left + g.width) * cell);
  }
}

void BackwardImpl(const ZeroPadding2dBackwardArgs& args, UnitRange units) {
  const ZeroPadding2dGeometry& g = args.geometry;
  const int64_t cell = g.channels * kBlockLanes;
  const int64_t row = g.width * cell;
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const int64_t block = unit / g.height;
    const int64_t p = unit % g.height + g.top;
    const float* const d_y = args.d_y + ((block * g.out_h() + p) * g.out_w() + g.left) * cell;
    float* const d_x = args.d_x + unit * row;
    if (args.accumulate) {
      AddTo(row, d_y, d_x);
    } else {
      Copy(row, d_y, d_x);
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::kernels {

HWY_EXPORT(ForwardImpl);
HWY_EXPORT(BackwardImpl);

int64_t ZeroPadding2dForwardUnits(const ZeroPadding2dForwardArgs& args) {
  return args.blocks * args.geometry.out_h();
}

void ZeroPadding2dForward(const ZeroPadding2dForwardArgs& args, UnitRange units) {
  HWY_DYNAMIC_DISPATCH(ForwardImpl)(args, units);
}

int64_t ZeroPadding2dBackwardUnits(const ZeroPadding2dBackwardArgs& args) {
  return args.blocks * args.geometry.height;
}

void ZeroPadding2dBackward(const ZeroPadding2dBackwardArgs& args, UnitRange units) {
  HWY_DYNAMIC_DISPATCH(BackwardImpl)(args, units);
}

}  // namespace lockstep::kernels
#endif  // HWY_ONCE
