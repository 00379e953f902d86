#include "common/kernels/pooling.h"

#include <algorithm>

#include "common/base/check.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "common/kernels/pooling.cc"
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

struct Best {
  V value;
  hn::Vec<DI> index;
};

// `next` wins over a smaller value, and a NaN over a number; the first of equals and the first NaN
// stay.
HWY_INLINE void Challenge(Best& best, V next, int64_t index) {
  const DI di;
  const auto nan_wins = hn::And(hn::IsNaN(next), hn::Eq(best.value, best.value));
  const auto wins = hn::Or(hn::Gt(next, best.value), nan_wins);
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

// The usual 2 x 2 window inside the image, without loops over cells.
HWY_INLINE void MaxPool2x2(const float* HWY_RESTRICT x, int64_t line, int64_t pixel,
                           float* HWY_RESTRICT y, uint8_t* HWY_RESTRICT choice) {
  const D d;
  for (int64_t e = 0; e < pixel; e += kLanes) {
    Best best{hn::Load(d, x + e), hn::Zero(DI())};
    Challenge(best, hn::Load(d, x + e + pixel), 1);
    Challenge(best, hn::Load(d, x + e + line), 2);
    Challenge(best, hn::Load(d, x + e + line + pixel), 3);
    StoreBest(best, y + e, choice == nullptr ? nullptr : choice + e);
  }
}

void MaxPoolForwardImpl(const MaxPoolForwardArgs& args, UnitRange units) {
  const PoolGeometry& g = args.geometry;
  const int64_t pixel = g.channels * kBlockLanes, line = g.width * pixel;
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const int64_t block = unit / g.out_h, p = unit % g.out_h;
    const float* x = args.x + block * g.height * line;
    for (int64_t q = 0; q < g.out_w; ++q) {
      const int64_t offset = (unit * g.out_w + q) * pixel;
      float* y = args.y + offset;
      uint8_t* choice = args.choice == nullptr ? nullptr : args.choice + offset;
      const Window window = WindowAt(g, p, q);
      const bool whole =
          window.row_end - window.row_begin == 2 && window.col_end - window.col_begin == 2;
      if (whole && g.pool_h == 2 && g.pool_w == 2) {
        MaxPool2x2(x + window.top * line + window.left * pixel, line, pixel, y, choice);
        continue;
      }
      for (int64_t e = 0; e < pixel; e += kLanes) {
        StoreBest(WindowMax(g, window, x + e), y + e, choice == nullptr ? nullptr : choice + e);
      }
    }
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

// A cell of just one window, whose winners are kept: the usual case, without a search.
struct OneWindow {
  int32_t cell;  // of the window
  const uint8_t* choice;
  const float* d_y;
  float* d_x;
};
HWY_INLINE void MaxPoolBackwardOne(const OneWindow& one, int64_t pixel, bool accumulate) {
  const uint8_t* const HWY_RESTRICT choice = one.choice;
  const float* const HWY_RESTRICT d_y = one.d_y;
  float* const HWY_RESTRICT d_x = one.d_x;
  const D d;
  const DI di;
  const auto own = hn::Set(di, one.cell);
  for (int64_t e = 0; e < pixel; e += kLanes) {
    const auto chosen =
        hn::RebindMask(d, hn::Eq(hn::PromoteTo(di, hn::Load(DU8(), choice + e)), own));
    // The chain starts from +0, so that a gradient of -0 becomes +0.
    const V sum = hn::IfThenElseZero(chosen, hn::Add(hn::Zero(d), hn::Load(d, d_y + e)));
    hn::Store(Accumulated(accumulate, sum, d_x + e), d, d_x + e);
  }
}

void MaxPoolBackwardImpl(const MaxPoolBackwardArgs& args, UnitRange units) {
  const D d;
  const DI di;
  const PoolGeometry& g = args.geometry;
  const int64_t pixel = g.channels * kBlockLanes;
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const int64_t block = unit / g.height, h = unit % g.height;
    const UnitRange rows = WindowsOf(h, g.pad_top, g.pool_h, g.stride_h, g.out_h);
    const float* d_y = args.d_y + block * g.out_h * g.out_w * pixel;
    for (int64_t w = 0; w < g.width; ++w) {
      const UnitRange cols = WindowsOf(w, g.pad_left, g.pool_w, g.stride_w, g.out_w);
      float* d_x = args.d_x + (unit * g.width + w) * pixel;
      if (rows.end - rows.begin == 1 && cols.end - cols.begin == 1 && args.choice != nullptr) {
        const Window window = WindowAt(g, rows.begin, cols.begin);
        const int64_t place = (rows.begin * g.out_w + cols.begin) * pixel;
        MaxPoolBackwardOne(
            {static_cast<int32_t>((h - window.top) * g.pool_w + (w - window.left)),
             args.choice + block * g.out_h * g.out_w * pixel + place, d_y + place, d_x},
            pixel, args.accumulate);
        continue;
      }
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

void AveragePoolForwardImpl(const AveragePoolArgs& args, UnitRange units) {
  const D d;
  const PoolGeometry& g = args.geometry;
  const int64_t pixel = g.channels * kBlockLanes, line = g.width * pixel;
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const int64_t block = unit / g.out_h, p = unit % g.out_h;
    const float* x = args.x + block * g.height * line;
    for (int64_t q = 0; q < g.out_w; ++q) {
      const Window window = WindowAt(g, p, q);
      const V count = hn::Set(d, window.count());
      for (int64_t e = 0; e < pixel; e += kLanes) {
        V sum = hn::Zero(d);
        for (int64_t row = window.row_begin; row < window.row_end; ++row) {
          for (int64_t col = window.col_begin; col < window.col_end; ++col) {
            sum = hn::Add(sum, hn::Load(d, x + row * line + col * pixel + e));
          }
        }
        hn::Store(hn::Div(sum, count), d, args.y + (unit * g.out_w + q) * pixel + e);
      }
    }
  }
}

void AveragePoolBackwardImpl(const AveragePoolBackwardArgs& args, UnitRange units) {
  const D d;
  const PoolGeometry& g = args.geometry;
  const int64_t pixel = g.channels * kBlockLanes;
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const int64_t block = unit / g.height, h = unit % g.height;
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
            sum = hn::Add(sum, hn::Div(gradient, hn::Set(d, WindowAt(g, p, q).count())));
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
