#include "common/kernels/conv2d.h"

#include "common/base/check.h"
#include "common/kernels/conv2d_taps.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/kernels/conv2d.cc"
#include "hwy/foreach_target.h"  // Must come before highway.h.
#include "hwy/highway.h"

#include "common/kernels/math-inl.h"
#include "common/kernels/unroll.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Forward and backward-data are the same sum: chains over (vertical tap, horizontal tap, inner
// feature) of a broadcast weight times a vector of samples. A tile keeps kOuts x kPositions chains
// in registers; where a vector is narrower than a block, the block is done in parts, because that
// leaves all registers to accumulators. The fewer outputs, the more positions: an FMA's latency
// needs eight chains or more.
using D = hn::CappedTag<float, kBlockLanes>;
using V = hn::Vec<D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr int kChains = HWY_TARGET == HWY_AVX2 ? 12 : 24;  // of 16 or 32 vector registers
constexpr int kMaxOuts = HWY_TARGET == HWY_AVX2 ? 4 : 8;
constexpr int kMaxPositions = 12;

// Where the weight of a tile's next output lies; kDepthwise: its neighbour, and so does the input.
enum class Outs { kNeighbours, kApart, kDepthwise };

enum class Finish { kStore, kRelu, kAccumulate };

// Strides in floats: of x and w per vertical tap, horizontal tap and inner feature, of x and y per
// position, of w per output.
struct ChainStrides {
  int64_t x_row, x_col, x_position;
  int64_t w_row, w_col, w_inner, w_out;
  int64_t y_position;
};

struct Tile {
  ChainStrides strides;
  int64_t rows, cols, inner;
  const float* x;
  const float* w;
  const float* bias;  // or null
  float* y;
  Finish finish;
};

template <int kOuts, int kPositions>
using Sums = V[kOuts][kPositions];

template <int kOuts, int kPositions, class Function>
HWY_INLINE void StoreEach(const Sums<kOuts, kPositions>& sum, int64_t y_position, float* tile_y,
                          const Function& finished) {
  LOCKSTEP_UNROLL
  for (int b = 0; b < kPositions; ++b) {
    LOCKSTEP_UNROLL
    for (int a = 0; a < kOuts; ++a) {
      float* y = tile_y + (b * y_position + a * kBlockLanes);
      hn::Store(finished(sum[a][b], y), D(), y);
    }
  }
}

template <int kOuts, int kPositions>
HWY_INLINE void StoreTile(Finish finish, const Sums<kOuts, kPositions>& sum, int64_t y_position,
                          float* y) {
  const D d;
  switch (finish) {
    case Finish::kStore:
      return StoreEach<kOuts, kPositions>(sum, y_position, y,
                                          [](V v, const float*) HWY_ATTR { return v; });
    case Finish::kRelu:
      return StoreEach<kOuts, kPositions>(sum, y_position, y,
                                          [d](V v, const float*) HWY_ATTR { return Relu(d, v); });
    case Finish::kAccumulate:
      return StoreEach<kOuts, kPositions>(sum, y_position, y, [d](V v, const float* old) HWY_ATTR {
        return hn::Add(hn::Load(d, old), v);
      });
  }
}

// Continues the chains by one inner feature.
template <int kOuts, int kPositions, Outs kKind>
HWY_INLINE void Step(const float* HWY_RESTRICT x, const float* HWY_RESTRICT w, int64_t x_position,
                     int64_t w_out, Sums<kOuts, kPositions>& sum) {
  const D d;
  if constexpr (kKind == Outs::kDepthwise) {
    const float* position[kPositions];
    LOCKSTEP_UNROLL
    for (int b = 0; b < kPositions; ++b) position[b] = x + b * x_position;
    LOCKSTEP_UNROLL
    for (int a = 0; a < kOuts; ++a) {
      const V weight = hn::Set(d, w[a]);
      LOCKSTEP_UNROLL
      for (int b = 0; b < kPositions; ++b) {
        const V input = hn::Load(d, position[b] + a * kBlockLanes);
        sum[a][b] = hn::MulAdd(weight, input, sum[a][b]);
      }
    }
  } else if constexpr (kOuts < kPositions) {
    V weight[kOuts];
    LOCKSTEP_UNROLL
    for (int a = 0; a < kOuts; ++a) weight[a] = hn::Set(d, w[a * w_out]);
    LOCKSTEP_UNROLL
    for (int b = 0; b < kPositions; ++b) {
      const V input = hn::Load(d, x + b * x_position);
      LOCKSTEP_UNROLL
      for (int a = 0; a < kOuts; ++a) sum[a][b] = hn::MulAdd(weight[a], input, sum[a][b]);
    }
  } else {
    V input[kPositions];
    LOCKSTEP_UNROLL
    for (int b = 0; b < kPositions; ++b) input[b] = hn::Load(d, x + b * x_position);
    LOCKSTEP_UNROLL
    for (int a = 0; a < kOuts; ++a) {
      const V weight = hn::Set(d, w[a * w_out]);
      LOCKSTEP_UNROLL
      for (int b = 0; b < kPositions; ++b) sum[a][b] = hn::MulAdd(weight, input[b], sum[a][b]);
    }
  }
}

// `count` tiles of kPositions positions, one behind the other.
template <int kOuts, int kPositions, Outs kKind>
HWY_NOINLINE void ComputeTiles(const Tile& tile, int64_t count) {
  const D d;
  const ChainStrides& s = tile.strides;
  const int64_t x_position = s.x_position, w_inner = s.w_inner;
  const int64_t w_out = kKind == Outs::kApart ? s.w_out : 1;
  const float* tile_x = tile.x;
  float* tile_y = tile.y;
  for (; count > 0; --count) {
    Sums<kOuts, kPositions> sum;
    LOCKSTEP_UNROLL
    for (int a = 0; a < kOuts; ++a) {
      const V start = tile.bias == nullptr ? hn::Zero(d) : hn::Set(d, tile.bias[a]);
      LOCKSTEP_UNROLL
      for (int b = 0; b < kPositions; ++b) sum[a][b] = start;
    }
    for (int64_t row = 0; row < tile.rows; ++row) {
      for (int64_t col = 0; col < tile.cols; ++col) {
        const float* x = tile_x + (row * s.x_row + col * s.x_col);
        const float* w = tile.w + (row * s.w_row + col * s.w_col);
        const int64_t inner = kKind == Outs::kDepthwise ? 1 : tile.inner;
        for (int64_t k = 0; k < inner; ++k, x += kBlockLanes, w += w_inner)
          Step<kOuts, kPositions, kKind>(x, w, x_position, w_out, sum);
      }
    }
    StoreTile<kOuts, kPositions>(tile.finish, sum, s.y_position, tile_y);
    tile_x += kPositions * x_position;
    tile_y += kPositions * s.y_position;
  }
}

// `positions` neighbours that have the tile's taps.
template <int kOuts, int kPositions, Outs kKind>
HWY_INLINE void ComputePositions(Tile tile, int64_t positions) {
  const int64_t tiles = positions / kPositions, done = tiles * kPositions;
  if (tiles > 0) ComputeTiles<kOuts, kPositions, kKind>(tile, tiles);
  if constexpr (kPositions > 1) {
    if (done == positions) return;
    tile.x += done * tile.strides.x_position;
    tile.y += done * tile.strides.y_position;
    constexpr int kLess = kPositions > 3 ? kPositions / 2 : kPositions - 1;
    ComputePositions<kOuts, kLess, kKind>(tile, positions - done);
  }
}

// One row of outputs: `positions` along `axis`, `outs` features each. x: the row of the first
// vertical tap, coordinate 0. w: the first vertical tap, candidate 0 of the axis. x_pixel: floats
// per coordinate.
struct RowJob {
  TapAxis axis;
  int64_t positions, outs, x_pixel;
  Tile tile;  // cols is set per position; x, w, bias, y belong to position 0, output 0
};

// Outputs [first, first + kOuts) at all positions, of which `inner` have all taps.
template <int kOuts, Outs kKind>
HWY_INLINE void ComputeOuts(const RowJob& job, TapRange inner, int64_t first) {
  const ChainStrides& s = job.tile.strides;
  for (int64_t position = 0; position < job.positions;) {
    const bool whole = position >= inner.begin && position < inner.end;
    const TapRange taps = whole ? TapRange{0, job.axis.taps} : ValidTaps(job.axis, position);
    const int64_t run = whole ? inner.end - position : 1;
    Tile tile = job.tile;
    tile.cols = taps.end - taps.begin;
    if (tile.cols > 0) tile.x += job.axis.Coordinate(position, taps.begin) * job.x_pixel;
    if (kKind == Outs::kDepthwise) tile.x += first * kBlockLanes;
    tile.w += taps.begin * s.w_col + first * s.w_out;
    if (tile.bias != nullptr) tile.bias += first;
    tile.y += position * s.y_position + first * kBlockLanes;
    if (run == 1) {
      ComputeTiles<kOuts, 1, kKind>(tile, 1);
    } else {
      ComputePositions<kOuts, HWY_MIN(kChains / kOuts, kMaxPositions), kKind>(tile, run);
    }
    position += run;
  }
}

template <int kOuts, Outs kKind>
HWY_INLINE void ComputeAllOuts(const RowJob& job, TapRange inner, int64_t first) {
  for (; first + kOuts <= job.outs; first += kOuts) ComputeOuts<kOuts, kKind>(job, inner, first);
  if constexpr (kOuts > 1) ComputeAllOuts<kOuts / 2, kKind>(job, inner, first);
}

template <Outs kKind>
void ComputeRow(const RowJob& job) {
  const TapRange inner = InnerPositions(job.axis, job.positions);
  for (int lane = 0; lane < kBlockLanes; lane += kLanes) {
    RowJob part = job;
    part.tile.x += lane;
    part.tile.y += lane;
    ComputeAllOuts<kMaxOuts, kKind>(part, inner, 0);
  }
}

// All groups of a row, of `inner` inputs and `outs` outputs each; `job` is the first's.
template <Outs kKind>
void ComputeGroups(RowJob job, int64_t groups, int64_t w_group) {
  if (job.tile.inner == 1 && job.outs == 1 && groups > 1) {
    job.outs = groups;
    job.tile.strides.w_out = 1;
    return ComputeRow<Outs::kDepthwise>(job);
  }
  for (int64_t group = 0; group < groups; ++group) {
    ComputeRow<kKind>(job);
    job.tile.x += job.tile.inner * kBlockLanes;
    job.tile.w += w_group;
    if (job.tile.bias != nullptr) job.tile.bias += job.outs;
    job.tile.y += job.outs * kBlockLanes;
  }
}

void ForwardImpl(const Conv2dForwardArgs& args, UnitRange units) {
  const Conv2dGeometry& g = args.geometry;
  const TapAxis rows =
      ForwardAxis({g.height, g.out_h, g.kernel_h, g.stride_h, g.dilation_h, g.pad_top});
  const TapAxis cols =
      ForwardAxis({g.width, g.out_w, g.kernel_w, g.stride_w, g.dilation_w, g.pad_left});
  const int64_t group_channels = g.channels / g.groups, group_filters = g.filters / g.groups;
  const int64_t x_pixel = g.channels * kBlockLanes, x_line = g.width * x_pixel;
  const int64_t y_pixel = g.filters * kBlockLanes, y_line = g.out_w * y_pixel;
  const int64_t w_tap = group_channels * g.filters;
  const ChainStrides strides{.x_row = rows.tap_step * x_line,
                             .x_col = cols.tap_step * x_pixel,
                             .x_position = cols.position_step * x_pixel,
                             .w_row = g.kernel_w * w_tap,
                             .w_col = w_tap,
                             .w_inner = g.filters,
                             .w_out = 1,
                             .y_position = y_pixel};
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const int64_t block = unit / g.out_h, p = unit % g.out_h;
    const TapRange taps = ValidTaps(rows, p);
    const int64_t line = taps.begin < taps.end ? rows.Coordinate(p, taps.begin) : 0;
    const float* x = args.x + (block * g.height + line) * x_line;
    const float* w = args.w + taps.begin * strides.w_row;
    float* y = args.y + unit * y_line;
    ComputeGroups<Outs::kNeighbours>(
        {.axis = cols,
         .positions = g.out_w,
         .outs = group_filters,
         .x_pixel = x_pixel,
         .tile = {.strides = strides,
                  .rows = taps.end - taps.begin,
                  .cols = 0,
                  .inner = group_channels,
                  .x = x,
                  .w = w,
                  .bias = args.b,
                  .y = y,
                  .finish = args.activation == Activation::kRelu ? Finish::kRelu : Finish::kStore}},
        g.groups, group_filters);
  }
}

void BackwardDataRow(const Conv2dBackwardDataArgs& args, int64_t unit, int64_t residue) {
  const Conv2dGeometry& g = args.geometry;
  const int64_t block = unit / g.height, h = unit % g.height;
  const TapAxis rows = BackwardAxis(
      {g.height, g.out_h, g.kernel_h, g.stride_h, g.dilation_h, g.pad_top}, h % g.stride_h);
  const TapAxis cols =
      BackwardAxis({g.width, g.out_w, g.kernel_w, g.stride_w, g.dilation_w, g.pad_left}, residue);
  const int64_t group_channels = g.channels / g.groups, group_filters = g.filters / g.groups;
  const int64_t y_pixel = g.filters * kBlockLanes, y_line = g.out_w * y_pixel;
  const int64_t x_pixel = g.channels * kBlockLanes;
  const int64_t w_tap = group_channels * g.filters, w_line = g.kernel_w * w_tap;
  const TapRange taps = ValidTaps(rows, h / g.stride_h);
  const int64_t line = taps.begin < taps.end ? rows.Coordinate(h / g.stride_h, taps.begin) : 0;
  const float* d_y = args.d_y + (block * g.out_h + line) * y_line;
  const float* w =
      args.w + (rows.first_tap + taps.begin * rows.tap_stride) * w_line + cols.first_tap * w_tap;
  float* d_x = args.d_x + (unit * g.width + residue) * x_pixel;
  ComputeGroups<Outs::kApart>(
      {.axis = cols,
       .positions = (g.width - residue + g.stride_w - 1) / g.stride_w,
       .outs = group_channels,
       .x_pixel = y_pixel,
       .tile = {.strides = {.x_row = rows.tap_step * y_line,
                            .x_col = cols.tap_step * y_pixel,
                            .x_position = y_pixel,
                            .w_row = rows.tap_stride * w_line,
                            .w_col = cols.tap_stride * w_tap,
                            .w_inner = 1,
                            .w_out = g.filters,
                            .y_position = g.stride_w * x_pixel},
                .rows = taps.end - taps.begin,
                .cols = 0,
                .inner = group_filters,
                .x = d_y,
                .w = w,
                .bias = nullptr,
                .y = d_x,
                .finish = args.accumulate ? Finish::kAccumulate : Finish::kStore}},
      g.groups, group_filters);
}

void BackwardDataImpl(const Conv2dBackwardDataArgs& args, UnitRange units) {
  const Conv2dGeometry& g = args.geometry;
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    for (int64_t residue = 0; residue < g.stride_w && residue < g.width; ++residue) {
      BackwardDataRow(args, unit, residue);
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
HWY_EXPORT(BackwardDataImpl);

int64_t Conv2dForwardUnits(const Conv2dForwardArgs& args) {
  return args.blocks * args.geometry.out_h;
}

void Conv2dForward(const Conv2dForwardArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(0 <= units.begin && units.end <= Conv2dForwardUnits(args));
  HWY_DYNAMIC_DISPATCH(ForwardImpl)(args, units);
  if (args.activation == Activation::kLinear || args.activation == Activation::kRelu) return;
  const int64_t line = args.geometry.out_w * args.geometry.filters * kBlockLanes;
  float* y = args.y + units.begin * line;
  const ActivationForwardArgs activation{
      .count = (units.end - units.begin) * line, .activation = args.activation, .x = y, .y = y};
  ActivationForward(activation, {0, ActivationForwardUnits(activation)});
}

int64_t Conv2dBackwardDataUnits(const Conv2dBackwardDataArgs& args) {
  return args.blocks * args.geometry.height;
}

void Conv2dBackwardData(const Conv2dBackwardDataArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(0 <= units.begin && units.end <= Conv2dBackwardDataUnits(args));
  HWY_DYNAMIC_DISPATCH(BackwardDataImpl)(args, units);
}

}  // namespace lockstep::kernels
#endif  // HWY_ONCE
