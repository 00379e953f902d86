#include "common/kernels/batch_norm.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "common/base/check.h"
#include "common/kernels/unroll.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/kernels/batch_norm.cc"
#include "hwy/foreach_target.h"  // Must come before highway.h.
#include "hwy/highway.h"

#include "common/kernels/math-inl.h"
#include "common/kernels/slot_tree-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::CappedTag<float, kBlockLanes>;
using V = hn::Vec<D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr int kChannels = 8;  // chains that run side by side: enough to hide an addition's latency
constexpr int kChunkChannels = 256;  // channels whose factors are made at once, on the stack

HWY_INLINE V Centered(V x, float mean) { return hn::Sub(x, hn::Set(D(), mean)); }

// Per-sample mean and sum of squared deviations of kCount channels: means, m2s [kCount][16] at the
// lane.
template <int kCount>
void SampleMoments(const BatchNormMomentsArgs& args, const float* x, float* means, float* m2s) {
  const D d;
  const int64_t pixel = args.channels * kBlockLanes;
  const V count = hn::Set(d, static_cast<float>(args.positions));
  V mean[kCount], m2[kCount];
  LOCKSTEP_UNROLL
  for (int c = 0; c < kCount; ++c) mean[c] = m2[c] = hn::Zero(d);
  for (int64_t position = 0; position < args.positions; ++position) {
    LOCKSTEP_UNROLL
    for (int c = 0; c < kCount; ++c) {
      mean[c] = hn::Add(mean[c], hn::Load(d, x + position * pixel + c * kBlockLanes));
    }
  }
  LOCKSTEP_UNROLL
  for (int c = 0; c < kCount; ++c) mean[c] = hn::Div(mean[c], count);
  for (int64_t position = 0; position < args.positions; ++position) {
    LOCKSTEP_UNROLL
    for (int c = 0; c < kCount; ++c) {
      const V difference = hn::Sub(hn::Load(d, x + position * pixel + c * kBlockLanes), mean[c]);
      m2[c] = hn::MulAdd(difference, difference, m2[c]);
    }
  }
  LOCKSTEP_UNROLL
  for (int c = 0; c < kCount; ++c) {
    hn::Store(mean[c], d, means + c * kBlockLanes);
    hn::Store(m2[c], d, m2s + c * kBlockLanes);
  }
}

// Merges leaves in order along the adjacent-pair tree, as a binary counter does.
class MomentsTree {
 public:
  void Push(Moments carry) {
    int level = 0;
    for (; (pushed_ >> level) & 1; ++level) carry = MergeMoments(levels_[level], carry);
    levels_[level] = carry;
    ++pushed_;
  }
  const Moments& result() const { return levels_[std::bit_width(pushed_ | 1u) - 1]; }

 private:
  uint32_t pushed_ = 0;
  Moments levels_[32];
};

// Channels [channel, channel + kCount) of one subtree. A leaf without a sample has count 0 and
// changes nothing.
template <int kCount>
void MergeChannels(const BatchNormMomentsArgs& args, int64_t channel) {
  HWY_ALIGN float means[kCount * kBlockLanes];
  HWY_ALIGN float m2s[kCount * kBlockLanes];
  MomentsTree tree[kCount];
  const auto leaves = static_cast<int32_t>(
      std::bit_ceil(static_cast<uint32_t>(std::max(1, args.slots.shard_positions))));
  int64_t loaded = -1;
  for (int32_t shard = args.subtree.first_shard;
       shard < args.subtree.first_shard + args.subtree.shards; ++shard) {
    for (int32_t position = 0; position < leaves; ++position) {
      const bool held = position < args.slots.shard_count[shard];
      const int64_t slot = static_cast<int64_t>(shard) * args.slots.shard_slots + position;
      const int64_t block = slot / kBlockLanes, lane = slot % kBlockLanes;
      if (held && block != loaded) {
        const float* x = args.x + (block * args.positions * args.channels + channel) * kBlockLanes;
        for (int part = 0; part < kBlockLanes; part += kLanes) {
          SampleMoments<kCount>(args, x + part, means + part, m2s + part);
        }
        loaded = block;
      }
      for (int c = 0; c < kCount; ++c) {
        const int64_t at = c * kBlockLanes + lane;
        tree[c].Push(held ? Moments{static_cast<double>(args.positions),
                                    static_cast<double>(means[at]), static_cast<double>(m2s[at])}
                          : Moments{0, 0, 0});
      }
    }
  }
  for (int c = 0; c < kCount; ++c) args.moments[channel + c] = tree[c].result();
}

void MomentsImpl(const BatchNormMomentsArgs& args, UnitRange units) {
  int64_t channel = units.begin;
  for (; channel + kChannels <= units.end; channel += kChannels)
    MergeChannels<kChannels>(args, channel);
  for (; channel < units.end; ++channel) MergeChannels<1>(args, channel);
}

// r = 1 / sqrt(variance + epsilon) of `count` channels.
void ReciprocalDeviations(const float* variance, float epsilon, int64_t count, float* r) {
  for (int64_t c = 0; c < count; ++c) r[c] = 1.0f / std::sqrt(variance[c] + epsilon);
}

// y = fma(x_hat, gamma, beta), what is absent left out.
HWY_INLINE V Scaled(V x_hat, const float* gamma, const float* beta, int64_t channel) {
  const D d;
  if (gamma != nullptr && beta != nullptr)
    return hn::MulAdd(x_hat, hn::Set(d, gamma[channel]), hn::Set(d, beta[channel]));
  if (gamma != nullptr) return hn::Mul(x_hat, hn::Set(d, gamma[channel]));
  return beta != nullptr ? hn::Add(x_hat, hn::Set(d, beta[channel])) : x_hat;
}

// The ReLU's gradient: its input y has the sign of its output.
HWY_INLINE V Masked(V y, V d_y) { return Derivative(D(), Activation::kRelu, y, d_y); }

void ApplyImpl(const BatchNormApplyArgs& args, UnitRange units) {
  const D d;
  float r[kChunkChannels];
  for (int64_t begin = 0; begin < args.channels; begin += kChunkChannels) {
    const int64_t count = std::min<int64_t>(kChunkChannels, args.channels - begin);
    ReciprocalDeviations(args.variance + begin, args.epsilon, count, r);
    for (int64_t unit = units.begin; unit < units.end; ++unit) {
      for (int64_t c = 0; c < count; ++c) {
        const int64_t channel = begin + c;
        const int64_t offset = (unit * args.channels + channel) * kBlockLanes;
        const V deviation = hn::Set(d, r[c]);
        for (int lane = 0; lane < kBlockLanes; lane += kLanes) {
          const V centered = Centered(hn::Load(d, args.x + offset + lane), args.mean[channel]);
          V y = Scaled(hn::Mul(centered, deviation), args.gamma, args.beta, channel);
          if (args.relu) y = Relu(d, y);
          hn::Store(y, d, args.y + offset + lane);
        }
      }
    }
  }
}

// Per-sample s1 and s2 of kCount channels: lanes [2][kCount][16] at the lane. x, d_y: the first
// channel at position 0.
template <int kCount>
void SampleSums(const BatchNormSumsArgs& args, int64_t channel, const float* x, const float* d_y,
                float* lanes) {
  const D d;
  const int64_t pixel = args.channels * kBlockLanes;
  float r[kCount];
  ReciprocalDeviations(args.variance + channel, args.epsilon, kCount, r);
  V s1[kCount], s2[kCount];
  LOCKSTEP_UNROLL
  for (int c = 0; c < kCount; ++c) s1[c] = s2[c] = hn::Zero(d);
  for (int64_t position = 0; position < args.positions; ++position) {
    LOCKSTEP_UNROLL
    for (int c = 0; c < kCount; ++c) {
      const int64_t offset = position * pixel + c * kBlockLanes;
      const V x_hat =
          hn::Mul(Centered(hn::Load(d, x + offset), args.mean[channel + c]), hn::Set(d, r[c]));
      V gradient = hn::Load(d, d_y + offset);
      if (args.relu) {
        gradient = Masked(Scaled(x_hat, args.gamma, args.beta, channel + c), gradient);
      }
      s1[c] = hn::Add(s1[c], gradient);
      s2[c] = hn::MulAdd(gradient, x_hat, s2[c]);
    }
  }
  LOCKSTEP_UNROLL
  for (int c = 0; c < kCount; ++c) {
    hn::Store(s1[c], d, lanes + c * kBlockLanes);
    hn::Store(s2[c], d, lanes + (kCount + c) * kBlockLanes);
  }
}

template <int kCount>
void SumChannels(const BatchNormSumsArgs& args, int64_t channel) {
  using Tree = SlotTree<2 * kCount>;
  HWY_ALIGN float lanes[Tree::kLaneFloats] = {};
  Tree tree(args.slots, args.subtree);
  tree.Start(2 * kCount);
  for (int32_t block = tree.first_block(); block <= tree.last_block(); ++block) {
    const bool any = tree.HasSamples(block);
    if (any) {
      const int64_t offset = (block * args.positions * args.channels + channel) * kBlockLanes;
      for (int lane = 0; lane < kBlockLanes; lane += kLanes) {
        SampleSums<kCount>(args, channel, args.x + offset + lane, args.d_y + offset + lane,
                           lanes + lane);
      }
    }
    tree.AddBlock(block, any ? lanes : nullptr);
  }
  std::copy(tree.sums(), tree.sums() + kCount, args.sums + channel);
  std::copy(tree.sums() + kCount, tree.sums() + 2 * kCount, args.sums + args.channels + channel);
}

void SumsImpl(const BatchNormSumsArgs& args, UnitRange units) {
  int64_t channel = units.begin;
  for (; channel + kChannels <= units.end; channel += kChannels)
    SumChannels<kChannels>(args, channel);
  for (; channel < units.end; ++channel) SumChannels<1>(args, channel);
}

// d_x = (gamma r) (d_y - (S1 + x_hat S2) (1/N)).
void BackwardImpl(const BatchNormBackwardArgs& args, UnitRange units) {
  const D d;
  float r[kChunkChannels];
  const V inverse_count = hn::Set(d, static_cast<float>(1.0 / *args.count));
  for (int64_t begin = 0; begin < args.channels; begin += kChunkChannels) {
    const int64_t count = std::min<int64_t>(kChunkChannels, args.channels - begin);
    ReciprocalDeviations(args.variance + begin, args.epsilon, count, r);
    for (int64_t unit = units.begin; unit < units.end; ++unit) {
      for (int64_t c = 0; c < count; ++c) {
        const int64_t channel = begin + c;
        const int64_t offset = (unit * args.channels + channel) * kBlockLanes;
        const V factor = hn::Set(d, args.gamma == nullptr ? r[c] : args.gamma[channel] * r[c]);
        const V s1 = hn::Set(d, args.sums[channel]),
                s2 = hn::Set(d, args.sums[args.channels + channel]);
        for (int lane = 0; lane < kBlockLanes; lane += kLanes) {
          float* d_x = args.d_x + offset + lane;
          const V centered = Centered(hn::Load(d, args.x + offset + lane), args.mean[channel]);
          const V x_hat = hn::Mul(centered, hn::Set(d, r[c]));
          const V mean = hn::Mul(hn::MulAdd(x_hat, s2, s1), inverse_count);
          V gradient = hn::Load(d, args.d_y + offset + lane);
          if (args.relu) gradient = Masked(Scaled(x_hat, args.gamma, args.beta, channel), gradient);
          V result = hn::Mul(factor, hn::Sub(gradient, mean));
          if (args.accumulate) result = hn::Add(hn::Load(d, d_x), result);
          hn::Store(result, d, d_x);
        }
      }
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::kernels {

HWY_EXPORT(MomentsImpl);
HWY_EXPORT(ApplyImpl);
HWY_EXPORT(SumsImpl);
HWY_EXPORT(BackwardImpl);

Moments MergeMoments(const Moments& a, const Moments& b) {
  if (b.count == 0) return a;
  if (a.count == 0) return b;
  const double count = a.count + b.count;
  const double delta = b.mean - a.mean;
  const double shift = delta * (b.count / count);
  const double between = (delta * delta) * ((a.count * b.count) / count);
  return {.count = count, .mean = a.mean + shift, .m2 = (a.m2 + b.m2) + between};
}

int64_t BatchNormMomentsUnits(const BatchNormMomentsArgs& args) { return args.channels; }

void BatchNormMoments(const BatchNormMomentsArgs& args, UnitRange units) {
  HWY_DYNAMIC_DISPATCH(MomentsImpl)(args, units);
}

int64_t BatchNormApplyUnits(const BatchNormApplyArgs& args) { return args.blocks * args.positions; }

void BatchNormApply(const BatchNormApplyArgs& args, UnitRange units) {
  HWY_DYNAMIC_DISPATCH(ApplyImpl)(args, units);
}

int64_t BatchNormSumsUnits(const BatchNormSumsArgs& args) { return args.channels; }

void BatchNormSums(const BatchNormSumsArgs& args, UnitRange units) {
  HWY_DYNAMIC_DISPATCH(SumsImpl)(args, units);
}

int64_t BatchNormBackwardUnits(const BatchNormBackwardArgs& args) {
  return args.blocks * args.positions;
}

void BatchNormBackward(const BatchNormBackwardArgs& args, UnitRange units) {
  HWY_DYNAMIC_DISPATCH(BackwardImpl)(args, units);
}

void BatchNormFinish(const BatchNormFinishArgs& args) {
  LOCKSTEP_DCHECK(args.channels > 0);
  *args.count = args.moments[0].count;
  for (int64_t c = 0; c < args.channels; ++c) {
    const Moments& moments = args.moments[c];
    args.mean[c] = static_cast<float>(moments.mean);
    args.variance[c] = static_cast<float>(moments.m2 / moments.count);
    args.moving_mean[c] = std::fma(args.moving_mean[c] - args.mean[c], args.momentum, args.mean[c]);
    args.moving_variance[c] =
        std::fma(args.moving_variance[c] - args.variance[c], args.momentum, args.variance[c]);
  }
}

}  // namespace lockstep::kernels
#endif  // HWY_ONCE
