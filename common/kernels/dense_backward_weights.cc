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
constexpr int kMaxVectors =
    HWY_TARGET == HWY_AVX2 ? 2 : 4;  // of a tile: 24 of 32 or 12 of 16 vector registers
constexpr int kMaxLevels = 32;
constexpr int64_t kUnitInputs = 12;

int64_t Padded(int64_t outputs) { return (outputs + kBlockLanes - 1) / kBlockLanes * kBlockLanes; }

// d_y_rows is cut into panels of outputs, so that all samples of a tile's outputs are neighbours
// and stay in the L1 cache for every input. Panels are as few and as equal as can be: a narrow one
// has too few chains to hide an FMA's latency.
constexpr int64_t kPanel = 64;
struct Panel {
  Panel(int64_t outputs, int64_t first_output) : first(first_output) {
    const int64_t left = Padded(outputs) - first;
    const int64_t panels = (left + kPanel - 1) / kPanel;
    width = Padded((left + panels - 1) / panels);
  }
  int64_t first;
  int64_t width;  // floats of a row
};

// Inputs [input, input + count) of one unit, or, for the bias, one input that is always 1.
struct Gradient {
  const DenseBackwardWeightsArgs* args;
  const float* ones;  // bias only
  int64_t input;
  int64_t x_position;  // steps of x: to the next position, to the next lane
  int64_t x_lane;
  Panel panel;
  float* out;  // row of the first input
};

// Samples whose x and d_y of the first input lie at equal steps.
struct Run {
  const float* x;
  const float* d_y;
  int64_t x_step;
  int64_t count;
};

// Where a shard's first sample has its x and d_y. Shards begin at lanes of a power of two, so that
// neighbours' samples are cut into blocks alike.
HWY_INLINE Run FirstOf(const Gradient& g, int32_t call, int64_t shard) {
  const DenseBackwardWeightsArgs& args = *g.args;
  const int64_t slot = shard * args.slots.shard_slots;
  const int64_t rows = static_cast<int64_t>(args.slots.blocks) * kBlockLanes * args.positions;
  const float* const x = g.ones != nullptr ? g.ones : args.calls[call].x + g.input * kBlockLanes;
  return {.x = x + static_cast<int64_t>(slot / kBlockLanes) * args.positions * g.x_position +
               static_cast<int64_t>(slot % kBlockLanes) * g.x_lane,
          .d_y = args.d_y_rows + rows * (call * Padded(args.outputs) + g.panel.first) +
                 slot * args.positions * g.panel.width,
          .x_step = g.x_lane,
          .count = args.slots.shard_count[shard]};
}

// Whether a shard's samples are one run.
HWY_INLINE bool OneRun(const DenseBackwardWeightsArgs& args) {
  return args.positions == 1 && args.slots.shard_slots <= kBlockLanes;
}

// Gives a shard as runs: of its samples in one block, or, where inputs have positions, of one
// sample's positions. No division, since a shard may hold one sample.
template <class Function>
HWY_INLINE void ForRuns(const Gradient& g, int64_t shard, Run all, const Function& function) {
  const DenseBackwardWeightsArgs& args = *g.args;
  if (OneRun(args)) return function(all);
  const int64_t lane_width = args.positions * g.panel.width;
  const int64_t x_block = args.positions * g.x_position - kBlockLanes * g.x_lane;
  int64_t lane = shard * args.slots.shard_slots % kBlockLanes;
  for (int64_t left = all.count; left > 0;) {
    const int64_t samples = args.positions > 1 ? 1 : HWY_MIN(left, kBlockLanes - lane);
    function(args.positions > 1 ? Run{all.x, all.d_y, g.x_position, args.positions}
                                : Run{all.x, all.d_y, g.x_lane, samples});
    left -= samples;
    lane += samples;
    all.d_y += samples * lane_width;
    all.x += samples * g.x_lane;
    if (lane == kBlockLanes) {
      lane = 0;
      all.x += x_block;
    }
  }
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

  HWY_INLINE void Clear() {
    LOCKSTEP_UNROLL
    for (int a = 0; a < kInputs; ++a) {
      LOCKSTEP_UNROLL
      for (int v_ = 0; v_ < kVectors; ++v_) v[a][v_] = hn::Zero(D());
    }
  }
  HWY_INLINE void Step(const float* x, const float* d_y) {
    const D d;
    V gradient[kVectors];
    LOCKSTEP_UNROLL
    for (int k = 0; k < kVectors; ++k) {
      gradient[k] = hn::Load(d, d_y + k * kLanes);
      LOCKSTEP_KEEP_IN_REGISTER(gradient[k]);
    }
    LOCKSTEP_UNROLL
    for (int a = 0; a < kInputs; ++a) {
      const V input = hn::Set(d, x[a * kBlockLanes]);
      LOCKSTEP_UNROLL
      for (int k = 0; k < kVectors; ++k) v[a][k] = hn::MulAdd(input, gradient[k], v[a][k]);
    }
  }
};

// The chain of one shard, from +0.
template <int kInputs, int kVectors>
HWY_INLINE void SumShard(const Gradient& g, int64_t output, int64_t shard,
                         Sums<kInputs, kVectors>& sum) {
  sum.Clear();
  for (int32_t call = 0; call < g.args->call_count; ++call) {
    ForRuns(g, shard, FirstOf(g, call, shard), [&](const Run& run) HWY_ATTR {
      const float* HWY_RESTRICT x = run.x;
      const float* HWY_RESTRICT d_y = run.d_y + (output - g.panel.first);
      for (int64_t n = 0; n < run.count; ++n, x += run.x_step, d_y += g.panel.width)
        sum.Step(x, d_y);
    });
  }
}

// Shards of one run each, as the pairs of a tile are read. A value of its own, so that it stays in
// registers: a short shard's few steps take no longer than finding it.
struct Runs {
  Runs(const Gradient& g, int64_t output)
      : calls(g.args->calls),
        call_count(g.args->call_count),
        input(g.input * kBlockLanes),
        x_block(g.x_position),
        d_y(g.args->d_y_rows +
            static_cast<int64_t>(g.args->slots.blocks) * kBlockLanes * g.panel.first + output -
            g.panel.first),
        d_y_slot(g.panel.width),
        d_y_call(static_cast<int64_t>(g.args->slots.blocks) * kBlockLanes *
                 Padded(g.args->outputs)),
        shard_slots(static_cast<uint32_t>(g.args->slots.shard_slots)),
        count(g.args->slots.shard_count) {}

  HWY_INLINE int64_t X(uint32_t slot) const {
    return input + slot / kBlockLanes * x_block + slot % kBlockLanes;
  }
  HWY_INLINE int64_t DY(uint32_t slot) const { return slot * d_y_slot; }

  const GradientCall* calls;
  int32_t call_count;
  int64_t input, x_block;  // floats
  const float* d_y;
  int64_t d_y_slot, d_y_call;
  uint32_t shard_slots;
  const int32_t* count;
};

// The chains of two neighbours of `samples` samples each, from +0, side by side.
template <int kInputs, int kVectors>
HWY_INLINE void SumRuns(const Runs& runs, uint32_t shard, int64_t samples,
                        Sums<kInputs, kVectors>& even, Sums<kInputs, kVectors>& odd) {
  even.Clear();
  odd.Clear();
  const uint32_t slot = shard * runs.shard_slots, next = slot + runs.shard_slots;
  const int64_t x_odd = runs.X(next) - runs.X(slot), d_y_odd = runs.DY(next) - runs.DY(slot);
  for (int32_t call = 0; call < runs.call_count; ++call) {
    const float* HWY_RESTRICT x = runs.calls[call].x + runs.X(slot);
    const float* HWY_RESTRICT d_y = runs.d_y + call * runs.d_y_call + runs.DY(slot);
    for (int64_t n = 0; n < samples; ++n, ++x, d_y += runs.d_y_slot) {
      even.Step(x, d_y);
      odd.Step(x + x_odd, d_y + d_y_odd);
    }
  }
}

// Two leaves of the tree that hold unequally many samples. Rare, and kept out of the way of the
// others' registers.
template <int kInputs, int kVectors>
HWY_NOINLINE void SumUnequal(const Gradient& g, int64_t output, int64_t shard,
                             Sums<kInputs, kVectors>& sum) {
  Sums<kInputs, kVectors> even;
  SumShard(g, output, shard, even);
  SumShard(g, output, shard + 1, sum);
  LOCKSTEP_UNROLL
  for (int a = 0; a < kInputs; ++a) {
    LOCKSTEP_UNROLL
    for (int v = 0; v < kVectors; ++v) sum.v[a][v] = hn::Add(even.v[a][v], sum.v[a][v]);
  }
}

// Two leaves of the tree, `shard` and the next, and their sum. Where they hold equally many
// samples they go side by side, and the lowest level of the tree never leaves the registers.
template <int kInputs, int kVectors>
HWY_INLINE void SumTwo(const Gradient& g, int64_t output, const Runs& runs, uint32_t shard,
                       Sums<kInputs, kVectors>& sum) {
  if (HWY_UNLIKELY(runs.count[shard] != runs.count[shard + 1])) {
    Sums<kInputs, kVectors> unequal;
    SumUnequal(g, output, shard, unequal);
    sum = unequal;
    return;
  }
  Sums<kInputs, kVectors> odd;
  SumRuns(runs, shard, runs.count[shard], sum, odd);
  LOCKSTEP_UNROLL
  for (int a = 0; a < kInputs; ++a) {
    LOCKSTEP_UNROLL
    for (int v = 0; v < kVectors; ++v) sum.v[a][v] = hn::Add(sum.v[a][v], odd.v[a][v]);
  }
}

// kPairs: the subtree has two shards or more, and a leaf of the counter below is two of them.
template <int kInputs, int kVectors, bool kPairs>
HWY_NOINLINE void ComputeTile(const Gradient& g, int64_t output) {
  const D d;
  const DenseBackwardWeightsArgs& args = *g.args;
  const int32_t leaves = kPairs ? args.subtree.shards / 2 : args.subtree.shards;
  HWY_ALIGN float levels[kMaxLevels][kInputs * kVectors * kLanes];
  LOCKSTEP_UNROLL
  for (int a = 0; a < kInputs; ++a) {
    LOCKSTEP_UNROLL
    for (int v = 0; v < kVectors; ++v)
      __builtin_prefetch(g.out + a * args.outputs + output + v * kLanes, 1, 3);
  }
  Sums<kInputs, kVectors> sum;
  const Runs runs(g, output);
  for (int32_t leaf = 0; leaf < leaves; ++leaf) {
    if constexpr (kPairs) {
      SumTwo(g, output, runs, static_cast<uint32_t>(args.subtree.first_shard + 2 * leaf), sum);
    } else {
      SumShard(g, output, args.subtree.first_shard + leaf, sum);
    }
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
    if (leaf + 1 == leaves) break;
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

template <int kInputs, int kVectors, bool kPairs>
HWY_INLINE void ComputeInputs(const Gradient& g) {
  const int64_t end = g.panel.first + g.panel.width;
  for (int64_t output = g.panel.first; output < end; output += kVectors * kLanes)
    ComputeTile<kInputs, kVectors, kPairs>(g, output);
}

// Inputs [inputs) of a panel, kInputs at a time; returns those that are left.
template <int kInputs, int kVectors, bool kPairs>
HWY_INLINE UnitRange ComputeWeights(const DenseBackwardWeightsArgs& args, Panel panel,
                                    UnitRange inputs) {
  for (; inputs.begin + kInputs <= inputs.end; inputs.begin += kInputs) {
    ComputeInputs<kInputs, kVectors, kPairs>({.args = &args,
                                              .ones = nullptr,
                                              .input = inputs.begin,
                                              .x_position = args.inputs * kBlockLanes,
                                              .x_lane = 1,
                                              .panel = panel,
                                              .out = args.d_w + inputs.begin * args.outputs});
  }
  return inputs;
}

// fma(1, d_y, sum) is sum + d_y.
template <int kVectors>
void ComputeBias(const DenseBackwardWeightsArgs& args, Panel panel) {
  const float one = 1.0f;
  ComputeInputs<1, kVectors, false>({.args = &args,
                                     .ones = &one,
                                     .input = 0,
                                     .x_position = 0,
                                     .x_lane = 0,
                                     .panel = panel,
                                     .out = args.d_b});
}

template <int kVectors>
void ComputePanel(const DenseBackwardWeightsArgs& args, Panel panel, UnitRange inputs, bool bias) {
  constexpr int kMost = HWY_MIN(12, 6 * kMaxVectors / kVectors), kSome = kVectors < 3 ? 4 : 2;
  if (bias) ComputeBias<kVectors>(args, panel);
  // Two shards side by side pay where they are short: of long ones the rows leave the L1 cache.
  if (args.subtree.shards > 1 && OneRun(args)) {
    inputs = ComputeWeights<kMost / 2, kVectors, true>(args, panel, inputs);
    ComputeWeights<1, kVectors, true>(args, panel, inputs);
  } else {
    inputs = ComputeWeights<kMost, kVectors, false>(args, panel, inputs);
    inputs = ComputeWeights<kSome, kVectors, false>(args, panel, inputs);
    ComputeWeights<1, kVectors, false>(args, panel, inputs);
  }
}

void BackwardWeightsImpl(const DenseBackwardWeightsArgs& args, UnitRange units) {
  const int64_t input_units = (args.inputs + kUnitInputs - 1) / kUnitInputs;
  const UnitRange inputs{units.begin * kUnitInputs, HWY_MIN(units.end * kUnitInputs, args.inputs)};
  const bool bias = units.end > input_units;
  for (int64_t output = 0; output < args.outputs;) {
    const Panel panel(args.outputs, output);
    const int64_t vectors = panel.width / kLanes;
    if (vectors % kMaxVectors == 0) {
      ComputePanel<kMaxVectors>(args, panel, inputs, bias);
    } else if (vectors == 3) {
      ComputePanel<3>(args, panel, inputs, bias);
    } else if (vectors == 2) {
      ComputePanel<2>(args, panel, inputs, bias);
    } else {
      ComputePanel<1>(args, panel, inputs, bias);
    }
    output += panel.width;
  }
}

// Four lanes of four outputs, [output][16] to [lane][step].
HWY_INLINE void TransposeFour(const float* values, float* rows, int64_t step) {
  const hn::FixedTag<float, 4> d;
  const hn::FixedTag<double, 2> pairs;
  const auto v0 = hn::Load(d, values), v1 = hn::Load(d, values + kBlockLanes);
  const auto v2 = hn::Load(d, values + 2 * kBlockLanes), v3 = hn::Load(d, values + 3 * kBlockLanes);
  const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(d, v0, v1));
  const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(d, v2, v3));
  const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(d, v0, v1));
  const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(d, v2, v3));
  hn::Store(hn::BitCast(d, hn::InterleaveLower(pairs, low01, low23)), d, rows);
  hn::Store(hn::BitCast(d, hn::InterleaveUpper(pairs, low01, low23)), d, rows + step);
  hn::Store(hn::BitCast(d, hn::InterleaveLower(pairs, high01, high23)), d, rows + 2 * step);
  hn::Store(hn::BitCast(d, hn::InterleaveUpper(pairs, high01, high23)), d, rows + 3 * step);
}

// One position of a block: d_y [outputs][16] to a panel's row of each lane, `lane_step` apart;
// outputs beyond the last are +0.
void TransposePosition(const float* d_y, Panel panel, int64_t outputs, int64_t lane_step,
                       float* rows) {
  const int64_t real = HWY_MIN(panel.width, outputs - panel.first);
  const float* const values = d_y + panel.first * kBlockLanes;
  int64_t o = 0;
  for (; o + 4 <= real; o += 4) {
    LOCKSTEP_UNROLL
    for (int lane = 0; lane < kBlockLanes; lane += 4)
      TransposeFour(values + o * kBlockLanes + lane, rows + lane * lane_step + o, lane_step);
  }
  for (; o < panel.width; ++o) {
    for (int lane = 0; lane < kBlockLanes; ++lane)
      rows[lane * lane_step + o] = o < real ? values[o * kBlockLanes + lane] : 0.0f;
  }
}

void TransposeGradientImpl(const DenseTransposeGradientArgs& args, UnitRange units) {
  const int64_t lanes = int64_t{args.slots.blocks} * kBlockLanes;
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const int64_t call = unit / args.slots.blocks, block = unit % args.slots.blocks;
    const int64_t position_step = args.outputs * kBlockLanes;
    const float* const d_y = args.calls[call].d_y + block * args.positions * position_step;
    for (int64_t output = 0; output < args.outputs;) {
      const Panel panel(args.outputs, output);
      const int64_t lane_step = args.positions * panel.width;
      float* const rows = args.d_y_rows +
                          lanes * args.positions * (call * Padded(args.outputs) + output) +
                          block * kBlockLanes * lane_step;
      for (int64_t position = 0; position < args.positions; ++position) {
        TransposePosition(d_y + position * position_step, panel, args.outputs, lane_step,
                          rows + position * panel.width);
      }
      output += panel.width;
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::kernels {

HWY_EXPORT(BackwardWeightsImpl);
HWY_EXPORT(TransposeGradientImpl);

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

void DenseTransposeGradient(const DenseTransposeGradientArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(0 <= units.begin && units.end <= DenseTransposeGradientUnits(args));
  HWY_DYNAMIC_DISPATCH(TransposeGradientImpl)(args, units);
}

}  // namespace lockstep::kernels
#endif  // HWY_ONCE
