#include "common/kernels/conv2d_max_pool.h"

#include "common/base/check.h"
#include "common/kernels/conv2d_taps.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/kernels/conv2d_max_pool.cc"
#include "hwy/foreach_target.h"  // Must come before highway.h.
#include "hwy/highway.h"

#include "common/kernels/math-inl.h"
#include "common/kernels/unroll.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// A tile keeps the chains of kOuts filters at the four positions of one window in registers; where
// a vector is narrower than a block, the block is done in parts.
using D = hn::CappedTag<float, kBlockLanes>;
using V = hn::Vec<D>;
using DU = hn::RebindToUnsigned<D>;
using DI = hn::RebindToSigned<D>;
using DU8 = hn::Rebind<uint8_t, D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr int kMaxOuts = HWY_TARGET == HWY_AVX2 ? 2 : 6;  // 8 of 16 or 24 of 32 vector registers
constexpr int kCells = 4;

// One position's chain: vertical taps, horizontal taps, channels, with the floats between them.
struct Chain {
  int64_t rows, cols, inner;
  int64_t x_row, x_col;
  int64_t w_row, w_col, w_inner;
};

struct Tile {
  Chain chain;
  int64_t down, right;  // floats of x to the positions below and to the right
  const float* x;
  const float* w;
  const float* bias;  // or null
  float* y;
  uint8_t* choice;   // or null
  int64_t y_window;  // floats and choices to the next window
  bool relu;
};

// To the next window's results.
HWY_INLINE void Advance(Tile& tile) {
  tile.y += tile.y_window;
  if (tile.choice != nullptr) tile.choice += tile.y_window;
}

HWY_INLINE V StartOf(const Tile& tile, int out) {
  return tile.bias == nullptr ? hn::Zero(D()) : hn::Set(D(), tile.bias[out]);
}

struct Best {
  V value;
  hn::Vec<DI> index;
};

// The later cell wins over a smaller value, and a NaN over a number; the first of equals and the
// first NaN stay. Any grouping of neighbours gives the same winner.
template <bool kNan>
HWY_INLINE Best Winner(const Best& first, const Best& later) {
  auto wins = hn::Gt(later.value, first.value);
  if constexpr (kNan) {
    wins = hn::Or(wins, hn::And(hn::IsNaN(later.value), hn::Eq(first.value, first.value)));
  }
  return {hn::IfThenElse(wins, later.value, first.value),
          hn::IfThenElse(hn::RebindMask(DI(), wins), later.index, first.index)};
}

template <bool kNan, int kOuts>
HWY_INLINE void StoreWindow(const Tile& tile, const V (&sum)[kOuts][kCells]) {
  const D d;
  const DI di;
  LOCKSTEP_UNROLL
  for (int a = 0; a < kOuts; ++a) {
    const Best top = Winner<kNan>({sum[a][0], hn::Zero(di)}, {sum[a][1], hn::Set(di, 1)});
    const Best bottom = Winner<kNan>({sum[a][2], hn::Set(di, 2)}, {sum[a][3], hn::Set(di, 3)});
    const Best best = Winner<kNan>(top, bottom);
    // Behind the maximum as good as before it: where it is not positive, no gradient passes.
    hn::Store(tile.relu ? Relu(d, best.value) : best.value, d, tile.y + a * kBlockLanes);
    if (tile.choice != nullptr) {
      hn::Store(hn::U8FromU32(hn::BitCast(DU(), best.index)), DU8(), tile.choice + a * kBlockLanes);
    }
  }
}

template <int kOuts>
HWY_INLINE void FinishWindow(const Tile& tile, const V (&sum)[kOuts][kCells]) {
  const D d;
  V total = hn::Zero(d);  // NaN if any is
  LOCKSTEP_UNROLL
  for (int a = 0; a < kOuts; ++a) {
    total = hn::Add(total, hn::Add(hn::Add(sum[a][0], sum[a][1]), hn::Add(sum[a][2], sum[a][3])));
  }
  if (HWY_LIKELY(hn::AllFalse(d, hn::IsNaN(total)))) {
    StoreWindow<false, kOuts>(tile, sum);
  } else {
    StoreWindow<true, kOuts>(tile, sum);
  }
}

// One tap of all four positions' chains.
template <int kOuts>
HWY_INLINE void AddTap(const float* x, const float* w, int64_t down, int64_t right,
                       V (&sum)[kOuts][kCells]) {
  const D d;
  const V input[kCells] = {hn::Load(d, x), hn::Load(d, x + right), hn::Load(d, x + down),
                           hn::Load(d, x + down + right)};
  LOCKSTEP_UNROLL
  for (int a = 0; a < kOuts; ++a) {
    const V weight = hn::Set(d, w[a]);
    LOCKSTEP_UNROLL
    for (int cell = 0; cell < kCells; ++cell)
      sum[a][cell] = hn::MulAdd(weight, input[cell], sum[a][cell]);
  }
}

// `windows` windows side by side, with the same taps at all positions. kInner: that of the chain,
// where it is short and known; else 0.
template <int kOuts, int kInner>
HWY_NOINLINE void ComputeWindows(Tile tile, int64_t windows) {
  const Chain c = tile.chain;
  const int64_t down = tile.down, right = tile.right, w_inner = c.w_inner;
  for (; windows > 0; --windows) {
    V sum[kOuts][kCells];
    LOCKSTEP_UNROLL
    for (int a = 0; a < kOuts; ++a) {
      LOCKSTEP_UNROLL
      for (int cell = 0; cell < kCells; ++cell) sum[a][cell] = StartOf(tile, a);
    }
    for (int64_t row = 0; row < c.rows; ++row) {
      for (int64_t col = 0; col < c.cols; ++col) {
        const float* HWY_RESTRICT x = tile.x + (row * c.x_row + col * c.x_col);
        const float* HWY_RESTRICT w = tile.w + (row * c.w_row + col * c.w_col);
        if constexpr (kInner > 0) {
          LOCKSTEP_UNROLL
          for (int k = 0; k < kInner; ++k)
            AddTap<kOuts>(x + k * kBlockLanes, w + k * w_inner, down, right, sum);
        } else {
          for (int64_t k = 0; k < c.inner; ++k, x += kBlockLanes, w += w_inner)
            AddTap<kOuts>(x, w, down, right, sum);
        }
      }
    }
    FinishWindow<kOuts>(tile, sum);
    tile.x += 2 * right;
    Advance(tile);
  }
}

// One row of windows of one block and group.
struct RowJob {
  TapAxis rows, cols;
  int64_t p;         // of the upper positions
  int64_t windows;   // in the row
  int64_t outs;      // filters of the group
  int64_t channels;  // of the group
  bool joined;       // horizontal taps follow each other in x as channels do
  int64_t x_line, x_pixel, w_tap;
  Tile tile;  // x: the group's channels at cell (0, 0); w, bias, y, choice: its first filter
};

Chain ChainOf(const RowJob& job, const TapRange& rows, const TapRange& cols) {
  Chain chain{.rows = rows.end - rows.begin,
              .cols = cols.end - cols.begin,
              .inner = job.channels,
              .x_row = job.rows.tap_step * job.x_line,
              .x_col = job.cols.tap_step * job.x_pixel,
              .w_row = job.cols.taps * job.w_tap,
              .w_col = job.w_tap,
              .w_inner = job.tile.chain.w_inner};
  if (job.joined) {
    chain.inner *= chain.cols;
    chain.cols = 1;
  }
  return chain;
}

// Moves the tile's x and w to the first tap of position (p, q).
void Place(const RowJob& job, int64_t p, int64_t q, Tile& tile) {
  const TapRange rows = ValidTaps(job.rows, p), cols = ValidTaps(job.cols, q);
  tile.chain = ChainOf(job, rows, cols);
  if (rows.begin == rows.end || cols.begin == cols.end) return;
  tile.x += job.rows.Coordinate(p, rows.begin) * job.x_line +
            job.cols.Coordinate(q, cols.begin) * job.x_pixel;
  tile.w += rows.begin * tile.chain.w_row + cols.begin * job.w_tap;
}

// A window at the image's edge: each position has taps of its own.
template <int kOuts>
HWY_NOINLINE void ComputeEdge(const RowJob& job, int64_t q, const Tile& tile) {
  const D d;
  HWY_ALIGN float chains[kOuts][kCells][kLanes];
  for (int cell = 0; cell < kCells; ++cell) {
    Tile one = tile;
    Place(job, job.p + cell / 2, q + cell % 2, one);
    const Chain& c = one.chain;
    V sum[kOuts];
    LOCKSTEP_UNROLL
    for (int a = 0; a < kOuts; ++a) sum[a] = StartOf(tile, a);
    for (int64_t row = 0; row < c.rows; ++row) {
      for (int64_t col = 0; col < c.cols; ++col) {
        const float* HWY_RESTRICT x = one.x + (row * c.x_row + col * c.x_col);
        const float* HWY_RESTRICT w = one.w + (row * c.w_row + col * c.w_col);
        for (int64_t k = 0; k < c.inner; ++k, x += kBlockLanes, w += c.w_inner) {
          const V input = hn::Load(d, x);
          LOCKSTEP_UNROLL
          for (int a = 0; a < kOuts; ++a) sum[a] = hn::MulAdd(hn::Set(d, w[a]), input, sum[a]);
        }
      }
    }
    LOCKSTEP_UNROLL
    for (int a = 0; a < kOuts; ++a) hn::Store(sum[a], d, chains[a][cell]);
  }
  V sum[kOuts][kCells];
  LOCKSTEP_UNROLL
  for (int a = 0; a < kOuts; ++a) {
    LOCKSTEP_UNROLL
    for (int cell = 0; cell < kCells; ++cell) sum[a][cell] = hn::Load(d, chains[a][cell]);
  }
  FinishWindow<kOuts>(tile, sum);
}

template <int kOuts>
HWY_INLINE void ComputeOuts(const RowJob& job, int64_t first) {
  const TapRange rows = ValidTaps(job.rows, job.p);
  const bool same_rows = rows == ValidTaps(job.rows, job.p + 1);
  Tile tile = job.tile;
  tile.w += first;
  if (tile.bias != nullptr) tile.bias += first;
  tile.y += first * kBlockLanes;
  if (tile.choice != nullptr) tile.choice += first * kBlockLanes;
  for (int64_t window = 0; window < job.windows;) {
    const int64_t q = 2 * window;
    const TapRange cols = ValidTaps(job.cols, q);
    int64_t run = 0;
    while (same_rows && window + run < job.windows && ValidTaps(job.cols, q + 2 * run) == cols &&
           ValidTaps(job.cols, q + 2 * run + 1) == cols) {
      ++run;
    }
    if (run == 0) {
      ComputeEdge<kOuts>(job, q, tile);
      run = 1;
    } else {
      Tile placed = tile;
      Place(job, job.p, q, placed);
      switch (placed.chain.inner) {
        case 3:
          ComputeWindows<kOuts, 3>(placed, run);
          break;
        case 5:
          ComputeWindows<kOuts, 5>(placed, run);
          break;
        default:
          ComputeWindows<kOuts, 0>(placed, run);
      }
    }
    for (int64_t k = 0; k < run; ++k) Advance(tile);
    window += run;
  }
}

void ComputeRow(const RowJob& job) {
  for (int lane = 0; lane < kBlockLanes; lane += kLanes) {
    RowJob part = job;
    part.tile.x += lane;
    part.tile.y += lane;
    if (part.tile.choice != nullptr) part.tile.choice += lane;
    int64_t first = 0;
    for (; first + kMaxOuts <= job.outs; first += kMaxOuts) ComputeOuts<kMaxOuts>(part, first);
    if constexpr (kMaxOuts > 4) {
      for (; first + 4 <= job.outs; first += 4) ComputeOuts<4>(part, first);
    }
    for (; first + 2 <= job.outs; first += 2) ComputeOuts<2>(part, first);
    for (; first < job.outs; ++first) ComputeOuts<1>(part, first);
  }
}

void ForwardImpl(const Conv2dMaxPoolForwardArgs& args, UnitRange units) {
  const Conv2dGeometry& g = args.geometry;
  const int64_t pooled_h = g.out_h / 2, pooled_w = g.out_w / 2;
  const int64_t channels = g.channels / g.groups, filters = g.filters / g.groups;
  const int64_t x_pixel = g.channels * kBlockLanes, x_line = g.width * x_pixel;
  const int64_t y_pixel = g.filters * kBlockLanes;
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const int64_t block = unit / pooled_h;
    for (int64_t group = 0; group < g.groups; ++group) {
      const int64_t filter = group * filters;
      const int64_t offset = unit * pooled_w * y_pixel + filter * kBlockLanes;
      const float* x = args.x + block * g.height * x_line + group * channels * kBlockLanes;
      ComputeRow({.rows = ForwardAxis(
                      {g.height, g.out_h, g.kernel_h, g.stride_h, g.dilation_h, g.pad_top}),
                  .cols = ForwardAxis(
                      {g.width, g.out_w, g.kernel_w, g.stride_w, g.dilation_w, g.pad_left}),
                  .p = unit % pooled_h * 2,
                  .windows = pooled_w,
                  .outs = filters,
                  .channels = channels,
                  .joined = g.groups == 1 && g.dilation_w == 1,
                  .x_line = x_line,
                  .x_pixel = x_pixel,
                  .w_tap = channels * g.filters,
                  .tile = {.chain = {.w_inner = g.filters},
                           .down = g.stride_h * x_line,
                           .right = g.stride_w * x_pixel,
                           .x = x,
                           .w = args.w + filter,
                           .bias = args.b == nullptr ? nullptr : args.b + filter,
                           .y = args.y + offset,
                           .choice = args.choice == nullptr ? nullptr : args.choice + offset,
                           .y_window = y_pixel,
                           .relu = args.activation == Activation::kRelu}});
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

int64_t Conv2dMaxPoolForwardUnits(const Conv2dMaxPoolForwardArgs& args) {
  return args.blocks * (args.geometry.out_h / 2);
}

void Conv2dMaxPoolForward(const Conv2dMaxPoolForwardArgs& args, UnitRange units) {
  LOCKSTEP_DCHECK(0 <= units.begin && units.end <= Conv2dMaxPoolForwardUnits(args));
  LOCKSTEP_DCHECK(args.activation == Activation::kLinear || args.activation == Activation::kRelu);
  HWY_DYNAMIC_DISPATCH(ForwardImpl)(args, units);
}

}  // namespace lockstep::kernels
#endif  // HWY_ONCE
