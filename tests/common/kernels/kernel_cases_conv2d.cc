// Random cases of the convolution kernels: windows, strides, dilation, groups, padding.
#include "absl/strings/str_cat.h"

#include "common/kernels/conv2d.h"
#include "common/kernels/reference_activation.h"
#include "common/kernels/reference_conv2d.h"
#include "tests/common/kernels/kernel_cases.h"

namespace lockstep::kernels {
namespace {

// One axis as Keras lays it; false: the window does not fit.
struct Axis {
  int64_t in, kernel, stride, dilation;
  bool same;
  int64_t out = 0, pad = 0;
  bool LayOut() {
    const int64_t reach = (kernel - 1) * dilation + 1;
    if (!same && reach > in) return false;
    out = same ? (in + stride - 1) / stride : (in - reach) / stride + 1;
    pad = same ? std::max<int64_t>(0, (out - 1) * stride + reach - in) / 2 : 0;
    return true;
  }
};

Axis ChooseAxis(Choices& choose, bool same) {
  Axis axis{choose.Extent(40), choose.From(1, 5), choose.Of<int64_t>({1, 1, 2, 3}),
            choose.Of<int64_t>({1, 1, 1, 2, 3}), same};
  if (!axis.LayOut()) {
    axis.kernel = 1;
    axis.LayOut();
  }
  return axis;
}

Conv2dGeometry ChooseGeometry(Choices& choose) {
  const bool same = choose.Coin();
  Axis h = ChooseAxis(choose, same), w = ChooseAxis(choose, same);
  const int64_t groups = choose.Of<int64_t>({1, 1, 1, 2, 3, 8, 20});
  const int64_t each = groups > 1 && choose.Coin() ? 1 : choose.Extent(groups > 1 ? 12 : 40);
  const int64_t filters = groups > 1 && each == 1 ? choose.From(1, 2) : choose.Extent(40);
  // The twin is slow: a few million steps.
  const int64_t work = each * groups * filters * h.kernel * w.kernel;
  while (h.in > 3 && h.out * w.out * work > 400'000) {
    h.in = h.in / 2;
    h.kernel = std::min<int64_t>(h.kernel, h.in);
    if (!h.LayOut()) h.kernel = 1;
    h.LayOut();
  }
  return {h.in,     w.in,     each * groups, h.kernel,   w.kernel, filters * groups,
          h.stride, w.stride, h.dilation,    w.dilation, h.pad,    w.pad,
          h.out,    w.out,    groups};
}

int64_t InputElements(const Conv2dGeometry& g) { return g.height * g.width * g.channels; }
int64_t OutputElements(const Conv2dGeometry& g) { return g.out_h * g.out_w * g.filters; }
int64_t WeightElements(const Conv2dGeometry& g) {
  return g.kernel_h * g.kernel_w * (g.channels / g.groups) * g.filters;
}

Difference Named(const Difference& difference, const Conv2dGeometry& g, const SlotLayout& layout) {
  if (difference.empty()) return "";
  return absl::StrCat(difference, " (", g.height, "x", g.width, "x", g.channels, " -> ", g.out_h,
                      "x", g.out_w, "x", g.filters, ", kernel ", g.kernel_h, "x", g.kernel_w,
                      ", stride ", g.stride_h, "x", g.stride_w, ", dilation ", g.dilation_h, "x",
                      g.dilation_w, ", pad ", g.pad_top, ",", g.pad_left, ", groups ", g.groups,
                      ", ", layout.shards.count.size(), " shards of ", layout.shard_slots,
                      " slots, positions ", layout.shards.positions, ")");
}

// Few slots: the twin's time goes with them.
SlotLayout FewSlots(Choices& choose) {
  SlotLayout layout = choose.Slots();
  const auto most = static_cast<size_t>(std::max(1, 40 / layout.shard_slots));
  if (layout.shards.count.size() > most) layout.shards.count.resize(most);
  return layout;
}

Difference Forward(Choices& choose) {
  const Conv2dGeometry g = ChooseGeometry(choose);
  const SlotLayout layout = FewSlots(choose);
  const int64_t samples = layout.shards.samples();
  const Activation activation =
      choose.Of({Activation::kLinear, Activation::kRelu, Activation::kTanh});
  const bool bias = choose.Coin();
  const auto x = choose.Values(samples * InputElements(g)), w = choose.Values(WeightElements(g)),
             b = choose.Values(g.filters);
  std::vector<float> expected(static_cast<size_t>(samples * OutputElements(g)));
  ReferenceConv2dForward<float>(
      {g, samples, x.data(), w.data(), bias ? b.data() : nullptr, expected.data()});
  for (float& value : expected) value = ReferenceActivation(activation, value);

  const Floats x_blocks(Packed(layout, InputElements(g), x), choose.Edge());
  const Floats weights(w, choose.Edge()), biases(b, choose.Edge());
  const Flush edge = choose.Edge();
  const uint32_t pieces = choose.Next();
  return Named(OnEveryTarget([&] {
                 Floats y(NanValues(layout.blocks() * OutputElements(g) * kBlockLanes), edge);
                 const Conv2dForwardArgs args{g,
                                              layout.blocks(),
                                              x_blocks.data(),
                                              weights.data(),
                                              bias ? biases.data() : nullptr,
                                              y.data(),
                                              activation};
                 RunInPieces(Conv2dForwardUnits(args), pieces,
                             [&](UnitRange units) { Conv2dForward(args, units); });
                 return FirstOf({Untouched("y", y.intact()),
                                 Compare("y", Unpacked(layout, OutputElements(g), y), expected)});
               }),
               g, layout);
}

Difference BackwardData(Choices& choose) {
  const Conv2dGeometry g = ChooseGeometry(choose);
  const SlotLayout layout = FewSlots(choose);
  const int64_t samples = layout.shards.samples();
  const bool accumulate = choose.Coin();
  const auto d_y = choose.Values(samples * OutputElements(g)), w = choose.Values(WeightElements(g)),
             before = choose.Values(samples * InputElements(g));
  std::vector<float> expected = before;
  ReferenceConv2dBackwardData<float>(
      {g, samples, d_y.data(), w.data(), expected.data(), accumulate});

  const Floats d_y_blocks(Packed(layout, OutputElements(g), d_y), choose.Edge());
  const Floats weights(w, choose.Edge());
  const auto start = accumulate ? Packed(layout, InputElements(g), before)
                                : NanValues(layout.blocks() * InputElements(g) * kBlockLanes);
  const Flush edge = choose.Edge();
  const uint32_t pieces = choose.Next();
  return Named(
      OnEveryTarget([&] {
        Floats d_x(start, edge);
        const Conv2dBackwardDataArgs args{
            g, layout.blocks(), d_y_blocks.data(), weights.data(), d_x.data(), accumulate};
        RunInPieces(Conv2dBackwardDataUnits(args), pieces,
                    [&](UnitRange units) { Conv2dBackwardData(args, units); });
        return FirstOf({Untouched("d_x", d_x.intact()),
                        Compare("d_x", Unpacked(layout, InputElements(g), d_x), expected)});
      }),
      g, layout);
}

Difference BackwardWeights(Choices& choose) {
  const Conv2dGeometry g = ChooseGeometry(choose);
  const SlotLayout layout = FewSlots(choose);
  const SubtreeRange subtree = choose.Subtree(layout);
  const SubtreeSamples part = SamplesOf(layout, subtree);
  const int64_t samples = layout.shards.samples();
  const bool bias = choose.Coin();
  std::vector<std::vector<float>> tensors;
  std::vector<std::unique_ptr<Floats>> blocks;
  std::vector<GradientCall> unplaned;
  for (int64_t call = choose.From(1, 2); call > 0; --call) {
    for (const int64_t features : {InputElements(g), OutputElements(g)}) {
      tensors.push_back(choose.Values(samples * features));
      blocks.push_back(
          std::make_unique<Floats>(Packed(layout, features, tensors.back()), choose.Edge()));
    }
    unplaned.push_back({blocks[blocks.size() - 2]->data(), blocks.back()->data()});
  }
  std::vector<ReferenceGradientCall<float>> twin_calls;
  for (size_t k = 0; k < tensors.size(); k += 2) {
    twin_calls.push_back({tensors[k].data() + part.before * InputElements(g),
                          tensors[k + 1].data() + part.before * OutputElements(g)});
  }
  std::vector<float> d_w(static_cast<size_t>(WeightElements(g))),
      d_b(static_cast<size_t>(g.filters));
  ReferenceConv2dBackwardWeights<float>({g, part.shards, twin_calls, d_w.data(), d_b.data()});

  const Flush edge = choose.Edge();
  const uint32_t pieces = choose.Next();
  return Named(
      OnEveryTarget([&] {
        Floats w(NanValues(WeightElements(g)), edge), b(NanValues(g.filters), edge);
        std::vector<std::unique_ptr<Floats>> planes;
        std::vector<GradientCall> calls = unplaned;
        for (GradientCall& call : calls) {
          if (Conv2dInputIsPlanes(g)) break;
          planes.push_back(std::make_unique<Floats>(
              NanValues(layout.blocks() * Conv2dPlaneElements(g) * kBlockLanes), edge));
          const Conv2dMakePlanesArgs make{g, layout.blocks(), call.x, planes.back()->data()};
          RunInPieces(Conv2dMakePlanesUnits(make), pieces,
                      [&](UnitRange units) { Conv2dMakePlanes(make, units); });
          call.x = planes.back()->data();
        }
        const Conv2dBackwardWeightsArgs args{.geometry = g,
                                             .slots = layout.map(),
                                             .subtree = subtree,
                                             .calls = calls.data(),
                                             .call_count = static_cast<int32_t>(calls.size()),
                                             .d_w = w.data(),
                                             .d_b = bias ? b.data() : nullptr};
        RunInPieces(Conv2dBackwardWeightsUnits(args), pieces,
                    [&](UnitRange units) { Conv2dBackwardWeights(args, units); });
        return FirstOf({Untouched("d_w", w.intact()), Untouched("d_b", b.intact()),
                        Compare("d_w", w.values(), d_w),
                        bias ? Compare("d_b", b.values(), d_b) : ""});
      }),
      g, layout);
}

constexpr KernelCase kCases[] = {{"conv2d_forward", &Forward},
                                 {"conv2d_backward_data", &BackwardData},
                                 {"conv2d_backward_weights", &BackwardWeights}};

}  // namespace

absl::Span<const KernelCase> Conv2dCases() { return kCases; }

}  // namespace lockstep::kernels
