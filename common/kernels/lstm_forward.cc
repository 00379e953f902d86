#include <algorithm>

#include "common/base/check.h"
#include "common/kernels/lstm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/kernels/lstm_forward.cc"
#include "hwy/foreach_target.h"  // Must come before highway.h.
#include "hwy/highway.h"

#include "common/kernels/math-inl.h"
#include "common/kernels/unroll.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// One step is a product of a broadcast weight and a row's 16 samples, as dense.cc has it, but the
// four gates of a unit meet in one tile, so that the chains never leave the registers before cell
// and output are made of them.
using D = hn::CappedTag<float, kBlockLanes>;
using V = hn::Vec<D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr int kRowVectors = kBlockLanes / kLanes;
constexpr int kGates = 4;
// Accumulators of a full tile: 24 of 32 registers; 8 of 16 with AVX2, 16 of 32 with NEON.
constexpr int kTileBlocks = kRowVectors == 1 ? 2 : 1;
constexpr int kTileUnits = kRowVectors == 1 ? 3 : 1;
constexpr int kSingleUnits = kRowVectors == 1 ? 6 : 1;  // of a tile of one block

// One step of the tile's blocks; strides of blocks are in floats.
struct Step {
  int64_t inputs, units;
  Activation activation, recurrent_activation;
  const float* x;
  const float* h;     // of the step before
  const float* cell;  // of the step before
  const float* w;
  const float* u;
  const float* b;
  float* gates;     // [4H][16] or null
  float* cell_out;  // [H][16]
  float* squashed;  // the cell's activation, [H][16] or null
  float* h_out;     // [H][16] or null
  float* y;         // [H][16] or null
  int64_t x_block, h_block, cell_block, gates_block, cell_out_block, y_block;
};

template <int kUnits, int kBlocks>
struct Sums {
  V v[kGates][kUnits][kBlocks * kRowVectors];
};

// `count` rows of 16 samples, and of the weights by which they are multiplied.
struct Rows {
  int64_t count;
  const float* in;
  int64_t in_block;
  const float* weights;
};

// Continues the chains.
template <int kUnits, int kBlocks>
HWY_INLINE void Accumulate(const Rows& rows, int64_t units, Sums<kUnits, kBlocks>& sum) {
  const D d;
  const float* HWY_RESTRICT in = rows.in;
  const int64_t in_block = rows.in_block;
  // Two pointers: base + {0, H} are addressing modes.
  const float* HWY_RESTRICT low = rows.weights;
  const float* HWY_RESTRICT high = rows.weights + 2 * units;
  const int64_t stride = kGates * units;
  for (int64_t k = 0; k < rows.count; ++k) {
    V input[kBlocks * kRowVectors];
    LOCKSTEP_UNROLL
    for (int v = 0; v < kBlocks * kRowVectors; ++v) {
      input[v] = hn::Load(d, in + (v / kRowVectors) * in_block + v % kRowVectors * kLanes);
      LOCKSTEP_KEEP_IN_REGISTER(input[v]);
    }
    LOCKSTEP_UNROLL
    for (int g = 0; g < kGates; ++g) {
      // GCC 12 under -fsanitize=undefined loses the gate in [g % 2 * units + a].
      const float* const gate = (g < 2 ? low : high) + (g == 1 || g == 3 ? units : 0);
      LOCKSTEP_UNROLL
      for (int a = 0; a < kUnits; ++a) {
        const V weight = hn::Set(d, gate[a]);
        LOCKSTEP_UNROLL
        for (int v = 0; v < kBlocks * kRowVectors; ++v)
          sum.v[g][a][v] = hn::MulAdd(weight, input[v], sum.v[g][a][v]);
      }
    }
    in += kBlockLanes;
    low += stride;
    high += stride;
  }
}

// A tile's finished chains and what becomes of them: [i, f, o, c][unit][vector].
template <int kVectors>
struct Chains {
  HWY_ALIGN float z[kGates][kVectors][kLanes];
};
constexpr int kOutput = 2, kCandidate = 3;

// In place, `kGroup` vectors at once: enough chains of operations to fill the pipelines.
template <bool kSigmoids, int kCount>
HWY_INLINE void ActivateVectors(Activation activation, float* z) {
  const D d;
  constexpr int kGroup = kCount % 6 == 0 ? 6 : kCount % 4 == 0 ? 4 : kCount % 3 == 0 ? 3 : 1;
  for (int first = 0; first < kCount; first += kGroup, z += kGroup * kLanes) {
    V v[kGroup];
    LOCKSTEP_UNROLL
    for (int k = 0; k < kGroup; ++k) v[k] = hn::Load(d, z + k * kLanes);
    if (kSigmoids && HWY_LIKELY(activation == Activation::kSigmoid)) {
      Sigmoids(d, v);
    } else if (!kSigmoids && HWY_LIKELY(activation == Activation::kTanh)) {
      Tanhs(d, v);
    } else {
      for (int k = 0; k < kGroup; ++k) v[k] = Activate(d, activation, v[k]);
    }
    LOCKSTEP_UNROLL
    for (int k = 0; k < kGroup; ++k) hn::Store(v[k], d, z + k * kLanes);
  }
}

// Gates, cells and outputs of `kUnits` units.
template <int kUnits, int kBlocks>
HWY_INLINE void Finish(const Step& s, int64_t unit, Chains<kUnits * kBlocks * kRowVectors>& tile) {
  const D d;
  constexpr int kVectors = kBlocks * kRowVectors, kAll = kUnits * kVectors;
  ActivateVectors<true, 3 * kAll>(s.recurrent_activation, tile.z[0][0]);
  ActivateVectors<false, kAll>(s.activation, tile.z[kCandidate][0]);
  HWY_ALIGN float squashed[kAll][kLanes];
  for (int k = 0; k < kAll; ++k) {
    const int64_t block = k % kVectors / kRowVectors;
    const int64_t at = (unit + k / kVectors) * kBlockLanes + k % kRowVectors * kLanes;
    const V before = hn::Load(d, s.cell + block * s.cell_block + at);
    const V kept = hn::Mul(hn::Load(d, tile.z[1][k]), before);
    const V cell = WithoutDenormals(
        d, hn::MulAdd(hn::Load(d, tile.z[0][k]), hn::Load(d, tile.z[kCandidate][k]), kept));
    hn::Store(cell, d, s.cell_out + block * s.cell_out_block + at);
    hn::Store(cell, d, squashed[k]);
  }
  ActivateVectors<false, kAll>(s.activation, squashed[0]);
  for (int k = 0; k < kAll; ++k) {
    const int64_t block = k % kVectors / kRowVectors;
    const int64_t at = (unit + k / kVectors) * kBlockLanes + k % kRowVectors * kLanes;
    const V cell = hn::Load(d, squashed[k]);
    const V h = WithoutDenormals(d, hn::Mul(hn::Load(d, tile.z[kOutput][k]), cell));
    if (s.h_out != nullptr) hn::Store(h, d, s.h_out + block * s.h_block + at);
    if (s.y != nullptr) hn::Store(h, d, s.y + block * s.y_block + at);
    if (s.gates == nullptr) continue;
    hn::Store(cell, d, s.squashed + block * s.cell_out_block + at);
    float* gates = s.gates + block * s.gates_block + at;
    const int64_t stride = s.units * kBlockLanes;
    hn::Store(hn::Load(d, tile.z[0][k]), d, gates);
    hn::Store(hn::Load(d, tile.z[1][k]), d, gates + stride);
    hn::Store(hn::Load(d, tile.z[kCandidate][k]), d, gates + 2 * stride);
    hn::Store(hn::Load(d, tile.z[kOutput][k]), d, gates + 3 * stride);
  }
}

template <int kUnits, int kBlocks>
HWY_NOINLINE void ComputeTile(const Step& s, int64_t unit) {
  const D d;
  constexpr int kVectors = kBlocks * kRowVectors;
  Chains<kUnits * kVectors> tile;
  {
    Sums<kUnits, kBlocks> sum;
    LOCKSTEP_UNROLL
    for (int g = 0; g < kGates; ++g) {
      LOCKSTEP_UNROLL
      for (int a = 0; a < kUnits; ++a) {
        LOCKSTEP_UNROLL
        for (int v = 0; v < kVectors; ++v) {
          sum.v[g][a][v] = s.b == nullptr ? hn::Zero(d) : hn::Set(d, s.b[g * s.units + unit + a]);
        }
      }
    }
    Accumulate<kUnits, kBlocks>({s.inputs, s.x, s.x_block, s.w + unit}, s.units, sum);
    Accumulate<kUnits, kBlocks>({s.units, s.h, s.h_block, s.u + unit}, s.units, sum);
    constexpr int kPlace[kGates] = {0, 1, kCandidate, kOutput};
    LOCKSTEP_UNROLL
    for (int g = 0; g < kGates; ++g) {
      LOCKSTEP_UNROLL
      for (int a = 0; a < kUnits; ++a) {
        LOCKSTEP_UNROLL
        for (int v = 0; v < kVectors; ++v)
          hn::Store(sum.v[g][a][v], d, tile.z[kPlace[g]][a * kVectors + v]);
      }
    }
  }
  Finish<kUnits, kBlocks>(s, unit, tile);
}

template <int kBlocks>
void ComputeStep(const Step& s) {
  constexpr int kUnits = kBlocks == kTileBlocks ? kTileUnits : kSingleUnits;
  int64_t unit = 0;
  for (; unit + kUnits <= s.units; unit += kUnits) ComputeTile<kUnits, kBlocks>(s, unit);
  if constexpr (kUnits > 3) {
    if (unit + 3 <= s.units) ComputeTile<3, kBlocks>(s, unit), unit += 3;
  }
  if constexpr (kUnits > 2) {
    if (unit + 2 <= s.units) ComputeTile<2, kBlocks>(s, unit), unit += 2;
  }
  if (unit < s.units) ComputeTile<1, kBlocks>(s, unit);
}

// All steps of `kBlocks` blocks. What is not kept goes round in `state`: h of two steps, the cell.
template <int kBlocks>
void ComputeBlocks(const LstmForwardArgs& args, int64_t block) {
  const LstmShape& shape = args.shape;
  const int64_t steps = shape.positions, row = shape.units * kBlockLanes;
  const int64_t x_row = shape.inputs * kBlockLanes;
  const bool keeps = args.kept.gates != nullptr;
  const int64_t h_block = (keeps ? steps : 3) * row;
  float* const h = (keeps ? args.kept.before : args.state) + block * h_block;
  float* const cells = keeps ? args.kept.cells + block * steps * 2 * row : h + 2 * row;
  float* const gates = keeps ? args.kept.gates + block * steps * kGates * row : nullptr;
  const int64_t y_block = (shape.sequences ? steps : 1) * row;
  const auto position = [&](int64_t s) { return shape.backwards ? steps - 1 - s : s; };
  const auto h_at = [&](int64_t s) { return h + (keeps ? position(s) : s % 2) * row; };
  const auto cell_at = [&](int64_t s) { return cells + (keeps ? position(s) * 2 * row : 0); };
  const int64_t cell_block = keeps ? steps * 2 * row : h_block;
  for (int b = 0; b < kBlocks; ++b) std::fill_n(h_at(0) + b * h_block, row, 0.0f);
  for (int64_t s = 0; s < steps; ++s) {
    const bool last = s + 1 == steps;
    const int64_t p = position(s);
    // The first cell is +0, as the first h.
    ComputeStep<kBlocks>({.inputs = shape.inputs,
                          .units = shape.units,
                          .activation = shape.activation,
                          .recurrent_activation = shape.recurrent_activation,
                          .x = args.x + (block * steps + p) * x_row,
                          .h = h_at(s),
                          .cell = s == 0 ? h_at(0) : cell_at(s - 1),
                          .w = args.w,
                          .u = args.u,
                          .b = args.b,
                          .gates = keeps ? gates + p * kGates * row : nullptr,
                          .cell_out = cell_at(s),
                          .squashed = keeps ? cell_at(s) + row : nullptr,
                          .h_out = last ? nullptr : h_at(s + 1),
                          .y = shape.sequences || last
                                   ? args.y + block * y_block + (shape.sequences ? s * row : 0)
                                   : nullptr,
                          .x_block = steps * x_row,
                          .h_block = h_block,
                          .cell_block = s == 0 ? h_block : cell_block,
                          .gates_block = steps * kGates * row,
                          .cell_out_block = cell_block,
                          .y_block = y_block});
  }
}

void ForwardImpl(const LstmForwardArgs& args, UnitRange units) {
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

HWY_EXPORT(ForwardImpl);

int64_t LstmForwardUnits(const LstmForwardArgs& args) { return args.shape.blocks; }

void LstmForward(const LstmForwardArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(0 <= units.begin && units.end <= LstmForwardUnits(args));
  HWY_DYNAMIC_DISPATCH(ForwardImpl)(args, units);
}

}  // namespace lockstep::kernels
#endif  // HWY_ONCE
