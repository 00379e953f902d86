#include "common/kernels/decode.h"

#include <algorithm>
#include <type_traits>

#include "common/base/check.h"
#include "common/kernels/unroll.h"

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

// float(value) of kLanes values, one rounding. The widest types have no vector form in Highway.
template <class T>
HWY_INLINE hn::Vec<D> ToFloats(const T* values) {
  const D d;
  if constexpr (std::is_same_v<T, float>) {
    return hn::LoadU(d, values);
  } else if constexpr (sizeof(T) == 8) {
    HWY_ALIGN float floats[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) floats[lane] = static_cast<float>(values[lane]);
    return hn::Load(d, floats);
  } else if constexpr (sizeof(T) == 4) {
    return hn::ConvertTo(d, hn::LoadU(hn::Rebind<T, D>(), values));
  } else {
    const hn::RebindToSigned<D> di;
    return hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(hn::Rebind<T, D>(), values)));
  }
}

// A tile: the features of 16 samples that one vector of T holds. Only of bytes is it more than 16
// bytes: 16 samples fill 16 bytes.
template <class T>
using Wide = hn::CappedTag<T, sizeof(T) == 1 ? 64 : 16 / sizeof(T)>;
template <class T>
using Narrow = hn::Full128<T>;
template <class T>
inline constexpr int kSide = 16 / static_cast<int>(sizeof(T));

// tile[f][b][lane] = rows[lane * stride + b * kSide + f] for f < kSide, b the 16 bytes of a vector:
// squares of kSide samples, each transposed by interleaving its first half with its second as often
// as it has levels.
template <class T, class DT>
HWY_INLINE void LoadTile(DT d, const T* rows, int64_t stride, T* tile) {
  constexpr int kCount = kSide<T>;
  constexpr int kStep = kBlockLanes * static_cast<int>(hn::MaxLanes(DT())) / kCount;
  for (int first = 0; first < kBlockLanes; first += kCount) {
    hn::Vec<DT> square[kCount], next[kCount];
    LOCKSTEP_UNROLL
    for (int i = 0; i < kCount; ++i) square[i] = hn::LoadU(d, rows + (first + i) * stride);
    LOCKSTEP_UNROLL
    for (int level = 1; level < kCount; level *= 2) {
      LOCKSTEP_UNROLL
      for (int i = 0; i < kCount / 2; ++i) {
        next[2 * i] = hn::InterleaveLower(d, square[i], square[i + kCount / 2]);
        next[2 * i + 1] = hn::InterleaveUpper(d, square[i], square[i + kCount / 2]);
      }
      LOCKSTEP_UNROLL
      for (int i = 0; i < kCount; ++i) square[i] = next[i];
    }
    LOCKSTEP_UNROLL
    for (int f = 0; f < kCount; ++f) hn::StoreU(square[f], d, tile + f * kStep + first);
  }
}

// One block of samples, features in ascending order.
template <class T>
class BlockDecoder {
 public:
  BlockDecoder(const DecodeArgs& args, int64_t block)
      : args_(args),
        rows_(static_cast<const T*>(args.rows) + block * kBlockLanes * args.features),
        y_(args.y + block * args.features * kBlockLanes) {
    const uint32_t held = HeldLanes(args.slots, {0, args.slots.shards}, block);
    for (int l = 0; l < kBlockLanes; ++l) held_[l] = (held >> l) & 1 ? 1.0f : 0.0f;
  }

  void Run(UnitRange features) {
    int64_t f = features.begin;
    for (; f + kWide <= features.end; f += kWide) {
      LoadTile(Wide<T>(), rows_ + f, args_.features, tile_);
      for (int64_t b = 0; b < kWide / kSide<T>; ++b) {
        Store(tile_ + b * kBlockLanes, kWide / kSide<T>,
              {f + b * kSide<T>, f + (b + 1) * kSide<T>});
      }
    }
    // The rest of a row: its last tile ends with it, and what is there already is left out.
    while (f < features.end && features.end >= kSide<T>) {
      const int64_t end = std::min(features.end, f + kSide<T>), begin = end - kSide<T>;
      LoadTile(Narrow<T>(), rows_ + begin, args_.features, tile_);
      Store(tile_ + (f - begin) * kBlockLanes, 1, {f, end});
      f = end;
    }
    for (; f < features.end; ++f) {  // of a row shorter than a tile
      for (int lane = 0; lane < kBlockLanes; ++lane) tile_[lane] = rows_[lane * args_.features + f];
      Store(tile_, 1, {f, f + 1});
    }
  }

 private:
  static constexpr int64_t kWide = static_cast<int64_t>(hn::MaxLanes(Wide<T>()));

  // values: 16 of the first feature, those of the next `step` times 16 further.
  HWY_INLINE void Store(const T* values, int64_t step, UnitRange features) {
    const D d;
    const auto scale = hn::Set(d, args_.scale), offset = hn::Set(d, args_.offset);
    for (int lane = 0; lane < kBlockLanes; lane += kLanes) {
      const auto mask = hn::Ne(hn::Load(d, held_ + lane), hn::Zero(d));
      const T* value = values + lane;
      for (int64_t f = features.begin; f < features.end; ++f, value += step * kBlockLanes) {
        const auto decoded = hn::MulAdd(ToFloats(value), scale, offset);
        hn::Store(hn::IfThenElseZero(mask, decoded), d, y_ + f * kBlockLanes + lane);
      }
    }
  }

  const DecodeArgs& args_;
  const T* const rows_;
  float* const y_;
  HWY_ALIGN float held_[kBlockLanes];
  HWY_ALIGN T tile_[kWide * kBlockLanes];
};

template <class T>
void DecodeUnit(const DecodeArgs& args, int64_t block, UnitRange features) {
  BlockDecoder<T>(args, block).Run(features);
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
