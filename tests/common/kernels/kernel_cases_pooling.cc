// Random cases of the pooling kernels.
#include "absl/strings/str_cat.h"

#include "common/kernels/pooling.h"
#include "common/kernels/reference_pooling.h"
#include "tests/common/kernels/kernel_cases.h"

namespace lockstep::kernels {
namespace {

struct Axis {
  int64_t in, pool, stride, out, pad;
};
Axis ChooseAxis(Choices& choose, bool same) {
  const int64_t in = choose.Extent(20);
  const int64_t pool = choose.From(1, same ? 5 : std::min<int64_t>(in, 20));
  const int64_t stride = choose.From(1, 4);
  if (!same) return {in, pool, stride, (in - pool) / stride + 1, 0};
  const int64_t out = (in + stride - 1) / stride;
  return {in, pool, stride, out, std::max<int64_t>(0, (out - 1) * stride + pool - in) / 2};
}

PoolGeometry ChooseGeometry(Choices& choose) {
  const bool same = choose.Coin();
  const Axis h = ChooseAxis(choose, same), w = ChooseAxis(choose, same);
  return {h.in,  w.in, choose.Extent(40), h.pool, w.pool, h.stride, w.stride, h.pad, w.pad,
          h.out, w.out};
}

int64_t InputElements(const PoolGeometry& g) { return g.height * g.width * g.channels; }
int64_t OutputElements(const PoolGeometry& g) { return g.out_h * g.out_w * g.channels; }

Difference Named(const Difference& difference, const PoolGeometry& g, int64_t samples) {
  if (difference.empty()) return "";
  return absl::StrCat(difference, " (", g.height, "x", g.width, "x", g.channels, " -> ", g.out_h,
                      "x", g.out_w, ", window ", g.pool_h, "x", g.pool_w, ", stride ", g.stride_h,
                      "x", g.stride_w, ", pad ", g.pad_top, ",", g.pad_left, ", ", samples,
                      " samples)");
}

Difference MaxPool(Choices& choose) {
  const PoolGeometry g = ChooseGeometry(choose);
  const int64_t samples = choose.From(1, 20);
  const SlotLayout layout = OneShard(static_cast<int32_t>(samples));
  const bool accumulate = choose.Coin();
  const bool keep = g.pool_h * g.pool_w <= kMaxPoolChoices && choose.Below(4) != 0;
  const auto x = choose.Values(samples * InputElements(g)),
             d_y = choose.Values(samples * OutputElements(g)),
             before = choose.Values(samples * InputElements(g));
  std::vector<float> expected_y(d_y.size()), expected_d_x = before;
  ReferenceMaxPoolForward<float>({g, samples, x.data(), expected_y.data()});
  ReferenceMaxPoolBackward<float>(
      {g, samples, x.data(), d_y.data(), expected_d_x.data(), accumulate});

  const Floats x_blocks(Packed(layout, InputElements(g), x), choose.Edge());
  const Floats d_y_blocks(Packed(layout, OutputElements(g), d_y), choose.Edge());
  const auto start = accumulate ? Packed(layout, InputElements(g), before)
                                : NanValues(layout.blocks() * InputElements(g) * kBlockLanes);
  const Flush edge = choose.Edge();
  const uint32_t pieces = choose.Next();
  return Named(
      OnEveryTarget([&] {
        Floats y(NanValues(layout.blocks() * OutputElements(g) * kBlockLanes), edge);
        Floats d_x(start, edge);
        GuardedBuffer<uint8_t> choice(y.size(), edge);
        uint8_t* const kept = keep ? choice.data() : nullptr;
        const MaxPoolForwardArgs forward{g, layout.blocks(), x_blocks.data(), y.data(), kept};
        RunInPieces(MaxPoolForwardUnits(forward), pieces,
                    [&](UnitRange units) { MaxPoolForward(forward, units); });
        const MaxPoolBackwardArgs backward{g,
                                           layout.blocks(),
                                           d_y_blocks.data(),
                                           kept,
                                           d_x.data(),
                                           accumulate,
                                           keep ? nullptr : x_blocks.data()};
        RunInPieces(MaxPoolBackwardUnits(backward), pieces,
                    [&](UnitRange units) { MaxPoolBackward(backward, units); });
        return FirstOf({Untouched("y", y.intact()), Untouched("choice", choice.intact()),
                        Untouched("d_x", d_x.intact()),
                        Compare("y", Unpacked(layout, OutputElements(g), y), expected_y),
                        Compare("d_x", Unpacked(layout, InputElements(g), d_x), expected_d_x)});
      }),
      g, samples);
}

Difference AveragePool(Choices& choose) {
  const PoolGeometry g = ChooseGeometry(choose);
  const int64_t samples = choose.From(1, 20);
  const SlotLayout layout = OneShard(static_cast<int32_t>(samples));
  const bool accumulate = choose.Coin();
  const auto x = choose.Values(samples * InputElements(g)),
             d_y = choose.Values(samples * OutputElements(g)),
             before = choose.Values(samples * InputElements(g));
  std::vector<float> expected_y(d_y.size()), expected_d_x = before;
  ReferenceAveragePoolForward<float>({g, samples, x.data(), expected_y.data()});
  ReferenceAveragePoolBackward<float>(
      {g, samples, nullptr, d_y.data(), expected_d_x.data(), accumulate});

  const Floats x_blocks(Packed(layout, InputElements(g), x), choose.Edge());
  const Floats d_y_blocks(Packed(layout, OutputElements(g), d_y), choose.Edge());
  const auto start = accumulate ? Packed(layout, InputElements(g), before)
                                : NanValues(layout.blocks() * InputElements(g) * kBlockLanes);
  const Flush edge = choose.Edge();
  const uint32_t pieces = choose.Next();
  return Named(
      OnEveryTarget([&] {
        Floats y(NanValues(layout.blocks() * OutputElements(g) * kBlockLanes), edge);
        Floats d_x(start, edge);
        const AveragePoolArgs forward{g, layout.blocks(), x_blocks.data(), y.data()};
        RunInPieces(AveragePoolForwardUnits(forward), pieces,
                    [&](UnitRange units) { AveragePoolForward(forward, units); });
        const AveragePoolBackwardArgs backward{g, layout.blocks(), d_y_blocks.data(), d_x.data(),
                                               accumulate};
        RunInPieces(AveragePoolBackwardUnits(backward), pieces,
                    [&](UnitRange units) { AveragePoolBackward(backward, units); });
        return FirstOf({Untouched("y", y.intact()), Untouched("d_x", d_x.intact()),
                        Compare("y", Unpacked(layout, OutputElements(g), y), expected_y),
                        Compare("d_x", Unpacked(layout, InputElements(g), d_x), expected_d_x)});
      }),
      g, samples);
}

constexpr KernelCase kCases[] = {{"max_pool", &MaxPool}, {"average_pool", &AveragePool}};

}  // namespace

absl::Span<const KernelCase> PoolingCases() { return kCases; }

}  // namespace lockstep::kernels
