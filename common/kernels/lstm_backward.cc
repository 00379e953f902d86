#include "common/base/check.h"
#include "common/kernels/lstm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/kernels/lstm_backward.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // Must come before highway.h.
#include "hwy/highway.h"

#include "common/kernels/math-inl.h"
#include "common/kernels/unroll.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// From the last step to the first: what h receives from the step after it is a chain over that
// step's 4H gate gradients, as in dense.cc backwards; the chains of a tile of units become the
// gate gradients of their own step before they leave the registers.
using D = hn::CappedTag<float, kBlockLanes>;
using V = hn::Vec<D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr int kRowVectors = kBlockLanes / kLanes;
constexpr int kGates = 4;
constexpr int kTileBlocks = kRowVectors == 1 ? 2 : 1;
constexpr int kMaxUnits = kRowVectors == 1 ? 12 : 6;  // 24 of 32 or 12 of 16 vector registers

struct Step {
  int64_t units;
  Activation activation, recurrent_activation;
  const float* u;
  const float* d_after;  // gate gradients of the step after; null at the last
  const float* gates;
  const float* cell;         // of this step, then its activation
  const float* cell_before;  // null at the first
  const float* d_y;          // null where y does not have the step
  float* d_gates;
  float* d_cell;
  int64_t gates_block, cells_block, y_block;
};

template <bool kUsual>
HWY_INLINE void Finish(const Step& s, int64_t unit, int block, int lane, V from_after) {
  const D d;
  const Activation gate = kUsual ? Activation::kSigmoid : s.recurrent_activation;
  const Activation squash = kUsual ? Activation::kTanh : s.activation;
  const int64_t at = unit * kBlockLanes + lane, stride = s.units * kBlockLanes;
  const float* gates = s.gates + block * s.gates_block + at;
  const V i = hn::Load(d, gates), f = hn::Load(d, gates + stride);
  const V g = hn::Load(d, gates + 2 * stride), o = hn::Load(d, gates + 3 * stride);
  const V squashed = hn::Load(d, s.cell + stride + block * s.cells_block + at);
  const V before = s.cell_before == nullptr
                       ? hn::Zero(d)
                       : hn::Load(d, s.cell_before + block * s.cells_block + at);
  V d_h = from_after;
  if (s.d_y != nullptr) {
    d_h = hn::Load(d, s.d_y + block * s.y_block + at);
    if (s.d_after != nullptr) d_h = hn::Add(d_h, from_after);
  }
  float* carried = s.d_cell + block * stride + at;
  const V rest = s.d_after == nullptr ? hn::Zero(d) : hn::Load(d, carried);
  const V d_cell = hn::Add(Derivative(d, squash, squashed, hn::Mul(d_h, o)), rest);
  hn::Store(WithoutDenormals(d, hn::Mul(d_cell, f)), d, carried);
  float* out = s.d_gates + block * s.gates_block + at;
  hn::Store(WithoutDenormals(d, Derivative(d, gate, i, hn::Mul(d_cell, g))), d, out);
  hn::Store(WithoutDenormals(d, Derivative(d, gate, f, hn::Mul(d_cell, before))), d, out + stride);
  hn::Store(WithoutDenormals(d, Derivative(d, squash, g, hn::Mul(d_cell, i))), d, out + 2 * stride);
  hn::Store(WithoutDenormals(d, Derivative(d, gate, o, hn::Mul(d_h, squashed))), d,
            out + 3 * stride);
}

// What Finish will touch lies beyond the caches near a core, and nowhere that a hardware prefetcher
// would look: asked for while the chains are computed.
template <int kUnits, int kBlocks>
HWY_INLINE void PrefetchTile(const Step& s, int64_t unit) {
  const int64_t stride = s.units * kBlockLanes;
  for (int block = 0; block < kBlocks; ++block) {
    for (int64_t at = unit * kBlockLanes; at < (unit + kUnits) * kBlockLanes; at += kBlockLanes) {
      const float* gates = s.gates + block * s.gates_block + at;
      const float* d_gates = s.d_gates + block * s.gates_block + at;
      const float* cell = s.cell + block * s.cells_block + at;
      LOCKSTEP_UNROLL
      for (int g = 0; g < kGates; ++g) {
        hwy::Prefetch(gates + g * stride);
        hwy::Prefetch(d_gates + g * stride);
      }
      hwy::Prefetch(cell + stride);
      if (s.cell_before != nullptr) hwy::Prefetch(s.cell_before + block * s.cells_block + at);
      if (s.d_y != nullptr) hwy::Prefetch(s.d_y + block * s.y_block + at);
    }
  }
}

template <int kUnits, int kBlocks>
HWY_NOINLINE void ComputeTile(const Step& s, int64_t unit) {
  const D d;
  constexpr int kVectors = kBlocks * kRowVectors;
  PrefetchTile<kUnits, kBlocks>(s, unit);
  V sum[kUnits][kVectors];
  LOCKSTEP_UNROLL
  for (int a = 0; a < kUnits; ++a) {
    LOCKSTEP_UNROLL
    for (int v = 0; v < kVectors; ++v) sum[a][v] = hn::Zero(d);
  }
  if (s.d_after != nullptr) {
    // Groups of three rows of u need one pointer each: base + {0, 1, 2} strides are addressing
    // modes.
    constexpr int kGroups = (kUnits + 2) / 3;
    const int64_t row = kGates * s.units, block = s.gates_block;
    const float* u[kGroups];
    LOCKSTEP_UNROLL
    for (int g = 0; g < kGroups; ++g) u[g] = s.u + (unit + 3 * g) * row;
    const float* HWY_RESTRICT after = s.d_after;
    for (int64_t k = 0; k < row; ++k) {
      V gradient[kVectors];
      LOCKSTEP_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        gradient[v] = hn::Load(d, after + (v / kRowVectors) * block + v % kRowVectors * kLanes);
        LOCKSTEP_KEEP_IN_REGISTER(gradient[v]);
      }
      LOCKSTEP_UNROLL
      for (int a = 0; a < kUnits; ++a) {
        const V weight = hn::Set(d, u[a / 3][a % 3 * row]);
        LOCKSTEP_UNROLL
        for (int v = 0; v < kVectors; ++v) sum[a][v] = hn::MulAdd(weight, gradient[v], sum[a][v]);
      }
      after += kBlockLanes;
      LOCKSTEP_UNROLL
      for (int g = 0; g < kGroups; ++g) ++u[g];
    }
  }
  const bool usual =
      s.recurrent_activation == Activation::kSigmoid && s.activation == Activation::kTanh;
  LOCKSTEP_UNROLL
  for (int a = 0; a < kUnits; ++a) {
    LOCKSTEP_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const int block = v / kRowVectors, lane = v % kRowVectors * kLanes;
      if (HWY_LIKELY(usual)) {
        Finish<true>(s, unit + a, block, lane, sum[a][v]);
      } else {
        Finish<false>(s, unit + a, block, lane, sum[a][v]);
      }
    }
  }
}

// One tile of at most kUnits units at `unit`: of equal ones as few as there can be.
template <int kUnits, int kBlocks>
HWY_INLINE int64_t ComputeFront(const Step& s, int64_t unit, int64_t width) {
  if constexpr (kUnits > 1) {
    constexpr int kLess = kUnits > 2 ? kUnits - 2 : 1;
    if (width < kUnits) return ComputeFront<kLess, kBlocks>(s, unit, width);
  }
  return ComputeTile<kUnits, kBlocks>(s, unit), kUnits;
}

template <int kBlocks>
void ComputeStep(const Step& s) {
  constexpr int kMost = kBlocks == kTileBlocks || kRowVectors > 1 ? kMaxUnits : 2 * kMaxUnits;
  for (int64_t unit = 0; unit < s.units;) {
    const int64_t rest = s.units - unit, tiles = (rest + kMost - 1) / kMost;
    const int64_t width = (rest + tiles - 1) / tiles;
    unit += ComputeFront<kMost, kBlocks>(s, unit,
                                         width + width % 2 <= rest ? width + width % 2 : width);
  }
}

template <int kBlocks>
void ComputeBlocks(const LstmBackwardArgs& args, int64_t block) {
  const LstmShape& shape = args.shape;
  const int64_t steps = shape.positions, row = shape.units * kBlockLanes;
  const int64_t gates_block = steps * kGates * row, cells_block = steps * 2 * row;
  const int64_t y_block = (shape.sequences ? steps : 1) * row;
  const float* gates = args.kept.gates + block * gates_block;
  const float* cells = args.kept.cells + block * cells_block;
  float* d_gates = args.d_gates + block * gates_block;
  const float* d_y = args.d_y + block * y_block;
  const auto position = [&](int64_t s) { return shape.backwards ? steps - 1 - s : s; };
  for (int64_t s = steps; s-- > 0;) {
    const bool last = s + 1 == steps;
    const int64_t p = position(s);
    ComputeStep<kBlocks>({.units = shape.units,
                          .activation = shape.activation,
                          .recurrent_activation = shape.recurrent_activation,
                          .u = args.u,
                          .d_after = last ? nullptr : d_gates + position(s + 1) * kGates * row,
                          .gates = gates + p * kGates * row,
                          .cell = cells + p * 2 * row,
                          .cell_before = s == 0 ? nullptr : cells + position(s - 1) * 2 * row,
                          .d_y = shape.sequences ? d_y + s * row : (last ? d_y : nullptr),
                          .d_gates = d_gates + p * kGates * row,
                          .d_cell = args.d_cell + block * row,
                          .gates_block = gates_block,
                          .cells_block = cells_block,
                          .y_block = y_block});
  }
}

void BackwardImpl(const LstmBackwardArgs& args, UnitRange units) {
  int64_t block = units.begin;
  for (; block + kTileBlocks <= units.end; block += kTileBlocks)
    ComputeBlocks<kTileBlocks>(args, block);
  for (; block < units.end; ++block) ComputeBlocks<1>(args, block);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::kernels {

HWY_EXPORT(BackwardImpl);

int64_t LstmBackwardUnits(const LstmBackwardArgs& args) { return args.shape.blocks; }

void LstmBackward(const LstmBackwardArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(0 <= units.begin && units.end <= LstmBackwardUnits(args));
  HWY_DYNAMIC_DISPATCH(BackwardImpl)(args, units);
}

}  // namespace lockstep::kernels
#endif  // HWY_ONCE
