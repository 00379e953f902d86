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
constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(D()));
constexpr int kParts = static_cast<int>(kBlockLanes / kLanes);  // vectors of a channel
// Channels side by side: 8 chains, enough to hide an addition's latency.
constexpr int kChannels = 8 / kParts;
constexpr int kChunkChannels = 256;  // channels whose factors are made at once, on the stack

HWY_INLINE V Centered(V x, float mean) { return hn::Sub(x, hn::Set(D(), mean)); }

// Per-sample mean and sum of squared deviations of kCount channels: means, m2s [kCount][16].
template <int kCount>
void SampleMoments(const BatchNormMomentsArgs& args, const float* x, float* means, float* m2s) {
  constexpr int kVectors = kCount * kParts;
  const D d;
  const int64_t pixel = args.channels * kBlockLanes;
  const V count = hn::Set(d, static_cast<float>(args.positions));
  V mean[kVectors], m2[kVectors];
  LOCKSTEP_UNROLL
  for (int v = 0; v < kVectors; ++v) mean[v] = m2[v] = hn::Zero(d);
  for (int64_t position = 0; position < args.positions; ++position) {
    LOCKSTEP_UNROLL
    for (int v = 0; v < kVectors; ++v)
      mean[v] = hn::Add(mean[v], hn::Load(d, x + position * pixel + v * kLanes));
  }
  LOCKSTEP_UNROLL
  for (int v = 0; v < kVectors; ++v) mean[v] = hn::Div(mean[v], count);
  for (int64_t position = 0; position < args.positions; ++position) {
    LOCKSTEP_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const V difference = hn::Sub(hn::Load(d, x + position * pixel + v * kLanes), mean[v]);
      m2[v] = hn::MulAdd(difference, difference, m2[v]);
    }
  }
  LOCKSTEP_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    hn::Store(mean[v], d, means + v * kLanes);
    hn::Store(m2[v], d, m2s + v * kLanes);
  }
}

// Moments of kCount channels, of equally many values each.
template <int kCount>
struct ChannelMoments {
  alignas(8 * kCount) double mean[kCount];
  alignas(8 * kCount) double m2[kCount];
  double count;
};

// a = MergeMoments(a, b) of every channel.
template <int kCount>
HWY_INLINE void MergeInto(ChannelMoments<kCount>& a, const ChannelMoments<kCount>& b) {
  const hn::CappedTag<double, kCount> d;
  if (b.count == 0) return;
  if (a.count == 0) {
    a = b;
    return;
  }
  const double count = a.count + b.count;
  const auto part = hn::Set(d, b.count / count), pairs = hn::Set(d, (a.count * b.count) / count);
  for (int c = 0; c < kCount; c += static_cast<int>(hn::MaxLanes(d))) {
    const auto mean = hn::Load(d, a.mean + c);
    const auto delta = hn::Sub(hn::Load(d, b.mean + c), mean);
    const auto between = hn::Mul(hn::Mul(delta, delta), pairs);
    hn::Store(hn::Add(mean, hn::Mul(delta, part)), d, a.mean + c);
    const auto within = hn::Add(hn::Load(d, a.m2 + c), hn::Load(d, b.m2 + c));
    hn::Store(hn::Add(within, between), d, a.m2 + c);
  }
  a.count = count;
}

// Merges leaves in order along the adjacent-pair tree, as a binary counter does. Leaves of count 0
// change nothing, so those at the end need not be pushed.
template <int kCount>
class MomentsTree {
 public:
  void Push(const ChannelMoments<kCount>& leaf) {
    const ChannelMoments<kCount>* carry = &leaf;
    int level = 0;
    for (; (pushed_ >> level) & 1; ++level) {
      MergeInto(levels_[level], *carry);
      carry = &levels_[level];
    }
    levels_[level] = *carry;
    ++pushed_;
  }

  // Of all leaves; the tree is empty afterwards.
  ChannelMoments<kCount> Take() {
    ChannelMoments<kCount> all{};
    for (int level = 0; (pushed_ >> level) != 0; ++level) {
      if (((pushed_ >> level) & 1) == 0) continue;
      MergeInto(levels_[level], all);
      all = levels_[level];
    }
    pushed_ = 0;
    return all;
  }

 private:
  uint32_t pushed_ = 0;
  ChannelMoments<kCount> levels_[32];
};

// The moments of the samples of a block, by lane.
template <int kCount>
void BlockMoments(const BatchNormMomentsArgs& args, const float* x,
                  ChannelMoments<kCount>* leaves) {
  HWY_ALIGN float means[kCount * kBlockLanes];
  HWY_ALIGN float m2s[kCount * kBlockLanes];
  SampleMoments<kCount>(args, x, means, m2s);
  for (int lane = 0; lane < kBlockLanes; ++lane) {
    leaves[lane].count = static_cast<double>(args.positions);
    for (int64_t c = 0; c < kCount; ++c) {
      leaves[lane].mean[c] = static_cast<double>(means[c * kBlockLanes + lane]);
      leaves[lane].m2[c] = static_cast<double>(m2s[c * kBlockLanes + lane]);
    }
  }
}

// Channels [channel, channel + kCount) of one subtree.
template <int kCount>
void MergeChannels(const BatchNormMomentsArgs& args, int64_t channel) {
  ChannelMoments<kCount> leaves[kBlockLanes];
  MomentsTree<kCount> samples, shards;
  int64_t loaded = -1;
  for (int32_t shard = args.subtree.first_shard;
       shard < args.subtree.first_shard + args.subtree.shards; ++shard) {
    for (int32_t position = 0; position < args.slots.shard_count[shard]; ++position) {
      const int64_t slot = static_cast<int64_t>(shard) * args.slots.shard_slots + position;
      const int64_t block = slot / kBlockLanes;
      if (block != loaded) {
        const int64_t offset = (block * args.positions * args.channels + channel) * kBlockLanes;
        BlockMoments<kCount>(args, args.x + offset, leaves);
        loaded = block;
      }
      samples.Push(leaves[slot % kBlockLanes]);
    }
    shards.Push(samples.Take());
  }
  const ChannelMoments<kCount> all = shards.Take();
  for (int c = 0; c < kCount; ++c) args.moments[channel + c] = {all.count, all.mean[c], all.m2[c]};
}

void MomentsImpl(const BatchNormMomentsArgs& args, UnitRange units) {
  int64_t channel = units.begin;
  for (; channel + kChannels <= units.end; channel += kChannels)
    MergeChannels<kChannels>(args, channel);
  for (; channel + 2 <= units.end; channel += 2) MergeChannels<2>(args, channel);
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

// Per-sample s1 and s2 of kCount channels: lanes [2][kCount][16]. x, d_y: the first channel at
// position 0.
template <int kCount>
void SampleSums(const BatchNormSumsArgs& args, int64_t channel, const float* x, const float* d_y,
                float* lanes) {
  constexpr int kVectors = kCount * kParts;
  const D d;
  const int64_t pixel = args.channels * kBlockLanes;
  float r[kCount];
  ReciprocalDeviations(args.variance + channel, args.epsilon, kCount, r);
  V s1[kVectors], s2[kVectors];
  LOCKSTEP_UNROLL
  for (int v = 0; v < kVectors; ++v) s1[v] = s2[v] = hn::Zero(d);
  for (int64_t position = 0; position < args.positions; ++position) {
    LOCKSTEP_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const int64_t offset = position * pixel + v * kLanes, c = channel + v / kParts;
      const V x_hat =
          hn::Mul(Centered(hn::Load(d, x + offset), args.mean[c]), hn::Set(d, r[v / kParts]));
      V gradient = hn::Load(d, d_y + offset);
      if (args.relu) gradient = Masked(Scaled(x_hat, args.gamma, args.beta, c), gradient);
      s1[v] = hn::Add(s1[v], gradient);
      s2[v] = hn::MulAdd(gradient, x_hat, s2[v]);
    }
  }
  LOCKSTEP_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    hn::Store(s1[v], d, lanes + v * kLanes);
    hn::Store(s2[v], d, lanes + (kCount * kParts + v) * kLanes);
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
      SampleSums<kCount>(args, channel, args.x + offset, args.d_y + offset, lanes);
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
  for (; channel + 2 <= units.end; channel += 2) SumChannels<2>(args, channel);
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
