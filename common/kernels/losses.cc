#include "common/kernels/losses.h"

#include "common/base/check.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/kernels/losses.cc"
#include "hwy/foreach_target.h"  // Must come before highway.h.
#include "hwy/highway.h"

#include "common/kernels/features-inl.h"
#include "common/kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::CappedTag<float, kBlockLanes>;
using DI = hn::RebindToSigned<D>;
using V = hn::Vec<D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr float kClipLow = 1e-7f;
constexpr float kClipHigh = 1.0f - 1e-7f;

// kLanes samples of one block: what a loss reads and where it writes. Slots without a sample are
// masked on every store.
class Part {
 public:
  HWY_INLINE Part(const LossArgs& args, int64_t block, int lane)
      : args_(args),
        slot_(block * kBlockLanes + lane),
        offset_(block * args.features * kBlockLanes + lane) {
    const uint32_t held = HeldLanes(args.slots, {0, args.slots.shards}, block) >> lane;
    for (int l = 0; l < kLanes; ++l) held_[l] = (held >> l) & 1 ? 1.0f : 0.0f;
  }

  int64_t features() const { return args_.features; }
  HWY_INLINE const float* x() const { return args_.x + offset_; }
  HWY_INLINE V X(int64_t k) const { return hn::Load(D(), args_.x + offset_ + k * kBlockLanes); }
  HWY_INLINE V Target(int64_t k) const {
    if (args_.target != nullptr) return hn::Load(D(), args_.target + offset_ + k * kBlockLanes);
    const DI di;
    const auto chosen =
        hn::Eq(hn::Load(di, args_.label + slot_), hn::Set(di, static_cast<int32_t>(k)));
    return hn::IfThenElseZero(hn::RebindMask(D(), chosen), hn::Set(D(), 1.0f));
  }
  // x at the label, less `max`; +0 where no feature is the label.
  HWY_INLINE V LabelMinus(V max) const {
    const D d;
    HWY_ALIGN float chosen[kLanes];
    hn::Store(max, d, chosen);
    HWY_ALIGN float found[kLanes] = {};
    for (int l = 0; l < kLanes; ++l) {
      const int32_t label = args_.label[slot_ + l];
      if (label < 0 || label >= args_.features) continue;
      chosen[l] = x()[label * kBlockLanes + l];
      found[l] = 1;
    }
    return hn::IfThenElseZero(hn::Ne(hn::Load(d, found), hn::Zero(d)),
                              hn::Sub(hn::Load(d, chosen), max));
  }
  HWY_INLINE V Seed() const { return hn::Load(D(), args_.seed + slot_); }
  HWY_INLINE float* d_x() const { return args_.d_x + offset_; }
  bool wants_gradient() const { return args_.d_x != nullptr; }
  HWY_INLINE void StoreGradient(int64_t k, V d_x) const {
    hn::Store(hn::IfThenElseZero(Held(), d_x), D(), args_.d_x + offset_ + k * kBlockLanes);
  }
  HWY_INLINE void StoreLoss(V loss) const {
    hn::Store(hn::IfThenElseZero(Held(), loss), D(), args_.loss + slot_);
  }

 private:
  HWY_INLINE hn::Mask<D> Held() const { return hn::Ne(hn::Load(D(), held_), hn::Zero(D())); }

  const LossArgs& args_;
  int64_t slot_, offset_;
  HWY_ALIGN float held_[kLanes];
};

HWY_INLINE V Quotient(double numerator, int64_t features) {
  return hn::Set(D(), static_cast<float>(numerator / static_cast<double>(features)));
}

struct SquaredError {
  static HWY_INLINE void Run(const Part& part) {
    const D d;
    V sum = hn::Zero(d);
    const V factor = hn::Mul(Quotient(2, part.features()), part.Seed());
    for (int64_t k = 0; k < part.features(); ++k) {
      const V error = hn::Sub(part.X(k), part.Target(k));
      sum = hn::MulAdd(error, error, sum);
      if (part.wants_gradient()) part.StoreGradient(k, hn::Mul(error, factor));
    }
    part.StoreLoss(hn::Div(sum, hn::Set(d, static_cast<float>(part.features()))));
  }
};

// Sparse targets are the same operations with t = 1 at the label and 0 elsewhere: fma(0, x, s) = s
// and p * 1 = p keep the bits, but for a product 0 * infinity, so their sum takes the label's term
// alone.
template <bool kSparse>
struct CrossEntropyLogits {
  static HWY_INLINE void Run(const Part& part) {
    const D d;
    const V max = MaxOverFeatures(part.features(), part.x());
    V picked = hn::Zero(d), weight = hn::Zero(d);
    if (kSparse) {
      picked = part.LabelMinus(max);
    } else {
      for (int64_t k = 0; k < part.features(); ++k) {
        const V t = part.Target(k);
        picked = hn::MulAdd(t, hn::Sub(part.X(k), max), picked);
        weight = hn::Add(weight, t);
      }
    }
    LaneChains exponentials;
    // e_k waits in d_x for the sum.
    ForExponentials(part.features(), part.x(), max, [&](int64_t k, V e) HWY_ATTR {
      exponentials.Add(k, e);
      if (part.wants_gradient()) hn::Store(e, d, part.d_x() + k * kBlockLanes);
    });
    const V total = exponentials.Total(), log = Log(d, total);
    part.StoreLoss(hn::Sub(kSparse ? log : hn::Mul(log, weight), picked));
    if (!part.wants_gradient()) return;
    const V seed = part.Seed();
    for (int64_t k = 0; k < part.features(); ++k) {
      const V p = hn::Div(hn::Load(d, part.d_x() + k * kBlockLanes), total);
      part.StoreGradient(k,
                         hn::Mul(hn::Sub(kSparse ? p : hn::Mul(p, weight), part.Target(k)), seed));
    }
  }
};

struct Clipped {
  V value;
  hn::Mask<D> outside;
};

HWY_INLINE Clipped Clip(V p) {
  const D d;
  const V low = hn::Set(d, kClipLow), high = hn::Set(d, kClipHigh);
  const auto below = hn::Lt(p, low), above = hn::Gt(p, high);
  return {hn::IfThenElse(below, low, hn::IfThenElse(above, high, p)), hn::Or(below, above)};
}

struct CrossEntropyProbabilities {
  static HWY_INLINE V Slope(V t, V p) {
    const Clipped clipped = Clip(p);
    return hn::IfThenZeroElse(clipped.outside, hn::Neg(hn::Div(t, clipped.value)));
  }

  static HWY_INLINE void Run(const Part& part) {
    const D d;
    LaneChains sum;
    for (int64_t k = 0; k < part.features(); ++k) sum.Add(k, part.X(k));
    const V total = sum.Total();
    V log_sum = hn::Zero(d), through_sum = hn::Zero(d);
    for (int64_t k = 0; k < part.features(); ++k) {
      const V p = hn::Div(part.X(k), total), t = part.Target(k);
      log_sum = hn::MulAdd(t, Log(d, Clip(p).value), log_sum);
      through_sum = hn::MulAdd(Slope(t, p), p, through_sum);
    }
    part.StoreLoss(hn::Sub(hn::Zero(d), log_sum));
    if (!part.wants_gradient()) return;
    for (int64_t k = 0; k < part.features(); ++k) {
      const V slope = Slope(part.Target(k), hn::Div(part.X(k), total));
      part.StoreGradient(k, hn::Mul(hn::Div(hn::Sub(slope, through_sum), total), part.Seed()));
    }
  }
};

struct BinaryLogits {
  static HWY_INLINE void Run(const Part& part) {
    const D d;
    V sum = hn::Zero(d);
    const V factor = hn::Mul(Quotient(1, part.features()), part.Seed());
    for (int64_t k = 0; k < part.features(); ++k) {
      const V x = part.X(k), t = part.Target(k);
      const V tail = Log1p(d, Exp(d, hn::Neg(hn::Abs(x))));
      sum = hn::Add(sum, hn::Add(hn::Sub(Relu(d, x), hn::Mul(x, t)), tail));
      if (part.wants_gradient()) part.StoreGradient(k, hn::Mul(hn::Sub(Sigmoid(d, x), t), factor));
    }
    part.StoreLoss(hn::Div(sum, hn::Set(d, static_cast<float>(part.features()))));
  }
};

struct BinaryProbabilities {
  static HWY_INLINE void Run(const Part& part) {
    const D d;
    const V one = hn::Set(d, 1.0f);
    V sum = hn::Zero(d);
    const V factor = hn::Mul(Quotient(1, part.features()), part.Seed());
    for (int64_t k = 0; k < part.features(); ++k) {
      const Clipped p = Clip(part.X(k));
      const V t = part.Target(k), not_t = hn::Sub(one, t), not_p = hn::Sub(one, p.value);
      sum = hn::Sub(sum, hn::Add(hn::Mul(t, Log(d, p.value)), hn::Mul(not_t, Log(d, not_p))));
      if (!part.wants_gradient()) continue;
      const V slope = hn::Sub(hn::Div(not_t, not_p), hn::Div(t, p.value));
      part.StoreGradient(k, hn::IfThenZeroElse(p.outside, hn::Mul(slope, factor)));
    }
    part.StoreLoss(hn::Div(sum, hn::Set(d, static_cast<float>(part.features()))));
  }
};

template <class Loss>
HWY_INLINE void ForParts(const LossArgs& args, UnitRange units) {
  for (int64_t block = units.begin; block < units.end; ++block) {
    for (int lane = 0; lane < kBlockLanes; lane += kLanes) Loss::Run(Part(args, block, lane));
  }
}

void MeanSquaredErrorImpl(const LossArgs& args, UnitRange units) {
  ForParts<SquaredError>(args, units);
}
void SparseLogitsImpl(const LossArgs& args, UnitRange units) {
  ForParts<CrossEntropyLogits<true>>(args, units);
}
void CategoricalLogitsImpl(const LossArgs& args, UnitRange units) {
  ForParts<CrossEntropyLogits<false>>(args, units);
}
void ProbabilitiesImpl(const LossArgs& args, UnitRange units) {
  ForParts<CrossEntropyProbabilities>(args, units);
}
void BinaryLogitsImpl(const LossArgs& args, UnitRange units) {
  ForParts<BinaryLogits>(args, units);
}
void BinaryProbabilitiesImpl(const LossArgs& args, UnitRange units) {
  ForParts<BinaryProbabilities>(args, units);
}

void ArgMaxImpl(const ArgMaxArgs& args, UnitRange units) {
  const D d;
  const DI di;
  for (int64_t block = units.begin; block < units.end; ++block) {
    for (int lane = 0; lane < kBlockLanes; lane += kLanes) {
      const float* x = args.x + block * args.features * kBlockLanes + lane;
      V max = hn::Load(d, x);
      auto index = hn::Zero(di);
      for (int64_t k = 1; k < args.features; ++k) {
        const V next = hn::Load(d, x + k * kBlockLanes);
        // The first NaN wins and stays: nothing is greater than it, and a second one does not
        // replace it.
        const auto nan_wins = hn::And(hn::IsNaN(next), hn::Eq(max, max));
        const auto wins = hn::Or(hn::Gt(next, max), nan_wins);
        max = hn::IfThenElse(wins, next, max);
        index =
            hn::IfThenElse(hn::RebindMask(di, wins), hn::Set(di, static_cast<int32_t>(k)), index);
      }
      hn::Store(index, di, args.index + block * kBlockLanes + lane);
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::kernels {

HWY_EXPORT(MeanSquaredErrorImpl);
HWY_EXPORT(SparseLogitsImpl);
HWY_EXPORT(CategoricalLogitsImpl);
HWY_EXPORT(ProbabilitiesImpl);
HWY_EXPORT(BinaryLogitsImpl);
HWY_EXPORT(BinaryProbabilitiesImpl);
HWY_EXPORT(ArgMaxImpl);

int64_t LossUnits(const LossArgs& args) { return args.blocks; }

void MeanSquaredError(const LossArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(args.target != nullptr);
  HWY_DYNAMIC_DISPATCH(MeanSquaredErrorImpl)(args, units);
}

void SparseCrossEntropyLogits(const LossArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(args.target == nullptr && args.label != nullptr);
  HWY_DYNAMIC_DISPATCH(SparseLogitsImpl)(args, units);
}

void SparseCrossEntropyProbabilities(const LossArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(args.target == nullptr && args.label != nullptr);
  HWY_DYNAMIC_DISPATCH(ProbabilitiesImpl)(args, units);
}

void CategoricalCrossEntropyLogits(const LossArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(args.target != nullptr);
  HWY_DYNAMIC_DISPATCH(CategoricalLogitsImpl)(args, units);
}

void CategoricalCrossEntropyProbabilities(const LossArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(args.target != nullptr);
  HWY_DYNAMIC_DISPATCH(ProbabilitiesImpl)(args, units);
}

void BinaryCrossEntropyLogits(const LossArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(args.target != nullptr);
  HWY_DYNAMIC_DISPATCH(BinaryLogitsImpl)(args, units);
}

void BinaryCrossEntropyProbabilities(const LossArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(args.target != nullptr);
  HWY_DYNAMIC_DISPATCH(BinaryProbabilitiesImpl)(args, units);
}

void ArgMax(const ArgMaxArgs& args, UnitRange units) {
  HWY_DYNAMIC_DISPATCH(ArgMaxImpl)(args, units);
}

}  // namespace lockstep::kernels
#endif  // HWY_ONCE
