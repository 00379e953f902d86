#include "common/kernels/decode.h"

#include "common/base/check.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/kernels/decode.cc"
#include "hwy/foreach_target.h"  // Must come before highway.h.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::CappedTag<float, kBlockLanes>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr int64_t kUnitFeatures = 256;

int64_t GroupsOf(int64_t features) { return (features + kUnitFeatures - 1) / kUnitFeatures; }

template <class T>
void DecodeUnit(const DecodeArgs& args, int64_t block, UnitRange features) {
  const D d;
  const auto scale = hn::Set(d, args.scale), offset = hn::Set(d, args.offset);
  HWY_ALIGN float held[kBlockLanes];
  const T* rows[kBlockLanes];
  const T* data = static_cast<const T*>(args.rows);
  for (int64_t lane = 0; lane < kBlockLanes; ++lane) {
    const int64_t slot = block * kBlockLanes + lane, shard = slot / args.slots.shard_slots;
    const bool has_sample =
        shard < args.slots.shards && slot % args.slots.shard_slots < args.slots.shard_count[shard];
    held[lane] = has_sample ? 1.0f : 0.0f;
    rows[lane] = data + slot * args.features;
  }
  for (int64_t f = features.begin; f < features.end; ++f) {
    HWY_ALIGN float values[kBlockLanes];
    for (int lane = 0; lane < kBlockLanes; ++lane) values[lane] = static_cast<float>(rows[lane][f]);
    float* y = args.y + (block * args.features + f) * kBlockLanes;
    for (int lane = 0; lane < kBlockLanes; lane += kLanes) {
      const auto mask = hn::Ne(hn::Load(d, held + lane), hn::Zero(d));
      const auto value = hn::MulAdd(hn::Load(d, values + lane), scale, offset);
      hn::Store(hn::IfThenElseZero(mask, value), d, y + lane);
    }
  }
}

void DecodeBlock(const DecodeArgs& args, int64_t block, UnitRange features) {
  switch (args.type) {
    case SampleType::kU8:
      return DecodeUnit<uint8_t>(args, block, features);
    case SampleType::kI8:
      return DecodeUnit<int8_t>(args, block, features);
    case SampleType::kU16:
      return DecodeUnit<uint16_t>(args, block, features);
    case SampleType::kI16:
      return DecodeUnit<int16_t>(args, block, features);
    case SampleType::kI32:
      return DecodeUnit<int32_t>(args, block, features);
    case SampleType::kI64:
      return DecodeUnit<int64_t>(args, block, features);
    case SampleType::kF32:
      return DecodeUnit<float>(args, block, features);
    case SampleType::kF64:
      return DecodeUnit<double>(args, block, features);
  }
}

void DecodeImpl(const DecodeArgs& args, UnitRange units) {
  const int64_t groups = GroupsOf(args.features);
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const int64_t begin = unit % groups * kUnitFeatures;
    const int64_t end =
        begin + kUnitFeatures < args.features ? begin + kUnitFeatures : args.features;
    DecodeBlock(args, unit / groups, {begin, end});
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::kernels {

HWY_EXPORT(DecodeImpl);

int64_t SampleTypeBytes(SampleType type) {
  switch (type) {
    case SampleType::kU8:
    case SampleType::kI8:
      return 1;
    case SampleType::kU16:
    case SampleType::kI16:
      return 2;
    case SampleType::kI32:
    case SampleType::kF32:
      return 4;
    case SampleType::kI64:
    case SampleType::kF64:
      return 8;
  }
  LOCKSTEP_CHECK(false);
  return 0;
}

int64_t DecodeUnits(const DecodeArgs& args) {
  return args.blocks * HWY_NAMESPACE::GroupsOf(args.features);
}

void Decode(const DecodeArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(0 <= units.begin && units.end <= DecodeUnits(args));
  HWY_DYNAMIC_DISPATCH(DecodeImpl)(args, units);
}

}  // namespace lockstep::kernels
#endif  // HWY_ONCE
