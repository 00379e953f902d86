#include "common/kernels/activation.h"

#include "common/base/check.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/kernels/activation.cc"
#include "hwy/foreach_target.h"  // Must come before highway.h.
#include "hwy/highway.h"

#include "common/kernels/features-inl.h"
#include "common/kernels/flat-inl.h"
#include "common/kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::CappedTag<float, kBlockLanes>;
using V = hn::Vec<D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));

struct ForwardBody {
  const ActivationForwardArgs& args;
  template <class Tag>
  HWY_INLINE void operator()(Tag d, int64_t e) const {
    hn::Store(Activate(d, args.activation, hn::Load(d, args.x + e)), d, args.y + e);
  }
};

void ForwardImpl(const ActivationForwardArgs& args, UnitRange units) {
  ForFlat(args.count, units, ForwardBody{args});
}

struct BackwardBody {
  const ActivationBackwardArgs& args;
  template <class Tag>
  HWY_INLINE void operator()(Tag d, int64_t e) const {
    auto d_x = Derivative(d, args.activation, hn::Load(d, args.y + e), hn::Load(d, args.d_y + e));
    if (args.accumulate) d_x = hn::Add(hn::Load(d, args.d_x + e), d_x);
    hn::Store(d_x, d, args.d_x + e);
  }
};

void BackwardImpl(const ActivationBackwardArgs& args, UnitRange units) {
  ForFlat(args.count, units, BackwardBody{args});
}

// `kLanes` samples of one (block, position).
HWY_INLINE void SoftmaxPart(int64_t classes, const float* x, float* y) {
  const D d;
  const V max = MaxOverFeatures(classes, x);
  LaneChains sum;
  ForExponentials(classes, x, max, [&](int64_t k, V e) HWY_ATTR {
    hn::Store(e, d, y + k * kBlockLanes);
    sum.Add(k, e);
  });
  const V total = sum.Total();
  for (int64_t k = 0; k < classes; ++k) {
    hn::Store(hn::Div(hn::Load(d, y + k * kBlockLanes), total), d, y + k * kBlockLanes);
  }
}

void SoftmaxForwardImpl(const SoftmaxForwardArgs& args, UnitRange units) {
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const int64_t offset = unit * args.classes * kBlockLanes;
    for (int lane = 0; lane < kBlockLanes; lane += kLanes) {
      SoftmaxPart(args.classes, args.x + offset + lane, args.y + offset + lane);
    }
  }
}

void SoftmaxBackwardImpl(const SoftmaxBackwardArgs& args, UnitRange units) {
  const D d;
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    for (int lane = 0; lane < kBlockLanes; lane += kLanes) {
      const int64_t offset = unit * args.classes * kBlockLanes + lane;
      V sum = hn::Zero(d);
      for (int64_t k = 0; k < args.classes; ++k) {
        const int64_t e = offset + k * kBlockLanes;
        sum = hn::MulAdd(hn::Load(d, args.d_y + e), hn::Load(d, args.y + e), sum);
      }
      for (int64_t k = 0; k < args.classes; ++k) {
        const int64_t e = offset + k * kBlockLanes;
        V d_x = hn::Mul(hn::Load(d, args.y + e), hn::Sub(hn::Load(d, args.d_y + e), sum));
        if (args.accumulate) d_x = hn::Add(hn::Load(d, args.d_x + e), d_x);
        hn::Store(d_x, d, args.d_x + e);
      }
    }
  }
}

struct AddBody {
  const AddArgs& args;
  template <class Tag>
  HWY_INLINE void operator()(Tag d, int64_t e) const {
    auto sum = hn::Load(d, args.inputs[0] + e);
    for (int32_t k = 1; k < args.input_count; ++k)
      sum = hn::Add(sum, hn::Load(d, args.inputs[k] + e));
    if (args.relu) sum = Relu(d, sum);
    hn::Store(sum, d, args.out + e);
  }
};

void AddImpl(const AddArgs& args, UnitRange units) { ForFlat(args.count, units, AddBody{args}); }

void CopyFeaturesImpl(const CopyFeaturesArgs& args, UnitRange units) {
  const D d;
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const float* src = args.src + (unit * args.src_width + args.src_offset) * kBlockLanes;
    float* dst = args.dst + (unit * args.dst_width + args.dst_offset) * kBlockLanes;
    for (int64_t e = 0; e < args.width * kBlockLanes; e += kLanes) {
      const V value = hn::Load(d, src + e);
      hn::Store(args.accumulate ? hn::Add(hn::Load(d, dst + e), value) : value, d, dst + e);
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
HWY_EXPORT(SoftmaxForwardImpl);
HWY_EXPORT(SoftmaxBackwardImpl);
HWY_EXPORT(AddImpl);
HWY_EXPORT(CopyFeaturesImpl);

int64_t ActivationForwardUnits(const ActivationForwardArgs& args) { return FlatUnits(args.count); }

void ActivationForward(const ActivationForwardArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(args.count % kBlockLanes == 0);
  HWY_DYNAMIC_DISPATCH(ForwardImpl)(args, units);
}

int64_t ActivationBackwardUnits(const ActivationBackwardArgs& args) {
  return FlatUnits(args.count);
}

void ActivationBackward(const ActivationBackwardArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(args.count % kBlockLanes == 0);
  HWY_DYNAMIC_DISPATCH(BackwardImpl)(args, units);
}

int64_t SoftmaxForwardUnits(const SoftmaxForwardArgs& args) { return args.blocks * args.positions; }

void SoftmaxForward(const SoftmaxForwardArgs& args, UnitRange units) {
  HWY_DYNAMIC_DISPATCH(SoftmaxForwardImpl)(args, units);
}

int64_t SoftmaxBackwardUnits(const SoftmaxBackwardArgs& args) {
  return args.blocks * args.positions;
}

void SoftmaxBackward(const SoftmaxBackwardArgs& args, UnitRange units) {
  HWY_DYNAMIC_DISPATCH(SoftmaxBackwardImpl)(args, units);
}

int64_t AddUnits(const AddArgs& args) { return FlatUnits(args.count); }

void Add(const AddArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(args.input_count > 0);
  HWY_DYNAMIC_DISPATCH(AddImpl)(args, units);
}

int64_t CopyFeaturesUnits(const CopyFeaturesArgs& args) { return args.blocks * args.rows; }

void CopyFeatures(const CopyFeaturesArgs& args, UnitRange units) {
  HWY_DYNAMIC_DISPATCH(CopyFeaturesImpl)(args, units);
}

}  // namespace lockstep::kernels
#endif  // HWY_ONCE
