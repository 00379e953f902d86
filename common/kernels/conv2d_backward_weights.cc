#include <algorithm>
#include <cstdint>

#include "common/base/check.h"
#include "common/kernels/conv2d.h"
#include "common/kernels/conv2d_taps.h"
#include "common/kernels/unroll.h"

// A unit is kUnitTiles tiles of taps for kUnitFilters filters. A "tap" is one (i, j, c). With many
// channels a tile is kTileChannels channels at one place of the window, which exist at the same
// positions. With few, it is kTileWindow places of the flattened (c, i, j), which read nearly the
// same cells: a 3x3 window's position then costs one new cell.
#ifndef LOCKSTEP_COMMON_KERNELS_CONV2D_BACKWARD_WEIGHTS_UNITS_
#define LOCKSTEP_COMMON_KERNELS_CONV2D_BACKWARD_WEIGHTS_UNITS_
namespace lockstep::kernels {
namespace {

constexpr int kTileChannels = 4;
constexpr int kTileWindow = 9;
constexpr int kUnitTiles = 16;
constexpr int kUnitFilters = 4;

constexpr int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct WeightUnits {
  explicit WeightUnits(const Conv2dGeometry& g)
      : channels(g.channels / g.groups),
        filters(g.filters / g.groups),
        window(g.kernel_h * g.kernel_w),
        by_channel(channels >= kTileChannels),
        tiles(by_channel ? window * CeilDiv(channels, kTileChannels)
                         : CeilDiv(window * channels, kTileWindow)),
        tap_units(CeilDiv(tiles, kUnitTiles)),
        filter_units(CeilDiv(filters, kUnitFilters)),
        count(tap_units * filter_units * g.groups) {}
  int64_t channels, filters;  // of a group
  int64_t window;
  bool by_channel;
  int64_t tiles, tap_units, filter_units, count;
};

}  // namespace
}  // namespace lockstep::kernels
#endif  // LOCKSTEP_COMMON_KERNELS_CONV2D_BACKWARD_WEIGHTS_UNITS_

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/kernels/conv2d_backward_weights.cc"
#include "hwy/foreach_target.h"  // Must come before highway.h.
#include "hwy/highway.h"

#include "common/kernels/slot_tree-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// A weight's per-sample chains are one vector per block; where a vector is narrower than a block,
// the block is done in parts. The chains wait in memory while a band of output rows goes through
// every tile of the unit, so that x and d_y are read from cache.
using D = hn::CappedTag<float, kBlockLanes>;
using V = hn::Vec<D>;
using DI = hn::RebindToSigned<D>;
using DU8 = hn::Rebind<uint8_t, D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr bool kManyRegisters = HWY_TARGET != HWY_AVX2;
constexpr int kWindowTaps = kManyRegisters ? 9 : 3;  // window tile: 9 x 2 or 3 x 4 chains
constexpr int kWindowFilters = kManyRegisters ? 2 : 4;
constexpr int kChannelFilters = kManyRegisters ? 4 : 2;  // channel tile: 4 x 4 or 4 x 2 chains
constexpr int kBandPositions = 64;
constexpr int kExpandedPositions = 2 * kPooledWidthMax + 2 * kBandPositions;
constexpr int kSumStride =
    kUnitFilters * kBlockLanes;  // floats from a tap's chains to the next tap's

using Tree = SlotTree<(kUnitTiles * kTileWindow + 1) * kUnitFilters>;

// Output positions [rows) x [cols).
struct Rect {
  UnitRange rows, cols;
  bool empty() const { return rows.begin >= rows.end || cols.begin >= cols.end; }
  friend bool operator==(const Rect& a, const Rect& b) {
    return a.rows.begin == b.rows.begin && a.rows.end == b.rows.end &&
           a.cols.begin == b.cols.begin && a.cols.end == b.cols.end;
  }
};

struct Tap {
  int64_t row = 0, col = 0;  // cell read by output (0, 0), padding included
  int64_t offset = 0;        // of that cell and channel in x, in floats
  Rect rect;                 // where the tap exists
};

// Steps in floats from one output row or column to the next.
struct Steps {
  int64_t x_row, x_col, y_row, y_col;
};

// One block's part (kLanes samples) of one call; d_y: first filter at output (0, 0).
struct Operands {
  const float* x;
  const float* d_y;
};

// Continues kTaps x kFilters chains over a rectangle.
template <int kTaps, int kFilters>
HWY_NOINLINE void Accumulate(const Steps& steps, const Rect& rect, const Operands& operands,
                             const Tap* taps, float* HWY_RESTRICT sums) {
  const D d;
  const float* const x = operands.x;
  const float* const d_y = operands.d_y;
  const int64_t x_col = steps.x_col, y_col = steps.y_col;
  int64_t offset[kTaps];
  V sum[kTaps][kFilters];
  LOCKSTEP_UNROLL
  for (int a = 0; a < kTaps; ++a) {
    offset[a] = taps[a].offset;
    LOCKSTEP_UNROLL
    for (int f = 0; f < kFilters; ++f)
      sum[a][f] = hn::Load(d, sums + a * kSumStride + f * kBlockLanes);
  }
  for (int64_t p = rect.rows.begin; p < rect.rows.end; ++p) {
    const float* HWY_RESTRICT cell = x + (p * steps.x_row + rect.cols.begin * x_col);
    const float* HWY_RESTRICT row = d_y + (p * steps.y_row + rect.cols.begin * y_col);
    for (int64_t q = rect.cols.begin; q < rect.cols.end; ++q, cell += x_col, row += y_col) {
      V gradient[kFilters];
      LOCKSTEP_UNROLL
      for (int f = 0; f < kFilters; ++f) gradient[f] = hn::Load(d, row + f * kBlockLanes);
      LOCKSTEP_UNROLL
      for (int a = 0; a < kTaps; ++a) {
        V input = hn::Load(d, cell + offset[a]);
        LOCKSTEP_KEEP_IN_REGISTER(input);
        LOCKSTEP_UNROLL
        for (int f = 0; f < kFilters; ++f) sum[a][f] = hn::MulAdd(input, gradient[f], sum[a][f]);
      }
    }
  }
  LOCKSTEP_UNROLL
  for (int a = 0; a < kTaps; ++a) {
    LOCKSTEP_UNROLL
    for (int f = 0; f < kFilters; ++f)
      hn::Store(sum[a][f], d, sums + a * kSumStride + f * kBlockLanes);
  }
}

// Continues the biases' chains of all kUnitFilters or fewer filters.
void AccumulateBias(const Steps& steps, const Rect& rect, int filters, const float* d_y,
                    float* sums) {
  const D d;
  if (filters < kUnitFilters) {
    for (int f = 0; f < filters; ++f, d_y += kBlockLanes, sums += kBlockLanes) {
      V sum = hn::Load(d, sums);
      for (int64_t p = rect.rows.begin; p < rect.rows.end; ++p) {
        for (int64_t q = rect.cols.begin; q < rect.cols.end; ++q) {
          sum = hn::Add(sum, hn::Load(d, d_y + p * steps.y_row + q * steps.y_col));
        }
      }
      hn::Store(sum, d, sums);
    }
    return;
  }
  V sum[kUnitFilters];
  LOCKSTEP_UNROLL
  for (int f = 0; f < kUnitFilters; ++f) sum[f] = hn::Load(d, sums + f * kBlockLanes);
  for (int64_t p = rect.rows.begin; p < rect.rows.end; ++p) {
    const float* row = d_y + p * steps.y_row + rect.cols.begin * steps.y_col;
    for (int64_t q = rect.cols.begin; q < rect.cols.end; ++q, row += steps.y_col) {
      LOCKSTEP_UNROLL
      for (int f = 0; f < kUnitFilters; ++f)
        sum[f] = hn::Add(sum[f], hn::Load(d, row + f * kBlockLanes));
    }
  }
  LOCKSTEP_UNROLL
  for (int f = 0; f < kUnitFilters; ++f) hn::Store(sum[f], d, sums + f * kBlockLanes);
}

// One unit on one part (kLanes samples) of one block and call.
struct UnitJob {
  Steps steps;
  int filters;
  const float* x;
  const float* d_y;  // first filter of the unit
};

template <int kTaps, int kFilters>
HWY_INLINE void AccumulateFilters(const UnitJob& job, const Rect& rect, const Tap* taps,
                                  float* sums) {
  if (rect.empty()) return;
  int f = 0;
  for (; f + kFilters <= job.filters; f += kFilters) {
    Accumulate<kTaps, kFilters>(job.steps, rect, {job.x, job.d_y + f * kBlockLanes}, taps,
                                sums + f * kBlockLanes);
  }
  for (; f < job.filters; ++f) {
    Accumulate<kTaps, 1>(job.steps, rect, {job.x, job.d_y + f * kBlockLanes}, taps,
                         sums + f * kBlockLanes);
  }
}

Rect Clip(const Rect& rect, UnitRange rows) {
  return {{std::max(rect.rows.begin, rows.begin), std::min(rect.rows.end, rows.end)}, rect.cols};
}

// Continues the chains of `count` (9, 3 or 1) taps over the rows, each over the positions where it
// exists, in order.
template <int kTaps>
void AddWindow(const UnitJob& job, UnitRange rows, const Tap* taps, float* sums) {
  const Rect first = Clip(taps[0].rect, rows);
  if constexpr (kTaps > 1) {
    bool equal = true, full = true;
    UnitRange common = first.cols;
    for (int a = 0; a < kTaps; ++a) {
      const Rect rect = Clip(taps[a].rect, rows);
      equal &= rect == first;
      full &= rect.rows.begin == rows.begin && rect.rows.end == rows.end;
      common = {std::max(common.begin, rect.cols.begin), std::min(common.end, rect.cols.end)};
    }
    if (!equal && rows.end - rows.begin > 1) {
      for (int64_t p = rows.begin; p < rows.end; ++p) AddWindow<kTaps>(job, {p, p + 1}, taps, sums);
      return;
    }
    if (!equal && (!full || common.begin >= common.end)) {
      for (int a = 0; a < kTaps; a += kTaps / 3)
        AddWindow<kTaps / 3>(job, rows, taps + a, sums + a * kSumStride);
      return;
    }
    if (!equal) {
      for (int a = 0; a < kTaps; ++a) {
        AccumulateFilters<1, kWindowFilters>(job, {rows, {taps[a].rect.cols.begin, common.begin}},
                                             taps + a, sums + a * kSumStride);
      }
      AccumulateFilters<kTaps, kWindowFilters>(job, {rows, common}, taps, sums);
      for (int a = 0; a < kTaps; ++a) {
        AccumulateFilters<1, kWindowFilters>(job, {rows, {common.end, taps[a].rect.cols.end}},
                                             taps + a, sums + a * kSumStride);
      }
      return;
    }
  }
  AccumulateFilters<kTaps, kWindowFilters>(job, first, taps, sums);
}

// The unit's tiles: taps in the order of the sums.
struct UnitTaps {
  bool by_channel = false;
  int tiles = 0;
  int count[kUnitTiles] = {};
  Tap taps[kUnitTiles * kTileWindow];
  int64_t row[kUnitTiles * kTileWindow] = {};  // of d_w
};

struct Tile {
  bool by_channel;
  int count;
  const Tap* taps;
};

void AddTile(const UnitJob& job, const Tile& tile, UnitRange rows, float* sums) {
  const Tap* const taps = tile.taps;
  const int count = tile.count;
  if (tile.by_channel && count == kTileChannels) {
    const Rect rect = Clip(taps[0].rect, rows);
    return AccumulateFilters<kTileChannels, kChannelFilters>(job, rect, taps, sums);
  }
  int a = 0;
  if (!tile.by_channel) {
    for (; a + kWindowTaps <= count; a += kWindowTaps) {
      AddWindow<kWindowTaps>(job, rows, taps + a, sums + a * kSumStride);
    }
    for (; a + 3 <= count; a += 3) AddWindow<3>(job, rows, taps + a, sums + a * kSumStride);
  }
  for (; a < count; ++a) AddWindow<1>(job, rows, taps + a, sums + a * kSumStride);
}

Tap MakeTap(const Conv2dGeometry& g, int64_t i, int64_t j, int64_t channel) {
  Tap tap{.row = i * g.dilation_h - g.pad_top,
          .col = j * g.dilation_w - g.pad_left,
          .offset = 0,
          .rect = {}};
  tap.offset = ((tap.row * g.width + tap.col) * g.channels + channel) * kBlockLanes;
  const auto existing = [](int64_t origin, int64_t stride, int64_t in, int64_t out) {
    const int64_t begin = origin >= 0 ? 0 : std::min(out, CeilDiv(-origin, stride));
    const int64_t end = origin >= in ? 0 : std::min(out, CeilDiv(in - origin, stride));
    return UnitRange{begin, std::max(begin, end)};
  };
  tap.rect = {existing(tap.row, g.stride_h, g.height, g.out_h),
              existing(tap.col, g.stride_w, g.width, g.out_w)};
  return tap;
}

void FillTaps(const Conv2dGeometry& g, const WeightUnits& units, int64_t group, int64_t tap_unit,
              UnitTaps& unit) {
  unit.by_channel = units.by_channel;
  const int64_t first = tap_unit * kUnitTiles;
  unit.tiles = static_cast<int>(std::min<int64_t>(kUnitTiles, units.tiles - first));
  int n = 0;
  for (int t = 0; t < unit.tiles; ++t) {
    const int64_t tile = first + t;
    const int64_t size = units.by_channel ? kTileChannels : kTileWindow;
    const int64_t begin = (units.by_channel ? tile / units.window : tile) * size;
    const int64_t end =
        std::min(begin + size, units.by_channel ? units.channels : units.window * units.channels);
    unit.count[t] = static_cast<int>(end - begin);
    for (int64_t k = begin; k < end; ++k, ++n) {
      const int64_t place = units.by_channel ? tile % units.window : k % units.window;
      const int64_t c = units.by_channel ? k : k / units.window;
      unit.taps[n] = MakeTap(g, place / g.kernel_w, place % g.kernel_w, group * units.channels + c);
      unit.row[n] = place * units.channels + c;
    }
  }
}

// What one unit sums.
struct UnitRows {
  int64_t filter;
  int filters;
  int taps;
  bool bias;
};

// The gradient behind 2 x 2 pooling, of the unit's filters in one part of one block.
struct Pooled {
  const float* d_y;
  const uint8_t* choice;
  int64_t pixel;  // floats to the next window
  int64_t height, width;
  int filters;
};

// Spreads rows [rows) of it over the convolution's output, `out_w` wide: out
// [rows][out_w][kUnitFilters][16].
void Expand(const Pooled& pooled, UnitRange rows, int64_t out_w, float* HWY_RESTRICT out) {
  const D d;
  const DI di;
  const auto at = [&](int64_t p, int64_t q, int f) {
    return out + (((p - rows.begin) * out_w + q) * kUnitFilters + f) * kBlockLanes;
  };
  for (int64_t p = rows.begin; p < rows.end; p += 2) {
    const int64_t width = p / 2 < pooled.height ? pooled.width : 0;
    for (int64_t window = 0; window < width; ++window) {
      const int64_t place = (p / 2 * pooled.width + window) * pooled.pixel;
      for (int f = 0; f < pooled.filters; ++f) {
        const int64_t offset = place + f * kBlockLanes;
        // A chain of additions from +0: a gradient of -0 becomes +0.
        const V gradient = hn::Add(hn::Zero(d), hn::Load(d, pooled.d_y + offset));
        const auto winner = hn::PromoteTo(di, hn::Load(DU8(), pooled.choice + offset));
        for (int cell = 0; cell < 4; ++cell) {
          const auto chosen = hn::RebindMask(d, hn::Eq(winner, hn::Set(di, cell)));
          hn::Store(hn::IfThenElseZero(chosen, gradient), d,
                    at(p + cell / 2, 2 * window + cell % 2, f));
        }
      }
    }
    // An odd last row or column is in no window.
    for (int64_t row = p; row < std::min(p + 2, rows.end); ++row) {
      for (int64_t q = 2 * width; q < out_w; ++q) {
        for (int f = 0; f < pooled.filters; ++f) hn::Store(hn::Zero(d), d, at(row, q, f));
      }
    }
  }
}

// All calls, rows and tiles of a unit on one block: lanes [taps (+ 1 for the
// bias)][kUnitFilters][16].
void ComputeBlock(const Conv2dBackwardWeightsArgs& args, const UnitTaps& unit, const UnitRows& rows,
                  int64_t block, float* lanes) {
  const Conv2dGeometry& g = args.geometry;
  const int64_t x_pixel = g.channels * kBlockLanes, y_pixel = g.filters * kBlockLanes;
  const int64_t rows_of_band = std::max<int64_t>(1, kBandPositions / g.out_w);
  HWY_ALIGN float expanded[kExpandedPositions * kSumStride];
  std::fill(lanes, lanes + (rows.taps + (rows.bias ? 1 : 0)) * kSumStride, 0.0f);
  for (int lane = 0; lane < kBlockLanes; lane += kLanes) {
    for (int32_t c = 0; c < args.call_count; ++c) {
      const GradientCall& call = args.calls[c];
      const bool pooled = call.choice != nullptr;
      const int64_t cells = pooled ? (g.out_h / 2) * (g.out_w / 2) : g.out_h * g.out_w;
      const int64_t first = block * cells * y_pixel + rows.filter * kBlockLanes + lane;
      UnitJob job{.steps = {.x_row = g.stride_h * g.width * x_pixel,
                            .x_col = g.stride_w * x_pixel,
                            .y_row = g.out_w * (pooled ? kSumStride : y_pixel),
                            .y_col = pooled ? kSumStride : y_pixel},
                  .filters = rows.filters,
                  .x = call.x + block * g.height * g.width * x_pixel + lane,
                  .d_y = call.d_y + first};
      const int64_t band = pooled ? (rows_of_band + 1) / 2 * 2 : rows_of_band;
      for (int64_t p = 0; p < g.out_h; p += band) {
        const UnitRange range{p, std::min(g.out_h, p + band)};
        if (pooled) {
          Expand({.d_y = call.d_y + first,
                  .choice = call.choice + first,
                  .pixel = y_pixel,
                  .height = g.out_h / 2,
                  .width = g.out_w / 2,
                  .filters = rows.filters},
                 range, g.out_w, expanded);
          job.d_y = expanded - p * job.steps.y_row;  // rows count from the image's first
        }
        float* sums = lanes + lane;
        const Tap* taps = unit.taps;
        for (int t = 0; t < unit.tiles; ++t) {
          AddTile(job, {unit.by_channel, unit.count[t], taps}, range, sums);
          taps += unit.count[t];
          sums += unit.count[t] * kSumStride;
        }
        if (rows.bias)
          AccumulateBias(job.steps, {range, {0, g.out_w}}, rows.filters, job.d_y, sums);
      }
    }
  }
}

void StoreUnit(const Conv2dBackwardWeightsArgs& args, const UnitTaps& unit, const UnitRows& rows,
               const float* sums) {
  for (int t = 0; t < rows.taps; ++t, sums += kUnitFilters) {
    std::copy(sums, sums + rows.filters,
              args.d_w + unit.row[t] * args.geometry.filters + rows.filter);
  }
  if (rows.bias) std::copy(sums, sums + rows.filters, args.d_b + rows.filter);
}

void BackwardWeightsImpl(const Conv2dBackwardWeightsArgs& args, UnitRange range) {
  const WeightUnits units(args.geometry);
  HWY_ALIGN float lanes[Tree::kLaneFloats] = {};
  Tree tree(args.slots, args.subtree);
  UnitTaps unit;
  for (int64_t index = range.begin; index < range.end; ++index) {
    const int64_t tap_unit = index % units.tap_units;
    const int64_t filter_unit = index / units.tap_units % units.filter_units;
    const int64_t group = index / units.tap_units / units.filter_units;
    const int64_t filter = filter_unit * kUnitFilters;
    FillTaps(args.geometry, units, group, tap_unit, unit);
    UnitRows rows{
        .filter = group * units.filters + filter,
        .filters = static_cast<int>(std::min<int64_t>(kUnitFilters, units.filters - filter)),
        .taps = 0,
        .bias = args.d_b != nullptr && tap_unit == 0};
    for (int t = 0; t < unit.tiles; ++t) rows.taps += unit.count[t];
    tree.Start((rows.taps + (rows.bias ? 1 : 0)) * kUnitFilters);
    for (int32_t block = tree.first_block(); block <= tree.last_block(); ++block) {
      const bool any = tree.HasSamples(block);
      if (any) ComputeBlock(args, unit, rows, block, lanes);
      tree.AddBlock(block, any ? lanes : nullptr);
    }
    StoreUnit(args, unit, rows, tree.sums());
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::kernels {

HWY_EXPORT(BackwardWeightsImpl);

int64_t Conv2dBackwardWeightsUnits(const Conv2dBackwardWeightsArgs& args) {
  return WeightUnits(args.geometry).count;
}

void Conv2dBackwardWeights(const Conv2dBackwardWeightsArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(0 <= units.begin && units.end <= Conv2dBackwardWeightsUnits(args));
  HWY_DYNAMIC_DISPATCH(BackwardWeightsImpl)(args, units);
}

}  // namespace lockstep::kernels
#endif  // HWY_ONCE
