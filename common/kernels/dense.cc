#include "common/kernels/dense.h"

#include "common/base/check.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/kernels/dense.cc"
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

// Forward and backward-data are one product: chains over k of a broadcast weight times a row's 16
// samples. A row is one (block, position). A tile keeps kOuts x (vectors of its rows) chains in
// registers; k goes in panels, so that the rows' panel stays in the L1 cache and the weights' in
// L2, and a chain continues from the value in y.
using D = hn::CappedTag<float, kBlockLanes>;
using V = hn::Vec<D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr int kRowVectors = kBlockLanes / kLanes;
constexpr int kTileRows = kRowVectors == 1 ? 2 : 1;
constexpr int kMaxOuts = kRowVectors == 1 ? 12 : 6;  // 24 of 32 or 12 of 16 vector registers
constexpr int64_t kPanel = 256;
constexpr int64_t kPrefetchRows = 12;

// A unit's outputs and rows: the same on all targets.
constexpr int64_t kUnitOuts = 12;
constexpr int64_t kUnitRows = 2;

struct Product {
  int64_t rows, outs, inner;
  int64_t w_out, w_inner;  // strides of w; one of them is 1
  const float* x;          // [rows][inner][16]
  const float* w;
  const float* b;  // [outs] or null
  float* y;        // [rows][outs][16]
  bool accumulate;
  Activation activation;
};

struct Tile {
  int64_t begin, end;  // of k
  int64_t w_out, w_inner;
  int64_t x_row, y_row;
  const float* x;
  const float* w;
  const float* b;
  float* y;
  bool first;
  bool add_old;  // accumulate: the old value is added to the finished chain
};

// kUnitOut: the outputs are neighbours in w (forward), else k is (backward-data).
template <int kOuts, int kRows, bool kUnitOut>
HWY_NOINLINE void ComputeTile(const Tile& tile) {
  const D d;
  constexpr int kVectors = kRows * kRowVectors;
  const int64_t x_row = tile.x_row;
  V sum[kOuts][kVectors];
  LOCKSTEP_UNROLL
  for (int a = 0; a < kOuts; ++a) {
    LOCKSTEP_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const float* y =
          tile.y + (v / kRowVectors) * tile.y_row + a * kBlockLanes + v % kRowVectors * kLanes;
      sum[a][v] = !tile.first         ? hn::Load(d, y)
                  : tile.b == nullptr ? hn::Zero(d)
                                      : hn::Set(d, tile.b[a]);
    }
  }
  // Groups of three rows of w need one pointer each: base + {0, 1, 2} strides are addressing modes.
  constexpr int kGroups = kUnitOut ? 1 : (kOuts + 2) / 3;
  const float* w[kGroups];
  LOCKSTEP_UNROLL
  for (int g = 0; g < kGroups; ++g) w[g] = tile.w + tile.begin * tile.w_inner + 3 * g * tile.w_out;
  const int64_t w_out = tile.w_out;
  const int64_t w_inner = tile.w_inner;
  const float* HWY_RESTRICT x = tile.x + tile.begin * kBlockLanes;
  for (int64_t k = tile.begin; k < tile.end; ++k) {
    if (kUnitOut) hwy::Prefetch(w[0] + kPrefetchRows * w_inner);
    V input[kVectors];
    LOCKSTEP_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      input[v] = hn::Load(d, x + (v / kRowVectors) * x_row + v % kRowVectors * kLanes);
      LOCKSTEP_KEEP_IN_REGISTER(input[v]);
    }
    LOCKSTEP_UNROLL
    for (int a = 0; a < kOuts; ++a) {
      const V weight = hn::Set(d, kUnitOut ? w[0][a] : w[a / 3][a % 3 * w_out]);
      LOCKSTEP_UNROLL
      for (int v = 0; v < kVectors; ++v) sum[a][v] = hn::MulAdd(weight, input[v], sum[a][v]);
    }
    x += kBlockLanes;
    LOCKSTEP_UNROLL
    for (int g = 0; g < kGroups; ++g) w[g] += kUnitOut ? w_inner : 1;
  }
  LOCKSTEP_UNROLL
  for (int a = 0; a < kOuts; ++a) {
    LOCKSTEP_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      float* y =
          tile.y + (v / kRowVectors) * tile.y_row + a * kBlockLanes + v % kRowVectors * kLanes;
      hn::Store(tile.add_old ? hn::Add(hn::Load(d, y), sum[a][v]) : sum[a][v], d, y);
    }
  }
}

// The next tile at the front of `outs` outputs; returns how many it took.
template <int kRows, bool kUnitOut>
HWY_INLINE int64_t ComputeFront(const Tile& tile, int64_t outs) {
  if (outs >= kMaxOuts) return ComputeTile<kMaxOuts, kRows, kUnitOut>(tile), kMaxOuts;
  if (kMaxOuts > 8 && outs >= 8) return ComputeTile<8, kRows, kUnitOut>(tile), 8;
  if (outs >= 4) return ComputeTile<4, kRows, kUnitOut>(tile), 4;
  if (outs >= 2) return ComputeTile<2, kRows, kUnitOut>(tile), 2;
  return ComputeTile<1, kRows, kUnitOut>(tile), 1;
}

void ActivateRow(Activation activation, int64_t count, float* y) {
  const D d;
  for (int64_t e = 0; e < count; e += kLanes)
    hn::Store(Activate(d, activation, hn::Load(d, y + e)), d, y + e);
}

HWY_INLINE int64_t RowGroups(const Product& p) { return (p.rows + kUnitRows - 1) / kUnitRows; }

// Panel [begin, end) of k for one unit: outputs outermost, so that a tile's weights serve all rows
// of a unit range.
template <bool kUnitOut>
void ComputeUnit(const Product& p, int64_t unit, int64_t begin, int64_t end) {
  const int64_t out_begin = unit / RowGroups(p) * kUnitOuts;
  const int64_t outs = out_begin + kUnitOuts < p.outs ? kUnitOuts : p.outs - out_begin;
  const int64_t row_begin = unit % RowGroups(p) * kUnitRows;
  const int64_t row_end = row_begin + kUnitRows < p.rows ? row_begin + kUnitRows : p.rows;
  Tile tile{.begin = begin,
            .end = end,
            .w_out = p.w_out,
            .w_inner = p.w_inner,
            .x_row = p.inner * kBlockLanes,
            .y_row = p.outs * kBlockLanes,
            .x = nullptr,
            .w = nullptr,
            .b = nullptr,
            .y = nullptr,
            .first = begin == 0,
            .add_old = p.accumulate};
  for (int64_t row = row_begin; row < row_end;) {
    const bool full = row + kTileRows <= row_end;
    tile.x = p.x + row * tile.x_row;
    for (int64_t out = 0; out < outs;) {
      tile.w = p.w + (out_begin + out) * p.w_out;
      tile.b = p.b == nullptr ? nullptr : p.b + out_begin + out;
      tile.y = p.y + row * tile.y_row + (out_begin + out) * kBlockLanes;
      out += full ? ComputeFront<kTileRows, kUnitOut>(tile, outs - out)
                  : ComputeFront<1, kUnitOut>(tile, outs - out);
    }
    row += full ? kTileRows : 1;
  }
  if (end < p.inner || p.activation == Activation::kLinear) return;
  for (int64_t row = row_begin; row < row_end; ++row) {
    ActivateRow(p.activation, outs * kBlockLanes, p.y + row * tile.y_row + out_begin * kBlockLanes);
  }
}

template <bool kUnitOut>
void ComputeProduct(const Product& p, UnitRange units) {
  // A partial chain may not be stored where the old value is still needed.
  const int64_t panel = p.accumulate || p.inner == 0 ? p.inner + 1 : kPanel;
  for (int64_t begin = 0; begin == 0 || begin < p.inner; begin += panel) {
    const int64_t end = begin + panel < p.inner ? begin + panel : p.inner;
    for (int64_t unit = units.begin; unit < units.end; ++unit)
      ComputeUnit<kUnitOut>(p, unit, begin, end);
  }
}

void ForwardImpl(const DenseForwardArgs& args, UnitRange units) {
  ComputeProduct<true>({.rows = args.blocks * args.positions,
                        .outs = args.outputs,
                        .inner = args.inputs,
                        .w_out = 1,
                        .w_inner = args.outputs,
                        .x = args.x,
                        .w = args.w,
                        .b = args.b,
                        .y = args.y,
                        .accumulate = false,
                        .activation = args.activation},
                       units);
}

void BackwardDataImpl(const DenseBackwardDataArgs& args, UnitRange units) {
  ComputeProduct<false>({.rows = args.blocks * args.positions,
                         .outs = args.inputs,
                         .inner = args.outputs,
                         .w_out = args.outputs,
                         .w_inner = 1,
                         .x = args.d_y,
                         .w = args.w,
                         .b = nullptr,
                         .y = args.d_x,
                         .accumulate = args.accumulate,
                         .activation = Activation::kLinear},
                        units);
}

int64_t ProductUnits(int64_t rows, int64_t outs) {
  return (rows + kUnitRows - 1) / kUnitRows * ((outs + kUnitOuts - 1) / kUnitOuts);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::kernels {

HWY_EXPORT(ForwardImpl);
HWY_EXPORT(BackwardDataImpl);
HWY_EXPORT(ProductUnits);

int64_t DenseForwardUnits(const DenseForwardArgs& args) {
  return HWY_DYNAMIC_DISPATCH(ProductUnits)(args.blocks * args.positions, args.outputs);
}

void DenseForward(const DenseForwardArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(0 <= units.begin && units.end <= DenseForwardUnits(args));
  HWY_DYNAMIC_DISPATCH(ForwardImpl)(args, units);
}

int64_t DenseBackwardDataUnits(const DenseBackwardDataArgs& args) {
  return HWY_DYNAMIC_DISPATCH(ProductUnits)(args.blocks * args.positions, args.inputs);
}

void DenseBackwardData(const DenseBackwardDataArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(0 <= units.begin && units.end <= DenseBackwardDataUnits(args));
  HWY_DYNAMIC_DISPATCH(BackwardDataImpl)(args, units);
}

}  // namespace lockstep::kernels
#endif  // HWY_ONCE
