#include <algorithm>
#include <cstdint>

#include "common/base/check.h"
#include "common/kernels/conv2d.h"
#include "common/kernels/unroll.h"

// A unit is kUnitTiles tiles of taps for kUnitFilters filters. A "tap" is one (i, j, c). A tile is
// kTileWindow places of the flattened (c, i, j), which read nearly the same cells: a 3x3 window's
// next position costs three new ones. Where the window is one or two cells, it is kTileChannels
// channels at one place.
#ifndef LOCKSTEP_COMMON_KERNELS_CONV2D_BACKWARD_WEIGHTS_UNITS_
#define LOCKSTEP_COMMON_KERNELS_CONV2D_BACKWARD_WEIGHTS_UNITS_
namespace lockstep::kernels {
namespace {

constexpr int kTileChannels = 6;
constexpr int kTileWindow = 9;
constexpr int kUnitTiles = 16;
constexpr int kUnitFilters = 4;

constexpr int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct WeightUnits {
  explicit WeightUnits(const Conv2dGeometry& g)
      : channels(g.channels / g.groups),
        filters(g.filters / g.groups),
        window(g.kernel_h * g.kernel_w),
        by_channel(window < 3),
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

// A channel of x with its padding.
struct Plane {
  explicit Plane(const Conv2dGeometry& g)
      : height(std::max(g.pad_top + g.height,
                        (g.out_h - 1) * g.stride_h + (g.kernel_h - 1) * g.dilation_h + 1)),
        width(std::max(g.pad_left + g.width,
                       (g.out_w - 1) * g.stride_w + (g.kernel_w - 1) * g.dilation_w + 1)) {}
  int64_t height, width;
  int64_t floats() const { return height * width * kBlockLanes; }
};

}  // namespace
}  // namespace lockstep::kernels
#endif  // LOCKSTEP_COMMON_KERNELS_CONV2D_BACKWARD_WEIGHTS_UNITS_

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/kernels/conv2d_backward_weights.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // Must come before highway.h.
#include "hwy/highway.h"

#include "common/kernels/slot_tree-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// A weight's per-sample chains are one vector per block; where a vector is narrower than a block,
// the block is done in parts. The chains wait in memory while a band of output positions goes
// through every tile of the unit. x is read by planes and the band's gradient from a copy: in the
// engine's layout both have strides of a power of two, which share few sets of the L1 cache.
using D = hn::CappedTag<float, kBlockLanes>;
using V = hn::Vec<D>;
using DI = hn::RebindToSigned<D>;
using DU8 = hn::Rebind<uint8_t, D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr bool kManyRegisters = HWY_TARGET != HWY_AVX2;
constexpr int64_t kBandPositions = 64;
constexpr int64_t kBandPositionsMax = std::max<int64_t>(kBandPositions, 2 * kPooledWidthMax);
constexpr int kSumStride =
    kUnitFilters * kBlockLanes;  // floats from a tap's chains to the next tap's

using Tree = SlotTree<(kUnitTiles * kTileWindow + 1) * kUnitFilters>;

// A band of output positions: x, the cell of its first position in a plane of zero offset; d_y
// [rows][cols][kUnitFilters][16].
struct Band {
  int64_t rows, cols;
  int64_t x_row, x_col;  // floats of x to the next position
  int64_t x_next;        // to the next band
  const float* x;
  const float* d_y;
};

// Continues kTaps x kFilters chains over a band, and with kBias the filters' biases'. offsets: of
// each tap's cell in x. sums [taps][kUnitFilters][16].
template <int kTaps, int kFilters, bool kBias = false>
HWY_NOINLINE void Accumulate(const Band& band, const int64_t* offsets, int filter,
                             float* HWY_RESTRICT sums, float* HWY_RESTRICT bias = nullptr) {
  const D d;
  const int64_t x_col = band.x_col, x_next = band.x_next;
  int64_t offset[kTaps];
  V sum[kTaps][kFilters];
  LOCKSTEP_UNROLL
  for (int a = 0; a < kTaps; ++a) {
    offset[a] = offsets[a];
    LOCKSTEP_UNROLL
    for (int f = 0; f < kFilters; ++f)
      sum[a][f] = hn::Load(d, sums + a * kSumStride + f * kBlockLanes);
  }
  V bias_sum[kFilters];
  if constexpr (kBias) {
    LOCKSTEP_UNROLL
    for (int f = 0; f < kFilters; ++f) bias_sum[f] = hn::Load(d, bias + f * kBlockLanes);
  }
  const float* HWY_RESTRICT d_y = band.d_y + filter * kBlockLanes;
  for (int64_t p = 0; p < band.rows; ++p) {
    const float* HWY_RESTRICT cell = band.x + p * band.x_row;
    for (int64_t q = 0; q < band.cols; ++q, cell += x_col, d_y += kSumStride) {
      V gradient[kFilters];
      LOCKSTEP_UNROLL
      for (int f = 0; f < kFilters; ++f) gradient[f] = hn::Load(d, d_y + f * kBlockLanes);
      if constexpr (kBias) {
        LOCKSTEP_UNROLL
        for (int f = 0; f < kFilters; ++f) bias_sum[f] = hn::Add(bias_sum[f], gradient[f]);
      }
      // A plane's part of a band is too short for a hardware prefetcher to be of help.
      if constexpr (kTaps == kTileWindow) hwy::Prefetch(cell + offset[kTaps - 1] + x_next);
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
  if constexpr (kBias) {
    LOCKSTEP_UNROLL
    for (int f = 0; f < kFilters; ++f) hn::Store(bias_sum[f], d, bias + f * kBlockLanes);
  }
}

// Continues the biases' chains over a band.
void AccumulateBias(const Band& band, float* sums) {
  const D d;
  V sum[kUnitFilters];
  LOCKSTEP_UNROLL
  for (int f = 0; f < kUnitFilters; ++f) sum[f] = hn::Load(d, sums + f * kBlockLanes);
  const float* d_y = band.d_y;
  for (int64_t k = 0; k < band.rows * band.cols; ++k, d_y += kSumStride) {
    LOCKSTEP_UNROLL
    for (int f = 0; f < kUnitFilters; ++f)
      sum[f] = hn::Add(sum[f], hn::Load(d, d_y + f * kBlockLanes));
  }
  LOCKSTEP_UNROLL
  for (int f = 0; f < kUnitFilters; ++f) hn::Store(sum[f], d, sums + f * kBlockLanes);
}

template <int kTaps, int kFilters>
HWY_INLINE void AccumulateFilters(const Band& band, const int64_t* offsets, int filters,
                                  float* sums) {
  int f = 0;
  for (; f + kFilters <= filters; f += kFilters)
    Accumulate<kTaps, kFilters>(band, offsets, f, sums + f * kBlockLanes);
  for (; f < filters; ++f) Accumulate<kTaps, 1>(band, offsets, f, sums + f * kBlockLanes);
}

// Continues the chains of a tile: up to 24 of 32 or 12 of 16 vector registers hold chains.
void AddTile(const Band& band, const int64_t* offsets, int count, int filters, float* sums) {
  int a = 0;
  const auto add = [&]<int kTaps, int kFilters>() {
    for (; a + kTaps <= count; a += kTaps)
      AccumulateFilters<kTaps, kFilters>(band, offsets + a, filters, sums + a * kSumStride);
  };
  if constexpr (kManyRegisters) {
    add.template operator()<9, 2>();
    add.template operator()<6, 4>();
    add.template operator()<4, 4>();
  }
  add.template operator()<3, 4>();
  add.template operator()<1, 4>();
}

// The unit's tiles: taps in the order of the sums.
struct UnitTaps {
  int tiles = 0;
  int count[kUnitTiles] = {};
  int64_t offsets[kUnitTiles * kTileWindow] = {};  // in the planes, in floats
  int64_t row[kUnitTiles * kTileWindow] = {};      // of d_w
};

void FillTaps(const Conv2dGeometry& g, const WeightUnits& units, int64_t group, int64_t tap_unit,
              UnitTaps& unit) {
  const Plane plane(g);
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
      const int64_t cell =
          place / g.kernel_w * g.dilation_h * plane.width + place % g.kernel_w * g.dilation_w;
      unit.offsets[n] = (group * units.channels + c) * plane.floats() + cell * kBlockLanes;
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

// A unit while it is summed.
struct Unit {
  Unit(const SlotMap& slots, SubtreeRange subtree) : tree(slots, subtree) {}

  float* bias_lanes() { return lanes + rows.taps * kSumStride; }

  UnitTaps taps;
  UnitRows rows = {};
  Tree tree;
  HWY_ALIGN float lanes[Tree::kLaneFloats];  // chains [taps (+ 1 for the bias)][kUnitFilters][16]
};

// Units that go over a block side by side: x comes from memory once for all of them.
constexpr int kUnitsAtOnce = 4;

// The gradient of some filters in one part of one block.
struct UnitGradient {
  const float* d_y;
  const uint8_t* choice;  // or null
  int64_t pixel;          // floats to the next position or window
  int64_t width;          // positions or windows of a row
  int64_t height;
  int filters;
};

// Copies rows x cols positions: out [rows][cols][kUnitFilters][16].
void CopyBand(const UnitGradient& gradient, UnitRange rows, UnitRange cols,
              float* HWY_RESTRICT out) {
  const D d;
  for (int64_t p = rows.begin; p < rows.end; ++p) {
    const float* d_y = gradient.d_y + (p * gradient.width + cols.begin) * gradient.pixel;
    for (int64_t q = cols.begin; q < cols.end; ++q, d_y += gradient.pixel, out += kSumStride) {
      for (int f = 0; f < gradient.filters; ++f)
        hn::Store(hn::Load(d, d_y + f * kBlockLanes), d, out + f * kBlockLanes);
    }
  }
}

// The same behind 2 x 2 pooling, whole pairs of rows: each window's gradient goes to the cell that
// won.
void SpreadBand(const UnitGradient& gradient, UnitRange rows, int64_t out_w,
                float* HWY_RESTRICT out) {
  const D d;
  const DI di;
  const int64_t line = out_w * kSumStride;
  for (int64_t p = rows.begin; p < rows.end; p += 2, out += 2 * line) {
    const int64_t windows = p / 2 < gradient.height ? gradient.width : 0;
    const int64_t first = p / 2 * gradient.width * gradient.pixel;
    for (int f = 0; f < gradient.filters; ++f) {
      const float* HWY_RESTRICT d_y = gradient.d_y + first + f * kBlockLanes;
      const uint8_t* HWY_RESTRICT choice = gradient.choice + first + f * kBlockLanes;
      float* HWY_RESTRICT cell = out + f * kBlockLanes;
      for (int64_t window = 0; window < windows; ++window) {
        // A chain of additions from +0: a gradient of -0 becomes +0.
        const V value = hn::Add(hn::Zero(d), hn::Load(d, d_y));
        const auto winner = hn::PromoteTo(di, hn::Load(DU8(), choice));
        const auto of = [&](int k) {
          return hn::IfThenElseZero(hn::RebindMask(d, hn::Eq(winner, hn::Set(di, k))), value);
        };
        hn::Store(of(0), d, cell);
        hn::Store(of(1), d, cell + kSumStride);
        hn::Store(of(2), d, cell + line);
        hn::Store(of(3), d, cell + line + kSumStride);
        d_y += gradient.pixel;
        choice += gradient.pixel;
        cell += 2 * kSumStride;
      }
      // An odd last row or column is in no window.
      for (int64_t q = 2 * windows; q < out_w; ++q, cell += kSumStride) {
        hn::Store(hn::Zero(d), d, cell);
        if (p + 1 < rows.end) hn::Store(hn::Zero(d), d, cell + line);
      }
    }
  }
}

// One call's x and gradient in one part (kLanes samples) of a block.
struct CallPart {
  int lane;  // the first
  const float* planes;
  UnitGradient gradient;  // of filter 0
};

// The output positions of a band.
struct BandPlace {
  UnitRange rows, cols;
};

// Continues a unit's chains over a band. d_y: room for it.
void ComputeBand(const Conv2dGeometry& g, const CallPart& call, const BandPlace& place, Unit& unit,
                 float* d_y) {
  UnitGradient gradient = call.gradient;
  const int64_t first_filter = unit.rows.filter * kBlockLanes;
  gradient.d_y += first_filter;
  gradient.filters = unit.rows.filters;
  if (gradient.choice != nullptr) {
    gradient.choice += first_filter;
    SpreadBand(gradient, place.rows, g.out_w, d_y);
  } else {
    CopyBand(gradient, place.rows, place.cols, d_y);
  }
  const Plane plane(g);
  const int64_t cell = place.rows.begin * g.stride_h * plane.width + place.cols.begin * g.stride_w;
  const Band band{
      .rows = place.rows.end - place.rows.begin,
      .cols = place.cols.end - place.cols.begin,
      .x_row = g.stride_h * plane.width * kBlockLanes,
      .x_col = g.stride_w * kBlockLanes,
      .x_next = (place.rows.end - place.rows.begin) * g.stride_h * plane.width * kBlockLanes,
      .x = call.planes + cell * kBlockLanes,
      .d_y = d_y};
  int tile = 0, first = 0;
  float* const sums = unit.lanes + call.lane;
  float* const bias = unit.bias_lanes() + call.lane;
  if (kManyRegisters && unit.rows.bias && unit.taps.count[0] == 9 && unit.rows.filters % 2 == 0) {
    for (int f = 0; f < unit.rows.filters; f += 2) {
      Accumulate<9, 2, true>(band, unit.taps.offsets, f, sums + f * kBlockLanes,
                             bias + f * kBlockLanes);
    }
    first = unit.taps.count[tile++];
  } else if (unit.rows.bias) {
    AccumulateBias(band, bias);
  }
  for (; tile < unit.taps.tiles; first += unit.taps.count[tile++]) {
    AddTile(band, unit.taps.offsets + first, unit.taps.count[tile], unit.rows.filters,
            sums + first * kSumStride);
  }
}

void ComputeCall(const Conv2dGeometry& g, const CallPart& call, Unit* units, int count) {
  HWY_ALIGN float d_y[kBandPositionsMax * kSumStride];
  std::fill(d_y, d_y + kBandPositionsMax * kSumStride, 0.0f);  // of filters that are not there
  const bool pooled = call.gradient.choice != nullptr;
  int64_t rows_of_band = std::max<int64_t>(1, kBandPositions / g.out_w);
  if (pooled) rows_of_band = (rows_of_band + 1) / 2 * 2;
  const int64_t cols_of_band =
      pooled || rows_of_band > 1 ? g.out_w : std::min(g.out_w, kBandPositions);
  for (int64_t p = 0; p < g.out_h; p += rows_of_band) {
    for (int64_t q = 0; q < g.out_w; q += cols_of_band) {
      const BandPlace place{{p, std::min(g.out_h, p + rows_of_band)},
                            {q, std::min(g.out_w, q + cols_of_band)}};
      for (int u = 0; u < count; ++u) ComputeBand(g, call, place, units[u], d_y);
    }
  }
}

// All calls of some units on one block.
void ComputeBlock(const Conv2dBackwardWeightsArgs& args, int64_t block, Unit* units, int count) {
  const Conv2dGeometry& g = args.geometry;
  const int64_t pixel = g.filters * kBlockLanes, plane_floats = g.channels * Plane(g).floats();
  for (int u = 0; u < count; ++u) {
    const int vectors = (units[u].rows.taps + (units[u].rows.bias ? 1 : 0)) * kUnitFilters;
    std::fill_n(units[u].lanes, vectors * kBlockLanes + Tree::kSlack, 0.0f);
  }
  for (int lane = 0; lane < kBlockLanes; lane += kLanes) {
    for (int32_t c = 0; c < args.call_count; ++c) {
      const GradientCall& call = args.calls[c];
      const int64_t shrink = call.choice == nullptr ? 1 : 2;
      UnitGradient gradient{.d_y = nullptr,
                            .choice = nullptr,
                            .pixel = pixel,
                            .width = g.out_w / shrink,
                            .height = g.out_h / shrink,
                            .filters = 0};
      const int64_t first = block * gradient.height * gradient.width * pixel + lane;
      gradient.d_y = call.d_y + first;
      if (call.choice != nullptr) gradient.choice = call.choice + first;
      ComputeCall(g, {lane, call.x + block * plane_floats + lane, gradient}, units, count);
    }
  }
}

void StartUnit(const Conv2dBackwardWeightsArgs& args, int64_t index, Unit& unit) {
  const WeightUnits units(args.geometry);
  const int64_t filter_unit = index % units.filter_units;
  const int64_t tap_unit = index / units.filter_units % units.tap_units;
  const int64_t group = index / units.filter_units / units.tap_units;
  const int64_t filter = filter_unit * kUnitFilters;
  unit.taps = {};
  FillTaps(args.geometry, units, group, tap_unit, unit.taps);
  unit.rows = {.filter = group * units.filters + filter,
               .filters = static_cast<int>(std::min<int64_t>(kUnitFilters, units.filters - filter)),
               .taps = 0,
               .bias = args.d_b != nullptr && tap_unit == 0};
  for (int t = 0; t < unit.taps.tiles; ++t) unit.rows.taps += unit.taps.count[t];
  unit.tree.Start((unit.rows.taps + (unit.rows.bias ? 1 : 0)) * kUnitFilters);
}

void StoreUnit(const Conv2dBackwardWeightsArgs& args, const Unit& unit) {
  const UnitRows& rows = unit.rows;
  const float* sums = unit.tree.sums();
  for (int t = 0; t < rows.taps; ++t, sums += kUnitFilters) {
    std::copy(sums, sums + rows.filters,
              args.d_w + unit.taps.row[t] * args.geometry.filters + rows.filter);
  }
  if (rows.bias) std::copy(sums, sums + rows.filters, args.d_b + rows.filter);
}

void BackwardWeightsImpl(const Conv2dBackwardWeightsArgs& args, UnitRange range) {
  const auto make = [&args] { return Unit(args.slots, args.subtree); };
  Unit units[kUnitsAtOnce] = {make(), make(), make(), make()};
  const Tree& tree = units[0].tree;
  for (int64_t index = range.begin; index < range.end; index += kUnitsAtOnce) {
    const int count = static_cast<int>(std::min<int64_t>(kUnitsAtOnce, range.end - index));
    for (int u = 0; u < count; ++u) StartUnit(args, index + u, units[u]);
    for (int32_t block = tree.first_block(); block <= tree.last_block(); ++block) {
      const bool any = tree.HasSamples(block);
      if (any) ComputeBlock(args, block, units, count);
      for (int u = 0; u < count; ++u) units[u].tree.AddBlock(block, any ? units[u].lanes : nullptr);
    }
    for (int u = 0; u < count; ++u) StoreUnit(args, units[u]);
  }
}

// One row of all planes of a block. x is read as it lies: its lines come faster than those of one
// channel would, and planes are far apart but not by a power of two.
void MakePlaneRow(const Conv2dGeometry& g, const Plane& plane, const float* HWY_RESTRICT x,
                  float* HWY_RESTRICT out) {
  const D d;
  const int64_t plane_floats = plane.floats();
  for (int64_t w = 0; w < g.width; ++w, out += kBlockLanes) {
    for (int64_t c = 0; c < g.channels; ++c, x += kBlockLanes) {
      for (int lane = 0; lane < kBlockLanes; lane += kLanes)
        hn::Store(hn::Load(d, x + lane), d, out + c * plane_floats + lane);
    }
  }
}

void MakePlanesImpl(const Conv2dMakePlanesArgs& args, UnitRange units) {
  const Conv2dGeometry& g = args.geometry;
  const Plane plane(g);
  const int64_t line = g.width * g.channels * kBlockLanes;
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const int64_t block = unit / plane.height, row = unit % plane.height, h = row - g.pad_top;
    const bool inside = h >= 0 && h < g.height;
    const int64_t before = (inside ? g.pad_left : plane.width) * kBlockLanes;
    const int64_t filled = inside ? before + g.width * kBlockLanes : before;
    float* const out =
        args.planes + block * g.channels * plane.floats() + row * plane.width * kBlockLanes;
    for (int64_t c = 0; c < g.channels; ++c) {
      float* const padding = out + c * plane.floats();
      std::fill_n(padding, before, 0.0f);
      std::fill(padding + filled, padding + plane.width * kBlockLanes, 0.0f);
    }
    if (inside) MakePlaneRow(g, plane, args.x + (block * g.height + h) * line, out + before);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::kernels {

HWY_EXPORT(BackwardWeightsImpl);
HWY_EXPORT(MakePlanesImpl);

int64_t Conv2dBackwardWeightsUnits(const Conv2dBackwardWeightsArgs& args) {
  return WeightUnits(args.geometry).count;
}

void Conv2dBackwardWeights(const Conv2dBackwardWeightsArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(0 <= units.begin && units.end <= Conv2dBackwardWeightsUnits(args));
  HWY_DYNAMIC_DISPATCH(BackwardWeightsImpl)(args, units);
}

bool Conv2dInputIsPlanes(const Conv2dGeometry& g) {
  const Plane plane(g);
  return g.channels == 1 && plane.height == g.height && plane.width == g.width;
}

int64_t Conv2dPlaneElements(const Conv2dGeometry& g) {
  const Plane plane(g);
  return g.channels * plane.height * plane.width;
}

int64_t Conv2dMakePlanesUnits(const Conv2dMakePlanesArgs& args) {
  return args.blocks * Plane(args.geometry).height;
}

void Conv2dMakePlanes(const Conv2dMakePlanesArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(0 <= units.begin && units.end <= Conv2dMakePlanesUnits(args));
  HWY_DYNAMIC_DISPATCH(MakePlanesImpl)(args, units);
}

}  // namespace lockstep::kernels
#endif  // HWY_ONCE
