#include "common/base/check.h"
#include "common/kernels/dense.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/kernels/dense_backward_weights.cc"
#include "hwy/foreach_target.h"  // Must come before highway.h.
#include "hwy/highway.h"

#include "common/kernels/unroll.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// d_w is a sum of rank-1 updates: a broadcast x times a vector of d_y over outputs. A tile keeps
// kInputs x kVectors chains of one shard in registers; finished shards are merged by a binary
// counter whose levels lie in the L1 cache.
using D = hn::CappedTag<float, kBlockLanes>;
using V = hn::Vec<D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr int kMaxInputs = 6;
constexpr int kMaxVectors =
    HWY_TARGET == HWY_AVX2 ? 2 : 4;  // 24 of 32 or 12 of 16 vector registers
constexpr int kMaxLevels = 32;
constexpr int64_t kUnitInputs = 12;

int64_t Padded(int64_t outputs) { return (outputs + kBlockLanes - 1) / kBlockLanes * kBlockLanes; }

// Inputs [input, input + count) of one unit, or, for the bias, one input that is always 1.
struct Gradient {
  const DenseBackwardWeightsArgs* args;
  const float* ones;  // bias only
  int64_t input;
  int64_t x_position;  // steps of x: to the next position, to the next lane
  int64_t x_lane;
  int64_t padded;  // outputs of a row of d_y_rows
  float* out;      // row of the first input
};

// Walks the samples of a shard in order: where each has its x of the first input and its d_y. No
// division, since a shard may hold one sample.
struct Samples {
  const float* x;
  const float* d_y;
  int64_t x_lane, x_block;  // to the next lane; from lane 15 to the next block's lane 0
  int64_t d_y_slot;
  int lane;

  HWY_INLINE void Next() {
    d_y += d_y_slot;
    x += x_lane;
    if (++lane == kBlockLanes) {
      lane = 0;
      x += x_block;
    }
  }
};

HWY_INLINE Samples SamplesOf(const Gradient& g, int32_t call, int64_t shard) {
  const DenseBackwardWeightsArgs& args = *g.args;
  const int64_t slot = shard * args.slots.shard_slots;
  const int64_t slots = static_cast<int64_t>(args.slots.blocks) * kBlockLanes;
  const int64_t d_y_slot = args.positions * g.padded, block_floats = args.positions * g.x_position;
  return {.x = (g.ones != nullptr ? g.ones : args.calls[call].x + g.input * kBlockLanes) +
               slot / kBlockLanes * block_floats + slot % kBlockLanes * g.x_lane,
          .d_y = args.d_y_rows + (call * slots + slot) * d_y_slot,
          .x_lane = g.x_lane,
          .x_block = block_floats - kBlockLanes * g.x_lane,
          .d_y_slot = d_y_slot,
          .lane = static_cast<int>(slot % kBlockLanes)};
}

// Stores the first `count` lanes; nothing beyond them is touched.
HWY_INLINE void StoreFirst(V value, int64_t count, float* out) {
  const D d;
  if (count >= kLanes) return hn::StoreU(value, d, out);
  HWY_ALIGN float lanes[kLanes];
  hn::Store(value, d, lanes);
  for (int64_t lane = 0; lane < count; ++lane) out[lane] = lanes[lane];
}

template <int kInputs, int kVectors>
struct Sums {
  V v[kInputs][kVectors];
};

// The chain of one shard, from +0.
template <int kInputs, int kVectors>
HWY_INLINE void SumShard(const Gradient& g, int64_t output, int64_t shard,
                         Sums<kInputs, kVectors>& sum) {
  const D d;
  const DenseBackwardWeightsArgs& args = *g.args;
  const int64_t x_position = g.x_position, padded = g.padded;
  LOCKSTEP_UNROLL
  for (int a = 0; a < kInputs; ++a) {
    LOCKSTEP_UNROLL
    for (int v = 0; v < kVectors; ++v) sum.v[a][v] = hn::Zero(d);
  }
  for (int32_t call = 0; call < args.call_count; ++call) {
    Samples sample = SamplesOf(g, call, shard);
    for (int32_t n = 0; n < args.slots.shard_count[shard]; ++n, sample.Next()) {
      const float* HWY_RESTRICT x = sample.x;
      const float* HWY_RESTRICT d_y = sample.d_y + output;
      for (int64_t position = 0; position < args.positions; ++position) {
        V gradient[kVectors];
        LOCKSTEP_UNROLL
        for (int v = 0; v < kVectors; ++v) {
          gradient[v] = hn::Load(d, d_y + v * kLanes);
          LOCKSTEP_KEEP_IN_REGISTER(gradient[v]);
        }
        LOCKSTEP_UNROLL
        for (int a = 0; a < kInputs; ++a) {
          const V input = hn::Set(d, x[a * kBlockLanes]);
          LOCKSTEP_UNROLL
          for (int v = 0; v < kVectors; ++v)
            sum.v[a][v] = hn::MulAdd(input, gradient[v], sum.v[a][v]);
        }
        x += x_position;
        d_y += padded;
      }
    }
  }
}

template <int kInputs, int kVectors>
HWY_NOINLINE void ComputeTile(const Gradient& g, int64_t output) {
  const D d;
  const DenseBackwardWeightsArgs& args = *g.args;
  const int32_t shards = args.subtree.shards;
  HWY_ALIGN float levels[kMaxLevels][kInputs * kVectors * kLanes];
  Sums<kInputs, kVectors> sum;
  for (int32_t leaf = 0; leaf < shards; ++leaf) {
    SumShard(g, output, args.subtree.first_shard + leaf, sum);
    // A leaf completes as many subtrees as its index has low ones.
    int level = 0;
    for (; (leaf >> level) & 1; ++level) {
      LOCKSTEP_UNROLL
      for (int a = 0; a < kInputs; ++a) {
        LOCKSTEP_UNROLL
        for (int v = 0; v < kVectors; ++v) {
          sum.v[a][v] =
              hn::Add(hn::Load(d, levels[level] + (a * kVectors + v) * kLanes), sum.v[a][v]);
        }
      }
    }
    if (leaf + 1 == shards) break;
    LOCKSTEP_UNROLL
    for (int a = 0; a < kInputs; ++a) {
      LOCKSTEP_UNROLL
      for (int v = 0; v < kVectors; ++v)
        hn::Store(sum.v[a][v], d, levels[level] + (a * kVectors + v) * kLanes);
    }
  }
  LOCKSTEP_UNROLL
  for (int a = 0; a < kInputs; ++a) {
    LOCKSTEP_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const int64_t first = output + v * kLanes;
      StoreFirst(sum.v[a][v], args.outputs - first, g.out + a * args.outputs + first);
    }
  }
}

template <int kInputs>
HWY_INLINE void ComputeInputs(const Gradient& g) {
  const int64_t vectors = (g.args->outputs + kLanes - 1) / kLanes;
  int64_t v = 0;
  for (; v + kMaxVectors <= vectors; v += kMaxVectors)
    ComputeTile<kInputs, kMaxVectors>(g, v * kLanes);
  for (; kMaxVectors > 2 && v + 2 <= vectors; v += 2) ComputeTile<kInputs, 2>(g, v * kLanes);
  for (; v < vectors; ++v) ComputeTile<kInputs, 1>(g, v * kLanes);
}

template <int kInputs>
HWY_INLINE void ComputeWeights(const DenseBackwardWeightsArgs& args, int64_t input) {
  ComputeInputs<kInputs>({.args = &args,
                          .ones = nullptr,
                          .input = input,
                          .x_position = args.inputs * kBlockLanes,
                          .x_lane = 1,
                          .padded = Padded(args.outputs),
                          .out = args.d_w + input * args.outputs});
}

// fma(1, d_y, sum) is sum + d_y.
void ComputeBias(const DenseBackwardWeightsArgs& args) {
  const float one = 1.0f;
  ComputeInputs<1>({.args = &args,
                    .ones = &one,
                    .input = 0,
                    .x_position = 0,
                    .x_lane = 0,
                    .padded = Padded(args.outputs),
                    .out = args.d_b});
}

void BackwardWeightsImpl(const DenseBackwardWeightsArgs& args, UnitRange units) {
  const int64_t input_units = (args.inputs + kUnitInputs - 1) / kUnitInputs;
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    if (unit == input_units) {
      ComputeBias(args);
      continue;
    }
    int64_t input = unit * kUnitInputs;
    const int64_t end = input + kUnitInputs < args.inputs ? input + kUnitInputs : args.inputs;
    for (; input + kMaxInputs <= end; input += kMaxInputs) ComputeWeights<kMaxInputs>(args, input);
    for (; input + 2 <= end; input += 2) ComputeWeights<2>(args, input);
    for (; input < end; ++input) ComputeWeights<1>(args, input);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::kernels {

HWY_EXPORT(BackwardWeightsImpl);

int64_t DenseBackwardWeightsScratch(const DenseBackwardWeightsArgs& args) {
  return args.call_count * int64_t{args.slots.blocks} * kBlockLanes * args.positions *
         HWY_NAMESPACE::Padded(args.outputs);
}

int64_t DenseBackwardWeightsUnits(const DenseBackwardWeightsArgs& args) {
  return (args.inputs + HWY_NAMESPACE::kUnitInputs - 1) / HWY_NAMESPACE::kUnitInputs +
         (args.d_b != nullptr ? 1 : 0);
}

void DenseBackwardWeights(const DenseBackwardWeightsArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(0 <= units.begin && units.end <= DenseBackwardWeightsUnits(args));
  LOCKSTEP_DCHECK((args.subtree.shards & (args.subtree.shards - 1)) == 0);
  HWY_DYNAMIC_DISPATCH(BackwardWeightsImpl)(args, units);
}

int64_t DenseTransposeGradientUnits(const DenseTransposeGradientArgs& args) {
  return int64_t{args.slots.blocks} * args.call_count;
}

// Moves values only, so it needs no target of its own; memory bound.
void DenseTransposeGradient(const DenseTransposeGradientArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(0 <= units.begin && units.end <= DenseTransposeGradientUnits(args));
  const int64_t padded = HWY_NAMESPACE::Padded(args.outputs);
  const int64_t slot_floats = args.positions * padded;
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const int64_t call = unit / args.slots.blocks, block = unit % args.slots.blocks;
    const float* d_y = args.calls[call].d_y + block * args.positions * args.outputs * kBlockLanes;
    float* rows = args.d_y_rows + unit * kBlockLanes * slot_floats;
    for (int64_t position = 0; position < args.positions; ++position, rows += padded) {
      for (int64_t o = 0; o < padded; ++o) {
        const bool real = o < args.outputs;
        for (int lane = 0; lane < kBlockLanes; ++lane)
          rows[lane * slot_floats + o] = real ? d_y[lane] : 0.0f;
        if (real) d_y += kBlockLanes;
      }
    }
  }
}

}  // namespace lockstep::kernels
#endif  // HWY_ONCE
