#include "common/kernels/dropout.h"

#include <algorithm>

#include "common/base/check.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/kernels/dropout.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // Must come before highway.h.
#include "hwy/highway.h"

#include "common/kernels/philox-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::CappedTag<float, kBlockLanes>;
using DU = hn::RebindToUnsigned<D>;
using DI = hn::RebindToSigned<D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));

constexpr int64_t kUnitFeatures = 64;  // a multiple of 4: one counter gives four elements
constexpr int kCounterFeatures = 4;
// Floats. A Philox block fills the core's window of instructions before the next loads come in
// sight.
constexpr int64_t kAhead = 1024;

// Features [begin, end) of one block, kLanes of its samples.
void DropoutPart(const DropoutArgs& args, int64_t block, int lane, UnitRange features) {
  const D d;
  const DU du;
  const DI di;
  const auto step = static_cast<uint64_t>(*args.step);
  const auto position =
      hn::BitCast(du, hn::Load(di, args.batch_position + block * kBlockLanes + lane));
  const auto step_low = hn::Set(du, static_cast<uint32_t>(step));
  const auto call =
      hn::Set(du, (args.node_call << 16) | (static_cast<uint32_t>(step >> 32) & 0xFFFFu));
  const auto scale = hn::Set(d, args.scale), rate = hn::Set(d, args.rate),
             unit = hn::Set(d, 0x1p-24f);
  for (int64_t feature = features.begin; feature < features.end; feature += kCounterFeatures) {
    const auto counter = hn::Set(du, static_cast<uint32_t>(feature / kCounterFeatures));
    const auto random =
        Philox(du, PhiloxWords<hn::Vec<DU>>{{counter, position, step_low, call}}, args.key);
    const int64_t count = std::min<int64_t>(kCounterFeatures, features.end - feature);
    for (int64_t k = 0; k < count; ++k) {
      const int64_t offset = (block * args.features + feature + k) * kBlockLanes + lane;
      hwy::Prefetch(args.x + offset + kAhead);
      const auto uniform =
          hn::Mul(hn::ConvertTo(d, hn::BitCast(di, hn::ShiftRight<8>(random.word[k]))), unit);
      const auto scaled = hn::Mul(hn::Load(d, args.x + offset), scale);
      auto y = hn::IfThenElseZero(hn::Ge(uniform, rate), scaled);
      if (args.accumulate) y = hn::Add(hn::Load(d, args.y + offset), y);
      hn::Store(y, d, args.y + offset);
    }
  }
}

int64_t GroupsOf(int64_t features) { return (features + kUnitFeatures - 1) / kUnitFeatures; }

void DropoutImpl(const DropoutArgs& args, UnitRange units) {
  const int64_t groups = GroupsOf(args.features);
  for (int64_t index = units.begin; index < units.end; ++index) {
    const int64_t begin = index % groups * kUnitFeatures;
    const UnitRange features{begin, std::min(args.features, begin + kUnitFeatures)};
    for (int lane = 0; lane < kBlockLanes; lane += kLanes)
      DropoutPart(args, index / groups, lane, features);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::kernels {

HWY_EXPORT(DropoutImpl);

int64_t DropoutUnits(const DropoutArgs& args) {
  return args.blocks * HWY_NAMESPACE::GroupsOf(args.features);
}

void Dropout(const DropoutArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(args.node_call < (1u << 16));
  HWY_DYNAMIC_DISPATCH(DropoutImpl)(args, units);
}

}  // namespace lockstep::kernels
#endif  // HWY_ONCE
