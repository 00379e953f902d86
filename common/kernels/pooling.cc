#include "common/kernels/pooling.h"

#include <algorithm>

#include "common/base/check.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/kernels/pooling.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // Must come before highway.h.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lockstep::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Channels and lanes are one run of C * 16 elements: every loop below goes over it, e being the
// element.
using D = hn::CappedTag<float, kBlockLanes>;
using V = hn::Vec<D>;
using DI = hn::RebindToSigned<D>;
using DU8 = hn::Rebind<uint8_t, D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));

// The cells of window (p, q) inside the image, and where the whole window begins.
struct Window {
  int64_t top, left;
  int64_t row_begin, row_end, col_begin, col_end;
  float count() const { return static_cast<float>((row_end - row_begin) * (col_end - col_begin)); }
};

Window WindowAt(const PoolGeometry& g, int64_t p, int64_t q) {
  const int64_t top = p * g.stride_h - g.pad_top, left = q * g.stride_w - g.pad_left;
  return {.top = top,
          .left = left,
          .row_begin = std::max<int64_t>(0, top),
          .row_end = std::min(g.height, top + g.pool_h),
          .col_begin = std::max<int64_t>(0, left),
          .col_end = std::min(g.width, left + g.pool_w)};
}

// The windows that hold input cell `cell` of an axis.
UnitRange WindowsOf(int64_t cell, int64_t pad, int64_t pool, int64_t stride, int64_t out) {
  const int64_t begin = std::max<int64_t>(0, (cell + pad - pool + stride) / stride);
  return {cell + pad - pool + stride < 0 ? 0 : begin, std::min(out, (cell + pad) / stride + 1)};
}

// The windows of an axis that lie inside the image whole.
UnitRange WholeWindows(int64_t size, int64_t pad, int64_t pool, int64_t stride, int64_t out) {
  if (size + pad < pool) return {0, 0};
  const int64_t begin = std::min(out, (pad + stride - 1) / stride);
  return {begin, std::max(begin, std::min(out, (size + pad - pool) / stride + 1))};
}

struct WholeArea {
  explicit WholeArea(const PoolGeometry& g)
      : rows(WholeWindows(g.height, g.pad_top, g.pool_h, g.stride_h, g.out_h)),
        cols(WholeWindows(g.width, g.pad_left, g.pool_w, g.stride_w, g.out_w)),
        usual(g.pool_h == 2 && g.pool_w == 2) {}

  // The windows of row p that are 2 x 2, the usual ones, and whole.
  UnitRange Usual(int64_t p) const {
    return usual && p >= rows.begin && p < rows.end ? cols : UnitRange{0, 0};
  }

  UnitRange rows, cols;
  bool usual;
};

// Whether no two windows share a cell.
bool Apart(const PoolGeometry& g) { return g.stride_h >= g.pool_h && g.stride_w >= g.pool_w; }

struct Best {
  V value;
  hn::Vec<DI> index;
};

// `next` wins over a smaller value, and a NaN over a number; the first of equals and the first NaN
// stay.
HWY_INLINE void Challenge(Best& best, V next, int64_t index) {
  const DI di;
  const auto wins = hn::AndNot(hn::Le(next, best.value), hn::Eq(best.value, best.value));
  best.value = hn::IfThenElse(wins, next, best.value);
  best.index = hn::IfThenElse(hn::RebindMask(di, wins), hn::Set(di, static_cast<int32_t>(index)),
                              best.index);
}

// x: the block's first element of this vector.
HWY_INLINE Best WindowMax(const PoolGeometry& g, const Window& window, const float* x) {
  const D d;
  const DI di;
  const int64_t pixel = g.channels * kBlockLanes;
  Best best;
  bool first = true;
  for (int64_t row = window.row_begin; row < window.row_end; ++row) {
    for (int64_t col = window.col_begin; col < window.col_end; ++col) {
      const V cell = hn::Load(d, x + (row * g.width + col) * pixel);
      const int64_t index = (row - window.top) * g.pool_w + (col - window.left);
      if (first) {
        best = {cell, hn::Set(di, static_cast<int32_t>(index))};
        first = false;
      } else {
        Challenge(best, cell, index);
      }
    }
  }
  return best;
}

HWY_INLINE void StoreBest(const Best& best, float* y, uint8_t* choice) {
  hn::Store(best.value, D(), y);
  if (choice != nullptr) hn::Store(hn::DemoteTo(DU8(), best.index), DU8(), choice);
}

// Comparisons fill the core's window of instructions before the next loads come in sight: `far`
// images, which no cache near the core holds, are fetched by hand.
constexpr int64_t kFarFloats = 1 << 18;
HWY_INLINE void FetchAhead(const float* cell, int64_t line, int64_t pixel) {
  constexpr int64_t kAhead = 1024;  // floats
  hwy::Prefetch(cell + kAhead);
  hwy::Prefetch(cell + pixel + kAhead);
  hwy::Prefetch(cell + line + kAhead);
  hwy::Prefetch(cell + line + pixel + kAhead);
}

// `count` whole 2 x 2 windows, `step` floats apart.
struct Stretch {
  int64_t line, pixel, step, count;
  bool far;
};

// From x on, without loops over cells.
HWY_INLINE void MaxPool2x2(const Stretch& windows, const float* HWY_RESTRICT x,
                           float* HWY_RESTRICT y, uint8_t* HWY_RESTRICT choice) {
  const D d;
  const auto [line, pixel, step, count, far] = windows;
  for (int64_t q = 0; q < count; ++q) {
    for (int64_t e = 0; e < pixel; e += kLanes) {
      const float* cell = x + q * step + e;
      if (far) FetchAhead(cell, line, pixel);
      Best best{hn::Load(d, cell), hn::Zero(DI())};
      Challenge(best, hn::Load(d, cell + pixel), 1);
      Challenge(best, hn::Load(d, cell + line), 2);
      Challenge(best, hn::Load(d, cell + line + pixel), 3);
      const int64_t at = q * pixel + e;
      StoreBest(best, y + at, choice == nullptr ? nullptr : choice + at);
    }
  }
}

void MaxPoolForwardImpl(const MaxPoolForwardArgs& args, UnitRange units) {
  const PoolGeometry& g = args.geometry;
  const int64_t pixel = g.channels * kBlockLanes, line = g.width * pixel;
  const bool far = args.blocks * g.height * line > kFarFloats;
  const WholeArea area(g);
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const int64_t block = unit / g.out_h, p = unit % g.out_h;
    const float* x = args.x + block * g.height * line;
    const auto choice_at = [&](int64_t offset) {
      return args.choice == nullptr ? nullptr : args.choice + offset;
    };
    const auto windows = [&](int64_t begin, int64_t end) HWY_ATTR {
      for (int64_t q = begin; q < end; ++q) {
        const int64_t offset = (unit * g.out_w + q) * pixel;
        const Window window = WindowAt(g, p, q);
        for (int64_t e = 0; e < pixel; e += kLanes) {
          StoreBest(WindowMax(g, window, x + e), args.y + offset + e, choice_at(offset + e));
        }
      }
    };
    const UnitRange usual = area.Usual(p);
    windows(0, usual.begin);
    if (usual.begin < usual.end) {
      const Window first = WindowAt(g, p, usual.begin);
      const int64_t offset = (unit * g.out_w + usual.begin) * pixel;
      MaxPool2x2({line, pixel, g.stride_w * pixel, usual.end - usual.begin, far},
                 x + first.top * line + first.left * pixel, args.y + offset, choice_at(offset));
    }
    windows(usual.end, g.out_w);
  }
}

HWY_INLINE V Accumulated(bool accumulate, V sum, const float* d_x) {
  return accumulate ? hn::Add(hn::Load(D(), d_x), sum) : sum;
}

// The winner of window (p, q), from choice or again from x.
HWY_INLINE hn::Vec<DI> Winner(const MaxPoolBackwardArgs& args, int64_t block, int64_t p, int64_t q,
                              int64_t e) {
  const PoolGeometry& g = args.geometry;
  const int64_t pixel = g.channels * kBlockLanes;
  if (args.choice != nullptr) {
    const uint8_t* choice = args.choice + ((block * g.out_h + p) * g.out_w + q) * pixel + e;
    return hn::PromoteTo(DI(), hn::Load(DU8(), choice));
  }
  return WindowMax(g, WindowAt(g, p, q), args.x + block * g.height * g.width * pixel + e).index;
}

// No window holds these cells: their chains are +0.
HWY_INLINE void StoreNothing(float* d_x, int64_t count, bool accumulate) {
  const D d;
  for (int64_t e = 0; e < count; e += kLanes)
    hn::Store(Accumulated(accumulate, hn::Zero(d), d_x + e), d, d_x + e);
}

// `count` windows of one row of windows from q on, side by side, each with `cells` cells in the row
// of the image, from the col-th on.
struct WindowRun {
  int64_t p, q, count, col, cells;
};

// Row h of an image's gradient.
struct InputRow {
  int64_t h;
  float* d_x;
  bool accumulate;
};

// Row h of an image whose windows are apart: spread(run) writes the row's cells of each run of
// windows, the others are written here. whole: the whole windows of a row.
template <class Spread>
HWY_INLINE void ForWindowsApart(const PoolGeometry& g, UnitRange whole, const InputRow& row,
                                const Spread& spread) {
  const auto [h, d_x, accumulate] = row;
  const int64_t pixel = g.channels * kBlockLanes;
  const UnitRange rows = WindowsOf(h, g.pad_top, g.pool_h, g.stride_h, g.out_h);
  int64_t done = 0, count = 0;
  for (int64_t q = 0; q < g.out_w && rows.begin < rows.end; q += count) {
    const bool dense = g.stride_w == g.pool_w && q == whole.begin && q < whole.end;
    count = dense ? whole.end - q : 1;
    const Window window = WindowAt(g, rows.begin, q);
    const int64_t cells = window.col_end - window.col_begin;
    if (cells <= 0) continue;
    StoreNothing(d_x + done * pixel, (window.col_begin - done) * pixel, accumulate);
    spread(WindowRun{rows.begin, q, count, window.col_begin, cells});
    done = window.col_begin + count * cells;
  }
  StoreNothing(d_x + done * pixel, (g.width - done) * pixel, accumulate);
}

// Where a run's gradients come from and go.
struct Gradients {
  const float* d_y;
  float* d_x;
  int64_t pixel;
  bool accumulate;
};

// The chains of one window's cells start from +0, so that a gradient of -0 becomes +0. first_cell:
// of the window.
HWY_INLINE void SpreadToWinners(const WindowRun& run, const Gradients& gradients,
                                int64_t first_cell, const uint8_t* HWY_RESTRICT choice) {
  const auto [from, to, pixel, accumulate] = gradients;
  const float* HWY_RESTRICT d_y = from;
  float* HWY_RESTRICT d_x = to;
  const D d;
  const DI di;
  for (int64_t k = 0; k < run.count; ++k) {
    for (int64_t e = 0; e < pixel; e += kLanes) {
      auto own = hn::Set(di, static_cast<int32_t>(first_cell));
      const auto winner = hn::PromoteTo(di, hn::Load(DU8(), choice + e));
      const V gradient = hn::Add(hn::Zero(d), hn::Load(d, d_y + e));
      float* cell = d_x + e;
      for (int64_t c = 0; c < run.cells; ++c, cell += pixel) {
        const V sum = hn::IfThenElseZero(hn::RebindMask(d, hn::Eq(winner, own)), gradient);
        hn::Store(Accumulated(accumulate, sum, cell), d, cell);
        own = hn::Add(own, hn::Set(di, 1));
      }
    }
    choice += pixel;
    d_y += pixel;
    d_x += run.cells * pixel;
  }
}

void MaxPoolBackwardImpl(const MaxPoolBackwardArgs& args, UnitRange units) {
  const D d;
  const DI di;
  const PoolGeometry& g = args.geometry;
  const int64_t pixel = g.channels * kBlockLanes;
  const WholeArea area(g);
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const int64_t block = unit / g.height, h = unit % g.height;
    if (Apart(g) && args.choice != nullptr) {
      float* const d_x = args.d_x + unit * g.width * pixel;
      ForWindowsApart(g, area.cols, {h, d_x, args.accumulate}, [&](const WindowRun& run) HWY_ATTR {
        const Window window = WindowAt(g, run.p, run.q);
        const int64_t first_cell = (h - window.top) * g.pool_w + (run.col - window.left);
        const int64_t at = ((block * g.out_h + run.p) * g.out_w + run.q) * pixel;
        SpreadToWinners(run, {args.d_y + at, d_x + run.col * pixel, pixel, args.accumulate},
                        first_cell, args.choice + at);
      });
      continue;
    }
    const UnitRange rows = WindowsOf(h, g.pad_top, g.pool_h, g.stride_h, g.out_h);
    const float* d_y = args.d_y + block * g.out_h * g.out_w * pixel;
    for (int64_t w = 0; w < g.width; ++w) {
      const UnitRange cols = WindowsOf(w, g.pad_left, g.pool_w, g.stride_w, g.out_w);
      float* d_x = args.d_x + (unit * g.width + w) * pixel;
      for (int64_t e = 0; e < pixel; e += kLanes) {
        V sum = hn::Zero(d);
        for (int64_t p = rows.begin; p < rows.end; ++p) {
          for (int64_t q = cols.begin; q < cols.end; ++q) {
            const Window window = WindowAt(g, p, q);
            const auto cell = static_cast<int32_t>((h - window.top) * g.pool_w + (w - window.left));
            const auto chosen =
                hn::RebindMask(d, hn::Eq(Winner(args, block, p, q, e), hn::Set(di, cell)));
            const V gradient = hn::Load(d, d_y + (p * g.out_w + q) * pixel + e);
            sum = hn::IfThenElse(chosen, hn::Add(sum, gradient), sum);
          }
        }
        hn::Store(Accumulated(args.accumulate, sum, d_x + e), d, d_x + e);
      }
    }
  }
}

// `value` / count, or its product with the reciprocal, where that is exact.
struct Divisor {
  V value;
  bool reciprocal;
};
HWY_INLINE Divisor DivisorOf(const Window& window) {
  const auto count = static_cast<int64_t>(window.count());
  const bool power_of_two = (count & (count - 1)) == 0 && count > 0;
  return {hn::Set(D(), power_of_two ? 1.0f / window.count() : window.count()), power_of_two};
}
HWY_INLINE V Divide(V value, const Divisor& divisor) {
  return divisor.reciprocal ? hn::Mul(value, divisor.value) : hn::Div(value, divisor.value);
}

// As MaxPool2x2.
HWY_INLINE void AveragePool2x2(const Stretch& windows, const float* HWY_RESTRICT x,
                               float* HWY_RESTRICT y) {
  const D d;
  const auto [line, pixel, step, count, far] = windows;
  const V quarter = hn::Set(d, 0.25f);  // exact
  for (int64_t q = 0; q < count; ++q) {
    for (int64_t e = 0; e < pixel; e += kLanes) {
      const float* cell = x + q * step + e;
      V sum = hn::Add(hn::Zero(d), hn::Load(d, cell));
      sum = hn::Add(sum, hn::Load(d, cell + pixel));
      sum = hn::Add(sum, hn::Load(d, cell + line));
      sum = hn::Add(sum, hn::Load(d, cell + line + pixel));
      hn::Store(hn::Mul(sum, quarter), d, y + q * pixel + e);
    }
  }
}

void AveragePoolForwardImpl(const AveragePoolArgs& args, UnitRange units) {
  const D d;
  const PoolGeometry& g = args.geometry;
  const int64_t pixel = g.channels * kBlockLanes, line = g.width * pixel;
  const WholeArea area(g);
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const int64_t block = unit / g.out_h, p = unit % g.out_h;
    const float* x = args.x + block * g.height * line;
    float* y = args.y + unit * g.out_w * pixel;
    const auto windows = [&](int64_t begin, int64_t end) HWY_ATTR {
      for (int64_t q = begin; q < end; ++q) {
        const Window window = WindowAt(g, p, q);
        const Divisor count = DivisorOf(window);
        for (int64_t e = 0; e < pixel; e += kLanes) {
          V sum = hn::Zero(d);
          for (int64_t row = window.row_begin; row < window.row_end; ++row) {
            for (int64_t col = window.col_begin; col < window.col_end; ++col) {
              sum = hn::Add(sum, hn::Load(d, x + row * line + col * pixel + e));
            }
          }
          hn::Store(Divide(sum, count), d, y + q * pixel + e);
        }
      }
    };
    const UnitRange usual = area.Usual(p);
    windows(0, usual.begin);
    if (usual.begin < usual.end) {
      const Window first = WindowAt(g, p, usual.begin);
      AveragePool2x2({line, pixel, g.stride_w * pixel, usual.end - usual.begin, false},
                     x + first.top * line + first.left * pixel, y + usual.begin * pixel);
    }
    windows(usual.end, g.out_w);
  }
}

// As SpreadToWinners.
HWY_INLINE void SpreadEvenly(const WindowRun& run, const Gradients& gradients,
                             const Divisor& count) {
  const auto [from, to, pixel, accumulate] = gradients;
  const float* HWY_RESTRICT d_y = from;
  float* HWY_RESTRICT d_x = to;
  const D d;
  for (int64_t k = 0; k < run.count; ++k) {
    for (int64_t e = 0; e < pixel; e += kLanes) {
      const V share = hn::Add(hn::Zero(d), Divide(hn::Load(d, d_y + e), count));
      float* cell = d_x + e;
      for (int64_t c = 0; c < run.cells; ++c, cell += pixel)
        hn::Store(Accumulated(accumulate, share, cell), d, cell);
    }
    d_y += pixel;
    d_x += run.cells * pixel;
  }
}

void AveragePoolBackwardImpl(const AveragePoolBackwardArgs& args, UnitRange units) {
  const D d;
  const PoolGeometry& g = args.geometry;
  const int64_t pixel = g.channels * kBlockLanes;
  const WholeArea area(g);
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const int64_t block = unit / g.height, h = unit % g.height;
    if (Apart(g)) {
      float* const d_x = args.d_x + unit * g.width * pixel;
      ForWindowsApart(g, area.cols, {h, d_x, args.accumulate}, [&](const WindowRun& run) HWY_ATTR {
        const int64_t at = ((block * g.out_h + run.p) * g.out_w + run.q) * pixel;
        SpreadEvenly(run, {args.d_y + at, d_x + run.col * pixel, pixel, args.accumulate},
                     DivisorOf(WindowAt(g, run.p, run.q)));
      });
      continue;
    }
    const UnitRange rows = WindowsOf(h, g.pad_top, g.pool_h, g.stride_h, g.out_h);
    const float* d_y = args.d_y + block * g.out_h * g.out_w * pixel;
    for (int64_t w = 0; w < g.width; ++w) {
      const UnitRange cols = WindowsOf(w, g.pad_left, g.pool_w, g.stride_w, g.out_w);
      float* d_x = args.d_x + (unit * g.width + w) * pixel;
      for (int64_t e = 0; e < pixel; e += kLanes) {
        V sum = hn::Zero(d);
        for (int64_t p = rows.begin; p < rows.end; ++p) {
          for (int64_t q = cols.begin; q < cols.end; ++q) {
            const V gradient = hn::Load(d, d_y + (p * g.out_w + q) * pixel + e);
            sum = hn::Add(sum, Divide(gradient, DivisorOf(WindowAt(g, p, q))));
          }
        }
        hn::Store(Accumulated(args.accumulate, sum, d_x + e), d, d_x + e);
      }
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lockstep::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::kernels {

HWY_EXPORT(MaxPoolForwardImpl);
HWY_EXPORT(MaxPoolBackwardImpl);
HWY_EXPORT(AveragePoolForwardImpl);
HWY_EXPORT(AveragePoolBackwardImpl);

int64_t MaxPoolForwardUnits(const MaxPoolForwardArgs& args) {
  return args.blocks * args.geometry.out_h;
}

void MaxPoolForward(const MaxPoolForwardArgs& args, UnitRange units) {
  const PoolGeometry& g = args.geometry;
  LOCKSTEP_CHECK(args.choice == nullptr || g.pool_h * g.pool_w <= kMaxPoolChoices);
  HWY_DYNAMIC_DISPATCH(MaxPoolForwardImpl)(args, units);
}

int64_t MaxPoolBackwardUnits(const MaxPoolBackwardArgs& args) {
  return args.blocks * args.geometry.height;
}

void MaxPoolBackward(const MaxPoolBackwardArgs& args, UnitRange units) {
  LOCKSTEP_CHECK(args.choice != nullptr || args.x != nullptr);
  HWY_DYNAMIC_DISPATCH(MaxPoolBackwardImpl)(args, units);
}

int64_t AveragePoolForwardUnits(const AveragePoolArgs& args) {
  return args.blocks * args.geometry.out_h;
}

void AveragePoolForward(const AveragePoolArgs& args, UnitRange units) {
  HWY_DYNAMIC_DISPATCH(AveragePoolForwardImpl)(args, units);
}

int64_t AveragePoolBackwardUnits(const AveragePoolBackwardArgs& args) {
  return args.blocks * args.geometry.height;
}

void AveragePoolBackward(const AveragePoolBackwardArgs& args, UnitRange units) {
  HWY_DYNAMIC_DISPATCH(AveragePoolBackwardImpl)(args, units);
}

}  // namespace lockstep::kernels
#endif  // HWY_ONCE
