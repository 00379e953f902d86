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
// leaves all registers to accumulators.
using D = hn::CappedTag<float, kBlockLanes>;
using V = hn::Vec<D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr int kMaxOuts = HWY_TARGET == HWY_AVX2 ? 4 : 8;  // 16 or 32 vector registers
constexpr int kMaxPositions = 3;

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

HWY_INLINE V Finished(Finish finish, V sum, const float* y) {
  const D d;
  switch (finish) {
    case Finish::kRelu:
      return Relu(d, sum);
    case Finish::kAccumulate:
      return hn::Add(hn::Load(d, y), sum);
    case Finish::kStore:
      break;
  }
  return sum;
}

// kUnitOut: outputs are neighbours in w (w_out = 1).
template <int kOuts, int kPositions, bool kUnitOut>
HWY_NOINLINE void ComputeTile(const Tile& tile) {
  const D d;
  const ChainStrides& s = tile.strides;
  const int64_t x_position = s.x_position, w_inner = s.w_inner;
  const int64_t w_out = kUnitOut ? 1 : s.w_out;
  V sum[kOuts][kPositions];
  LOCKSTEP_UNROLL
  for (int a = 0; a < kOuts; ++a) {
    const V start = tile.bias == nullptr ? hn::Zero(d) : hn::Set(d, tile.bias[a]);
    LOCKSTEP_UNROLL
    for (int b = 0; b < kPositions; ++b) sum[a][b] = start;
  }
  for (int64_t row = 0; row < tile.rows; ++row) {
    for (int64_t col = 0; col < tile.cols; ++col) {
      const float* HWY_RESTRICT x = tile.x + (row * s.x_row + col * s.x_col);
      const float* HWY_RESTRICT w = tile.w + (row * s.w_row + col * s.w_col);
      for (int64_t k = 0; k < tile.inner; ++k, x += kBlockLanes, w += w_inner) {
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
  }
  LOCKSTEP_UNROLL
  for (int b = 0; b < kPositions; ++b) {
    LOCKSTEP_UNROLL
    for (int a = 0; a < kOuts; ++a) {
      float* y = tile.y + (b * s.y_position + a * kBlockLanes);
      hn::Store(Finished(tile.finish, sum[a][b], y), d, y);
    }
  }
}

template <int kOuts, bool kUnitOut>
HWY_INLINE void ComputePositions(const Tile& tile, int64_t positions) {
  switch (positions) {
    case 3:
      return ComputeTile<kOuts, 3, kUnitOut>(tile);
    case 2:
      return ComputeTile<kOuts, 2, kUnitOut>(tile);
    default:
      return ComputeTile<kOuts, 1, kUnitOut>(tile);
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

// Outputs [first, first + kOuts) at all positions.
template <int kOuts, bool kUnitOut>
HWY_INLINE void ComputeOuts(const RowJob& job, int64_t first) {
  const ChainStrides& s = job.tile.strides;
  for (int64_t position = 0; position < job.positions;) {
    const TapRange taps = ValidTaps(job.axis, position);
    int64_t run = 1;
    while (run < kMaxPositions && position + run < job.positions &&
           ValidTaps(job.axis, position + run) == taps) {
      ++run;
    }
    Tile tile = job.tile;
    tile.cols = taps.end - taps.begin;
    if (tile.cols > 0) tile.x += job.axis.Coordinate(position, taps.begin) * job.x_pixel;
    tile.w += taps.begin * s.w_col + first * s.w_out;
    if (tile.bias != nullptr) tile.bias += first;
    tile.y += position * s.y_position + first * kBlockLanes;
    ComputePositions<kOuts, kUnitOut>(tile, run);
    position += run;
  }
}

template <bool kUnitOut>
void ComputeRow(const RowJob& job) {
  for (int lane = 0; lane < kBlockLanes; lane += kLanes) {
    RowJob part = job;
    part.tile.x += lane;
    part.tile.y += lane;
    int64_t first = 0;
    for (; first + kMaxOuts <= job.outs; first += kMaxOuts)
      ComputeOuts<kMaxOuts, kUnitOut>(part, first);
    for (; first + 4 <= job.outs; first += 4) ComputeOuts<4, kUnitOut>(part, first);
    for (; first + 2 <= job.outs; first += 2) ComputeOuts<2, kUnitOut>(part, first);
    for (; first < job.outs; ++first) ComputeOuts<1, kUnitOut>(part, first);
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
    for (int64_t group = 0; group < g.groups; ++group) {
      const int64_t filter = group * group_filters;
      ComputeRow<true>({.axis = cols,
                        .positions = g.out_w,
                        .outs = group_filters,
                        .x_pixel = x_pixel,
                        .tile = {.strides = strides,
                                 .rows = taps.end - taps.begin,
                                 .cols = 0,
                                 .inner = group_channels,
                                 .x = x + group * group_channels * kBlockLanes,
                                 .w = w + filter,
                                 .bias = args.b == nullptr ? nullptr : args.b + filter,
                                 .y = y + filter * kBlockLanes,
                                 .finish = args.activation == Activation::kRelu ? Finish::kRelu
                                                                                : Finish::kStore}});
    }
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
  for (int64_t group = 0; group < g.groups; ++group) {
    ComputeRow<false>({.axis = cols,
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
                                .x = d_y + group * group_filters * kBlockLanes,
                                .w = w + group * group_filters,
                                .bias = nullptr,
                                .y = d_x + group * group_channels * kBlockLanes,
                                .finish = args.accumulate ? Finish::kAccumulate : Finish::kStore}});
  }
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
