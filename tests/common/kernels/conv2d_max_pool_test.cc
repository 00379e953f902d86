// Convolution, activation and pooling in one pass have the bits of the three reference twins.
#include "common/kernels/conv2d_max_pool.h"

#include "gtest/gtest.h"

#include "common/kernels/pooling.h"
#include "common/kernels/reference_conv2d.h"
#include "common/kernels/reference_pooling.h"
#include "tests/common/kernels/image_testing.h"

namespace lockstep::kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// height, width, channels, kernel_h, kernel_w, filters, strides, dilation, pads, out_h, out_w,
// groups.
const std::vector<Conv2dGeometry>& Geometries() {
  static const auto* geometries = new std::vector<Conv2dGeometry>{
      {10, 8, 1, 3, 3, 32, 1, 1, 1, 1, 0, 0, 8, 6, 1},  // first layer
      {6, 7, 1, 3, 3, 5, 1, 1, 1, 1, 1, 1, 6, 7, 1},    // same; an odd column in no window
      {7, 6, 3, 2, 2, 7, 1, 1, 1, 1, 0, 0, 6, 5, 1},    // even kernel
      {9, 9, 4, 3, 3, 6, 1, 1, 1, 1, 0, 0, 7, 7, 1},    // odd both ways
      {9, 8, 2, 3, 3, 4, 2, 2, 1, 1, 1, 0, 5, 4, 1},    // stride 2, same
      {9, 10, 2, 3, 3, 3, 1, 1, 2, 2, 2, 2, 9, 10, 1},  // dilation 2, same
      {6, 6, 4, 3, 3, 6, 1, 1, 1, 1, 1, 1, 6, 6, 2},    // two groups
      {3, 3, 2, 5, 5, 2, 1, 1, 1, 1, 2, 2, 3, 3, 1},    // window wider than the image
      {4, 4, 19, 1, 1, 9, 1, 1, 1, 1, 0, 0, 4, 4, 1},   // 1 x 1
      {3, 64, 1, 2, 3, 2, 1, 1, 1, 1, 0, 1, 2, 64, 1},  // as wide as gradients may be
  };
  return *geometries;
}

PoolGeometry PoolOf(const Conv2dGeometry& g) {
  return {g.out_h, g.out_w, g.filters, 2, 2, 2, 2, 0, 0, g.out_h / 2, g.out_w / 2};
}
int64_t InputElements(const Conv2dGeometry& g) { return g.height * g.width * g.channels; }
int64_t ConvElements(const Conv2dGeometry& g) { return g.out_h * g.out_w * g.filters; }
int64_t PooledElements(const Conv2dGeometry& g) {
  return (g.out_h / 2) * (g.out_w / 2) * g.filters;
}
int64_t WeightElements(const Conv2dGeometry& g) {
  return g.kernel_h * g.kernel_w * (g.channels / g.groups) * g.filters;
}

// Whole numbers, so that ties are common; with `nan` some NaN.
std::vector<float> Awkward(int64_t count, uint32_t seed, bool nan = false) {
  std::vector<float> values = RandomValues(count, seed);
  for (size_t k = 0; k < values.size(); ++k) {
    values[k] = std::round(values[k] * 2);
    if (nan && k % 37 == 5) values[k] = kNan;
  }
  return values;
}

struct Case {
  Conv2dGeometry geometry;
  std::vector<float> x, w, b, d_y;
};
Case MakeCase(const Conv2dGeometry& g, int64_t samples, bool nan) {
  return {g, Awkward(samples * InputElements(g), 1, nan), Awkward(WeightElements(g), 2),
          Awkward(g.filters, 3), RandomValues(samples * PooledElements(g), 4)};
}

struct Expected {
  std::vector<float> y, conv;
};
Expected ReferenceForward(const Case& c, int64_t samples, bool relu) {
  Expected e;
  e.conv.resize(static_cast<size_t>(samples * ConvElements(c.geometry)));
  e.y.resize(static_cast<size_t>(samples * PooledElements(c.geometry)));
  ReferenceConv2dForward<float>(
      {c.geometry, samples, c.x.data(), c.w.data(), c.b.data(), e.conv.data()});
  if (relu) {
    for (float& value : e.conv) value = value > 0 || std::isnan(value) ? value : 0.0f;
  }
  ReferenceMaxPoolForward<float>({PoolOf(c.geometry), samples, e.conv.data(), e.y.data()});
  return e;
}

using Conv2dMaxPool = SimdTest;
LOCKSTEP_EVERY_SIMD(Conv2dMaxPool);

constexpr int32_t kSamples = 19;

TEST_P(Conv2dMaxPool, HasTheBitsOfTheThreeReferences) {
  for (size_t shape = 0; shape < Geometries().size(); ++shape) {
    for (const bool relu : {false, true}) {
      for (const bool nan : {false, true}) {
        SCOPED_TRACE(::testing::Message() << "shape " << shape << ", relu " << relu);
        const Conv2dGeometry& g = Geometries()[shape];
        const SlotLayout layout = OneShard(kSamples);
        const Case c = MakeCase(g, kSamples, nan);
        const Expected expected = ReferenceForward(c, kSamples, relu);
        const Blocks x = Pack(layout, InputElements(g), c.x);
        Blocks y = NanBlocks(layout.blocks() * PooledElements(g) * kBlockLanes), bare = y;
        std::vector<uint8_t> choice(y.size(), 99);

        Conv2dMaxPoolForwardArgs args{g,
                                      layout.blocks(),
                                      x.data(),
                                      c.w.data(),
                                      c.b.data(),
                                      y.data(),
                                      choice.data(),
                                      relu ? Activation::kRelu : Activation::kLinear};
        RunInPieces(Conv2dMaxPoolForwardUnits(args), 5,
                    [&](UnitRange units) { Conv2dMaxPoolForward(args, units); });
        args.y = bare.data();
        args.choice = nullptr;
        Conv2dMaxPoolForward(args, {0, Conv2dMaxPoolForwardUnits(args)});

        EXPECT_TRUE(SameBits(Unpack(layout, PooledElements(g), y), expected.y));
        EXPECT_TRUE(SameBits(Unpack(layout, PooledElements(g), bare), expected.y));
      }
    }
  }
}

// The gradients of pooling, ReLU and the convolution's variables, the pooled gradient masked first.
TEST_P(Conv2dMaxPool, BackwardWeightsSpreadThePooledGradient) {
  const SlotLayout layout{.shard_slots = 4,
                          .shards = {.positions = 3, .count = {3, 2, 3, 3, 3, 1, 0, 0}}};
  const auto samples = static_cast<int32_t>(layout.shards.samples());
  for (size_t shape = 0; shape < Geometries().size(); ++shape) {
    SCOPED_TRACE(::testing::Message() << "shape " << shape);
    const Conv2dGeometry& g = Geometries()[shape];
    const Case c = MakeCase(g, samples, /*nan=*/false);
    const Expected forward = ReferenceForward(c, samples, /*relu=*/true);
    std::vector<float> d_conv(forward.conv.size()),
        expected(static_cast<size_t>(WeightElements(g) + g.filters));
    ReferenceMaxPoolBackward<float>(
        {PoolOf(g), samples, forward.conv.data(), c.d_y.data(), d_conv.data(), false});
    for (size_t k = 0; k < d_conv.size(); ++k) d_conv[k] = forward.conv[k] > 0 ? d_conv[k] : 0.0f;
    ReferenceConv2dBackwardWeights<float>({g,
                                           layout.shards,
                                           {{c.x.data(), d_conv.data()}},
                                           expected.data(),
                                           expected.data() + WeightElements(g)});

    const Blocks x = Pack(layout, InputElements(g), c.x);
    Blocks y = NanBlocks(layout.blocks() * PooledElements(g) * kBlockLanes);
    Blocks d_y = Pack(layout, PooledElements(g), c.d_y);
    std::vector<uint8_t> choice(y.size(), 99);
    const Conv2dMaxPoolForwardArgs forward_args{
        g,          layout.blocks(), x.data(),      c.w.data(),
        c.b.data(), y.data(),        choice.data(), Activation::kRelu};
    Conv2dMaxPoolForward(forward_args, {0, Conv2dMaxPoolForwardUnits(forward_args)});
    const ActivationBackwardArgs mask{
        static_cast<int64_t>(y.size()), Activation::kRelu, y.data(), d_y.data(), d_y.data(), false};
    ActivationBackward(mask, {0, ActivationBackwardUnits(mask)});
    std::vector<float> gradients(expected.size(), kNan);
    Blocks planes = NanBlocks(layout.blocks() * Conv2dPlaneElements(g) * kBlockLanes);
    const Conv2dMakePlanesArgs planes_args{g, layout.blocks(), x.data(), planes.data()};
    Conv2dMakePlanes(planes_args, {0, Conv2dMakePlanesUnits(planes_args)});
    const GradientCall call{planes.data(), d_y.data(), choice.data()};
    const Conv2dBackwardWeightsArgs args{.geometry = g,
                                         .slots = layout.map(),
                                         .subtree = layout.all(),
                                         .calls = &call,
                                         .call_count = 1,
                                         .d_w = gradients.data(),
                                         .d_b = gradients.data() + WeightElements(g)};
    RunInPieces(Conv2dBackwardWeightsUnits(args), 3,
                [&](UnitRange units) { Conv2dBackwardWeights(args, units); });

    EXPECT_TRUE(SameBits(gradients, expected));
  }
}

}  // namespace
}  // namespace lockstep::kernels
