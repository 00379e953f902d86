// Exemplar of the image kernels' tests: every kernel has the bits of its reference twin, for every
// target and any split.
#include "common/kernels/conv2d.h"

#include "gtest/gtest.h"

#include "common/kernels/reference_conv2d.h"
#include "tests/common/kernels/image_testing.h"

namespace lockstep::kernels {
namespace {

// Keras' output size and padding of one axis.
struct PaddedAxis {
  int64_t out, pad;
};
PaddedAxis PadAxis(int64_t in, int64_t kernel, int64_t stride, int64_t dilation, bool same) {
  const int64_t reach = (kernel - 1) * dilation + 1;
  if (!same) return {(in - reach) / stride + 1, 0};
  const int64_t out = (in + stride - 1) / stride;
  return {out, std::max<int64_t>(0, (out - 1) * stride + reach - in) / 2};
}

struct Options {
  int64_t stride = 1, dilation = 1, groups = 1;
  bool same = false;
};
struct Shape {
  const char* name;
  int64_t height, width, channels, filters, kernel_h, kernel_w;
  Options options = {};
};

Conv2dGeometry GeometryOf(const Shape& s) {
  const Options& o = s.options;
  const PaddedAxis h = PadAxis(s.height, s.kernel_h, o.stride, o.dilation, o.same);
  const PaddedAxis w = PadAxis(s.width, s.kernel_w, o.stride, o.dilation, o.same);
  return {s.height,   s.width,    s.channels, s.kernel_h, s.kernel_w, s.filters, o.stride, o.stride,
          o.dilation, o.dilation, h.pad,      w.pad,      h.out,      w.out,     o.groups};
}

const std::vector<Shape>& Shapes() {
  static const auto* shapes = new std::vector<Shape>{
      {"first layer", 9, 11, 1, 8, 3, 3},
      {"first layer, same", 9, 8, 1, 5, 3, 3, {.same = true}},
      {"colour, same", 7, 7, 3, 6, 3, 3, {.same = true}},
      {"33 filters", 5, 6, 2, 33, 3, 3},
      {"one filter", 6, 5, 4, 1, 3, 3, {.same = true}},
      {"four channels, same", 6, 7, 4, 9, 3, 3, {.same = true}},
      {"19 channels", 4, 5, 19, 6, 3, 2, {.same = true}},
      {"1x1", 4, 5, 21, 7, 1, 1},
      {"5x5, same", 7, 6, 5, 4, 5, 5, {.same = true}},
      {"window wider than image, same", 3, 2, 2, 3, 5, 5, {.same = true}},
      {"kernel is the image", 5, 4, 6, 5, 5, 4},
      {"stride 2, same", 9, 8, 4, 5, 3, 3, {.stride = 2, .same = true}},
      {"stride 2, even kernel", 8, 8, 3, 8, 4, 4, {.stride = 2, .same = true}},
      {"stride 3, kernel 2", 10, 11, 5, 3, 2, 2, {.stride = 3}},
      {"dilation 2", 9, 8, 2, 5, 3, 3, {.dilation = 2}},
      {"dilation 2, same", 6, 7, 5, 3, 3, 3, {.dilation = 2, .same = true}},
      {"stride 2, dilation 2", 11, 10, 4, 2, 3, 3, {.stride = 2, .dilation = 2, .same = true}},
      {"stride 2, dilation 3", 12, 11, 1, 3, 3, 3, {.stride = 2, .dilation = 3, .same = true}},
      {"two groups", 6, 6, 8, 10, 3, 3, {.groups = 2, .same = true}},
      {"depthwise", 6, 5, 6, 6, 3, 3, {.groups = 6, .same = true}},
      {"more than a band of columns", 3, 70, 4, 4, 3, 3, {.same = true}},
  };
  return *shapes;
}

struct Data {
  std::vector<float> x, w, b, d_y;
};
int64_t InputElements(const Conv2dGeometry& g) { return g.height * g.width * g.channels; }
int64_t OutputElements(const Conv2dGeometry& g) { return g.out_h * g.out_w * g.filters; }
int64_t WeightElements(const Conv2dGeometry& g) {
  return g.kernel_h * g.kernel_w * (g.channels / g.groups) * g.filters;
}

Data MakeData(const Conv2dGeometry& g, int64_t samples, uint32_t seed = 1) {
  return {RandomValues(samples * InputElements(g), seed), RandomValues(WeightElements(g), seed + 1),
          RandomValues(g.filters, seed + 2), RandomValues(samples * OutputElements(g), seed + 3)};
}

using Conv2d = SimdTest;
LOCKSTEP_EVERY_SIMD(Conv2d);

TEST_P(Conv2d, ForwardHasTheBitsOfItsReference) {
  for (const Shape& shape : Shapes()) {
    SCOPED_TRACE(shape.name);
    const Conv2dGeometry g = GeometryOf(shape);
    const SlotLayout layout = OneShard(19);
    const Data data = MakeData(g, 19);
    std::vector<float> expected(data.d_y.size());
    ReferenceConv2dForward<float>(
        {g, 19, data.x.data(), data.w.data(), data.b.data(), expected.data()});
    const Blocks x = Pack(layout, InputElements(g), data.x);
    Blocks y = NanBlocks(layout.blocks() * OutputElements(g) * kBlockLanes);

    const Conv2dForwardArgs args{
        g, layout.blocks(), x.data(), data.w.data(), data.b.data(), y.data(), Activation::kLinear};
    RunInPieces(Conv2dForwardUnits(args), 7, [&](UnitRange units) { Conv2dForward(args, units); });

    EXPECT_TRUE(SameBits(Unpack(layout, OutputElements(g), y), expected));
  }
}

TEST_P(Conv2d, ForwardStartsAtZeroWithoutBiasAndFusesRelu) {
  const Conv2dGeometry g = GeometryOf(Shapes()[1]);
  const SlotLayout layout = OneShard(16);
  Data data = MakeData(g, 16);
  data.x[40] = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> expected(data.d_y.size());
  ReferenceConv2dForward<float>({g, 16, data.x.data(), data.w.data(), nullptr, expected.data()});
  for (float& value : expected) value = value > 0 || std::isnan(value) ? value : 0.0f;
  const Blocks x = Pack(layout, InputElements(g), data.x);
  Blocks y = NanBlocks(OutputElements(g) * kBlockLanes);

  const Conv2dForwardArgs args{g, 1, x.data(), data.w.data(), nullptr, y.data(), Activation::kRelu};
  Conv2dForward(args, {0, Conv2dForwardUnits(args)});

  const std::vector<float> actual = Unpack(layout, OutputElements(g), y);
  EXPECT_TRUE(SameBits(actual, expected));
  EXPECT_TRUE(
      std::any_of(actual.begin(), actual.end(), [](float value) { return std::isnan(value); }));
}

TEST_P(Conv2d, ForwardAppliesOtherActivationsToItsOwnUnitsOnly) {
  const Conv2dGeometry g = GeometryOf(Shapes()[1]);
  const SlotLayout layout = OneShard(16);
  const Data data = MakeData(g, 16);
  const Blocks x = Pack(layout, InputElements(g), data.x);
  Blocks linear = NanBlocks(OutputElements(g) * kBlockLanes), fused = linear, separate = linear;
  Conv2dForwardArgs args{
      g, 1, x.data(), data.w.data(), data.b.data(), linear.data(), Activation::kLinear};
  Conv2dForward(args, {0, Conv2dForwardUnits(args)});
  const ActivationForwardArgs tanh{static_cast<int64_t>(linear.size()), Activation::kTanh,
                                   linear.data(), separate.data()};
  ActivationForward(tanh, {0, ActivationForwardUnits(tanh)});

  args.y = fused.data();
  args.activation = Activation::kTanh;
  RunInPieces(Conv2dForwardUnits(args), 5, [&](UnitRange units) { Conv2dForward(args, units); });

  EXPECT_TRUE(SameBits({fused.begin(), fused.end()}, {separate.begin(), separate.end()}));
}

TEST_P(Conv2d, BackwardDataHasTheBitsOfItsReference) {
  for (const Shape& shape : Shapes()) {
    for (const bool accumulate : {false, true}) {
      SCOPED_TRACE(shape.name);
      const Conv2dGeometry g = GeometryOf(shape);
      const SlotLayout layout = OneShard(19);
      const Data data = MakeData(g, 19);
      std::vector<float> expected = data.x;
      ReferenceConv2dBackwardData<float>(
          {g, 19, data.d_y.data(), data.w.data(), expected.data(), accumulate});
      const Blocks d_y = Pack(layout, OutputElements(g), data.d_y);
      Blocks d_x = accumulate ? Pack(layout, InputElements(g), data.x)
                              : NanBlocks(layout.blocks() * InputElements(g) * kBlockLanes);

      const Conv2dBackwardDataArgs args{g,          layout.blocks(), d_y.data(), data.w.data(),
                                        d_x.data(), accumulate};
      RunInPieces(Conv2dBackwardDataUnits(args), 3,
                  [&](UnitRange units) { Conv2dBackwardData(args, units); });

      EXPECT_TRUE(SameBits(Unpack(layout, InputElements(g), d_x), expected));
    }
  }
}

Blocks Planes(const Conv2dGeometry& g, const SlotLayout& layout, Blocks x) {
  if (Conv2dInputIsPlanes(g)) return x;
  Blocks planes = NanBlocks(layout.blocks() * Conv2dPlaneElements(g) * kBlockLanes);
  const Conv2dMakePlanesArgs args{g, layout.blocks(), x.data(), planes.data()};
  RunInPieces(Conv2dMakePlanesUnits(args), 3,
              [&](UnitRange units) { Conv2dMakePlanes(args, units); });
  return planes;
}

// Runs a subtree of a layout; returns d_w, then d_b.
std::vector<float> WeightGradients(const Conv2dGeometry& g, const SlotLayout& layout,
                                   SubtreeRange subtree, const std::vector<Data>& calls) {
  std::vector<Blocks> packed;
  for (const Data& call : calls) {
    packed.push_back(Planes(g, layout, Pack(layout, InputElements(g), call.x)));
    packed.push_back(Pack(layout, OutputElements(g), call.d_y));
  }
  std::vector<GradientCall> pointers;
  for (size_t k = 0; k < calls.size(); ++k)
    pointers.push_back({packed[2 * k].data(), packed[2 * k + 1].data()});
  std::vector<float> d_w(static_cast<size_t>(WeightElements(g)),
                         std::numeric_limits<float>::quiet_NaN());
  std::vector<float> d_b(static_cast<size_t>(g.filters), std::numeric_limits<float>::quiet_NaN());
  const Conv2dBackwardWeightsArgs args{.geometry = g,
                                       .slots = layout.map(),
                                       .subtree = subtree,
                                       .calls = pointers.data(),
                                       .call_count = static_cast<int32_t>(pointers.size()),
                                       .d_w = d_w.data(),
                                       .d_b = d_b.data()};
  RunInPieces(Conv2dBackwardWeightsUnits(args), 11,
              [&](UnitRange units) { Conv2dBackwardWeights(args, units); });
  d_w.insert(d_w.end(), d_b.begin(), d_b.end());
  return d_w;
}

std::vector<float> ExpectedGradients(const Conv2dGeometry& g, const ReferenceShards& shards,
                                     const std::vector<Data>& calls) {
  std::vector<ReferenceGradientCall<float>> pointers;
  for (const Data& call : calls) pointers.push_back({call.x.data(), call.d_y.data()});
  std::vector<float> d_w(static_cast<size_t>(WeightElements(g) + g.filters));
  ReferenceConv2dBackwardWeights<float>(
      {g, shards, pointers, d_w.data(), d_w.data() + WeightElements(g)});
  return d_w;
}

TEST_P(Conv2d, BackwardWeightsHaveTheBitsOfTheirReferenceAndIgnoreLanesWithoutSample) {
  for (const Shape& shape : Shapes()) {
    SCOPED_TRACE(shape.name);
    const Conv2dGeometry g = GeometryOf(shape);
    const SlotLayout layout{.shard_slots = 4,
                            .shards = {.positions = 3, .count = {3, 2, 3, 3, 3, 1, 0, 0}}};
    const std::vector<Data> calls = {MakeData(g, layout.shards.samples())};

    EXPECT_TRUE(SameBits(WeightGradients(g, layout, layout.all(), calls),
                         ExpectedGradients(g, layout.shards, calls)));
  }
}

TEST_P(Conv2d, BackwardWeightsGoOnOverTheCallsOfASharedLayer) {
  const Conv2dGeometry g = GeometryOf(Shapes()[2]);
  const SlotLayout layout{.shard_slots = 8, .shards = {.positions = 5, .count = {5, 4}}};
  const std::vector<Data> calls = {MakeData(g, 9, 1), MakeData(g, 9, 50), MakeData(g, 9, 90)};

  EXPECT_TRUE(SameBits(WeightGradients(g, layout, layout.all(), calls),
                       ExpectedGradients(g, layout.shards, calls)));
}

TEST_P(Conv2d, BackwardWeightsTakeAnySlotsPerShard) {
  const Conv2dGeometry g = GeometryOf({"", 4, 5, 2, 3, 2, 2});
  const std::vector<SlotLayout> layouts = {
      {.shard_slots = 1, .shards = {.positions = 1, .count = {1, 1, 1, 0}}},
      {.shard_slots = 2,
       .shards = {.positions = 2, .count = {2, 2, 1, 0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 0}}},
      {.shard_slots = 4, .shards = {.positions = 3, .count = {3, 3, 1, 0}}},
      {.shard_slots = 8, .shards = {.positions = 3, .count = {3, 2}}},
      {.shard_slots = 8, .shards = {.positions = 8, .count = {8, 8, 7, 0}}},
      {.shard_slots = 16, .shards = {.positions = 5, .count = {5, 5}}},
      {.shard_slots = 16, .shards = {.positions = 16, .count = {16, 11}}},
      {.shard_slots = 32, .shards = {.positions = 12, .count = {12, 10}}},
      {.shard_slots = 32, .shards = {.positions = 20, .count = {20, 17, 3, 0}}},
      {.shard_slots = 48, .shards = {.positions = 33, .count = {33, 20}}},
      {.shard_slots = 48, .shards = {.positions = 48, .count = {48, 0, 40, 13}}},
      {.shard_slots = 48, .shards = {.positions = 48, .count = {0}}},
  };
  for (const SlotLayout& layout : layouts) {
    SCOPED_TRACE(::testing::Message()
                 << layout.shard_slots << " slots, " << layout.shards.positions << " positions");
    const std::vector<Data> calls = {MakeData(g, layout.shards.samples())};

    EXPECT_TRUE(SameBits(WeightGradients(g, layout, layout.all(), calls),
                         ExpectedGradients(g, layout.shards, calls)));
  }
}

TEST_P(Conv2d, BackwardWeightsOfSubtreesAddUpToTheWholeForAnyRankCount) {
  const Conv2dGeometry g = GeometryOf({"", 4, 5, 2, 3, 2, 2});
  const ReferenceShards job{.positions = 3, .count = {3, 3, 3, 3, 3, 2, 0, 0}};
  const Data data = MakeData(g, job.samples());
  const std::vector<float> whole = ExpectedGradients(g, job, {data});
  for (int32_t ranks = 1; ranks <= 8; ++ranks) {
    std::map<std::pair<int32_t, int32_t>, std::vector<float>> partials;
    for (int32_t rank = 0; rank < ranks; ++rank) {
      const int32_t begin = rank * 8 / ranks, end = (rank + 1) * 8 / ranks;
      const SlotLayout local{.shard_slots = 4,
                             .shards = {3, {job.count.begin() + begin, job.count.begin() + end}}};
      const int64_t before =
          ReferenceShards{3, {job.count.begin(), job.count.begin() + begin}}.samples();
      Data part = data;
      part.x.erase(part.x.begin(), part.x.begin() + before * InputElements(g));
      part.d_y.erase(part.d_y.begin(), part.d_y.begin() + before * OutputElements(g));
      for (const auto& [first, shards] : MaximalSubtrees(begin, end)) {
        partials[{first, shards}] = WeightGradients(g, local, {first - begin, shards}, {part});
      }
    }
    const auto add = [](std::vector<float> a, const std::vector<float>& b) {
      for (size_t k = 0; k < a.size(); ++k) a[k] += b[k];
      return a;
    };

    EXPECT_TRUE(SameBits(MergeSubtrees(partials, 0, 8, add), whole)) << ranks << " ranks";
  }
}

// The twin itself: central differences of sum(y * d_y) in double.
TEST(ReferenceConv2d, HasTheGradientsOfItsForward) {
  const std::vector<Shape> shapes = {
      {"", 4, 5, 2, 3, 3, 2, {.same = true}},
      {"", 6, 5, 4, 2, 3, 3, {.stride = 2, .dilation = 2, .groups = 2, .same = true}},
      {"", 5, 4, 2, 2, 2, 2, {.stride = 3}}};
  for (const Shape& shape : shapes) {
    const Conv2dGeometry g = GeometryOf(shape);
    const auto x = RandomValues<double>(2 * InputElements(g), 1),
               w = RandomValues<double>(WeightElements(g), 2);
    const auto b = RandomValues<double>(g.filters, 3),
               d_y = RandomValues<double>(2 * OutputElements(g), 4);
    std::vector<double> d_x(x.size()), d_w(w.size()), d_b(b.size()), y(d_y.size());
    const auto loss = [&](const std::vector<double>& xs, const std::vector<double>& ws,
                          const std::vector<double>& bs) {
      ReferenceConv2dForward<double>({g, 2, xs.data(), ws.data(), bs.data(), y.data()});
      double sum = 0;
      for (size_t k = 0; k < y.size(); ++k) sum += y[k] * d_y[k];
      return sum;
    };

    ReferenceConv2dBackwardData<double>({g, 2, d_y.data(), w.data(), d_x.data(), false});
    ReferenceConv2dBackwardWeights<double>(
        {g, {2, {2}}, {{x.data(), d_y.data()}}, d_w.data(), d_b.data()});

    ExpectGradient(x, d_x, [&](const std::vector<double>& moved) { return loss(moved, w, b); });
    ExpectGradient(w, d_w, [&](const std::vector<double>& moved) { return loss(x, moved, b); });
    ExpectGradient(b, d_b, [&](const std::vector<double>& moved) { return loss(x, w, moved); });
  }
}

}  // namespace
}  // namespace lockstep::kernels
